"""What data engineers run: pull, build and publish; what has landed; whether it is all as it should be."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tailtracker_bi.cli.console import DAY_FORMAT, events_never_seen, plain, print_table, stderr
from tailtracker_bi.cli.lean import without_pandas
from tailtracker_bi.errors import SettingsError, TailTrackerError, visible

if TYPE_CHECKING:
    from tailtracker_bi.runs import RunReport
    from tailtracker_bi.settings import Settings

Engines = Literal["duckdb", "postgres"]
VERIFY_PATIENCE = 10.0
"""Seconds that `verify` waits for a refresh that is under way: who asks sits there."""
STATUS_STYLES = {
    "ok": "green",
    "landed": "green",
    "unchanged": "green",
    "late": "yellow",
    "failed": "red",
    "held": "red",
    "off": "dim",
    "empty": "yellow",
}


@without_pandas()
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
    from tailtracker_bi import runs
    from tailtracker_bi.analytics import load_analytics
    from tailtracker_bi.cli.bars import Bars
    from tailtracker_bi.settings import SandboxPlace, history_start, load_settings
    from tailtracker_bi.sources import SOURCES

    settings = load_settings(**({"TAILTRACKER_WAIT": False} if no_wait else {}))
    first, last = (moment.date() if moment else None for moment in (from_day, to_day))
    if dry_run:
        load_analytics(settings.analytics_path)
        _print_plan(settings, first, last, source or [], relist, accept or [])
        return
    place = SandboxPlace(settings.home)
    if place.exists:
        place.check_is_up()
        stderr().print(f"sources: the sandbox in {plain(place.folder)}")
    for off in (item for item in SOURCES if not item.is_on(settings)):
        stderr().print(f"{off.name} is off: {off.why_off}")
    if not (first or last or settings.history_start):
        stderr().print(f"history starts on {history_start(settings, ())} (TAILTRACKER_HISTORY_START)")
    try:
        with Bars() as bars:
            report = runs.refresh(
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
        stderr().print(f"[red]{runs.INTERRUPTED}[/red]")
        raise
    _print_report(report)
    if report.exit_code:
        raise typer.Exit(report.exit_code)


@without_pandas()
def recent() -> None:
    """Read today so far, for the page Last hours alone: partial, and no daily number is made of it."""
    from tailtracker_bi.analytics import load_analytics
    from tailtracker_bi.recent import file_in
    from tailtracker_bi.runs import update_recent
    from tailtracker_bi.settings import SandboxPlace, load_settings

    settings = load_settings()
    place = SandboxPlace(settings.home)
    if place.exists:
        place.check_is_up()
    if update_recent(settings, load_analytics(settings.analytics_path), lambda said: stderr().print(plain(said))):
        print(file_in(settings.home))


@without_pandas()
def status() -> None:
    """The sources, their last days, and the bundle that readers see."""
    from rich.table import Table

    from tailtracker_bi import bundle
    from tailtracker_bi.analytics import load_analytics
    from tailtracker_bi.figures import not_counted
    from tailtracker_bi.lake import Lake
    from tailtracker_bi.settings import load_settings
    from tailtracker_bi.sources import SOURCES

    settings = load_settings()
    lake = Lake(settings.home)
    table = Table("source", "table", "days", "first", "last", "latest attempt", "outcome")
    for source in SOURCES:
        summaries = {filled.name: lake.ledger.summary(source.name, filled.name) for filled in source.tables}
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
    with bundle.connect(found) as connection:
        there = {name for (name,) in connection.execute("select table_name from duckdb_tables()").fetchall()}
        told = {
            table: connection.table(table).to_arrow_table().to_pylist()
            for table in there & {"bundle_info", "data_status", "not_counted"}
        }
    [info] = told["bundle_info"]
    age = datetime.now(UTC).replace(tzinfo=None) - info["built_at"]
    print(f"bundle {found.build}, as of {info['as_of']}, built {str(age).split('.')[0]} ago")
    states: dict[tuple[str, str, str | None], list[str]] = {}
    for row in told["data_status"]:
        states.setdefault((row["source"], row["status"], row["reason"]), []).append(row["table_name"])
    every = {source.name: len(source.tables) for source in SOURCES}
    for (name, state, reason), tables in states.items():
        which = name if len(tables) == every.get(name) else f"{name} ({', '.join(tables)})"
        print(f"  {which}: {state}{': ' + visible(reason) if reason else ''}")
    for line in not_counted.in_lines(not_counted.left_out(told.get("not_counted", []))):
        print(f"  not counted: {visible(line)}")
    for warning in events_never_seen(load_analytics(settings.analytics_path), found):
        print(f"  analytics.yml: {visible(warning)}")
    if not bundle.is_pointer_sound(settings.home):
        raise TailTrackerError(
            "the pointer to the current build is torn: readers take the newest; run `tailtracker-bi rollback --to`"
        )


@without_pandas()
def verify(
    sources: Annotated[
        bool, typer.Option("--sources", help="Ask the sources, too, how many rows they have where they tell.")
    ] = False,
    against: Annotated[
        Engines | None,
        typer.Option(help="Compare the published tables with those that this engine has built, too, row by row."),
    ] = None,
) -> None:
    """Compare ledger, lake, quarantine, warehouse and bundle with one another: what is corrupt, and what mends it."""
    from tailtracker_bi.analytics import load_analytics
    from tailtracker_bi.cli.bars import Bars
    from tailtracker_bi.lake import Lake
    from tailtracker_bi.runs import locked, verification
    from tailtracker_bi.settings import load_settings
    from tailtracker_bi.warehouse import Warehouse

    settings = load_settings()
    if against == settings.warehouse:
        raise SettingsError(f"--against {against}: that is the warehouse's own engine (TAILTRACKER_WAREHOUSE)")
    lake = Lake(settings.home)
    warehouse = Warehouse(settings, load_analytics(settings.analytics_path), lake)
    with Bars() as bars, locked(settings.home, bars, VERIFY_PATIENCE):
        verdicts = verification.verify(settings, lake, warehouse, bars, ask_sources=sources, against=against)
    for verdict in verdicts:
        for finding in verdict.findings:
            print(f"WRONG  {verdict.what:<14} {visible(f'{finding.where}: {finding.wrong}: {finding.mend}')}")
        if not verdict.findings:
            print(f"ok     {verdict.what:<14} {verdict.detail}")
    if any(verdict.findings for verdict in verdicts):
        raise typer.Exit(1)


def _print_plan(
    settings: Settings, first: date | None, last: date | None, sources: list[str], relist: bool, accept: list[str]
) -> None:
    from tailtracker_bi.lake import Lake
    from tailtracker_bi.runs import check_accepted, plan

    lake = Lake(settings.home)
    plans = plan(settings, lake, first, last, sources, relist=relist)
    check_accepted(lake, accept, plans)
    for item in plans:
        print(item)
    if not plans:
        stderr().print("no source is on: there is nothing to pull")


def _print_report(report: RunReport) -> None:
    from tailtracker_bi.lake import READ
    from tailtracker_bi.sources import COUNTED

    lines: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for line in report.days:
        lines.setdefault((line["source"], line["table"]), []).append(line)
    for (source, table), of_table in lines.items():
        received, *parts = (sum(line[name] for line in of_table) for name in COUNTED)
        counts = ", ".join(f"{count} {name}" for count, name in zip(parts, COUNTED[1:], strict=True))
        outcome = [f"{received} received = {counts}"] if any(line["status"] in READ for line in of_table) else []
        if any(line["status"] == "held" for line in of_table):
            outcome.append(f"{sum(line['held'] for line in of_table)} held back")
        others = Counter(line["status"] for line in of_table if line["status"] not in {"landed", "held"})
        days = f" of {len(of_table)} days " if len(of_table) > 1 else ""
        outcome += [f"{count}{days}{status}" if days else status for status, count in others.items()]
        print(f"{source}.{table}: {visible('; '.join(outcome))}")
    if report.build:
        print(f"bundle {report.build}")
    for error in dict.fromkeys(report.errors):
        stderr().print(f"[red]error:[/red] {plain(error)}")
    for held in dict.fromkeys(report.held):
        stderr().print(f"[red]held:[/red] {plain(held)}")
