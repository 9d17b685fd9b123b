"""Rows as CSV that a program reads back without guessing and that no spreadsheet takes for formulas.

Numbers are numbers with a point, days and times ISO (times in UTC, with Z), what is not there is empty. Whatever is
handed out as CSV comes from here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from itertools import chain

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def csv_lines(columns: Sequence[str], rows: Iterable[Iterable[object]], *, is_raw: bool = False) -> Iterator[str]:
    """A header and the rows. Text that a spreadsheet would run gets a leading apostrophe, unless it is to stay raw."""
    for row in chain([columns], rows):
        line = [_cell(value, is_raw) for value in row]
        # A line with nothing on it would be no row.
        yield (",".join(map(_quoted, line)) if line != [""] else '""') + "\n"


def to_csv(columns: Sequence[str], rows: Iterable[Iterable[object]], *, is_raw: bool = False) -> str:
    """The same in one piece."""
    return "".join(csv_lines(columns, rows, is_raw=is_raw))


def _quoted(text: str) -> str:
    """As RFC 4180 has it; the standard library leaves a lone CR bare, which readers take for the end of a row."""
    return '"' + text.replace('"', '""') + '"' if any(mark in text for mark in ',"\r\n') else text


def _cell(value: object, is_raw: bool) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return format(value, "f") if value.is_finite() else ""
    if isinstance(value, float):
        return repr(float(value)) if math.isfinite(value) else ""
    if isinstance(value, int):
        return str(value)
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat(sep="T", timespec="auto") + "Z"
    if isinstance(value, date):
        return value.isoformat()
    text = str(value)
    is_formula = text.lstrip(" \u00a0").startswith(FORMULA_STARTS)
    return f"'{text}" if is_formula and not is_raw else text
