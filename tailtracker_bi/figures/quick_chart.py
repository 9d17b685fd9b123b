"""A chart of any rows: lines over their first days, or else bars beside their first texts.

What is in the rows is not known here, so nothing is summed up, and what can't be drawn as it stands is not drawn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.types as kinds

from tailtracker_bi.figures.charts import BLUE, COLORS, Spec, field, layer, trend
from tailtracker_bi.figures.points import GRAINS
from tailtracker_bi.figures.wording import AXIS_FORMATS
from tailtracker_bi.figures.wording import number as written

MOST_LINES, MOST_BARS = len(COLORS), 30
BAR_STEP = 22
"""Pixels from one bar to the next."""
IN_A_TABLE = " Shown as a table, it holds every value."


class NotDrawnError(ValueError):
    """Why rows are no chart, as a sentence."""


def numbers_of(rows: pa.Table) -> list[str]:
    """The columns that may be drawn."""
    return [column.name for column in rows.schema if _is_number(column.type)]


def quick_chart(rows: pa.Table, number: str) -> Spec:
    """The values of one of their numbers; incomplete ones are dashed or pale where the rows have `is_complete`.

    Raises NotDrawnError.
    """
    days = [column.name for column in rows.schema if kinds.is_date(column.type) or kinds.is_timestamp(column.type)]
    texts = [column.name for column in rows.schema if kinds.is_string(column.type)]
    if days:
        return _lines(rows, days[0], number, texts)
    if texts:
        return _bars(rows, texts[0], number)
    raise NotDrawnError("A chart needs a column of days or of names beside the number.")


def _is_number(kind: pa.DataType) -> bool:
    return bool(kinds.is_integer(kind) or kinds.is_floating(kind) or kinds.is_decimal(kind))


def _finite(values: Sequence[Any]) -> list[float | None]:
    """NaN and infinity are no height."""
    return [None if value is None or not math.isfinite(value) else float(value) for value in values]


def _form(values: Sequence[float | None]) -> str:
    return "integer" if all(value is None or value.is_integer() for value in values) else "decimal"


def _lines(rows: pa.Table, day: str, number: str, texts: Sequence[str]) -> Spec:
    given = {name: rows[name].to_pylist() for name in {day, number, *texts}}
    # One text for all rows tells no lines apart.
    telling = [name for name in texts if len(set(given[name])) > 1]
    lines = [" · ".join(map(str, parts)) for parts in zip(*(given[name] for name in telling), strict=True)]
    values = _finite(given[number])
    points = pd.DataFrame(
        {
            "period_start": pd.to_datetime(given[day], utc=True).tz_localize(None),
            "value": pd.Series(values, dtype=float),
            "segment_value": lines or number,
            "is_complete": _completeness(rows),
        }
    ).dropna(subset=["period_start"])
    if points.empty or points["value"].isna().all():
        raise NotDrawnError(f"There is no day with a value of {number}.")
    if (points["period_start"] != points["period_start"].dt.normalize()).any():
        raise NotDrawnError(f"{day} has times of the day: a chart needs days, as date_trunc makes them.")
    if points["segment_value"].nunique() > MOST_LINES:
        raise NotDrawnError(
            f"{', '.join(telling)} would make {points['segment_value'].nunique():,} lines; {MOST_LINES} can be told "
            "apart. Narrow the rows, or leave these columns out."
        )
    if points.duplicated(["segment_value", "period_start"]).any():
        raise NotDrawnError(f"Several rows have the same {', '.join([day, *telling])}: group them to one.")
    points = points.sort_values("period_start", kind="stable", ignore_index=True)
    grains = set(given["grain"]) if "grain" in texts else set()
    grain = next(iter(grains)) if len(grains) == 1 and grains <= {*GRAINS} else "day"
    return trend(points, label=number, unit="", form=_form(values), grain=grain, told_after=IN_A_TABLE)


def _completeness(rows: pa.Table) -> list[bool] | bool:
    if "is_complete" not in rows.column_names:
        return True
    return [bool(value) for value in rows["is_complete"].to_pylist()]


def _bars(rows: pa.Table, name: str, number: str) -> Spec:
    """In the order of the rows, since who asked has sorted them; the first of them where they are many."""
    first = rows.slice(0, MOST_BARS)
    names, values = first[name].to_pylist(), _finite(first[number].to_pylist())
    if len(set(names)) < len(names):
        raise NotDrawnError(f"Several rows have the same {name}: group them to one.")
    if all(value is None for value in values):
        raise NotDrawnError(f"There is no value of {number}.")
    form = _form(values)
    drawn = pd.DataFrame(
        {
            "name": list(map(str, names)),
            "value": pd.Series(values, dtype=float),
            "shown": [written(value, form) for value in values],
            "is_complete": _completeness(first),
        }
    )
    title = number if first.num_rows == rows.num_rows else f"{number}, the first {MOST_BARS} of {rows.num_rows:,} rows"
    encoding = {
        "y": field("name:N", sort=None, title=None, axis={"labelLimit": 220}),
        "x": field("value:Q", title=title, axis={"format": AXIS_FORMATS[form], "tickCount": 5}),
        "opacity": {"condition": {"test": "datum.is_complete", "value": 1}, "value": 0.4},
        "tooltip": [field("name:N", title=name), field("shown:N", title=number)],
    }
    told_rows = "; ".join(f"{text} {shown}" for text, shown in zip(drawn["name"], drawn["shown"], strict=True))
    return {
        **layer("bars", "bar", encoding, color=BLUE),
        "height": {"step": BAR_STEP},
        "description": f"Bars of {title} by {name}: {told_rows}.{IN_A_TABLE}",
        "datasets": {"bars": drawn},
    }
