"""The weekly report: the last complete week against the one before, and how far its data can be trusted.

What it shows is declared in KPIS, HEADLINE and CHARTS; how it looks is in `weekly.html`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import pandas as pd

from tailtracker_bi import bundle
from tailtracker_bi.bundle import Bundle
from tailtracker_bi.figures import charts, data_status
from tailtracker_bi.figures.data_status import STALE_AFTER_DAYS, TablesInAState
from tailtracker_bi.figures.explained import cause_in_words
from tailtracker_bi.figures.not_counted import beside, left_out
from tailtracker_bi.figures.readings import at
from tailtracker_bi.figures.wording import day, number, period
from tailtracker_bi.reports.rendering import Report, fill, one_line, picture
from tailtracker_bi.reports.week import DAY, WEEK, Figures, Kpi

KPIS = {
    "Engagement": ("active_users", "mau", "retention_d7"),
    "Growth": ("sign_ups", "subscribers_new"),
    "Revenue": ("mrr", "subscribers", "arppu", "subscriber_churn_rate_30d"),
    "Payments": ("payment_success_rate", "net_volume"),
    "Pets": ("lost_pet_alerts", "recovery_rate_30d"),
}
HEADLINE = {
    "mrr": "MRR ended the week at {}",
    "active_users": "{} were active",
    "sign_ups": "{} signed up",
}
CHARTS = {
    "Active people": {"Active people": "active_users"},
    "MRR": {"MRR": "mrr"},
    "Sign-ups and new subscribers": {"Signed up": "sign_ups", "Subscribed": "subscribers_new"},
    "Payment success": {"In the end": "payment_success_rate", "At once": "first_attempt_success_rate"},
}
"""By title, the lines of each by name; they share a unit."""
MRR_MOVEMENTS = {
    "mrr_new": "+{} new",
    "mrr_reactivation": "+{} reactivation",
    "mrr_expansion": "+{} expansion",
    "mrr_contraction": "-{} contraction",
    "mrr_churn": "-{} churn",
}
WEEKS_DRAWN, CHART_HEIGHT = 12, 210


@dataclass(frozen=True)
class Drawing:
    """A chart with its heading and what is said below it; without a picture where there is nothing to draw."""

    name: str
    title: str
    alt: str
    notes: Sequence[str]
    picture: bytes | None


def make(build: Bundle, as_of: date | None = None) -> Report:
    """The report as it stands on a day: without one, on the day that the build is as of. Raises NoWeekError."""
    info = bundle.read(build, "bundle_info").iloc[0]
    built_as_of = pd.Timestamp(info["as_of"]).date()
    today = as_of or built_as_of
    figures = Figures(build, _metric_ids(), str(info.get("currency", "")))
    week = figures.last_week(today)
    groups = {name: [figures.kpi(key, week) for key in keys if key in figures.metrics] for name, keys in KPIS.items()}
    kpis = {kpi.metric.metric_id: kpi for group in groups.values() for kpi in group}
    sources = data_status.tables(bundle.read(build, "data_status"))
    sources["reason"] = sources["reason"].map(data_status.without_settings)
    states = data_status.by_state(sources)
    unfinished = [kpi.metric.label for kpi in kpis.values() if kpi.is_unfinished]
    age, weeks_behind = (today - built_as_of).days, (today - week).days // 7 - 1
    drawings = list(_drawings(figures, week))
    subject = _subject(week, states, age, weeks_behind, bool(unfinished))
    html = fill(
        "weekly.html",
        subject=subject,
        title=f"TailTracker, {period(week, 'week')}",
        week=f"{day(week)} to {day(week + WEEK - DAY)}",
        headline=_headline(kpis),
        causes=" ".join(filter(None, _causes(figures, kpis, week))),
        left_out=beside(HEADLINE, left_out(bundle.read_if_there(build, "not_counted").to_dict("records"))),
        warnings=list(_warnings(states, age, weeks_behind, unfinished)),
        groups={name: group for name, group in groups.items() if group},
        drawings=drawings,
        states=states,
        info=info,
        as_of=day(built_as_of),
        complete_through=data_status.complete_through(sources),
    )
    return Report(week, subject, html, {drawn.name: drawn.picture for drawn in drawings if drawn.picture})


def _metric_ids() -> Iterator[str]:
    yield from (key for keys in KPIS.values() for key in keys)
    yield from (key for lines in CHARTS.values() for key in lines.values())
    yield from MRR_MOVEMENTS


def _subject(week: date, states: Sequence[TablesInAState], age: int, weeks_behind: int, is_unfinished: bool) -> str:
    """What is wrong comes first: a phone shows the beginning alone."""
    wrong = []
    for status in dict.fromkeys(state.status for state in sorted(states, key=data_status.worst_first)):
        named = dict.fromkeys(state.title for state in states if state.status == status)
        if status not in data_status.ALL_IS_WELL:
            wrong.append(f"data {status}: {', '.join(named)}")
    if age > STALE_AFTER_DAYS:
        wrong.append(f"data {age} days old")
    if weeks_behind > 0:
        wrong.append("not the latest week")
    if is_unfinished and not wrong:
        wrong.append("not complete")
    said = f"[{'; '.join(wrong).upper()}] " if wrong else ""
    return one_line(f"{said}TailTracker, {period(week, 'week')}")


def _warnings(
    states: Sequence[TablesInAState], age: int, weeks_behind: int, unfinished: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """What readers must know before they read a figure: what it is about, and what is so."""
    for state in sorted(states, key=data_status.worst_first):
        if state.is_trouble:
            yield state.name, state.trouble
    if age > STALE_AFTER_DAYS:
        yield "The data", f"is {age} days old: nothing newer has been published."
    if weeks_behind > 0:
        later = "a later week is over" if weeks_behind == 1 else f"{weeks_behind} later weeks are over"
        yield "This is not the latest week:", f"{later}, without a complete figure."
    if unfinished:
        yield "Not complete, so compared with nothing:", f"{', '.join(unfinished)}."


def _headline(kpis: Mapping[str, Kpi]) -> str:
    """Facts side by side, complete ones only: which of them caused which, nobody knows."""
    facts = []
    for metric_id, said in HEADLINE.items():
        kpi = kpis.get(metric_id)
        if kpi is not None and kpi.now.value is not None and kpi.now.is_complete:
            value = number(kpi.now.value, kpi.metric.format, kpi.metric.unit)
            facts.append(said.format(value) + (f" ({kpi.change})" if kpi.change else ""))
    if not facts:
        return "None of the main figures of this week is complete."
    sentence = facts[0] if len(facts) == 1 else f"{', '.join(facts[:-1])} and {facts[-1]}"
    return f"{sentence}. In brackets: the change on the week before." if "(" in sentence else f"{sentence}."


def _causes(figures: Figures, kpis: Mapping[str, Kpi], week: date) -> Iterator[str]:
    """Which segment made the change of a headline figure: a sentence where one did beyond chance, else nothing."""
    for metric_id in HEADLINE:
        if metric_id in kpis:
            label = kpis[metric_id].metric.label
            yield cause_in_words(figures.explanation(metric_id, week), f"The change in {label}")


def _drawings(figures: Figures, week: date) -> Iterator[Drawing]:
    first = week - (WEEKS_DRAWN - 1) * WEEK
    weeks = pd.date_range(first, week, freq="7D")
    for title, lines in CHARTS.items():
        known = {name: key for name, key in lines.items() if key in figures.metrics}
        points = [figures.series(key, "week").assign(segment_value=name) for name, key in known.items()]
        drawn = pd.concat(points) if points else pd.DataFrame({"period_start": [], "value": []})
        drawn = drawn[drawn["period_start"].isin(weeks)]
        name = next(iter(lines.values()))
        if drawn["value"].isna().all():
            yield Drawing(name, title, "", ["No data in these weeks."], None)
            continue
        metric = figures.metrics[next(iter(known.values()))]
        is_share = metric.format == "percent"
        chart = charts.trend(
            drawn,
            label=title,
            unit=metric.unit if len(known) == 1 else "",
            form=metric.format,
            grain="week",
            # Shares lie close together: from zero all would look alike.
            from_zero=not is_share,
            height=CHART_HEIGHT,
            told_after="",
        )
        notes = ["The scale does not begin at zero."] if is_share else []
        notes += [_movements(figures, week)] if name == "mrr" else []
        notes += [metric.caveat] if metric.exact_since and first < metric.exact_since else []
        notes += [] if drawn["is_complete"].all() else ["Dashed and pale: not complete yet."]
        yield Drawing(name, title, str(chart["description"]), [note for note in notes if note], picture(chart))


def _movements(figures: Figures, week: date) -> str:
    """What moved MRR in the week; empty where it is not known."""
    parts = []
    for metric_id, said in MRR_MOVEMENTS.items():
        moved = at(figures.series(metric_id, "week"), week)
        if moved.value is None or not moved.is_complete:
            return ""
        if moved.value:
            parts.append(said.format(number(moved.value, figures.metrics[metric_id].format)))
    return f"In the week: {', '.join(parts)}." if parts else "In the week nothing moved."
