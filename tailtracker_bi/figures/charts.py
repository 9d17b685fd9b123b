"""Charts over time, for pages and reports: in colours that colour-blind people can tell apart, each told in words.

Solid is complete; dashed and pale is not complete yet; a break in a line is a period without data.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TypeAlias

import altair as alt
import pandas as pd

from tailtracker_bi.figures.points import LENGTHS
from tailtracker_bi.figures.wording import AXIS_FORMATS, number, period, titled

Layers: TypeAlias = alt.LayerChart | alt.FacetChart

BLUE, ORANGE, GREEN, SKY, VERMILION, PURPLE, YELLOW, GREY = (
    "#0072B2", "#E69F00", "#009E73", "#56B4E9", "#D55E00", "#CC79A7", "#F0E442", "#6b7780",
)  # fmt: skip
COLORS = [BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY, "#000000", GREY]
HEIGHT = 320
FELT_SIZE = 700
LONG_DAYS = 200
"""More days than that have their ticks at months, with the year."""
STATES = {True: "complete", False: "not complete"}
TABLE_BELOW = " The table below holds every value."
TOOLTIP = [
    alt.Tooltip("when:N", title="Period"),
    alt.Tooltip("shown:N", title="Value"),
    alt.Tooltip("state:N", title="State"),
]


def trend(
    points: pd.DataFrame,
    *,
    label: str,
    unit: str,
    form: str,
    grain: str,
    target: float | None = None,
    from_zero: bool = True,
    height: int = HEIGHT,
    told_after: str = TABLE_BELOW,
) -> Layers:
    """A line per segment value, named where it ends; `points` has period_start, value, is_complete.

    `told_after` ends the description in words: where the values themselves are to be found.
    """
    drawn = points.assign(
        line=points.get("segment_value", pd.Series(label, index=points.index)).astype(str),
        when=[period(start, grain) for start in points["period_start"]],
        shown=[number(value, form, unit) for value in points["value"]],
        state=points["is_complete"].map(STATES),
    )
    drawn["point"] = _point_opacity(drawn)
    names = list(drawn["line"].unique())
    complete = drawn.assign(value=drawn["value"].where(drawn["is_complete"]))
    color = alt.Color("line:N", scale=alt.Scale(domain=names, range=COLORS[: len(names)]), legend=None)
    y = alt.Y(
        "value:Q",
        title=titled(label, form, unit),
        axis=_value_axis(form),
        scale=alt.Scale(zero=from_zero),
    )
    base = alt.Chart().encode(x=_time_axis(grain, drawn), y=y, color=color, detail="line:N")
    dashed = _incomplete_runs(drawn)
    known = drawn.dropna(subset=["value"])
    points_drawn = base.mark_point(filled=True, size=70).encode(
        opacity=alt.Opacity("point:Q", scale=None, legend=None),
    )
    layers = [points_drawn.properties(data=known)]
    if complete["value"].notna().any():
        layers.append(base.mark_line(strokeWidth=2).properties(data=complete))
    if dashed["value"].notna().any():
        layers.append(base.mark_line(strokeWidth=2, strokeDash=[4, 3], opacity=0.5).properties(data=dashed))
    if target is not None:
        layers += _target_rule(target, form, unit)
    if len(names) > 1:
        layers.append(_names_at_the_end(drawn, from_zero).encode(color=color))
    # Wider than the points, unseen and on top: what the pointer has to come near to.
    felt = base.mark_point(filled=True, size=FELT_SIZE, opacity=0).encode(
        tooltip=[alt.Tooltip("line:N", title="Line"), *TOOLTIP]
    )
    layers.append(felt.properties(data=known))
    return alt.layer(*layers).properties(
        height=height,
        description=_trend_in_words(drawn, label, grain) + told_after,
        padding={"left": 5, "right": 5},
    )


def _time_axis(grain: str, points: pd.DataFrame) -> alt.X:
    """Weeks and months have their ticks where they start."""
    days = (points["period_start"].max() - points["period_start"].min()).days
    form = "%b %Y" if grain == "month" or days > LONG_DAYS else "%-d %b"
    axis = alt.Axis(format=form, labelOverlap="greedy", tickCount=8, grid=False)
    if grain != "day":
        starts = sorted(points["period_start"].unique())
        axis.values = [alt.DateTime(year=day.year, month=day.month, date=day.day) for day in starts]
    title = {"day": "Day", "week": "Week starting", "month": "Month"}[grain]
    return alt.X("period_start:T", title=title, axis=axis)


def _value_axis(form: str) -> alt.Axis:
    axis = alt.Axis(format=AXIS_FORMATS.get(form, ",.2~f"), tickCount=5)
    if form == "integer":
        axis.tickMinStep = 1
    return axis


def _point_opacity(drawn: pd.DataFrame) -> pd.Series[float]:
    """Points are drawn where there are few or no line reaches them, and felt by the pointer where there are many."""
    known = drawn["value"].notna()
    by_line = known.groupby(drawn["line"])
    has_neighbour = by_line.shift(1, fill_value=False) | by_line.shift(-1, fill_value=False)
    is_drawn = ~has_neighbour | (drawn["period_start"].nunique() <= 16)
    return is_drawn.astype(float).where(drawn["is_complete"], 0.5)


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


def _names_at_the_end(drawn: pd.DataFrame, from_zero: bool) -> alt.Chart:
    """The name of each line at its last point, moved apart where they would overlap."""
    ends = drawn.dropna(subset=["value"]).groupby("line").tail(1).sort_values("value")
    low = min(float(drawn["value"].min()), 0.0) if from_zero else float(drawn["value"].min())
    gap = (float(drawn["value"].max()) - low or 1.0) / 14
    height, heights = low - gap, []
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
    return f"Line chart of {label} by {grain}: {'; '.join(lines)}."


def stacks(
    points: pd.DataFrame,
    colors: Mapping[str, str],
    *,
    label: str,
    unit: str,
    form: str,
    grain: str,
    below: Collection[str] = (),
) -> alt.Chart:
    """A bar per period, of groups in the order of `colors`, those in `below` from zero down; a negative value turns.

    `points` has group, value, period_start, is_complete.
    """
    order = [group for group in colors if group in set(points["group"])]
    drawn = points.dropna(subset=["value"])
    drawn = drawn.assign(rank=drawn["group"].map(order.index)).sort_values(["period_start", "rank"])
    signed = drawn["value"].astype(float).mask(drawn["group"].isin(below), -drawn["value"].astype(float))
    above = signed.clip(lower=0).groupby(drawn["period_start"]).cumsum()
    under = signed.clip(upper=0).groupby(drawn["period_start"]).cumsum()
    drawn = drawn.assign(
        top=above.where(signed >= 0, under - signed),
        bottom=(above - signed).where(signed >= 0, under),
        end=drawn["period_start"] + LENGTHS[grain],
        when=[period(start, grain) for start in drawn["period_start"]],
        shown=[number(value, form, unit) for value in drawn["value"]],
        state=drawn["is_complete"].map(STATES),
    )
    bars: alt.Chart = (
        alt.Chart(drawn)
        .mark_rect(stroke="white", strokeWidth=0.5)
        .encode(
            x=_time_axis(grain, drawn),
            x2="end:T",
            y=alt.Y(
                "bottom:Q",
                title=titled(label, form, unit),
                axis=_value_axis(form),
            ),
            y2="top:Q",
            color=alt.Color(
                "group:N",
                scale=alt.Scale(domain=order, range=[colors[group] for group in order]),
                legend=alt.Legend(title=None, orient="top", columns=2),
            ),
            opacity=alt.condition("datum.is_complete", alt.value(1), alt.value(0.4)),
            tooltip=[alt.Tooltip("group:N", title="Part"), *TOOLTIP],
        )
    )
    legend_rows = -(-len(order) // 2)
    return bars.properties(
        height=HEIGHT + 25 * legend_rows, description=_stacks_in_words(drawn, label, grain, order, below)
    )


def _stacks_in_words(
    drawn: pd.DataFrame, label: str, grain: str, order: Collection[str], below: Collection[str]
) -> str:
    down = [group for group in order if group in below]
    parts = ", ".join(group for group in order if group not in below)
    parts += f" above zero; {', '.join(down)} below" if down else ""
    complete = drawn[drawn["is_complete"]]
    if complete.empty:
        return f"Bars of {label} by {grain}: {parts}; no complete period in view."
    last = complete[complete["period_start"] == complete["period_start"].max()]
    values = ", ".join(f"{group} {shown}" for group, shown in zip(last["group"], last["shown"], strict=True))
    return f"Bars of {label} by {grain}: {parts}. {last['when'].iloc[0]}: {values}.{TABLE_BELOW}"
