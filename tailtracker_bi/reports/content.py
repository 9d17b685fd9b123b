"""What a declared report says of a period, before it has a form: figures and what they are beside, judged and told.

Which figures, `analytics.yml` declares; how it looks, the templates and `formats` do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import pandas as pd

from tailtracker_bi import bundle
from tailtracker_bi.alerts import Firing, firings, not_judged
from tailtracker_bi.analytics import AlertRules, ReportRules
from tailtracker_bi.bundle import Bundle
from tailtracker_bi.figures import charts, data_status, restated
from tailtracker_bi.figures.charts import Spec
from tailtracker_bi.figures.data_status import STALE_AFTER_DAYS, TablesInAState
from tailtracker_bi.figures.explained import cause_in_words
from tailtracker_bi.figures.not_counted import beside, left_out
from tailtracker_bi.figures.points import LENGTHS
from tailtracker_bi.figures.readings import at
from tailtracker_bi.figures.wording import day, number, numbers_of, period
from tailtracker_bi.reports.period import BEFORE, Figures, Kpi, Period

MRR_MOVEMENTS = {
    "mrr_new": "+{} new",
    "mrr_reactivation": "+{} reactivation",
    "mrr_expansion": "+{} expansion",
    "mrr_contraction": "-{} contraction",
    "mrr_churn": "-{} churn",
}
DRAWN, CHART_HEIGHT = {"day": 28, "week": 12, "month": 13}, 210
"""How many periods a chart goes back."""
MOST_EVENTS, MOST_ALERTS, MOST_RESTATED = 5, 5, 5
ORDINALS = {2: "second", 3: "third", 4: "fourth", 5: "fifth"}
PAGES = {
    "engagement": "active_users", "retention": "retention", "funnels": "funnels", "subscriptions": "revenue",
    "payments": "payments", "pets": "pets_and_alerts", "health": "service_levels", "voice": "voice_and_acquisition",
}  # fmt: skip
"""The dashboard's page of each domain, for whom what takes a change apart is not open to."""
THIS = {"day": "That day", "week": "This week", "month": "This month"}


@dataclass(frozen=True)
class Drawing:
    """A chart with its heading and what is said below it; without a chart where there is nothing to draw."""

    name: str
    title: str
    notes: Sequence[str]
    chart: Spec | None

    @property
    def alt(self) -> str:
        return "" if self.chart is None else str(self.chart["description"])


@dataclass(frozen=True)
class Content:
    """All that a report says, as text. `links` leads from a metric to its page, where there is a dashboard.

    `alerts` are those that were not over before the period began, the worst first; None where none is judged.
    `not_judged` are metrics that one could have been told of by data that is not there.
    """

    rules: ReportRules
    period: Period
    build: str
    built_at: pd.Timestamp
    as_of: date
    subject: str
    title: str
    span: str
    headline: str
    causes: str
    left_out: str
    warnings: Sequence[tuple[str, str]]
    groups: Mapping[str, Sequence[Kpi]]
    drawings: Sequence[Drawing]
    events: Sequence[str]
    alerts: Sequence[Firing] | None
    not_judged: Sequence[str]
    restated: Sequence[str]
    states: Sequence[TablesInAState]
    complete_through: str
    links: Mapping[str, str]

    @property
    def kpis(self) -> list[Kpi]:
        return [kpi for group in self.groups.values() for kpi in group]

    @property
    def is_troubled(self) -> bool:
        """Whether its data is late, failed, held, stale or not complete."""
        return bool(self.warnings)

    @property
    def this(self) -> str:
        return THIS[self.period.grain]

    @property
    def told(self) -> dict[str, list[str]]:
        """By its heading, what else there is to say of the period."""
        found = {
            "What happened": _the_first(self.events, MOST_EVENTS),
            "Alerts": _alerts_in_words(self.alerts, self.not_judged, self.period.grain),
            "Changed since the last report": _the_first(self.restated, MOST_RESTATED),
        }
        return {heading: lines for heading, lines in found.items() if lines}

    @property
    def headline_values(self) -> dict[str, float | None]:
        """What the first sentence is about; by it a later build is seen to tell something else."""
        named = {one.metric for one in self.rules.headline}
        return {
            kpi.metric.metric_id: kpi.now.value if kpi.now.is_complete else None
            for kpi in self.kpis
            if kpi.metric.metric_id in named
        }


def content_of(
    rules: ReportRules,
    build: Bundle,
    as_of: date | None = None,
    *,
    of: date | None = None,
    known_build: str | None = None,
    alerts: Sequence[AlertRules] = (),
    hidden_below: int = 0,
    timezone: str = "UTC",
    dashboard_url: str = "",
) -> Content:
    """The report as it stands on a day: without one, on the day that the build is as of.

    It is of the last period that was over and has a complete figure, or of the one that begins on the day `of`. What
    was restated since an earlier build is told where one is given; what happened, in the time zone; which of these
    alerts there were. From who may not see parts of fewer people than `hidden_below`, these are kept. Raises
    NoPeriodError.
    """
    with numbers_of(rules.numbers):
        return _content_of(rules, build, as_of, of, known_build, alerts, hidden_below, timezone, dashboard_url)


def _content_of(
    rules: ReportRules,
    build: Bundle,
    as_of: date | None,
    of: date | None,
    known_build: str | None,
    alerts: Sequence[AlertRules],
    hidden_below: int,
    timezone: str,
    dashboard_url: str,
) -> Content:
    info = bundle.read(build, "bundle_info").iloc[0]
    built_as_of = pd.Timestamp(info["as_of"]).date()
    today = as_of or built_as_of
    figures = Figures(build, [*rules.metrics, *MRR_MOVEMENTS], str(info.get("currency", "")), hidden_below)
    about = Period(rules.period, of) if of else figures.last_period(rules.period, today)
    groups = {
        section.title: [figures.kpi(key, about) for key in section.metrics if key in figures.metrics]
        for section in rules.sections
    }
    kpis = {kpi.metric.metric_id: kpi for group in groups.values() for kpi in group}
    sources = data_status.tables(bundle.read(build, "data_status"))
    sources["reason"] = sources["reason"].map(data_status.without_settings)
    states = data_status.by_state(sources)
    unfinished = [kpi.metric.label for kpi in kpis.values() if kpi.is_unfinished]
    age, behind = (today - built_as_of).days, _periods_behind(about, today)
    is_short = built_as_of <= about.end
    span = day(about.start) if about.grain == "day" else f"{day(about.start)} to {day(about.end)}"
    said = [*_streaks(figures, rules, about, kpis), *_causes(figures, rules, about, kpis)]
    # A source in trouble is told of above all else.
    judged = [one for one in alerts if one.metric in figures.metrics and (one.segment == "all" or not hidden_below)]
    return Content(
        rules=rules,
        period=about,
        build=build.build,
        built_at=pd.Timestamp(info["built_at"]),
        as_of=built_as_of,
        subject=_subject(rules, about, states, age, behind, is_short, bool(unfinished)),
        title=f"{rules.title}, {about}",
        span=span,
        headline=_headline(rules, kpis, about),
        causes=" ".join(filter(None, said)),
        left_out=beside(
            [one.metric for one in rules.headline],
            left_out(bundle.read_if_there(build, "not_counted").to_dict("records")),
        ),
        warnings=list(_warnings(states, age, behind, is_short, unfinished, about)),
        groups={name: group for name, group in groups.items() if group},
        drawings=list(_drawings(figures, rules, about)),
        events=_events(build, about, timezone),
        alerts=_alerts(judged, build, about) if judged else None,
        not_judged=not_judged(judged, build, about.start, about.end),
        restated=_restated(build, figures, rules, about, known_build),
        states=states,
        complete_through=data_status.complete_through(sources),
        links=_links(kpis, dashboard_url.rstrip("/"), hidden_below) if dashboard_url else {},
    )


def _links(kpis: Mapping[str, Kpi], dashboard_url: str, hidden_below: int) -> dict[str, str]:
    if not hidden_below:
        return {key: f"{dashboard_url}/explain?metric={key}" for key in kpis}
    return {key: f"{dashboard_url}/{PAGES.get(kpi.metric.domain, '')}" for key, kpi in kpis.items()}


def _periods_behind(about: Period, today: date) -> int:
    """How many later periods are over by a day."""
    length, start, behind = LENGTHS[about.grain], pd.Timestamp(about.start), 0
    while start + (behind + 2) * length <= pd.Timestamp(today):
        behind += 1
    return behind


def _subject(
    rules: ReportRules,
    about: Period,
    states: Sequence[TablesInAState],
    age: int,
    behind: int,
    is_short: bool,
    is_unfinished: bool,
) -> str:
    """What is wrong comes first: a phone shows the beginning alone."""
    wrong = []
    for status in dict.fromkeys(state.status for state in sorted(states, key=data_status.worst_first)):
        named = dict.fromkeys(state.title for state in states if state.status == status)
        if status not in data_status.ALL_IS_WELL:
            wrong.append(f"data {status}: {', '.join(named)}")
    if age > STALE_AFTER_DAYS:
        wrong.append(f"data {age} days old")
    if is_short:
        wrong.append(f"the {about.grain}'s end is missing")
    if behind > 0:
        wrong.append(f"not the latest {about.grain}")
    if is_unfinished and not wrong:
        wrong.append("not complete")
    said = f"[{'; '.join(wrong).upper()}] " if wrong else ""
    return one_line(f"{said}{rules.title}, {about}")


def one_line(text: str) -> str:
    """Without line breaks and the like, as a mail's subject must be."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def _warnings(
    states: Sequence[TablesInAState],
    age: int,
    behind: int,
    is_short: bool,
    unfinished: Sequence[str],
    about: Period,
) -> Iterator[tuple[str, str]]:
    """What readers must know before they read a figure: what it is about, and what is so."""
    for state in sorted(states, key=data_status.worst_first):
        if state.is_trouble:
            yield state.name, state.trouble
    if age > STALE_AFTER_DAYS:
        yield "The data", f"is {age} days old: nothing newer has been published."
    if is_short:
        yield "The data", f"ends before the {about.grain} does: nothing newer has been published."
    if behind > 0:
        later = f"a later {about.grain} is over" if behind == 1 else f"{behind} later {about.grain}s are over"
        yield f"This is not the latest {about.grain}:", f"{later}, without a complete figure."
    if unfinished:
        yield "Not complete, so compared with nothing:", f"{', '.join(unfinished)}."


def _headline(rules: ReportRules, kpis: Mapping[str, Kpi], about: Period) -> str:
    """Facts side by side, complete ones only: which of them caused which, nobody knows."""
    facts = []
    for one in rules.headline:
        kpi = kpis.get(one.metric)
        if kpi is not None and kpi.now.value is not None and kpi.now.is_complete:
            value = number(kpi.now.value, kpi.metric.format, kpi.metric.unit)
            facts.append(one.says.format(value) + (f" ({kpi.change})" if kpi.change else ""))
    if not facts:
        return f"None of the main figures of this {about.grain} is complete."
    sentence = facts[0] if len(facts) == 1 else f"{', '.join(facts[:-1])} and {facts[-1]}"
    return f"{sentence}. In brackets: the change on {BEFORE[about.grain]}." if "(" in sentence else f"{sentence}."


def _streaks(figures: Figures, rules: ReportRules, about: Period, kpis: Mapping[str, Kpi]) -> Iterator[str]:
    """Which of the main figures has moved the same way for several periods, each time beyond chance."""
    for one in rules.headline:
        if one.metric not in kpis:
            continue
        runs = figures.periods_in_a_row(one.metric, about)
        if runs > 1:
            moved = "rose" if kpis[one.metric].has_risen else "fell"
            how_often = f"the {ORDINALS[runs]}" if runs in ORDINALS else f"{runs}"
            counted = f"{about.grain} running" if runs in ORDINALS else f"{about.grain}s running"
            yield f"{kpis[one.metric].metric.label} {moved} for {how_often} {counted}."


def _causes(figures: Figures, rules: ReportRules, about: Period, kpis: Mapping[str, Kpi]) -> Iterator[str]:
    """Which segment made the change of a headline figure: a sentence where one did beyond chance, else nothing."""
    for one in rules.headline:
        if one.metric in kpis:
            label = kpis[one.metric].metric.label
            yield cause_in_words(figures.explanation(one.metric, about), f"The change in {label}")


def _drawings(figures: Figures, rules: ReportRules, about: Period) -> Iterator[Drawing]:
    starts = [pd.Timestamp(about.start) - back * LENGTHS[about.grain] for back in range(DRAWN[about.grain])]
    for declared in rules.charts:
        known = {name: key for name, key in declared.lines.items() if key in figures.metrics}
        points = [figures.series(key, about.grain).assign(segment_value=name) for name, key in known.items()]
        drawn = pd.concat(points) if points else pd.DataFrame({"period_start": [], "value": []})
        drawn = drawn[drawn["period_start"].isin(starts)]
        name = next(iter(declared.lines.values()))
        if drawn["value"].isna().all():
            yield Drawing(name, declared.title, [f"No data in these {about.grain}s."], None)
            continue
        metric = figures.metrics[next(iter(known.values()))]
        is_share = metric.format == "percent"
        chart = charts.trend(
            drawn,
            label=declared.title,
            unit=metric.unit if len(known) == 1 else "",
            form=metric.format,
            grain=about.grain,
            # Shares lie close together: from zero all would look alike.
            from_zero=not is_share,
            height=CHART_HEIGHT,
            told_after="",
        )
        notes = ["The scale does not begin at zero."] if is_share else []
        notes += [_movements(figures, about)] if name == "mrr" else []
        notes += [metric.caveat] if metric.exact_since and starts[-1].date() < metric.exact_since else []
        notes += [] if drawn["is_complete"].all() else ["Dashed and pale: not complete yet."]
        yield Drawing(name, declared.title, [note for note in notes if note], chart)


def _movements(figures: Figures, about: Period) -> str:
    """What moved MRR in the period; empty where it is not known."""
    parts = []
    for metric_id, said in MRR_MOVEMENTS.items():
        if metric_id not in figures.metrics:
            return ""
        moved = at(figures.series(metric_id, about.grain), about.start)
        if moved.value is None or not moved.is_complete:
            return ""
        if moved.value:
            parts.append(said.format(number(moved.value, figures.metrics[metric_id].format)))
    where = f"On the {about.grain}" if about.grain == "day" else f"In the {about.grain}"
    return f"{where}: {', '.join(parts)}." if parts else f"{where} nothing moved."


def _events(build: Bundle, about: Period, timezone: str) -> list[str]:
    """Incidents, releases and campaigns that touch the period, the latest first."""
    found = bundle.read_if_there(build, "annotations")
    if found.empty:
        return []
    began, ended = (
        pd.to_datetime(found[name]).dt.tz_localize("UTC").dt.tz_convert(timezone).dt.tz_localize(None)
        for name in ("started_at", "ended_at")
    )
    first, after = pd.Timestamp(about.start), pd.Timestamp(about.end) + pd.Timedelta(days=1)
    # An empty frame would take all the rows of what is assigned to it.
    own = found.assign(began=began)[(began < after) & (ended.fillna(began) >= first)].sort_values("began")[::-1]
    return [f"{row['kind'].capitalize()}, {day(row['began'])}: {row['title']}" for row in own.to_dict("records")]


def _alerts(rules: Sequence[AlertRules], build: Bundle, about: Period) -> list[Firing]:
    """What fired in the period, or before it and was not over, the worst first and the latest of these."""
    found = [
        one
        for one in firings(rules, build)
        if one.began <= about.end and (one.ended is None or one.ended > about.start)
    ]
    found.sort(key=lambda one: one.began, reverse=True)
    return sorted(found, key=lambda one: one.rules.severity != "critical")


def _alerts_in_words(alerts: Sequence[Firing] | None, unknown: Sequence[str], grain: str) -> list[str]:
    """Nothing where nobody judges any."""
    if alerts is None:
        return []
    lines = [
        f"{one.rules.severity.capitalize()}: {one.said} "
        + ("Not over yet." if one.ended is None else f"Over since {day(one.ended)}.")
        for one in alerts
    ]
    none = f"None {'on' if grain == 'day' else 'in'} this {grain}{', by what is known' if unknown else ''}."
    lines = _the_first(lines, MOST_ALERTS) or [none]
    return [*lines, *([f"Not judged in full, as data is missing: {', '.join(unknown)}."] if unknown else [])]


def _the_first(lines: Sequence[str], most: int) -> list[str]:
    return [*lines[:most], *([f"{len(lines) - most} more"] if len(lines) > most else [])]


def _restated(build: Bundle, figures: Figures, rules: ReportRules, about: Period, known: str | None) -> list[str]:
    """What figures of earlier periods were when the report was last sent, where they are something else now."""
    rows = bundle.read_if_there(build, "restatements") if known else restated.NOTHING
    if rows.empty or known is None:
        return []
    net = restated.since(rows, known)
    is_shown = net["metric_id"].isin(rules.kpis) & net["metric_id"].isin(figures.metrics.keys())
    own = net[
        is_shown
        & (net["segment"] == "all")
        & (net["grain"] == about.grain)
        & (pd.to_datetime(net["period_start"]) < pd.Timestamp(about.start))
    ].to_dict("records")
    return [
        f"{metric.label}, {period(row['period_start'], row['grain'])}: {number(row['old_value'], metric.format)} "
        f"before, {number(row['new_value'], metric.format)} now ({row['reason']})"
        for row in own
        for metric in [figures.metrics[row["metric_id"]]]
    ]
