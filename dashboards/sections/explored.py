"""What readers ask of events themselves: a funnel, a retention or a trend, and what a build would publish for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

import pandas as pd
import streamlit as st
import yaml
from pydantic import ValidationError

from dashboards import data
from dashboards.components import alert, card, download, draw, nothing_here, table_behind
from dashboards.conditions import conditions
from dashboards.controls import GRAINS, SEGMENTS, segment_name, select, several, switch
from dashboards.page import Page, Section
from dashboards.sections.over_time import LARGEST, by_period, noted
from dashboards.sections.people import MODES, MOST_BARS, MOST_PERIODS, retention_table
from dashboards.waiting import answered
from tailtracker_bi.analytics import Funnel, Retention
from tailtracker_bi.bundle import AskedRetention, QueryError, Question, Trend
from tailtracker_bi.figures import charts, people_charts
from tailtracker_bi.figures.readings import retention_curve
from tailtracker_bi.figures.wording import plain

KINDS = {"funnel": "Funnel", "retention": "Retention", "trend": "Trend"}
WINDOWS = {
    "1h": ("1 hour", {"hours": 1}), "1d": ("1 day", {"days": 1}), "7d": ("7 days", {"days": 7}),
    "30d": ("30 days", {"days": 30}), "90d": ("90 days", {"days": 90}),
}  # fmt: skip
MEASURES = {"people": "People", "events": "Events"}
ANY = "any"
PEOPLE = ("platform", "country", "plan", "app_version")
"""What people's events are split by."""
ASKED = "asked"
"""The id of a question, for whoever pastes it to give another."""


@dataclass(frozen=True)
class Asked(Section):
    """A question over the events beside the build, and its answer; the question can be pasted into analytics.yml."""

    def show(self, page: Page) -> None:
        events, properties = data.explorable(page.build)
        if not events:
            nothing_here("No events have been counted yet.")
            return
        with st.container(horizontal=True, vertical_alignment="center"):
            kind = switch("Ask for a", KINDS, "ask", "funnel")
            question = {"funnel": _funnel, "retention": _retention, "trend": _trend}[kind](events, properties)
            grain = switch("By", GRAINS, "grain", "week")
            named = {"all": "Not split"} | {key: f"By {SEGMENTS[key].lower()}" for key in PEOPLE}
            split = select("Split by", named, "segment", width=160)
        if question is None:
            nothing_here("Choose two steps or more, in their order.")
            return
        asked = (page.build.build, question.model_dump_json())
        found = answered("explore", asked, lambda told: data.explored(page.build, question, told))
        if isinstance(found, QueryError):
            alert(plain(str(found).removeprefix("explore: ")), ":material/error:")
            return
        if isinstance(question, Funnel):
            _show_funnel(page, found, grain, split)
        elif isinstance(question, Retention):
            _show_retention(page, found, grain, split)
        else:
            _show_trend(page, found, grain, split)
        if can_be_declared(question, properties):
            with st.expander("To have it counted each day: this goes into analytics.yml", type="compact"):
                st.code(as_yaml(question), language="yaml")


def can_be_declared(question: Question, properties: Sequence[str]) -> TypeGuard[Funnel | AskedRetention]:
    """Whether `analytics.yml` can have it: conditions there are of funnels, and on properties of events."""
    if isinstance(question, Funnel):
        return all(rule.property in properties for step in question.steps for rule in step.where)
    return isinstance(question, AskedRetention) and not (question.start_where or question.return_where)


def as_yaml(question: Funnel | Retention) -> str:
    """A question as `analytics.yml` has it. A key given there replaces that key whole: others of it go beside this."""
    key = "funnels" if isinstance(question, Funnel) else "retention"
    declared = question.model_dump(mode="json", exclude_defaults=True)
    if isinstance(question, Funnel):
        declared["steps"] = [step["event"] if len(step) == 1 else step for step in declared["steps"]]
    return yaml.safe_dump({key: [declared]}, sort_keys=False, allow_unicode=True)


def _funnel(events: Sequence[str], properties: Sequence[str]) -> Question | None:
    steps = several("Steps, in their order", events, "steps", [], 8, placeholder="Steps, in their order", width=620)
    window = select("Within", {key: f"Within {name}" for key, (name, _) in WINDOWS.items()}, "within", "7d", width=170)
    same = select(
        "Same", {"": "Of a person"} | {name: f"With the same {name}" for name in properties}, "same", "", width=200
    )
    places = {str(place): f"{place}. {step}" for place, step in enumerate(steps, 1)}
    where = conditions(places, _conditional(properties))
    if len(steps) < 2:
        return None
    return _checked(
        Funnel,
        {
            "id": ASKED,
            "steps": [
                {"event": step, "where": [rule.model_dump(exclude_none=True) for rule in where[str(place)]]}
                for place, step in enumerate(steps, 1)
            ],
            "window": WINDOWS[window][1],
            "same_property": same or None,
        },
    )


def _retention(events: Sequence[str], properties: Sequence[str]) -> Question | None:
    starts = {ANY: "Started with any activity"} | {event: f"Started with {event}" for event in events}
    returns = {ANY: "Came back with any activity"} | {event: f"Came back with {event}" for event in events}
    began = select("Started with", starts, "start", width=280)
    back = select("Came back with", returns, "back", width=280)
    mode = select("Came back", {key: MODES[key] for key in ("n_day", "unbounded")}, "mode", width=220)
    where = conditions({"start": "The start", "back": "Coming back"}, _conditional(properties))
    return _checked(
        AskedRetention,
        {"id": ASKED, "start_event": began, "return_event": back, "modes": [mode]}
        | {"start_where": where["start"], "return_where": where["back"]},
    )


def _trend(events: Sequence[str], properties: Sequence[str]) -> Question | None:
    event = select("Event", {ANY: "Any activity"} | {event: event for event in events}, "event", width=280)
    where = conditions({"event": "The event"}, _conditional(properties))
    return Trend(event=event, where=where["event"])


def _conditional(properties: Sequence[str]) -> list[str]:
    """What conditions may be on: properties, and what people are split by."""
    return [*dict.fromkeys([*properties, *PEOPLE])]


def _checked(kind: type[Funnel | AskedRetention], asked: dict[str, Any]) -> Question | None:
    try:
        return kind.model_validate(asked)
    except ValidationError as error:
        st.error(plain(error.errors()[0]["msg"]), icon=":material/error:")
        st.stop()


def _show_funnel(page: Page, steps: pd.DataFrame, grain: str, split: str) -> None:
    ever = steps[steps["entry_grain"] == "all"].sort_values("step_index")
    whole = ever[ever["segment"] == "all"]
    if whole.empty or not whole["users"].max():
        nothing_here("Nobody did the first step.")
        return
    by_entry = steps[steps["entry_grain"] == grain]
    left, right = st.columns(2)
    with left, card("Steps", "Of all who entered on any day; some of them may still have time to convert."):
        draw(people_charts.funnel(whole, "on any day"))
        if split != "all":
            ends = _ends(ever[ever["segment"] == split], ["segment_value"])
            ends = ends.sort_values("entered", ascending=False, kind="stable").head(MOST_BARS)
            bars = pd.DataFrame({"name": ends["segment_value"], "value": ends["value"], "text": [
                f"{share:.1%} ({converted:,.0f} of {entered:,.0f})"
                for share, converted, entered in zip(ends["value"], ends["converted"], ends["entered"], strict=True)
            ]})  # fmt: skip
            draw(charts.bars(bars, label="conversion", what=segment_name(split)), "The largest groups first.")
        download(page.build, steps.drop(columns="funnel_id"), "funnel_asked")
    with right, card("Conversion over time", f"Those who entered in a {grain}, and reached the last step in time."):
        ends = _ends(by_entry[by_entry["segment"] == split], ["entry_start", "segment_value"])
        points = ends.rename(columns={"entry_start": "period_start", "entered": "denominator"})
        _draw_trend(page, points, grain, "conversion", "share", "percent", "conversion_asked")


def _ends(steps: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Who entered and who reached the last step, and the share of them: `value`, unknown where nobody entered."""
    steps = steps.sort_values("step_index")
    ends = steps.groupby(by, as_index=False).agg(
        entered=("users", "first"), converted=("users", "last"), is_complete=("is_complete", "all")
    )
    return ends.assign(value=ends["converted"] / ends["entered"].where(ends["entered"] > 0))


def _show_retention(page: Page, cells: pd.DataFrame, grain: str, split: str) -> None:
    cells = cells[cells["cohort_grain"] == grain].assign(cohort_start=lambda rows: pd.to_datetime(rows["cohort_start"]))
    cells = cells.sort_values(["cohort_start", "period_index"])
    whole = cells[cells["segment"] == "all"]
    starts = sorted(whole["cohort_start"].unique())[-MOST_PERIODS[grain] :]
    drawn = whole[whole["cohort_start"].isin(starts) & (whole["period_index"] <= MOST_PERIODS[grain])]
    if drawn[drawn["period_index"] > 0].empty:
        nothing_here("No cohort is old enough to have come back.")
        return
    parts = {"Everyone": whole}
    if split != "all":
        found = cells[cells["segment"] == split]
        sizes = found[found["period_index"] == 0].groupby("segment_value")["cohort_size"].sum()
        largest = sizes.sort_values(ascending=False, kind="stable").index[:LARGEST]
        parts = {value: found[found["segment_value"] == value] for value in largest} or parts
    curve = pd.concat([retention_curve(own).assign(line=name) for name, own in parts.items()])
    left, right = st.columns(2)
    with left, card("All cohorts together", "All who came back divided by all in the cohorts."):
        if curve[curve["period_index"] > 0].empty:
            nothing_here("No later period is complete yet.")
        else:
            draw(people_charts.retention_curve(curve, grain), "Complete periods only.")
    with right, card("Cohorts", "Percent of each cohort (its size in brackets) who came back."):
        draw(
            people_charts.retention_heat_map(drawn, grain),
            f"Grey: that {grain} is not over yet, or its data is missing.",
        )
        exported = cells.drop(columns=["retention_id", "label"])
        table_behind(page.build, retention_table(drawn, grain), exported, "retention_asked", "Cohorts")


def _show_trend(page: Page, points: pd.DataFrame, grain: str, split: str) -> None:
    own = points[(points["grain"] == grain) & (points["segment"] == split)]
    left, right = st.columns(2)
    for place, (measure, name) in zip((left, right), MEASURES.items(), strict=True):
        with place, card(name):
            rows = own[own["metric_id"] == measure].drop(columns=["metric_id", "grain", "segment"])
            _draw_trend(page, rows, grain, name.lower(), measure, "integer", f"{measure}_asked")


def _draw_trend(page: Page, rows: pd.DataFrame, grain: str, label: str, unit: str, form: str, name: str) -> None:
    by_size = rows.groupby("segment_value")["value"].sum().sort_values(ascending=False, kind="stable")
    lines = by_size.index[:LARGEST]
    points = rows[rows["segment_value"].isin(lines)]
    points = points.assign(period_start=pd.to_datetime(points["period_start"]))
    points = points.replace({"segment_value": {"all": "Everyone"}}).sort_values(["segment_value", "period_start"])
    if points.empty or points["value"].isna().all():
        nothing_here("There was none.")
        return
    left_out = len(by_size) - len(lines)
    note = f"The {LARGEST} largest of {len(by_size)}." if left_out else ""
    draw(noted(page, charts.trend(points, label=label, unit=unit, form=form, grain=grain), grain), note)
    forms = dict.fromkeys(points["segment_value"].unique(), form)
    table_behind(page.build, by_period(points, grain, forms), rows, name, label.capitalize())
