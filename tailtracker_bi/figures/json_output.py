"""Rows as JSON: for programs, values as they are; for tables that people look at, each as it is shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson


def to_json(columns: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """One array of objects. Decimals are numbers, dates ISO, timestamps ISO with Z, NaN and infinity null."""
    option = orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z
    objects = (dict(zip(columns, row, strict=True)) for row in rows)
    return "[" + ",\n ".join(orjson.dumps(one, _json_value, option).decode() for one in objects) + "]\n"


def to_json_texts(columns: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """One array of rows of texts, the columns' names first; what is not there is an empty one."""
    texts = (["" if value is None else str(_shown(value)) for value in row] for row in rows)
    return orjson.dumps([[*columns], *texts]).decode()


def _json_value(value: Any) -> Any:
    if isinstance(value, Decimal):
        return orjson.Fragment(format(value, "f")) if value.is_finite() else None
    return str(_shown(value))


def _shown(value: object) -> object:
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat(sep="T", timespec="auto") + "Z"
    return value
