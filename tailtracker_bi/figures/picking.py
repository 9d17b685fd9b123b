"""What of a chart can be clicked: a period of one over time, or a part of one that is split.

Each function gives a chart with parameters whose names begin with PICKED, and by which a viewer tells what was clicked:
the column of that row which PERIOD, PART or BAR names. What the pointer is told where it is stays as it was.
"""

from __future__ import annotations

from tailtracker_bi.figures.charts import Spec, field, layer

PICKED = "picked"
PERIOD, PART, BAR = "at", "line", "name"


def by_period(chart: Spec) -> Spec:
    """A chart over time of which the period that the pointer is nearest to can be clicked, whatever is drawn there."""
    layers = [
        _clickable(own, PERIOD, place) if "tooltip" in own["encoding"] else own
        for place, own in enumerate(chart["layer"])
    ]
    return chart | {"layer": layers}


def by_part(chart: Spec) -> Spec:
    """A chart of lines of which the one that the pointer is nearest to can be clicked.

    The pointer is then told of the period that this line's nearest point is of.
    """
    place = [own["data"]["name"] for own in chart["layer"]].index("felt")
    felt = chart["layer"][place]
    points = next(own for own in chart["layer"] if own["mark"]["type"] == "point")
    x, y = points["encoding"]["x"]["field"], points["encoding"]["y"]["field"]
    frames = chart["datasets"]
    lines = frames[points["data"]["name"]][[x, y, PART]].dropna(subset=[y])
    told = frames["felt"].drop(columns=PERIOD, errors="ignore")
    encoding = {"x": field(f"{x}:{_letter(points, 'x')}"), "y": field(f"{y}:Q"), "tooltip": felt["encoding"]["tooltip"]}
    rule = felt | {"encoding": {name: own for name, own in felt["encoding"].items() if name != "tooltip"}}
    del rule["params"]
    near = felt["params"][0]
    # Of the nearest point both places have a say, and what stands at the same place is told.
    in_both = {**{name: value for name, value in near["select"].items() if name != "encodings"}, "fields": [x]}
    parts = layer("parts", "point", encoding, filled=True, size=45, opacity=0, aria=False)
    parts |= {"params": [near | {"select": in_both}]}
    layers = [*chart["layer"][:place], rule, _clickable(parts, PART, place), *chart["layer"][place + 1 :]]
    return chart | {"layer": layers, "datasets": {**frames, "parts": lines.merge(told, on=x)}}


def by_bar(chart: Spec) -> Spec:
    """A chart of `charts.bars` of which a bar, or what is told at its end, can be clicked."""
    layers = [_clickable(own, BAR, place) for place, own in enumerate(chart["layer"])]
    return chart | {"layer": layers}


def params(chart: Spec) -> list[str]:
    """The names of what tells what was clicked."""
    every = [own["name"] for one in chart["layer"] for own in one.get("params", [])]
    return [name for name in every if name.startswith(PICKED)]


def _letter(points: Spec, axis: str) -> str:
    return str(points["encoding"][axis]["type"])[0].upper()


def _clickable(own: Spec, column: str, place: int) -> Spec:
    """A layer of which a row can be clicked: the nearest one, where the pointer is told of that."""
    name = f"{own['data']['name']}_{place}"
    is_nearest = any(param["select"].get("nearest") for param in own.get("params", []))
    select = {"type": "point", "fields": [column], "toggle": False, "clear": False}
    # Without its name a layer would hear of clicks on others, too.
    select |= {"on": "click", "nearest": True} if is_nearest else {"on": f"@{name}_marks:click"}
    param = {"name": f"{PICKED}_{name}", "select": select}
    mark = own["mark"] | {"cursor": "pointer"}
    return own | {"name": name, "mark": mark, "params": [*own.get("params", []), param]}
