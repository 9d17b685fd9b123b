"""Charts over time, for pages and reports: in colours that colour-blind people can tell apart, each told in words.

Solid is complete; dashed and pale is not complete yet; a break in a line is a period without data. A chart is what
Vega-Lite draws, written as its documentation has it: a library that writes it took longer than all else on a page.
What a chart is about stands above it, so that axes have no titles; their labels carry the unit.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any, TypeAlias

import pandas as pd

from tailtracker_bi.figures.points import LENGTHS
from tailtracker_bi.figures.readings import ENOUGH
from tailtracker_bi.figures.wording import axis_label, number, period, sample

Spec: TypeAlias = dict[str, Any]
"""Of a chart, or of a part of one. A whole one has frames in `datasets`, which its layers name."""

BLUE, VERMILION, GREEN, PURPLE, SKY, BROWN, GREY = (
    "#0072B2", "#E2601A", "#009E73", "#C565A5", "#3D9BD9", "#8A5A44", "#6E7A84",
)  # fmt: skip
COLORS = [BLUE, VERMILION, GREEN, PURPLE, SKY, BROWN, GREY]
"""Of middling lightness: each stands out from a white and from a dark page (3 to 1), and from each other."""
HEIGHT = 250
PADDING: Spec = {"left": 5, "right": 5, "top": 12}
LONG_DAYS = 200
"""More days than that have their ticks at months, with the year."""
ALL_OF_IT = "all of it"
TEXT_ROOM = 0.35
"""Of the width of bars, what the text beside the longest takes."""
STATES = {True: "complete", False: "not complete"}
TABLE_BELOW = " The table below holds every value."
TYPES = {"N": "nominal", "O": "ordinal", "Q": "quantitative", "T": "temporal"}
DATE_FORMATS = {"day": "%-d %b", "week": "%-d %b", "month": "%b %Y"}
MOST_TICKS, BETWEEN = 7, 0.25
"""Ticks of a time axis, and the share of it between two bars."""
NARROW = 420
"""Pixels: below that a legend takes two columns."""
LEGEND_MARK, LEGEND_LETTER = 30, 7
"""Pixels that a legend takes for each name, and at most for each of its letters."""


def field(shorthand: str, **properties: Any) -> Spec:
    """A column and what it is: `value:Q`, by the letters of TYPES."""
    name, _, letter = shorthand.partition(":")
    return {"field": name, **({"type": TYPES[letter]} if letter else {}), **properties}


def layer(data: str, mark: str, encoding: Spec, **look: Any) -> Spec:
    """Marks of a kind that look so, for the rows of a frame."""
    return {"data": {"name": data}, "mark": {"type": mark, **look}, "encoding": encoding}


def trend(
    points: pd.DataFrame,
    *,
    label: str,
    unit: str,
    form: str,
    grain: str,
    target: float | None = None,
    compared: pd.DataFrame | None = None,
    from_zero: bool = True,
    height: int = HEIGHT,
    told_after: str = TABLE_BELOW,
) -> Spec:
    """A line per segment value, named where it ends; `points` has period_start, value, is_complete.

    `compared` is an earlier time, drawn thin: the columns of `points`, with `period_start` where it is to be drawn and
    `before_start` where it was. `told_after` ends the description in words: where the values are to be found.
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
        "y": field("value:Q", title=None, axis=_value_axis(form), scale={"zero": from_zero}),
        "color": field("line:N", scale={"domain": names, "range": COLORS[: len(names)]}, legend=None),
        "detail": field("line:N"),
    }
    frames = {"known": drawn.dropna(subset=["value"]), "felt": _as_felt(drawn, names, compared, grain, form, unit)}
    layers = []
    if compared is not None and len(compared):
        frames["compared"] = compared
        before = {axis: encoding[axis] for axis in ("x", "y")}
        layers.append(layer("compared", "line", before, strokeWidth=1.2, color=GREY, opacity=0.8))
    point_opacity = field("point:Q", scale=None, legend=None)
    layers.append(layer("known", "point", {**encoding, "opacity": point_opacity}, filled=True, size=45))
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
        layers.append(layer("target", "rule", at, color=GREY, strokeDash=[2, 2], aria=False))
        layers.append(layer("target", "text", beside, align="left", baseline="bottom", dx=4, dy=-2))
    if len(names) > 1:
        frames["names"] = _names_at_the_end(drawn, from_zero)
        named = {"x": field("period_start:T"), "y": field("value:Q"), "text": field("line:N")}
        named["color"] = encoding["color"]
        layers.append(layer("names", "text", named, align="left", dx=8, fontWeight=600, limit=110))
    peaks = _peaks_of_few(drawn)
    if len(peaks):
        frames["peaks"] = peaks
        told = {"x": field("period_start:T"), "y": field("value:Q"), "text": field("text:N")}
        layers.append(layer("peaks", "text", told, dy=-9, fontSize=11))
    layers.append(nearest("felt", field("period_start:T"), _told(frames["felt"], names)))
    return {
        "layer": layers,
        "height": height,
        "description": _trend_in_words(drawn, label, grain) + told_after,
        "padding": PADDING,
        "datasets": frames,
    }


def _as_felt(
    drawn: pd.DataFrame, names: list[str], compared: pd.DataFrame | None, grain: str, form: str, unit: str
) -> pd.DataFrame:
    """A row per period with what the pointer is told there: `when`, `state`, and `line_0`, `line_1`, ... as text."""
    known = drawn.dropna(subset=["value"]).sort_values("period_start", kind="stable")
    known = known.assign(told=known["shown"] + [_of(size) for size in known.get("denominator", [None] * len(known))])
    wide = known.pivot(index="period_start", columns="line", values="told")
    felt = wide.reindex(columns=names).set_axis([f"line_{place}" for place in range(len(names))], axis="columns")
    felt = felt.astype(object).fillna("").sort_index()
    per_period = known.drop_duplicates("period_start").set_index("period_start")
    felt = felt.assign(when=per_period["when"], state=per_period["state"]).reset_index()
    felt["at"] = felt["period_start"].map(_iso)
    if compared is not None and len(compared):
        values = compared.dropna(subset=["value"])
        told = {
            at: f"{number(value, form, unit)} ({period(was, grain)})"
            for at, value, was in zip(values["period_start"], values["value"], values["before_start"], strict=True)
        }
        felt["before"] = [told.get(start, "no data") for start in felt["period_start"]]
    return felt


def _of(size: float | None) -> str:
    return "" if size is None or pd.isna(size) else f", {sample(size, None)}"


def _told(felt: pd.DataFrame, names: list[str]) -> list[Spec]:
    tooltip = [field("when:N", title="Period")]
    tooltip += [field(f"line_{place}:N", title=name) for place, name in enumerate(names)]
    tooltip += [field("before:N", title="Before")] if "before" in felt else []
    return [*tooltip, field("state:N", title="State")]


def nearest(data: str, x: Spec, tooltip: list[Spec]) -> Spec:
    """A rule at the place that the pointer is nearest to, wherever it is, and what is told there."""
    pointed = {"type": "point", "nearest": True, "on": "pointerover", "clear": "pointerout", "encodings": ["x"]}
    opacity = {"condition": {"param": "near", "empty": False, "value": 0.6}, "value": 0}
    rule = layer(data, "rule", {"x": x, "opacity": opacity, "tooltip": tooltip}, color=GREY)
    return rule | {"params": [{"name": "near", "select": pointed}]}


def _time_axis(grain: str, points: pd.DataFrame) -> Spec:
    """Weeks and months have their ticks where they start."""
    axis: Spec = {
        "format": _date_format(grain, points),
        "labelOverlap": "greedy",
        "tickCount": MOST_TICKS,
        "grid": False,
    }
    if grain != "day":
        starts = sorted(points["period_start"].unique())
        axis["values"] = [{"year": day.year, "month": day.month, "date": day.day} for day in starts]
    return field("period_start:T", title=None, axis=axis)


def _date_format(grain: str, points: pd.DataFrame) -> str:
    days = (points["period_start"].max() - points["period_start"].min()).days
    return "%b %Y" if days > LONG_DAYS else DATE_FORMATS[grain]


def _value_axis(form: str) -> Spec:
    axis: Spec = {"labelExpr": axis_label(form), "tickCount": 4}
    return axis | {"tickMinStep": 1} if form == "integer" else axis


def _point_opacity(drawn: pd.DataFrame) -> pd.Series[float]:
    """Points are drawn where there are few or no line reaches them."""
    known = drawn["value"].notna()
    by_line = known.groupby(drawn["line"])
    has_neighbour = by_line.shift(1, fill_value=False) | by_line.shift(-1, fill_value=False)
    is_drawn = ~has_neighbour | (drawn["period_start"].nunique() <= 16)
    return is_drawn.astype(float).where(drawn["is_complete"], 0.5)


def _peaks_of_few(drawn: pd.DataFrame) -> pd.DataFrame:
    """The highest point of each line where it stands for few, to say of how many."""
    if "denominator" not in drawn:
        return drawn.iloc[:0]
    known = drawn.dropna(subset=["value", "denominator"])
    known = known[known["is_complete"]]
    peaks = known.loc[known.groupby("line")["value"].idxmax()] if len(known) else known
    few = peaks[(peaks["denominator"] < ENOUGH) & (peaks["value"] > 0)]
    return few.assign(text=[sample(size, None) for size in few["denominator"]])


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
    net: pd.DataFrame | None = None,
) -> Spec:
    """A bar per period, of groups in the order of `colors`, those in `below` from zero down; a negative value turns.

    `points` has group, value, period_start, is_complete. `net`, with period_start and value, is drawn as a line.
    """
    order = [group for group in colors if group in set(points["group"])]
    drawn = points.dropna(subset=["value"])
    drawn = drawn.assign(rank=drawn["group"].map(order.index)).sort_values(["period_start", "rank"])
    signed = drawn["value"].astype(float).mask(drawn["group"].isin(below), -drawn["value"].astype(float))
    above = signed.clip(lower=0).groupby(drawn["period_start"]).cumsum()
    under = signed.clip(upper=0).groupby(drawn["period_start"]).cumsum()
    drawn = drawn.assign(
        line=drawn["group"],
        top=above.where(signed >= 0, under - signed),
        bottom=(above - signed).where(signed >= 0, under),
        at=drawn["period_start"].map(_iso),
        when=[period(start, grain) for start in drawn["period_start"]],
        shown=[number(value, form, unit) for value in drawn["value"]],
        state=drawn["is_complete"].map(STATES),
    )
    x = _band_axis(grain, drawn)
    encoding = {
        "x": x,
        "y": field("bottom:Q", title=None, axis=_value_axis(form)),
        "y2": field("top"),
        "color": field(
            "group:N", scale={"domain": order, "range": [colors[group] for group in order]}, legend=legend(order)
        ),
        "opacity": {"condition": {"test": "datum.is_complete", "value": 1}, "value": 0.4},
    }
    felt = _as_felt(drawn, order, None, grain, form, unit)
    frames = {"bars": drawn, "felt": felt}
    layers = [layer("bars", "bar", encoding)]
    names = order
    if net is not None and net["value"].notna().any():
        frames["net"] = net.dropna(subset=["value"]).assign(at=net["period_start"].map(_iso))
        of_net = frames["net"]
        told = {at: number(value, form, unit) for at, value in zip(of_net["at"], of_net["value"], strict=True)}
        frames["felt"][f"line_{len(order)}"] = [told.get(start, "no data") for start in frames["felt"]["at"]]
        names = [*order, "Net"]
        over = {"x": x, "y": field("value:Q")}
        layers.append(layer("net", "line", over, strokeWidth=1.5, point={"filled": True, "size": 35}, color=GREY))
    # A band is felt in all of its height.
    felt_at = {"x": x, "opacity": {"value": 0}, "tooltip": _told(frames["felt"], names)}
    layers.append(layer("felt", "rect", felt_at, width={"band": 1 / (1 - BETWEEN)}))
    return {
        "layer": layers,
        "height": HEIGHT,
        "padding": PADDING,
        "description": _stacks_in_words(drawn, label, grain, order, below),
        "datasets": frames,
    }


def _iso(moment: pd.Timestamp) -> str:
    return f"{moment:%Y-%m-%d}"


def _band_axis(grain: str, drawn: pd.DataFrame) -> Spec:
    """A band for each period from the first to the last, those without data too, each labelled where it starts."""
    first, last = drawn["period_start"].min(), drawn["period_start"].max()
    starts = [_iso(start) for start in pd.date_range(first, last, freq=LENGTHS[grain])]
    axis = {
        "labelExpr": f"utcFormat(toDate(datum.value), '{_date_format(grain, drawn)}')",
        "values": starts[:: -(-len(starts) // MOST_TICKS)],
        "labelOverlap": "greedy",
        "labelAngle": 0,
        "grid": False,
    }
    return field("at:O", title=None, axis=axis, scale={"domain": starts, "paddingInner": BETWEEN})


def legend(names: Collection[str]) -> Spec:
    """In one line, in two where that is too narrow for it, or in two columns on a phone."""
    line = sum(LEGEND_MARK + LEGEND_LETTER * len(name) for name in names)
    columns = {"expr": f"width < {NARROW} ? 2 : width < {line} ? {math.ceil(len(names) / 2)} : {len(names)}"}
    return {"title": None, "orient": "top", "columns": columns, "symbolType": "square", "labelLimit": 160}


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


def waterfall(parts: pd.DataFrame, *, label: str, total: float, total_text: str) -> Spec:
    """A bar per part of a change, each from where the one above ended, and the whole change below.

    `parts` has name, amount, text and is_part, which a remainder is not; amounts of shares are in points. Up is blue,
    down vermilion, a remainder purple: what a bar is stands beside it, too.
    """
    ends = parts["amount"].cumsum()
    drawn = parts.assign(start=ends - parts["amount"], end=ends, color=BLUE)
    drawn.loc[drawn["amount"] < 0, "color"] = VERMILION
    drawn.loc[~drawn["is_part"], "color"] = PURPLE
    whole = {"name": ALL_OF_IT, "amount": total, "text": total_text, "is_part": False, "start": 0.0, "end": total}
    drawn = pd.concat([drawn, pd.DataFrame([whole | {"color": GREY}])], ignore_index=True)
    drawn["beside"] = drawn[["start", "end"]].max(axis="columns")
    low, high = min(0.0, float(drawn[["start", "end"]].to_numpy().min())), float(drawn["beside"].max())
    row = field("name:N", title=None, sort=None, axis={"labelLimit": 165, "ticks": False, "domain": False})
    # Room for the text beside the longest bar.
    scale = {"domain": [low, high + TEXT_ROOM * (max(high, 0.0) - low)], "nice": False}
    place = {"y": row, "x": field("start:Q", title=None, axis=None, scale=scale)}
    tooltip = [field("name:N", title="Part"), field("text:N", title="Of the change")]
    words = "; ".join(f"{name} {text}" for name, text in zip(drawn["name"], drawn["text"], strict=True))
    bar = {**place, "x2": field("end"), "color": field("color:N", scale=None), "tooltip": tooltip}
    text = {**place, "x": field("beside:Q", scale=scale, axis=None), "text": field("text:N")}
    zero = {"x": {"datum": 0, "type": "quantitative", "axis": None, "scale": scale}}
    return {
        "layer": [
            layer("parts", "rule", zero, color=GREY, strokeDash=[2, 2], aria=False),
            layer("parts", "bar", bar, height={"band": 0.7}),
            layer("parts", "text", text, align="left", dx=5),
        ],
        "height": 20 + 30 * len(drawn),
        "description": f"What made the change of {label}: {words}.{TABLE_BELOW}",
        "datasets": {"parts": drawn},
    }


def bridge(steps: pd.DataFrame, *, label: str, form: str) -> Spec:
    """How an amount became another: `steps` has name and value, the first and the last of them the amounts."""
    values = steps["value"].astype(float)
    after = values.iloc[:-1].cumsum()
    ends = pd.concat([after, values.iloc[-1:]])
    starts = (ends - values).mask(steps.index.isin(steps.index[[0, -1]]), 0.0)
    is_whole = steps.index.isin(steps.index[[0, -1]])
    drawn = steps.assign(
        line=steps["name"],
        start=starts,
        end=ends,
        kind=[
            "Amount" if whole else "Gained" if value >= 0 else "Lost"
            for whole, value in zip(is_whole, values, strict=True)
        ],
        shown=[number(value, form) for value in values],
        over=pd.concat([starts, ends], axis="columns").max(axis="columns"),
    )
    # Slanted, there is room for the name of each.
    axis = {"labelAngle": -30, "labelLimit": 90, "labelOverlap": False}
    x = field("name:N", title=None, sort=None, axis=axis, scale={"paddingInner": 0.3})
    colors = {"domain": ["Amount", "Gained", "Lost"], "range": [BLUE, GREEN, VERMILION]}
    encoding = {
        "x": x,
        "y": field("start:Q", title=None, axis=_value_axis(form)),
        "y2": field("end"),
        "color": field("kind:N", scale=colors, legend=None),
        "tooltip": [field("name:N", title="Part"), field("shown:N", title=label)],
    }
    text = {"x": x, "y": field("over:Q"), "text": field("shown:N")}
    words = "; ".join(f"{name} {shown}" for name, shown in zip(drawn["name"], drawn["shown"], strict=True))
    return {
        "layer": [layer("steps", "bar", encoding), layer("steps", "text", text, dy=-8, fontSize=10)],
        "height": HEIGHT,
        "padding": PADDING,
        "description": f"{label}, step by step: {words}.{TABLE_BELOW}",
        "datasets": {"steps": drawn},
    }


BAR_TEXT = 120
"""Pixels that are kept free for what is told at the end of the longest bar."""


def bars(rows: pd.DataFrame, *, label: str, what: str) -> Spec:
    """A bar per row, named at its left and told at its end: `rows` has name, value, text; the first is the top one."""
    drawn = rows.assign(line=rows["name"])
    top = float(drawn["value"].max()) if drawn["value"].notna().any() else 0.0
    encoding = {
        "x": field(
            "value:Q",
            title=None,
            axis=None,
            scale={"domain": [0, top or 1.0], "rangeMax": {"expr": f"max(width - {BAR_TEXT}, 20)"}},
        ),
        "y": field(
            "name:N",
            title=None,
            sort=None,
            axis={"labelLimit": 170, "ticks": False, "domain": False},
            scale={"paddingInner": 0.3},
        ),
        "tooltip": [field("name:N", title=what), field("text:N", title=label)],
    }
    words = "; ".join(f"{name}: {text}" for name, text in zip(drawn["name"], drawn["text"], strict=True))
    return {
        "layer": [
            layer("rows", "bar", encoding, color=BLUE),
            layer("rows", "text", {**encoding, "text": field("text:N")}, align="left", dx=5),
        ],
        "height": 20 + 34 * len(drawn),
        "description": f"Bars of {label}. {words}.",
        "datasets": {"rows": drawn},
    }
