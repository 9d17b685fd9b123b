"""What analysts ask: SQL over the published tables, reports, the dashboard."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import orjson
import pyarrow as pa
import typer
from rich.table import Column, Table
from rich.text import Text

from tailtracker_bi import bundle
from tailtracker_bi.bundle import ask
from tailtracker_bi.cli.console import DAY_FORMAT, err, print_table
from tailtracker_bi.errors import TailTrackerError
from tailtracker_bi.figures.csv_output import csv_lines
from tailtracker_bi.settings import load_settings, reader_environment
from tailtracker_bi.shipped import DASHBOARDS
from tailtracker_bi.sources import visible

DASHBOARD = DASHBOARDS / "streamlit_app.py"
MOST_SHOWN = 1_000
"""Rows of a table for the eye; a program gets all."""
LINES_AT_ONCE = 50_000


class Format(StrEnum):
    """How `query` prints."""

    table = "table"
    json = "json"
    csv = "csv"


def query(
    sql: Annotated[str, typer.Argument(help="One SELECT statement over the bundle's tables.")],
    format: Annotated[
        Format, typer.Option(help=f"How to print; a table has {MOST_SHOWN:,} rows at most.")
    ] = Format.table,
    raw: Annotated[
        bool, typer.Option("--raw", help="CSV as the data is: texts that a spreadsheet would run get no apostrophe.")
    ] = False,
) -> None:
    """Ask the current bundle, read-only."""
    settings = load_settings()
    result = ask(bundle.current(settings.home).path, sql, settings.query_seconds)
    try:
        if format is Format.table:
            print_table(_as_table(result.slice(0, MOST_SHOWN)))
        else:
            rows = _rows(result)
            csv = csv_lines(result.column_names, (row.values() for row in rows), is_raw=raw)
            # All of it before any of it is printed.
            for piece in [*_pieces(json_lines(rows) if format is Format.json else csv)]:
                print(piece, end="")
    except (OverflowError, ValueError) as error:
        raise TailTrackerError(f"query: a value can't be printed: {error}") from None
    if format is Format.table and len(result) > MOST_SHOWN:
        err.print(f"the first {MOST_SHOWN:,} of {len(result):,} rows; `--format json` or `csv` prints all of them")


def _rows(result: pa.Table) -> Iterator[dict[str, Any]]:
    """Some at a time: as objects of Python they take thirty times as much memory."""
    return (row for batch in result.to_batches(LINES_AT_ONCE) for row in batch.to_pylist())


def _pieces(lines: Iterator[str]) -> Iterator[str]:
    """The same text in longer pieces, which take less memory."""
    while piece := "".join(islice(lines, LINES_AT_ONCE)):
        yield piece


def _as_table(result: pa.Table) -> Table:
    table = Table(*(Column(Text(visible(name)), overflow="fold") for name in result.column_names))
    for row in _rows(result):
        table.add_row(*(Text("" if value is None else visible(_cell(value))) for value in row.values()))
    return table


def report(
    name: Annotated[str, typer.Argument(help="Which report: weekly.")],
    as_of: Annotated[
        datetime | None,
        typer.Option("--as-of", formats=DAY_FORMAT, help="As it stands on this day; without it, on the build's own."),
    ] = None,
    build: Annotated[str | None, typer.Option(help="From this build; without it, from the current one.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write to; without it, reports/ in HOME.")] = None,
) -> None:
    """Make a report from a published build, as one HTML file."""
    # Drawing takes a second to load, which the other commands need not wait for.
    from tailtracker_bi.figures.data_status import STALE_AFTER_DAYS
    from tailtracker_bi.reports import write_report

    settings = load_settings()
    found = bundle.kept_build(settings.home, build) if build else bundle.current(settings.home)
    print(write_report(name, found, out or settings.home / "reports", as_of.date() if as_of else None))
    built_as_of = bundle.read(found, "bundle_info", ["as_of"])["as_of"].iloc[0].date()
    if (settings.today - built_as_of).days > STALE_AFTER_DAYS and build is None and as_of is None:
        err.print(f"the newest build is as of {built_as_of}: run `tailtracker-bi refresh` for newer data")


Port = Annotated[int, typer.Option(help="Port to serve on.", min=1, max=65535)]


def dashboard(port: Port = 8501) -> None:
    """Serve the dashboard on this machine, in the foreground."""
    settings = load_settings()
    command = [sys.executable, "-m", "streamlit", "run", str(DASHBOARD), "--server.port", str(port)]
    os.chdir(DASHBOARD.parent)
    # In place of this process: who stops it stops the server.
    os.execve(  # noqa: S606 - a fixed command
        sys.executable,
        [*command, "--server.address", "127.0.0.1", "--server.headless", "true"],
        reader_environment(settings),
    )


def json_lines(rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """One array of objects. Decimals are numbers, dates ISO, timestamps ISO with Z, NaN and infinity null."""
    option = orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z
    start = "["
    for row in rows:
        yield start + orjson.dumps(row, _json_value, option).decode()
        start = ",\n "
    yield "[]\n" if start == "[" else "]\n"


def _json_value(value: Any) -> Any:
    if isinstance(value, Decimal):
        return orjson.Fragment(format(value, "f")) if value.is_finite() else None
    return str(_cell(value))


def _cell(value: object) -> object:
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat(sep="T", timespec="auto") + "Z"
    return value
