"""Charts of groups of people: retention of cohorts, days active, steps of a funnel."""

from __future__ import annotations

import altair as alt
import pandas as pd

from tailtracker_bi.figures.charts import BLUE, GREY, Layers
from tailtracker_bi.figures.wording import day, number, period

ROW_HEIGHT, LOW_ROW_HEIGHT, AXIS_HEIGHT = 26, 17, 70
MOST_LABELLED_COLUMNS, MOST_LABELLED_BARS = 16, 16
PALE, NOT_COMPLETE = "#e4e9ed", "not complete"


def retention_heat_map(cohorts: pd.DataFrame, grain: str) -> Layers:
    """A row per cohort, a column per period since it began; cells that are not over yet are grey."""
    cells = cohorts[cohorts["period_index"] > 0].copy()
    cells["share"] = (cells["retained"] / cells["cohort_size"]).where(cells["is_complete"])
    cells["cohort"] = [
        f"{start:%b %Y} ({size:,})" if grain == "month" else f"{start.day} {start:%b} ({size:,})"
        for start, size in zip(cells["cohort_start"], cells["cohort_size"], strict=True)
    ]
    cells["text"] = [_percent(share) for share in cells["share"]]
    cells["when"] = [period(start, grain) for start in cells["cohort_start"]]
    cells["back"] = [
        f"{back:,.0f} of {size:,}" if complete else NOT_COMPLETE
        for back, size, complete in zip(cells["retained"], cells["cohort_size"], cells["is_complete"], strict=True)
    ]
    cells["shown"] = cells["share"].map(lambda share: number(share, "percent"))
    is_labelled = has_numbers(cells)
    top = float(cells["share"].max()) if cells["share"].notna().any() else 1.0
    base = alt.Chart(cells).encode(
        x=alt.X(
            "period_index:O",
            title=f"{grain.capitalize()}s after the first",
            axis=alt.Axis(labelAngle=0, orient="top", labelOverlap="greedy"),
        ),
        y=alt.Y(
            "cohort:O",
            title=None,
            sort=list(cells["cohort"].unique()),
            axis=alt.Axis(labelLimit=120),
        ),
    )
    boxes = base.mark_rect(stroke="white").encode(
        tooltip=[
            alt.Tooltip("when:N", title="Cohort"),
            alt.Tooltip("period_index:O", title=f"{grain.capitalize()} after"),
            alt.Tooltip("shown:N", title="Came back"),
            alt.Tooltip("back:N", title="People"),
        ]
    )
    known = boxes.transform_filter("isValid(datum.share)").encode(
        color=alt.Color(
            "share:Q",
            scale=alt.Scale(scheme="viridis", domain=[0, top]),
            # Where no numbers fit into the cells, the colour alone must tell.
            legend=None if is_labelled else alt.Legend(title="Came back", format=".0%", orient="bottom"),
        )
    )
    unknown = boxes.transform_filter("!isValid(datum.share)").encode(color=alt.value(PALE))
    texts = base.mark_text(fontSize=11).encode(
        text="text:N",
        color=alt.condition(
            f"isValid(datum.share) && datum.share < {0.6 * top}", alt.value("white"), alt.value("#1d2b36")
        ),
    )
    return alt.layer(known, unknown, *([texts] if is_labelled else [])).properties(
        height=AXIS_HEIGHT + cells["cohort"].nunique() * (ROW_HEIGHT if is_labelled else LOW_ROW_HEIGHT),
        description=f"Heat map of {cells['cohort'].nunique()} cohorts by {grain}: the share of each that "
        "came back in each later period. The table below holds every value.",
    )


def has_numbers(cohorts: pd.DataFrame) -> bool:
    """Whether the cells of a heat map of these cohorts are wide enough for numbers."""
    return cohorts.loc[cohorts["period_index"] > 0, "period_index"].nunique() <= MOST_LABELLED_COLUMNS


def _percent(share: float) -> str:
    return "-" if pd.isna(share) else f"{share * 100:.0f}"


def retention_curve(curve: pd.DataFrame, grain: str) -> Layers:
    """The average of the cohorts by period since their start."""
    later = curve[curve["period_index"] > 0]
    drawn = later.assign(
        shown=[number(share, "percent") for share in later["share"]],
        of=[f"{back:,.0f} of {people:,.0f}" for back, people in zip(later["back"], later["people"], strict=True)],
    )
    base = alt.Chart(drawn).encode(
        x=alt.X(
            "period_index:Q",
            title=f"{grain.capitalize()}s after the first",
            axis=alt.Axis(tickMinStep=1, format="d", grid=False),
        ),
        y=alt.Y("share:Q", title="Share of people who came back", axis=alt.Axis(format=".0%", tickCount=5)),
    )
    points = base.mark_point(filled=True, size=55, color=BLUE).encode(
        tooltip=[
            alt.Tooltip("period_index:Q", title=f"{grain.capitalize()} after"),
            alt.Tooltip("shown:N", title="Came back"),
            alt.Tooltip("of:N", title="People"),
            alt.Tooltip("cohorts:Q", title="Cohorts"),
        ]
    )
    ends = "; ".join(
        f"{grain} {row.period_index}: {row.shown}"
        for row in drawn.iloc[[0, -1] if len(drawn) > 1 else [0]].itertuples()
    )
    return alt.layer(base.mark_line(strokeWidth=2, color=BLUE), points).properties(
        height=280, description=f"Retention curve, average of complete cells. {ends}."
    )


def days_active(people: pd.DataFrame) -> Layers:
    """How many people were active on how many days of a period."""
    every_day = pd.DataFrame({"days_active": range(1, int(people["days_active"].max()) + 1)})
    drawn = every_day.merge(people, on="days_active", how="left").fillna({"users": 0})
    drawn["shown"] = [number(users, "integer", "people") for users in drawn["users"]]
    base = alt.Chart(drawn).encode(
        x=alt.X(
            "days_active:O",
            title="Days active in the month",
            axis=alt.Axis(labelAngle=0, labelOverlap="greedy"),
        ),
        y=alt.Y(
            "users:Q",
            title="People",
            axis=alt.Axis(format=",~d", tickCount=5),
            scale=alt.Scale(domain=[0, 1.1 * float(drawn["users"].max())]),
        ),
        tooltip=[alt.Tooltip("days_active:O", title="Days active"), alt.Tooltip("shown:N", title="People")],
    )
    texts = base.mark_text(dy=-7, fontSize=10, color=GREY).encode(text=alt.Text("users:Q", format=","))
    is_labelled = len(drawn) <= MOST_LABELLED_BARS
    return alt.layer(base.mark_bar(color=BLUE), *([texts] if is_labelled else [])).properties(
        height=260,
        description=f"Histogram of {int(people['users'].sum()):,} people by number of days active.",
    )


def funnel(steps: pd.DataFrame, start: pd.Timestamp) -> Layers:
    """A bar per step of a funnel, with the people who reached it and their share of those who entered."""
    entered = float(steps["users"].iloc[0])
    drawn = steps.assign(
        step=[f"{index}. {name}" for index, name in zip(steps["step_index"], steps["step_name"], strict=True)],
        text=[f"{users:,.0f}" + (f" ({users / entered:.0%})" if entered else "") for users in steps["users"]],
    )
    base = alt.Chart(drawn).encode(
        x=alt.X("users:Q", title="People", axis=None, scale=alt.Scale(domain=[0, max(entered, 1) * 1.35])),
        y=alt.Y(
            "step:N",
            title=None,
            sort=None,
            axis=alt.Axis(labelLimit=190, minExtent=165, ticks=False, domain=False),
        ),
        tooltip=[alt.Tooltip("step:N", title="Step"), alt.Tooltip("text:N", title="People")],
    )
    texts = base.mark_text(align="left", dx=5).encode(text="text:N")
    words = "; ".join(f"{step}: {text}" for step, text in zip(drawn["step"], drawn["text"], strict=True))
    return alt.layer(base.mark_bar(color=BLUE), texts).properties(
        height=20 + 34 * len(drawn), description=f"Funnel of those who entered from {day(start)}. {words}."
    )
