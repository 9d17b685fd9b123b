"""A table or a metric of a build as CSV, Parquet or XLSX, with what its columns mean."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from difflib import get_close_matches
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tailtracker_bi import bundle
from tailtracker_bi.bundle import Bundle
from tailtracker_bi.errors import SettingsError
from tailtracker_bi.figures.catalogue import Metric, catalog
from tailtracker_bi.figures.csv_output import csv_lines
from tailtracker_bi.figures.exported import as_data
from tailtracker_bi.figures.points import ordered
from tailtracker_bi.figures.wording import is_money

MOST_ROWS = 1_048_575
"""Of a sheet, below its header."""
LONGEST_CELL = 32_767
WIDEST = 50
NUMBER_FORMATS = {"integer": "#,##0", "percent": "0.0%", "decimal": "#,##0.00", "money": "#,##0.00"}
"""In Excel's words, by the format of a metric."""


@dataclass(frozen=True)
class Export:
    """Rows, and what they and their columns are; `form` is the format of their values where they are a metric's."""

    name: str
    rows: pa.Table
    about: list[tuple[str, str]]
    form: str = ""


def export(build: Bundle, name: str, form: str) -> tuple[str, bytes]:
    """The name and the content of a file of a table or a metric. Raises SettingsError where the build has neither."""
    found = _table(build, name) if name in bundle.tables(build) else _metric(build, name)
    return f"{name}-{build.build}.{form}", FORMS[form](found)


def file_of(
    name: str, columns: Sequence[str], rows: Iterable[Iterable[object]], form: str, about: Iterable[tuple[str, str]]
) -> bytes:
    """The content of a file of rows that are put together already; a column of several kinds of values is of texts."""
    cells = list(zip(*rows, strict=True)) or [()] * len(columns)
    table = pa.table([_column(own) for own in cells], names=list(columns))
    return FORMS[form](Export(name, table, [*about]))


def _column(values: Sequence[object]) -> pa.Array:
    try:
        return pa.array(values, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([None if value is None else str(value) for value in values])


def _table(build: Bundle, name: str) -> Export:
    [described] = [table for table in bundle.describe(build) if table.name == name]
    about = [(name, described.description), *((column.name, column.description) for column in described.columns)]
    return Export(name, bundle.query(build, f'from "{name}"'), [*about, *_origin(build)])


def _metric(build: Bundle, name: str) -> Export:
    info = bundle.read(build, "bundle_info").iloc[0]
    metrics = catalog(bundle.read(build, "metric_catalog"), str(info.get("currency", "")))
    if name not in metrics:
        near = get_close_matches(name, [*metrics, *bundle.tables(build)], 3)
        meant = f"; did you mean {' or '.join(near)}?" if near else ""
        raise SettingsError(f"this build has no table and no metric {name!r}{meant}")
    metric, values = metrics[name], ordered(bundle.read(build, "metric_values", None, metric_id=name), "period_start")
    parts = [
        as_data(metric, own, str(grain), str(segment)) for (grain, segment), own in values.groupby(["grain", "segment"])
    ]
    rows = pd.concat(parts) if parts else as_data(metric, values, "day")
    rows["period_start"] = pd.to_datetime(rows["period_start"]).dt.date
    about = [*_definition(metric), *_origin(build)]
    return Export(name, pa.Table.from_pandas(rows, preserve_index=False), about, metric.format)


def _definition(metric: Metric) -> list[tuple[str, str]]:
    since = "" if metric.exact_since is None else metric.exact_since.isoformat()
    told = {
        metric.label: metric.description,
        "not for": metric.not_for,
        "unit": metric.unit,
        "owner": metric.owner,
        "sources": ", ".join(metric.sources),
        "exact since": since,
        "caveat": metric.caveat,
    }
    return [(name, text) for name, text in told.items() if text]


def _origin(build: Bundle) -> list[tuple[str, str]]:
    info = bundle.read(build, "bundle_info").iloc[0]
    return [("build", build.build), ("data as of", pd.Timestamp(info["as_of"]).date().isoformat())]


def _csv(found: Export) -> bytes:
    return "".join(csv_lines(found.rows.column_names, _as_rows(found.rows))).encode()


def _parquet(found: Export) -> bytes:
    """With what it is in the file's own metadata, by the names that stand on the sheet of definitions."""
    told = {f"tailtracker.{name}".encode(): text.encode() for name, text in found.about if text}
    file = io.BytesIO()
    pq.write_table(found.rows.replace_schema_metadata(told), file, compression="zstd")
    return file.getvalue()


def _xlsx(found: Export) -> bytes:
    """Numbers, days and times as such, texts as nothing but texts; a second sheet says what they are."""
    import xlsxwriter  # type: ignore[import-untyped]

    if found.rows.num_rows > MOST_ROWS:
        said = f"{found.name} has {found.rows.num_rows:,} rows and a sheet at most {MOST_ROWS:,}: take csv or parquet"
        raise SettingsError(said)
    file = io.BytesIO()
    with xlsxwriter.Workbook(file, {"in_memory": True}) as book:
        # Two exports of a build are the same to the byte.
        book.set_properties({"created": datetime(2000, 1, 1, tzinfo=UTC).replace(tzinfo=None)})
        bold = book.add_format({"bold": True})
        forms = {kind: book.add_format({"num_format": it}) for kind, it in _sheet_formats(found.form).items()}
        sheet = book.add_worksheet("Data")
        for place, name in enumerate(found.rows.column_names):
            sheet.write_string(0, place, name, bold)
            values = found.rows.column(place).to_pylist()
            longest = max((len(str(value)) for value in values[:1000] if value is not None), default=0)
            sheet.set_column(place, place, min(max(len(name), longest) + 2, WIDEST))
            for row, value in enumerate(values, 1):
                _write(sheet, row, place, value, forms["value" if name in ("value", "numerator") else ""], forms)
        sheet.freeze_panes(1, 0)
        sheet.autofilter(0, 0, found.rows.num_rows, max(found.rows.num_columns - 1, 0))
        told = book.add_worksheet("Definitions")
        wrapped = book.add_format({"text_wrap": True, "valign": "top"})
        told.set_column(0, 0, 28)
        told.set_column(1, 1, 90)
        for row, (name, text) in enumerate(found.about):
            told.write_string(row, 0, name, bold)
            told.write_string(row, 1, text[:LONGEST_CELL], wrapped)
    return file.getvalue()


def _sheet_formats(form: str) -> dict[str, str]:
    """By kind of value, Excel's format; of a metric's values, as the catalogue has it."""
    kind = "money" if is_money(form) else form
    return {
        "": "General",
        "value": NUMBER_FORMATS.get(kind, "General"),
        "day": "yyyy-mm-dd",
        "moment": "yyyy-mm-dd hh:mm:ss",
    }


def _write(sheet: Any, row: int, place: int, value: object, number: Any, forms: Mapping[str, Any]) -> None:
    """A value as what it is; what is none leaves the cell empty."""
    if value is None or (isinstance(value, float | Decimal) and not math.isfinite(value)):
        return
    if isinstance(value, bool):
        sheet.write_boolean(row, place, value)
    elif isinstance(value, datetime):
        sheet.write_datetime(row, place, value.replace(tzinfo=None), forms["moment"])
    elif isinstance(value, date):
        sheet.write_datetime(row, place, value, forms["day"])
    elif isinstance(value, int | float | Decimal):
        sheet.write_number(row, place, value, number)
    else:
        sheet.write_string(row, place, str(value)[:LONGEST_CELL])


def _as_rows(rows: pa.Table) -> Iterator[tuple[object, ...]]:
    for batch in rows.to_batches():
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


FORMS: Mapping[str, Callable[[Export], bytes]] = {"csv": _csv, "parquet": _parquet, "xlsx": _xlsx}
"""By the ending of the file."""
