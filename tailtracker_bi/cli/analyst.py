"""What analysts ask: SQL over the published tables, reports, the dashboard."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tailtracker_bi.cli.console import DAY_FORMAT, print_rows, stderr
from tailtracker_bi.errors import SettingsError
from tailtracker_bi.shipped import DASHBOARDS

DASHBOARD = DASHBOARDS / "server.py"
MOST_SHOWN = 1_000
"""Rows of a table for the eye; a program gets all."""


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
    import orjson

    from tailtracker_bi.bundle import ask, current
    from tailtracker_bi.figures.csv_output import csv_lines
    from tailtracker_bi.figures.json_output import json_lines, json_texts
    from tailtracker_bi.settings import load_reader_settings

    settings = load_reader_settings()
    build = current(settings.home).path
    if format is Format.json:
        print(ask(build, sql, settings.query_seconds, json_lines).decode(), end="")
    elif format is Format.csv:
        print(ask(build, sql, settings.query_seconds, csv_lines, is_raw=raw).decode(), end="")
    else:
        _print_texts(*orjson.loads(ask(build, sql, settings.query_seconds, json_texts)))


class ReportForm(StrEnum):
    """The forms that a report is written in."""

    html = "html"
    text = "text"
    pdf = "pdf"
    slack = "slack"
    markdown = "markdown"
    json = "json"


def report(
    name: Annotated[str, typer.Argument(help="Which of those that analytics.yml declares: weekly, pulse, board.")],
    as_of: Annotated[
        datetime | None,
        typer.Option("--as-of", formats=DAY_FORMAT, help="As it stands on this day; without it, on the build's own."),
    ] = None,
    build: Annotated[str | None, typer.Option(help="From this build; without it, from the current one.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write to; without it, reports/ in HOME.")] = None,
    form: Annotated[ReportForm, typer.Option("--format", help="Form of the file.")] = ReportForm.html,
    preview: Annotated[bool, typer.Option("--preview", help="Print it as text, and write nothing.")] = False,
) -> None:
    """Make a report from a published build, as one file."""
    from tailtracker_bi import bundle
    from tailtracker_bi.analytics import load_analytics
    from tailtracker_bi.figures.data_status import STALE_AFTER_DAYS
    from tailtracker_bi.reports import as_text, content_of, declared, write_report
    from tailtracker_bi.settings import load_report_settings

    settings = load_report_settings()
    analytics = load_analytics(settings.analytics_path)
    rules = declared(analytics.reports, name)
    found = bundle.kept_build(settings.home, build) if build else bundle.current(settings.home)
    day = as_of.date() if as_of else None
    content = content_of(
        rules,
        found,
        day,
        alerts=analytics.alerts,
        timezone=settings.timezone,
        dashboard_url=settings.dashboard_url or "",
    )
    if preview:
        print(f"Subject: {content.subject}\n\n{as_text(content)}", end="")
    else:
        print(write_report(content, out or settings.home / "reports", form.value))
    if (settings.today - content.as_of).days > STALE_AFTER_DAYS and build is None and as_of is None:
        stderr().print(f"the newest build is as of {content.as_of}: run `tailtracker-bi refresh` for newer data")


class ExportForm(StrEnum):
    """The forms that data is handed out in."""

    csv = "csv"
    parquet = "parquet"
    xlsx = "xlsx"


def export(
    name: Annotated[str, typer.Argument(help="A table of the build, or the id of a metric: mrr_movements, mrr.")],
    form: Annotated[ExportForm, typer.Option("--format", help="Form of the file.")] = ExportForm.csv,
    build: Annotated[str | None, typer.Option(help="From this build; without it, from the current one.")] = None,
    out: Annotated[str, typer.Option(help="Folder, or a place in an object store (s3://...).")] = ".",
) -> None:
    """Hand out a table or a metric as a file, with what its columns mean."""
    from tailtracker_bi import bundle
    from tailtracker_bi.exports import export, put
    from tailtracker_bi.settings import load_reader_settings

    home = load_reader_settings().home
    found = bundle.kept_build(home, build) if build else bundle.current(home)
    print(put(out, *export(found, name, form.value)))


def semantic(
    out: Annotated[str, typer.Option(help="Folder, or a place in an object store (s3://...).")] = ".",
) -> None:
    """Write what the metrics are for semantic layers: dbt's (MetricFlow) and Apache Ossie's draft."""
    from tailtracker_bi import bundle
    from tailtracker_bi.exports import put, semantic
    from tailtracker_bi.settings import load_reader_settings

    build = bundle.current(load_reader_settings().home)
    print(put(out, "tailtracker.metricflow.yml", semantic.metricflow(build).encode()))
    print(put(out, "tailtracker.ossie.yml", semantic.ossie(build).encode()))


def mcp(
    http: Annotated[
        int | None,
        typer.Option(
            help="Answer by HTTP on this port, to this machine alone; without it, by stdio.", min=1, max=65535
        ),
    ] = None,
) -> None:
    """Answer assistants about metrics by the Model Context Protocol, read-only; figures of few people are hidden."""
    from tailtracker_bi.access import FEWEST, load_policy
    from tailtracker_bi.assistants import Sight, serve
    from tailtracker_bi.settings import load_reader_settings, load_sign_in_settings

    access_file = load_sign_in_settings().access_file
    sight = Sight(load_reader_settings().home, load_policy(access_file).fewest if access_file else FEWEST)
    if http is not None:
        stderr().print(f"http://127.0.0.1:{http}/mcp")
    serve(sight, http)


Port = Annotated[int, typer.Option(help="Port to serve on.", min=1, max=65535)]
Address = Annotated[str, typer.Option(help="Address to serve on; beyond this machine only where people sign in.")]


def dashboard(port: Port = 8501, address: Address = "127.0.0.1") -> None:
    """Serve the dashboard in the foreground: on this machine alone where nobody signs in."""
    from tailtracker_bi import sources  # noqa: F401 - whose secrets are not handed on
    from tailtracker_bi.settings import dashboard_environment, load_settings, load_sign_in_settings

    settings, sign_in = load_settings(), load_sign_in_settings()
    if sign_in.access_file is not None:
        from tailtracker_bi.access import load_policy

        load_policy(sign_in.access_file)
    elif address != "127.0.0.1":
        raise SettingsError(
            f"dashboard: nobody signs in, so that it can't be served on {address}: set TAILTRACKER_OIDC_METADATA_URL "
            "and what goes with it (docs/operations.md), or leave --address"
        )
    else:
        stderr().print("nobody signs in (TAILTRACKER_OIDC_METADATA_URL is not set): on this machine alone, open to all")
    command = [sys.executable, "-m", "streamlit", "run", str(DASHBOARD), "--server.port", str(port)]
    os.chdir(DASHBOARD.parent)
    # In place of this process: who stops it stops the server.
    os.execve(  # noqa: S606 - a fixed command
        sys.executable,
        [*command, "--server.address", address, "--server.headless", "true", "--server.fileWatcherType", "none"],
        dashboard_environment(settings, sign_in),
    )


def _print_texts(columns: Sequence[str], *rows: Sequence[str]) -> None:
    print_rows(columns, rows[:MOST_SHOWN])
    if len(rows) > MOST_SHOWN:
        told = f"the first {MOST_SHOWN:,} of {len(rows):,} rows; `--format json` or `csv` prints all of them"
        stderr().print(told)
