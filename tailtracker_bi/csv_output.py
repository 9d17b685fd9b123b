"""Rows as CSV that a program reads back without guessing and that no spreadsheet takes for formulas.

Numbers are numbers with a point, days and times ISO (times in UTC, with Z), what is not there is empty. Whatever is
handed out as CSV comes from here.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def to_csv(columns: Sequence[str], rows: Iterable[Iterable[object]], *, is_raw: bool = False) -> str:
    """A header and the rows. Text that a spreadsheet would run gets a leading apostrophe, unless it is to stay raw."""
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\n")
    writer.writerow([_cell(name, is_raw) for name in columns])
    writer.writerows([_cell(value, is_raw) for value in row] for row in rows)
    return target.getvalue()


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
