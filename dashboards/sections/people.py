"""Groups of people: on how many days they are active, who comes back, and how far they get in funnels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from dashboards import data
from dashboards.components import card, definition, draw, nothing_here, say_what_is_left_out, table_behind
from dashboards.controls import GRAINS, segment_name, select, switch
from dashboards.page import Page, Section
from dashboards.sections.over_time import LARGEST, Trend
from tailtracker_bi.access import PartsNotOpenError
from tailtracker_bi.figures import charts, people_charts, picking
from tailtracker_bi.figures.catalogue import Metric
from tailtracker_bi.figures.exported import of_metric
from tailtracker_bi.figures.points import within
from tailtracker_bi.figures.readings import retention_curve
from tailtracker_bi.figures.wording import lasting, number, period, plain, words

MODES = {
    "n_day": "In that period",
    "unbounded": "In that period or later",
    "rolling_24h": "Counted from each person's own start",
}
MOST_PERIODS = {"day": 30, "week": 26, "month": 24}
CONVERSION = "_conversion"


@dataclass(frozen=True)
class DaysActive(Section):
    """How many people were active on how many days of the last complete month within the dates."""

    def show(self, page: Page) -> None:
        found = within(data.rows(page.build, "stickiness", grain="month"), "period_start", page.view.dates, "month")
        complete = found[found["is_complete"]]
        month = pd.to_datetime(complete["period_start"]).max()
        about = "How many people were active on how many days of the last complete month between the dates."
        with card("Days active in a month" if complete.empty else f"Days active in {month:%B %Y}", about):
            if complete.empty:
                nothing_here("No month is complete between these dates.")
                return
            people = complete[pd.to_datetime(complete["period_start"]) == month].sort_values("days_active")
            draw(people_charts.days_active(people), "People by the number of days on which they were active.")
            table = pd.DataFrame(
                {
                    "Days active": people["days_active"].astype(str),
                    "People": [number(users, "integer") for users in people["users"]],
                }
            )
            exported = people[["grain", "period_start", "days_active", "users", "is_complete"]]
            table_behind(page.build, table, exported, "days_active", "Days active")


@dataclass(frozen=True)
class Retention(Section):
    """Of the people who started in a period, the share who came back: together as a curve, the cohorts as a map."""

    def metric_ids(self, known: Mapping[str, Metric]) -> Sequence[str]:
        return [metric_id for metric_id in known if known[metric_id].cohort_days]

    def show(self, page: Page) -> None:
        whole = self._chosen(page, data.rows(page.build, "retention_cohorts", segment="all"))
        if whole is None:
            nothing_here("No cohort has started yet.")
            return
        segment, value = page.view.of
        if segment != "all":
            parts = data.rows(page.build, "retention_cohorts", segment=segment)
            whole = self._same(parts[parts["segment_value"] == value], whole)
        grain = str(whole["cohort_grain"].iloc[0]) if len(whole) else "week"
        cohorts = within(whole, "cohort_start", page.view.dates, grain)
        cohorts = cohorts.assign(cohort_start=pd.to_datetime(cohorts["cohort_start"]))
        cohorts = cohorts.sort_values(["cohort_start", "period_index"])
        starts = sorted(cohorts["cohort_start"].unique())[-MOST_PERIODS[grain] :]
        drawn = cohorts[cohorts["cohort_start"].isin(starts) & (cohorts["period_index"] <= MOST_PERIODS[grain])]
        if drawn[drawn["period_index"] > 0].empty:
            nothing_here("No cohort in this range is old enough to have come back: choose an earlier start.")
            return
        left, right = st.columns(2)
        with left, card("All cohorts together", "All who came back divided by all in the cohorts."):
            try:
                self._curve(page, cohorts, grain)
            except PartsNotOpenError as error:
                nothing_here(str(error))
        with right, card("Cohorts", "Percent of each cohort (its size in brackets) who came back."):
            draw(
                people_charts.retention_heat_map(drawn, grain),
                f"Percent of each cohort (size in brackets) who came back. Grey: that {grain} is not over yet, or its "
                f"data is missing. Drawn: the newest {MOST_PERIODS[grain]} cohorts.",
            )
            known = ["retention_id", "mode", "cohort_grain"]
            name = "_".join(["retention", *(str(cohorts[column].iloc[0]) for column in known)])
            table_behind(page.build, retention_table(drawn, grain), cohorts.drop(columns="label"), name, "Cohorts")
        say_what_is_left_out(page.build, page.known(self.metric_ids(page.metrics)))

    def _chosen(self, page: Page, kinds: pd.DataFrame) -> pd.DataFrame | None:
        """The cohorts of everyone that the reader asks for; None where there are none at all."""
        if kinds.empty:
            return None
        with st.container(horizontal=True, vertical_alignment="center"):
            labels = dict(zip(kinds["retention_id"], kinds["label"], strict=True))
            retention_id = select("Of whom", labels, "retention", width=220)
            own = kinds[kinds["retention_id"] == retention_id]
            modes = {key: MODES.get(key, words(key)) for key in sorted(own["mode"].unique())}
            mode = select("Came back", modes, "mode", width=280)
            grains = {key: f"{GRAINS[key]} cohorts" for key in GRAINS if key in set(own["cohort_grain"])}
            grain = switch("Cohorts by", grains, "cohorts", "week" if "week" in grains else next(iter(grains)))
        return own[(own["mode"] == mode) & (own["cohort_grain"] == grain)]

    def _same(self, rows: pd.DataFrame, whole: pd.DataFrame) -> pd.DataFrame:
        """Of other rows, those of the same retention, mode and grain."""
        kind = ["retention_id", "mode", "cohort_grain"]
        return rows[rows[kind].eq(whole[kind].iloc[0]).all(axis="columns")] if len(whole) else rows.iloc[:0]

    def _curve(self, page: Page, cohorts: pd.DataFrame, grain: str) -> None:
        parts = {"Everyone" if page.view.of[0] == "all" else page.view.of[1]: cohorts}
        if page.view.split != "all":
            found = self._same(data.rows(page.build, "retention_cohorts", segment=page.view.split), cohorts)
            found = within(found, "cohort_start", page.view.dates, grain)
            sizes = found[found["period_index"] == 0].groupby("segment_value")["cohort_size"].sum()
            largest = list(sizes.sort_values(ascending=False, kind="stable").index[:LARGEST])
            named = [value for value in page.view.values if value in sizes.index] or largest
            parts = {value: found[found["segment_value"] == value] for value in named} or parts
        curves = [retention_curve(own).assign(line=name) for name, own in parts.items()]
        curve = pd.concat(curves)
        if curve[curve["period_index"] > 0].empty:
            nothing_here("No later period is complete yet.")
            return
        note = "Complete periods only; later points rest on fewer cohorts."
        is_split = page.view.split != "all" and "Everyone" not in parts
        narrowing = page.to_part(page.view.split, parts) if is_split else None
        draw(people_charts.retention_curve(curve, grain), note, narrowing)
        table = pd.DataFrame(
            {
                f"{grain.capitalize()} after": curve["period_index"].astype(str),
                "Of": curve["line"],
                "Came back": [number(share, "percent") for share in curve["share"]],
                "People (n)": [number(people, "integer") for people in curve["people"]],
                "Cohorts": [number(count, "integer") for count in curve["cohorts"]],
            }
        )
        exported = curve.rename(columns={"line": "segment_value"}).assign(cohort_grain=grain)
        table_behind(page.build, table, exported, f"retention_curve_by_{grain}", "The curve")


def retention_table(cohorts: pd.DataFrame, grain: str) -> pd.DataFrame:
    shares = (cohorts["retained"] / cohorts["cohort_size"]).where(cohorts["is_complete"])
    wide = cohorts.assign(share=shares).pivot(index="cohort_start", columns="period_index", values="share")
    sizes = cohorts.groupby("cohort_start")["cohort_size"].first()
    table = pd.DataFrame({"Cohort": [period(start, grain) for start in wide.index]})
    table["People"] = [number(sizes[start], "integer") for start in wide.index]
    for index in sorted(set(cohorts["period_index"]) - {0}):
        table[f"{grain.capitalize()} {index}"] = [
            "" if pd.isna(share) else number(share, "percent") for share in wide[index]
        ]
    return table.iloc[::-1]


@dataclass(frozen=True)
class Funnels(Section):
    """A funnel that the reader chooses, of any entry period: its steps, how long they take, over time, by segment."""

    def metric_ids(self, known: Mapping[str, Metric]) -> Sequence[str]:
        return [metric_id for metric_id in known if metric_id.endswith(CONVERSION)]

    def show(self, page: Page) -> None:
        names = {
            metric.metric_id.removesuffix(CONVERSION): metric.label.removesuffix(": conversion")
            for metric in page.known(self.metric_ids(page.metrics))
        }
        steps = data.rows(page.build, "funnel_steps", entry_grain=page.view.grain, segment="all")
        entered = steps.groupby("funnel_id")["users"].sum().sort_values(ascending=False, kind="stable")
        known = {key: names[key] for key in entered.index if key in names}
        if not known:
            nothing_here("No funnel has been entered yet.")
            return
        with st.container(horizontal=True, vertical_alignment="center"):
            funnel_id = select("Funnel", known, "funnel", width=260)
            entry, entered_in = self._entry(page, steps[steps["funnel_id"] == funnel_id])
        metric = page.metrics[f"{funnel_id}{CONVERSION}"]
        own = self._rows(page, funnel_id, entry, "all" if page.view.of[0] == "all" else page.view.of[0])
        own = own if page.view.of[0] == "all" else own[own["segment_value"] == page.view.of[1]]
        left, right = st.columns(2)
        with left, card(known[funnel_id], definition(metric)):
            _steps(page, metric, own, entered_in)
        with right:
            Trend(metric.metric_id, "Conversion over time").show(page)
        left, right = st.columns(2)
        with left, card("Time between steps", "Of those who reached both steps, in their chosen attempt."):
            self._times(page, metric, own)
        with right:
            self._segments(page, metric, funnel_id, entry)

    def _entry(self, page: Page, steps: pd.DataFrame) -> tuple[str, str]:
        """An entry period, `all` or the day it starts, the latest complete one at first; and when people entered."""
        grain = page.view.grain
        found = within(steps, "entry_start", page.view.dates, grain).drop_duplicates("entry_start")
        found = found.sort_values("entry_start", ascending=False)
        starts = pd.to_datetime(found["entry_start"])
        named = {
            f"{start:%Y-%m-%d}": f"Entered {period(start, grain)}" + ("" if is_complete else ", not complete")
            for start, is_complete in zip(starts, found["is_complete"], strict=True)
        }
        complete = found.loc[found["is_complete"], "entry_start"]
        latest = f"{pd.Timestamp(complete.iloc[0]):%Y-%m-%d}" if len(complete) else "all"
        chosen = select("Entered", named | {"all": "Entered on any day, not complete"}, "entered", latest, width=280)
        return chosen, "on any day" if chosen == "all" else _entered(pd.Timestamp(chosen), grain)

    def _rows(self, page: Page, funnel_id: str, entry: str, segment: str) -> pd.DataFrame:
        grain = "all" if entry == "all" else page.view.grain
        found = data.rows(page.build, "funnel_steps", entry_grain=grain, segment=segment)
        found = found[found["funnel_id"] == funnel_id]
        if entry != "all":
            found = found[pd.to_datetime(found["entry_start"]) == pd.Timestamp(entry)]
        return found.sort_values("step_index")

    def _times(self, page: Page, metric: Metric, steps: pd.DataFrame) -> None:
        later = steps[steps["step_index"] > 1]
        medians, averages = later["median_seconds_from_previous"], later["avg_seconds_from_previous"]
        if medians.isna().all():
            nothing_here("Nobody reached a second step.")
            return
        rows = pd.DataFrame(
            {
                "name": [
                    f"To {index}. {name}" for index, name in zip(later["step_index"], later["step_name"], strict=True)
                ],
                "value": medians,
                "text": [
                    f"{lasting(typical)} (n = {users:,.0f})"
                    for typical, users in zip(medians, later["users"], strict=True)
                ],
            }
        )
        draw(charts.bars(rows, label="median time from the step before", what="Step"), "Median, from the step before.")
        table = pd.DataFrame(
            {
                "Step": later["step_name"],
                "People (n)": [number(users, "integer") for users in later["users"]],
                "Median": [lasting(seconds) for seconds in medians],
                "Mean": [lasting(seconds) for seconds in averages],
            }
        )
        table_behind(page.build, table, of_metric(metric, steps), f"{metric.metric_id}_steps", "Time between steps")

    def _segments(self, page: Page, metric: Metric, funnel_id: str, entry: str) -> None:
        segment = page.view.split
        if segment == "all":
            segment = next(iter(sorted(data.segments_of(page.build, metric.metric_id) - {"all"})), "all")
        with card(f"By {segment_name(segment).lower()}", "Those who entered, by the segment that they entered with."):
            try:
                found = self._rows(page, funnel_id, entry, segment)
            except PartsNotOpenError as error:
                nothing_here(str(error))
                return
            ends = found.groupby("segment_value").agg(entered=("users", "max"), converted=("users", "min"))
            ends = ends[ends["entered"] > 0].sort_values("entered", ascending=False, kind="stable")
            if segment == "all" or ends.empty:
                nothing_here("Nobody is known by segment: choose another to split by, or another entry period.")
                return
            shares = ends["converted"] / ends["entered"]
            text = [
                f"{share:.1%} ({converted:,.0f} of {entered:,.0f})"
                for share, converted, entered in zip(shares, ends["converted"], ends["entered"], strict=True)
            ]
            rows = pd.DataFrame({"name": ends.index.astype(str), "value": shares.to_numpy(), "text": text})
            draw(
                charts.bars(rows.head(MOST_BARS), label="conversion", what=segment_name(segment)),
                "Share who reached the last step, largest groups first.",
                page.to_part(segment, rows["name"].head(MOST_BARS), picking.BAR),
            )
            table = pd.DataFrame(
                {
                    segment_name(segment): ends.index.astype(str),
                    "Entered (n)": [number(count, "integer") for count in ends["entered"]],
                    "Converted": [number(count, "integer") for count in ends["converted"]],
                    "Conversion": [number(share, "percent") for share in shares],
                }
            )
            exported = of_metric(metric, found)
            table_behind(page.build, table, exported, f"{metric.metric_id}_by_{segment}", "Conversion by segment")


MOST_BARS = 8


@dataclass(frozen=True)
class FunnelSteps(Section):
    """The steps of one funnel, of the latest week whose time to convert is over."""

    funnel_id: str

    def metric_ids(self, known: Mapping[str, Metric]) -> Sequence[str]:
        return [f"{self.funnel_id}{CONVERSION}"]

    def show(self, page: Page) -> None:
        metric = page.metrics.get(f"{self.funnel_id}{CONVERSION}")
        steps = data.rows(page.build, "funnel_steps", entry_grain="week", segment="all")
        if metric is None:
            return
        with card(metric.label, definition(metric)):
            own = steps[(steps["funnel_id"] == self.funnel_id) & steps["is_complete"]].sort_values("step_index")
            if own.empty:
                nothing_here("No week of entries is complete yet: its people still have time to convert.")
                return
            start = pd.Timestamp(own["entry_start"].max())
            own = own[pd.to_datetime(own["entry_start"]) == start]
            _steps(page, metric, own, _entered(start, "week"))


def _entered(start: pd.Timestamp, grain: str) -> str:
    return {"day": "on ", "week": "in the ", "month": "in "}[grain] + period(start, grain)


def _steps(page: Page, metric: Metric, steps: pd.DataFrame, entered_in: str) -> None:
    if steps.empty or not steps["users"].max():
        nothing_here(f"Nobody entered {entered_in}.")
        return
    is_open = "" if steps["is_complete"].all() else " Not complete: some still have time to convert."
    draw(people_charts.funnel(steps, entered_in), f"People who entered {entered_in}.{is_open}")
    say_what_is_left_out(page.build, [metric])
    table = pd.DataFrame(
        {
            "Step": [plain(name) for name in steps["step_name"]],
            "People": [number(users, "integer") for users in steps["users"]],
            "Of those who entered": [number(users / steps["users"].max(), "percent") for users in steps["users"]],
        }
    )
    table_behind(page.build, table, of_metric(metric, steps), f"{metric.metric_id}_funnel", "The steps")
