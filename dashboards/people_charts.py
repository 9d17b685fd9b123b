"""Charts of groups of people: retention of cohorts, days active, steps of a funnel."""

from __future__ import annotations

import pandas as pd

from tailtracker_bi.figures.charts import BLUE, GREY, Spec, field, layer
from tailtracker_bi.figures.wording import day, number, period

ROW_HEIGHT, LOW_ROW_HEIGHT, AXIS_HEIGHT = 26, 17, 70
MOST_LABELLED_COLUMNS, MOST_LABELLED_BARS = 16, 16
PALE, NOT_COMPLETE = "#e4e9ed", "not complete"


def retention_heat_map(cohorts: pd.DataFrame, grain: str) -> Spec:
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
    place = {
        "x": field(
            "period_index:O",
            title=f"{grain.capitalize()}s after the first",
            axis={"labelAngle": 0, "orient": "top", "labelOverlap": "greedy"},
        ),
        "y": field("cohort:O", title=None, sort=list(cells["cohort"].unique()), axis={"labelLimit": 120}),
    }
    tooltip = [
        field("when:N", title="Cohort"),
        field("period_index:O", title=f"{grain.capitalize()} after"),
        field("shown:N", title="Came back"),
        field("back:N", title="People"),
    ]
    color = field(
        "share:Q",
        scale={"scheme": "viridis", "domain": [0, top]},
        # Where no numbers fit into the cells, the colour alone must tell.
        legend=None if is_labelled else {"title": "Came back", "format": ".0%", "orient": "bottom"},
    )
    known = layer("cells", "rect", {**place, "tooltip": tooltip, "color": color}, stroke="white")
    unknown = layer("cells", "rect", {**place, "tooltip": tooltip, "color": {"value": PALE}}, stroke="white")
    layers = [
        known | {"transform": [{"filter": "isValid(datum.share)"}]},
        unknown | {"transform": [{"filter": "!isValid(datum.share)"}]},
    ]
    if is_labelled:
        is_dark = f"isValid(datum.share) && datum.share < {0.6 * top}"
        text_color = {"condition": {"test": is_dark, "value": "white"}, "value": "#1d2b36"}
        layers.append(layer("cells", "text", {**place, "text": field("text:N"), "color": text_color}, fontSize=11))
    return {
        "layer": layers,
        "height": AXIS_HEIGHT + cells["cohort"].nunique() * (ROW_HEIGHT if is_labelled else LOW_ROW_HEIGHT),
        "description": f"Heat map of {cells['cohort'].nunique()} cohorts by {grain}: the share of each that "
        "came back in each later period. The table below holds every value.",
        "datasets": {"cells": cells},
    }


def has_numbers(cohorts: pd.DataFrame) -> bool:
    """Whether the cells of a heat map of these cohorts are wide enough for numbers."""
    return cohorts.loc[cohorts["period_index"] > 0, "period_index"].nunique() <= MOST_LABELLED_COLUMNS


def _percent(share: float) -> str:
    return "-" if pd.isna(share) else f"{share * 100:.0f}"


def retention_curve(curve: pd.DataFrame, grain: str) -> Spec:
    """The average of the cohorts by period since their start."""
    later = curve[curve["period_index"] > 0]
    drawn = later.assign(
        shown=[number(share, "percent") for share in later["share"]],
        of=[f"{back:,.0f} of {people:,.0f}" for back, people in zip(later["back"], later["people"], strict=True)],
    )
    place = {
        "x": field(
            "period_index:Q",
            title=f"{grain.capitalize()}s after the first",
            axis={"tickMinStep": 1, "format": "d", "grid": False},
        ),
        "y": field("share:Q", title="Share of people who came back", axis={"format": ".0%", "tickCount": 5}),
    }
    tooltip = [
        field("period_index:Q", title=f"{grain.capitalize()} after"),
        field("shown:N", title="Came back"),
        field("of:N", title="People"),
        field("cohorts:Q", title="Cohorts"),
    ]
    ends = "; ".join(
        f"{grain} {row.period_index}: {row.shown}"
        for row in drawn.iloc[[0, -1] if len(drawn) > 1 else [0]].itertuples()
    )
    return {
        "layer": [
            layer("curve", "line", place, strokeWidth=2, color=BLUE),
            layer("curve", "point", {**place, "tooltip": tooltip}, filled=True, size=55, color=BLUE),
        ],
        "height": 280,
        "description": f"Retention curve, average of complete cells. {ends}.",
        "datasets": {"curve": drawn},
    }


def days_active(people: pd.DataFrame) -> Spec:
    """How many people were active on how many days of a period."""
    every_day = pd.DataFrame({"days_active": range(1, int(people["days_active"].max()) + 1)})
    drawn = every_day.merge(people, on="days_active", how="left").fillna({"users": 0})
    drawn["shown"] = [number(users, "integer", "people") for users in drawn["users"]]
    encoding = {
        "x": field("days_active:O", title="Days active in the month", axis={"labelAngle": 0, "labelOverlap": "greedy"}),
        "y": field(
            "users:Q",
            title="People",
            axis={"format": ",~d", "tickCount": 5},
            scale={"domain": [0, 1.1 * float(drawn["users"].max())]},
        ),
        "tooltip": [field("days_active:O", title="Days active"), field("shown:N", title="People")],
    }
    layers = [layer("days", "bar", encoding, color=BLUE)]
    if len(drawn) <= MOST_LABELLED_BARS:
        texts = {**encoding, "text": field("users:Q", format=",")}
        layers.append(layer("days", "text", texts, dy=-7, fontSize=10, color=GREY))
    return {
        "layer": layers,
        "height": 260,
        "description": f"Histogram of {int(people['users'].sum()):,} people by number of days active.",
        "datasets": {"days": drawn},
    }


def funnel(steps: pd.DataFrame, start: pd.Timestamp) -> Spec:
    """A bar per step of a funnel, with the people who reached it and their share of those who entered."""
    entered = float(steps["users"].iloc[0])
    drawn = steps.assign(
        step=[f"{index}. {name}" for index, name in zip(steps["step_index"], steps["step_name"], strict=True)],
        text=[f"{users:,.0f}" + (f" ({users / entered:.0%})" if entered else "") for users in steps["users"]],
    )
    encoding = {
        "x": field("users:Q", title="People", axis=None, scale={"domain": [0, max(entered, 1) * 1.35]}),
        "y": field(
            "step:N",
            title=None,
            sort=None,
            axis={"labelLimit": 190, "minExtent": 165, "ticks": False, "domain": False},
        ),
        "tooltip": [field("step:N", title="Step"), field("text:N", title="People")],
    }
    words = "; ".join(f"{step}: {text}" for step, text in zip(drawn["step"], drawn["text"], strict=True))
    return {
        "layer": [
            layer("steps", "bar", encoding, color=BLUE),
            layer("steps", "text", {**encoding, "text": field("text:N")}, align="left", dx=5),
        ],
        "height": 20 + 34 * len(drawn),
        "description": f"Funnel of those who entered from {day(start)}. {words}.",
        "datasets": {"steps": drawn},
    }
