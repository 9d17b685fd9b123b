"""Rows as JSON: for programs, values as they are; for tables that people look at, each as it is shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson


def json_lines(columns: Sequence[str], rows: Iterable[Iterable[object]]) -> Iterator[str]:
    """One array of objects. Decimals are numbers, dates ISO, timestamps ISO with Z, NaN and infinity null."""
    option = orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z
    before = "["
    for row in rows:
        yield before + orjson.dumps(dict(zip(columns, row, strict=True)), _json_value, option).decode()
        before = ",\n "
    yield "[]\n" if before == "[" else "]\n"


def json_texts(columns: Sequence[str], rows: Iterable[Iterable[object]]) -> Iterator[str]:
    """One array of rows of texts, the columns' names first; what is not there is an empty one."""
    yield "[" + orjson.dumps([*columns]).decode()
    for row in rows:
        texts = ["" if value is None else str(_shown(value)) for value in row]
        yield ",\n " + orjson.dumps(texts).decode()
    yield "]\n"


def _json_value(value: Any) -> Any:
    if isinstance(value, Decimal):
        return orjson.Fragment(format(value, "f")) if value.is_finite() else None
    return str(_shown(value))


def _shown(value: object) -> object:
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat(sep="T", timespec="auto") + "Z"
    return value
