"""What analysts ask: SQL over the published tables, reports, the dashboard."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.table import Column, Table
from rich.text import Text

from tailtracker_bi import bundle
from tailtracker_bi.bundle import ask
from tailtracker_bi.cli.console import DAY_FORMAT, err, print_table
from tailtracker_bi.errors import TailTrackerError
from tailtracker_bi.figures.csv_output import to_csv
from tailtracker_bi.settings import load_settings, reader_environment
from tailtracker_bi.shipped import DASHBOARDS
from tailtracker_bi.sources import visible

DASHBOARD = DASHBOARDS / "streamlit_app.py"


class Format(StrEnum):
    """How `query` prints."""

    table = "table"
    json = "json"
    csv = "csv"


def query(
    sql: Annotated[str, typer.Argument(help="One SELECT statement over the bundle's tables.")],
    format: Annotated[Format, typer.Option(help="How to print.")] = Format.table,
    raw: Annotated[
        bool, typer.Option("--raw", help="CSV as the data is: texts that a spreadsheet would run get no apostrophe.")
    ] = False,
) -> None:
    """Ask the current bundle, read-only."""
    settings = load_settings()
    result = ask(bundle.current(settings.home).path, sql, settings.query_seconds)
    try:
        rows = result.to_pylist()
    except (OverflowError, ValueError) as error:
        raise TailTrackerError(f"query: a value can't be printed: {error}") from None
    if format is Format.json:
        print(to_json(rows))
    elif format is Format.csv:
        print(to_csv(result.column_names, (row.values() for row in rows), is_raw=raw), end="")
    else:
        table = Table(*(Column(Text(visible(name)), overflow="fold") for name in result.column_names))
        for row in rows:
            table.add_row(*(Text("" if value is None else visible(_cell(value))) for value in row.values()))
        print_table(table)


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


def to_json(rows: Sequence[Mapping[str, Any]]) -> str:
    """One array of objects. Decimals are numbers, dates ISO, timestamps ISO with Z, NaN and infinity null."""
    option = orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z
    return "[" + ",\n ".join(orjson.dumps(row, _json_value, option).decode() for row in rows) + "]"


def _json_value(value: Any) -> Any:
    if isinstance(value, Decimal):
        return orjson.Fragment(format(value, "f")) if value.is_finite() else None
    return str(_cell(value))


def _cell(value: object) -> object:
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat(sep="T", timespec="auto") + "Z"
    return value
