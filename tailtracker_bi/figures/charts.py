"""Charts over time, for pages and reports: in colours that colour-blind people can tell apart, each told in words.

Solid is complete; dashed and pale is not complete yet; a break in a line is a period without data. A chart is what
Vega-Lite draws, written as its documentation has it: a library that writes it took longer than all else on a page.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, TypeAlias

import pandas as pd

from tailtracker_bi.figures.points import LENGTHS
from tailtracker_bi.figures.wording import AXIS_FORMATS, number, period, titled

Spec: TypeAlias = dict[str, Any]
"""Of a chart, or of a part of one. A whole one has frames in `datasets`, which its layers name."""

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
TYPES = {"N": "nominal", "O": "ordinal", "Q": "quantitative", "T": "temporal"}


def field(shorthand: str, **properties: Any) -> Spec:
    """A column and what it is: `value:Q`, by the letters of TYPES."""
    name, _, letter = shorthand.partition(":")
    return {"field": name, **({"type": TYPES[letter]} if letter else {}), **properties}


def layer(data: str, mark: str, encoding: Spec, **look: Any) -> Spec:
    """Marks of a kind that look so, for the rows of a frame."""
    return {"data": {"name": data}, "mark": {"type": mark, **look}, "encoding": encoding}


TOOLTIP = [field("when:N", title="Period"), field("shown:N", title="Value"), field("state:N", title="State")]


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
) -> Spec:
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
    encoding = {
        "x": _time_axis(grain, drawn),
        "y": field("value:Q", title=titled(label, form, unit), axis=_value_axis(form), scale={"zero": from_zero}),
        "color": field("line:N", scale={"domain": names, "range": COLORS[: len(names)]}, legend=None),
        "detail": field("line:N"),
    }
    frames = {"known": drawn.dropna(subset=["value"])}
    point_opacity = field("point:Q", scale=None, legend=None)
    layers = [layer("known", "point", {**encoding, "opacity": point_opacity}, filled=True, size=70)]
    if complete["value"].notna().any():
        frames["complete"] = complete
        layers.append(layer("complete", "line", encoding, strokeWidth=2))
    dashed = _incomplete_runs(drawn)
    if dashed["value"].notna().any():
        frames["dashed"] = dashed
        layers.append(layer("dashed", "line", encoding, strokeWidth=2, strokeDash=[4, 3], opacity=0.5))
    if target is not None:
        frames["target"] = pd.DataFrame({"value": [target], "text": [f"Target {number(target, form, unit)}"]})
        at = {"y": field("value:Q")}
        beside = {**at, "x": {"value": 0}, "text": field("text:N")}
        layers.append(layer("target", "rule", at, color=GREY, strokeDash=[2, 2]))
        layers.append(layer("target", "text", beside, color=GREY, align="left", baseline="bottom", dx=4, dy=-2))
    if len(names) > 1:
        frames["names"] = _names_at_the_end(drawn, from_zero)
        named = {"x": field("period_start:T"), "y": field("value:Q"), "text": field("line:N")}
        named["color"] = encoding["color"]
        layers.append(layer("names", "text", named, align="left", dx=8, fontWeight=600, limit=110))
    # Wider than the points, unseen and on top: what the pointer has to come near to.
    felt = {**encoding, "tooltip": [field("line:N", title="Line"), *TOOLTIP]}
    layers.append(layer("known", "point", felt, filled=True, size=FELT_SIZE, opacity=0))
    return {
        "layer": layers,
        "height": height,
        "description": _trend_in_words(drawn, label, grain) + told_after,
        "padding": {"left": 5, "right": 5},
        "datasets": frames,
    }


def _time_axis(grain: str, points: pd.DataFrame) -> Spec:
    """Weeks and months have their ticks where they start."""
    days = (points["period_start"].max() - points["period_start"].min()).days
    form = "%b %Y" if grain == "month" or days > LONG_DAYS else "%-d %b"
    axis: Spec = {"format": form, "labelOverlap": "greedy", "tickCount": 8, "grid": False}
    if grain != "day":
        starts = sorted(points["period_start"].unique())
        axis["values"] = [{"year": day.year, "month": day.month, "date": day.day} for day in starts]
    title = {"day": "Day", "week": "Week starting", "month": "Month"}[grain]
    return field("period_start:T", title=title, axis=axis)


def _value_axis(form: str) -> Spec:
    axis: Spec = {"format": AXIS_FORMATS.get(form, ",.2~f"), "tickCount": 5}
    return axis | {"tickMinStep": 1} if form == "integer" else axis


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


def _names_at_the_end(drawn: pd.DataFrame, from_zero: bool) -> pd.DataFrame:
    """The name of each line at its last point, moved apart where they would overlap."""
    ends = drawn.dropna(subset=["value"]).groupby("line").tail(1).sort_values("value")
    low = min(float(drawn["value"].min()), 0.0) if from_zero else float(drawn["value"].min())
    gap = (float(drawn["value"].max()) - low or 1.0) / 14
    height, heights = low - gap, []
    for value in ends["value"]:
        height = max(float(value), height + gap)
        heights.append(height)
    return ends.assign(value=heights, period_start=ends["period_start"].max())


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
) -> Spec:
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
    color_of = {"domain": order, "range": [colors[group] for group in order]}
    encoding = {
        "x": _time_axis(grain, drawn),
        "x2": field("end"),
        "y": field("bottom:Q", title=titled(label, form, unit), axis=_value_axis(form)),
        "y2": field("top"),
        "color": field("group:N", scale=color_of, legend={"title": None, "orient": "top", "columns": 2}),
        "opacity": {"condition": {"test": "datum.is_complete", "value": 1}, "value": 0.4},
        "tooltip": [field("group:N", title="Part"), *TOOLTIP],
    }
    legend_rows = -(-len(order) // 2)
    return {
        **layer("bars", "rect", encoding, stroke="white", strokeWidth=0.5),
        "height": HEIGHT + 25 * legend_rows,
        "description": _stacks_in_words(drawn, label, grain, order, below),
        "datasets": {"bars": drawn},
    }


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
