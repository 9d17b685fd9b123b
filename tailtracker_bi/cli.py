"""The command line: `tailtracker-bi`. Results go to stdout, progress and errors to stderr.

Exit codes: 0 all that was asked for is done; 1 a failure; 2 wrong usage or settings; 3 something is held.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.table import Column, Table
from rich.text import Text

from tailtracker_bi import bundle, durable, not_counted, pipeline, verification
from tailtracker_bi.analytics import Analytics, load_analytics
from tailtracker_bi.configuration import history_start
from tailtracker_bi.console import Bars, err, plain, print_table
from tailtracker_bi.crash_points import STEPS
from tailtracker_bi.csv_output import to_csv
from tailtracker_bi.errors import TailTrackerError
from tailtracker_bi.lake import Lake
from tailtracker_bi.pull import check_accepted, plan
from tailtracker_bi.query import ask
from tailtracker_bi.runs import COUNTED, OWNER_ALONE, RunReport, check_home, locked
from tailtracker_bi.sandbox import commands as sandbox
from tailtracker_bi.sandbox.home import SandboxHome
from tailtracker_bi.settings import Settings, load_settings, reader_environment
from tailtracker_bi.sources import SOURCES
from tailtracker_bi.sources.foreign_text import visible
from tailtracker_bi.warehouse import Warehouse

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
app.add_typer(sandbox.app, name="sandbox")

DASHBOARD = Path(__file__).parent.parent / "dashboards" / "streamlit_app.py"
VERIFY_PATIENCE = 10.0
"""Seconds that `verify` waits for a refresh that is under way: who asks sits there."""
STATUS_STYLES = {
    "ok": "green",
    "landed": "green",
    "late": "yellow",
    "failed": "red",
    "held": "red",
    "off": "dim",
    "empty": "yellow",
}


class Format(StrEnum):
    """How `query` prints."""

    table = "table"
    json = "json"
    csv = "csv"


DAY_FORMAT = ["%Y-%m-%d"]


def main() -> None:
    """Run a command; what people are meant to read goes to stderr as one line, with its exit code."""
    os.umask(OWNER_ALONE)
    try:
        app()
    except TailTrackerError as error:
        err.print(f"[red]error:[/red] {plain(error)}")
        sys.exit(error.exit_code)
    except OSError as error:
        # A full disk, a file that may not be read: where it happened tells more than a traceback.
        err.print(f"[red]error:[/red] {plain(error.filename or 'a file')}: {plain(error.strerror or error)}")
        sys.exit(1)


@app.command()
def doctor(
    steps: Annotated[bool, typer.Option("--steps", help="List the steps that TAILTRACKER_CRASH_AT may name.")] = False,
) -> None:
    """Check settings, analytics.yml and each source: what is well, and what to do about the rest."""
    if steps:
        for step, happened in STEPS.items():
            print(f"{step:<24} {happened}")
        return
    settings = load_settings()
    analytics = load_analytics(settings.analytics_path)
    check_home(settings.home)
    lacking = durable.lacks_room(settings.home)
    rows = [
        ("settings", True, f"HOME is {settings.home}"),
        ("disk", not lacking, lacking or "has room for a refresh"),
        ("analytics.yml", True, "is sound"),
    ]
    place = SandboxHome(settings.home)
    if place.exists:
        state = "" if place.is_up else ", which is not up: run `tailtracker-bi sandbox up`"
        rows.append(("sandbox", not state, f"sources: the sandbox in {place.folder}{state}"))
    on = [source for source in SOURCES if source.is_on(settings)]
    for source in SOURCES:
        if source in on:
            check = source(settings).check()
            rows.append((check.what, check.is_ok, check.detail))
        else:
            rows.append((source.name, True, f"is off: {source.why_off}"))
    if not on:
        rows.append(("sources", False, "none is on: set the credentials of one, see .env.example"))
    try:
        found = bundle.current(settings.home)
        sound = bundle.is_pointer_sound(settings.home)
        rows.append(
            (
                "bundle",
                sound,
                found.build if sound else "the pointer names no build: run `tailtracker-bi rollback`",
            )
        )
        rows += [("analytics.yml", True, told) for told in _never_seen(analytics, found)]
    except bundle.NoBundleError as error:
        rows.append(("bundle", True, str(error)))
    for what, is_ok, detail in rows:
        print(f"{'ok   ' if is_ok else 'WRONG'}  {what:<14} {visible(detail)}")
    if not all(is_ok for _, is_ok, _ in rows):
        raise typer.Exit(1)


@app.command()
def refresh(
    from_day: Annotated[
        datetime | None,
        typer.Option("--from", formats=DAY_FORMAT, help="First day to pull; no look-back, no repair outside."),
    ] = None,
    to_day: Annotated[
        datetime | None, typer.Option("--to", formats=DAY_FORMAT, help="Last day to pull, inclusive.")
    ] = None,
    source: Annotated[list[str] | None, typer.Option(help="Only this source; may be given again.")] = None,
    full_refresh: Annotated[bool, typer.Option("--full-refresh", help="Compute all models in full.")] = False,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Make the warehouse anew from the lake.")] = False,
    relist: Annotated[
        bool,
        typer.Option("--relist", help="List all of Stripe again, not only what changed; other sources go on as ever."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be pulled, and pull nothing.")] = False,
    no_wait: Annotated[
        bool,
        typer.Option("--no-wait", help="Where a source asks to wait for its limits, leave its rest, and say what."),
    ] = False,
    accept: Annotated[
        list[str] | None,
        typer.Option(help="SOURCE:DAY or SOURCE:TABLE that is held and may land all the same; may be given again."),
    ] = None,
) -> None:
    """Pull, build, check and publish. Without dates: all that is missing, and the days that may still change."""
    settings = load_settings(**({"TAILTRACKER_WAIT": False} if no_wait else {}))
    first, last = (moment.date() if moment else None for moment in (from_day, to_day))
    if dry_run:
        load_analytics(settings.analytics_path)
        _print_plan(settings, first, last, source or [], relist, accept or [])
        return
    place = SandboxHome(settings.home)
    if place.exists:
        place.check_is_up()
        err.print(f"sources: the sandbox in {plain(place.folder)}")
    for off in (item for item in SOURCES if not item.is_on(settings)):
        err.print(f"{off.name} is off: {off.why_off}")
    if not (first or last or settings.history_start):
        err.print(f"history starts on {history_start(settings, ())} (TAILTRACKER_HISTORY_START)")
    try:
        with Bars() as bars:
            report = pipeline.refresh(
                settings,
                bars,
                first=first,
                last=last,
                sources=source or [],
                full_refresh=full_refresh,
                rebuild=rebuild,
                relist=relist,
                accept=accept or [],
            )
    except KeyboardInterrupt:
        err.print(f"[red]{pipeline.INTERRUPTED}[/red]")
        raise
    _print_report(report)
    if report.exit_code:
        raise typer.Exit(report.exit_code)


@app.command(context_settings={"ignore_unknown_options": True})  # a statement may begin with a comment
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


@app.command()
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
    from tailtracker_bi.data_status import STALE_AFTER_DAYS
    from tailtracker_bi.reports import write_report

    settings = load_settings()
    found = bundle.kept_build(settings.home, build) if build else bundle.current(settings.home)
    print(write_report(name, found, out or settings.home / "reports", as_of.date() if as_of else None))
    built_as_of = bundle.read(found, "bundle_info", ["as_of"])["as_of"].iloc[0].date()
    if (settings.today - built_as_of).days > STALE_AFTER_DAYS and build is None and as_of is None:
        err.print(f"the newest build is as of {built_as_of}: run `tailtracker-bi refresh` for newer data")


@app.command()
def status() -> None:
    """The sources, their last days, and the bundle that readers see."""
    settings = load_settings()
    lake = Lake(settings.home)
    table = Table("source", "table", "days", "first", "last", "latest attempt", "outcome")
    for source in SOURCES:
        summaries = {filled.name: lake.summary(source.name, filled.name) for filled in source.tables}
        if not source.is_on(settings) and not any(known.status for known in summaries.values()):
            table.add_row(source.name, "", "", "", "", "", f"[{STATUS_STYLES['off']}]off[/]")
            continue
        for name, known in summaries.items():
            outcome = (known.status or "empty") if source.is_on(settings) else "off"
            table.add_row(
                source.name,
                name,
                str(known.days),
                str(known.first_day or ""),
                str(known.last_day or ""),
                f"{known.attempted_at:%Y-%m-%d %H:%M}Z" if known.attempted_at else "",
                f"[{STATUS_STYLES[outcome]}]{outcome}[/]"
                + (f": {plain(known.reason)}" if known.reason and outcome != "off" else ""),
            )
    print_table(table)
    found = bundle.current(settings.home)
    info = bundle.query(found, "select built_at, as_of from bundle_info").to_pylist()[0]
    age = datetime.now(UTC).replace(tzinfo=None) - info["built_at"]
    print(f"bundle {found.build}, as of {info['as_of']}, built {str(age).split('.')[0]} ago")
    states: dict[tuple[str, str, str | None], list[str]] = {}
    for row in bundle.query(found, "select source, table_name, status, reason from data_status").to_pylist():
        states.setdefault((row["source"], row["status"], row["reason"]), []).append(row["table_name"])
    every = {source.name: len(source.tables) for source in SOURCES}
    for (name, state, reason), tables in states.items():
        which = name if len(tables) == every.get(name) else f"{name} ({', '.join(tables)})"
        print(f"  {which}: {state}{': ' + visible(reason) if reason else ''}")
    for line in not_counted.in_lines(not_counted.left_out(bundle.read_if_there(found, "not_counted"))):
        print(f"  not counted: {visible(line)}")
    for told in _never_seen(load_analytics(settings.analytics_path), found):
        print(f"  analytics.yml: {visible(told)}")
    if not bundle.is_pointer_sound(settings.home):
        raise TailTrackerError(
            "the pointer to the current build is torn: readers take the newest; run `tailtracker-bi rollback --to`"
        )


@app.command()
def verify(
    sources: Annotated[
        bool, typer.Option("--sources", help="Ask the sources, too, how many rows they have where they tell.")
    ] = False,
) -> None:
    """Compare ledger, lake, quarantine, warehouse and bundle with one another: what is corrupt, and what mends it."""
    settings = load_settings()
    lake = Lake(settings.home)
    warehouse = Warehouse(settings, load_analytics(settings.analytics_path), lake)
    with Bars() as bars, locked(settings.home, bars, VERIFY_PATIENCE):
        verdicts = verification.verify(settings, lake, warehouse, bars, ask_sources=sources)
    for verdict in verdicts:
        for finding in verdict.findings:
            print(f"WRONG  {verdict.what:<14} {visible(f'{finding.where}: {finding.wrong}: {finding.mend}')}")
        if not verdict.findings:
            print(f"ok     {verdict.what:<14} {verdict.detail}")
    if any(verdict.findings for verdict in verdicts):
        raise typer.Exit(1)


@app.command()
def rollback(
    to: Annotated[str | None, typer.Option(help="The build to go back to; without it, the one before.")] = None,
) -> None:
    """Make an earlier build the one that readers see, until the next refresh."""
    settings = load_settings()
    with Bars() as bars, locked(settings.home, bars):
        found = bundle.roll_back(settings.home, to)
    print(found.build)


Port = Annotated[int, typer.Option(help="Port to serve on.", min=1, max=65535)]


@app.command()
def demo(
    people: sandbox.People = None,
    days: sandbox.Days = None,
    seed: sandbox.Seed = None,
    port: Port = 8501,
    no_dashboard: Annotated[bool, typer.Option("--no-dashboard", help="Publish, and serve nothing.")] = False,
) -> None:
    """All of it on a made-up TailTracker: bring up a sandbox, refresh from it, serve the dashboard."""
    sandbox.start(people, days, seed)
    refresh()
    if not no_dashboard:
        print(f"the dashboard: http://127.0.0.1:{port}")
        dashboard(port)


@app.command()
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


def _never_seen(analytics: Analytics, found: bundle.Bundle) -> list[str]:
    """The events that analytics.yml names and that never came, where any came at all: maybe a slip of the pen."""
    seen = {row["event"] for row in bundle.query(found, "select event from event_catalog").to_pylist()}
    unseen = sorted(analytics.named_events - seen) if seen else []
    return [f"names events that never came in all of history: {', '.join(unseen)}"] if unseen else []


def _print_plan(
    settings: Settings, first: date | None, last: date | None, sources: list[str], relist: bool, accept: list[str]
) -> None:
    lake = Lake(settings.home)
    plans = plan(settings, lake, first, last, sources, relist=relist)
    check_accepted(lake, accept, plans)
    for item in plans:
        print(item)
    if not plans:
        err.print("no source is on: there is nothing to pull")


def _print_report(report: RunReport) -> None:
    lines: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for line in report.days:
        lines.setdefault((line["source"], line["table"]), []).append(line)
    for (source, table), of_table in lines.items():
        received, *parts = (sum(line[name] for line in of_table) for name in COUNTED)
        counts = ", ".join(f"{count} {name}" for count, name in zip(parts, COUNTED[1:], strict=True))
        told = [f"{received} received = {counts}"] if any(line["status"] == "landed" for line in of_table) else []
        if any(line["status"] == "held" for line in of_table):
            told.append(f"{sum(line['held'] for line in of_table)} held back")
        others = Counter(line["status"] for line in of_table if line["status"] not in {"landed", "held"})
        days = f" of {len(of_table)} days " if len(of_table) > 1 else ""
        told += [f"{count}{days}{status}" if days else status for status, count in others.items()]
        print(f"{source}.{table}: {visible('; '.join(told))}")
    if report.build:
        print(f"bundle {report.build}")
    for error in dict.fromkeys(report.errors):
        err.print(f"[red]error:[/red] {plain(error)}")
    for held in dict.fromkeys(report.held):
        err.print(f"[red]held:[/red] {plain(held)}")


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
