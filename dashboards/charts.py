"""Charts over time, in colours that colour-blind people can tell apart, each with a description in words.

Solid is complete; dashed and pale is not complete yet; a break in a line is a period without data.
"""

from __future__ import annotations

from typing import TypeAlias

import altair as alt
import pandas as pd

from dashboards.data import LENGTHS
from dashboards.wording import AXIS_FORMATS, number, period

Layers: TypeAlias = alt.LayerChart | alt.FacetChart

BLUE, ORANGE, GREEN, SKY, VERMILION, PURPLE, GREY = (
    "#0072B2", "#E69F00", "#009E73", "#56B4E9", "#D55E00", "#CC79A7", "#6b7780",
)  # fmt: skip
COLORS = [BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY, "#000000", GREY]
HEIGHT = 320
STATES = {True: "complete", False: "not complete"}
TOOLTIP = [
    alt.Tooltip("when:N", title="Period"),
    alt.Tooltip("shown:N", title="Value"),
    alt.Tooltip("state:N", title="State"),
]


def trend(points: pd.DataFrame, *, label: str, unit: str, form: str, grain: str, target: float | None = None) -> Layers:
    """A line per segment value, named where it ends; `points` has period_start, value, is_complete."""
    drawn = points.assign(
        line=points.get("segment_value", pd.Series(label, index=points.index)).astype(str),
        when=[period(start, grain) for start in points["period_start"]],
        shown=[number(value, form, unit) for value in points["value"]],
        state=points["is_complete"].map(STATES),
    )
    names = list(drawn["line"].unique())
    complete = drawn.assign(value=drawn["value"].where(drawn["is_complete"]))
    color = alt.Color("line:N", scale=alt.Scale(domain=names, range=COLORS[: len(names)]), legend=None)
    y = alt.Y(
        "value:Q",
        title=f"{label} ({unit})" if unit in {"people", "events"} else label,
        axis=alt.Axis(format=AXIS_FORMATS.get(form, ",.2~f"), tickCount=5),
        scale=alt.Scale(zero=True),
    )
    base = alt.Chart().encode(x=_time_axis(grain, drawn), y=y, color=color, detail="line:N")
    dashed = _incomplete_runs(drawn)
    points_drawn = base.mark_point(filled=True, size=70).encode(
        tooltip=[alt.Tooltip("line:N", title="Line"), *TOOLTIP],
        opacity=alt.condition("datum.is_complete", alt.value(_point_opacity(drawn)), alt.value(0.5)),
    )
    layers = [points_drawn.properties(data=drawn.dropna(subset=["value"]))]
    if complete["value"].notna().any():
        layers.append(base.mark_line(strokeWidth=2).properties(data=complete))
    if dashed["value"].notna().any():
        layers.append(base.mark_line(strokeWidth=2, strokeDash=[4, 3], opacity=0.5).properties(data=dashed))
    if target is not None:
        layers += _target_rule(target, form, unit)
    if len(names) > 1:
        layers.append(_names_at_the_end(drawn).encode(color=color))
    return alt.layer(*layers).properties(
        height=HEIGHT, description=_trend_in_words(drawn, label, grain), padding={"left": 5, "right": 5}
    )


def _time_axis(grain: str, points: pd.DataFrame) -> alt.X:
    """Weeks and months have their ticks where they start."""
    axis = alt.Axis(format="%b %Y" if grain == "month" else "%-d %b", labelOverlap="greedy", tickCount=8, grid=False)
    if grain != "day":
        starts = sorted(points["period_start"].unique())
        axis.values = [alt.DateTime(year=day.year, month=day.month, date=day.day) for day in starts]
    title = {"day": "Day", "week": "Week starting", "month": "Month"}[grain]
    return alt.X("period_start:T", title=title, axis=axis)


def _point_opacity(drawn: pd.DataFrame) -> float:
    """Points are drawn where there are few, and felt by the pointer where there are many."""
    return 1.0 if drawn["period_start"].nunique() <= 16 else 0.0


def _incomplete_runs(drawn: pd.DataFrame) -> pd.DataFrame:
    """The incomplete points with their neighbours, so that the dashed line meets the solid one."""
    incomplete = ~drawn["is_complete"]
    by_line = incomplete.groupby(drawn["line"])
    touching = incomplete | by_line.shift(1, fill_value=False) | by_line.shift(-1, fill_value=False)
    return drawn.assign(value=drawn["value"].where(touching))


def _target_rule(target: float, form: str, unit: str) -> list[alt.Chart]:
    data = pd.DataFrame({"value": [target], "text": [f"Target {number(target, form, unit)}"]})
    rule = alt.Chart(data).mark_rule(color=GREY, strokeDash=[2, 2]).encode(y="value:Q")
    text = (
        alt.Chart(data)
        .mark_text(color=GREY, align="left", baseline="bottom", dx=4, dy=-2)
        .encode(y="value:Q", x=alt.value(0), text="text:N")
    )
    return [rule, text]


def _names_at_the_end(drawn: pd.DataFrame) -> alt.Chart:
    """The name of each line at its last point, moved apart where they would overlap."""
    ends = drawn.dropna(subset=["value"]).groupby("line").tail(1).sort_values("value")
    gap = float(drawn["value"].max() or 1) / 14
    height, heights = -gap, []
    for value in ends["value"]:
        height = max(float(value), height + gap)
        heights.append(height)
    labels = ends.assign(value=heights, period_start=ends["period_start"].max())
    names: alt.Chart = (
        alt.Chart(labels)
        .mark_text(align="left", dx=8, fontWeight=600, limit=110)
        .encode(x="period_start:T", y="value:Q", text="line:N")
    )
    return names


def _trend_in_words(drawn: pd.DataFrame, label: str, grain: str) -> str:
    known = drawn[drawn["is_complete"]].dropna(subset=["value"])
    if known.empty:
        return f"Line chart of {label} by {grain}; no complete period in view."
    lines = [
        f"{name} from {group['shown'].iloc[0]} ({group['when'].iloc[0]}) "
        f"to {group['shown'].iloc[-1]} ({group['when'].iloc[-1]})"
        for name, group in known.groupby("line", sort=False)
    ]
    return f"Line chart of {label} by {grain}: {'; '.join(lines)}. The table below holds every value."


def lifecycle(points: pd.DataFrame, grain: str) -> alt.Chart:
    """Who came as bars above the line, who left below it; `points` has group, value, period_start."""
    order = ["Returning", "Resurrecting", "New", "Dormant"]
    drawn = points.assign(rank=points["group"].map(order.index)).sort_values(["period_start", "rank"])
    came = drawn["value"].where(drawn["group"] != "Dormant", 0.0)
    top = came.groupby(drawn["period_start"]).cumsum()
    left = drawn["group"] == "Dormant"
    drawn = drawn.assign(
        top=top.where(~left, 0.0),
        bottom=(top - came).where(~left, -drawn["value"]),
        end=drawn["period_start"] + LENGTHS[grain],
        when=[period(start, grain) for start in drawn["period_start"]],
        shown=[number(value, "integer", "people") for value in drawn["value"]],
        state=drawn["is_complete"].map(STATES),
    ).dropna(subset=["value"])
    bars: alt.Chart = (
        alt.Chart(drawn)
        .mark_rect(stroke="white", strokeWidth=0.5)
        .encode(
            x=_time_axis(grain, drawn),
            x2="end:T",
            y=alt.Y("bottom:Q", title="People", axis=alt.Axis(format=",~d", tickCount=5)),
            y2="top:Q",
            color=alt.Color(
                "group:N",
                scale=alt.Scale(domain=order, range=[BLUE, SKY, GREEN, VERMILION]),
                legend=alt.Legend(title=None, orient="top", columns=2),
            ),
            opacity=alt.condition("datum.is_complete", alt.value(1), alt.value(0.4)),
            tooltip=[alt.Tooltip("group:N", title="People"), *TOOLTIP],
        )
    )
    return bars.properties(
        height=HEIGHT + 40,
        description=f"Bars by {grain}: returning, resurrecting and new people above zero, dormant people "
        "below. The table below holds every value.",
    )
