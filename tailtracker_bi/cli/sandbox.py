"""`tailtracker-bi sandbox`: a TailTracker to try everything on, served on this machine in place of the real sources."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated

import typer

from tailtracker_bi.cli.analyst import Port, dashboard
from tailtracker_bi.cli.console import DAY_FORMAT, plain, print_table
from tailtracker_bi.cli.engineer import Engines, refresh
from tailtracker_bi.errors import TailTrackerError

if TYPE_CHECKING:
    from tailtracker_bi.sandbox.home import Running
    from tailtracker_bi.sandbox.service import Plan

app = typer.Typer(no_args_is_help=True, help="A TailTracker to try everything on, in place of the real sources.")

NEXT = "next: `tailtracker-bi refresh`, then `tailtracker-bi dashboard`; `tailtracker-bi sandbox down` ends it"

People = Annotated[int | None, typer.Option(min=1, help="Who sign up for the app; 5000 by default.")]
Days = Annotated[int | None, typer.Option(min=1, help="Days of history; 120 by default.")]
Seed = Annotated[int | None, typer.Option(help="Another seed tells another story; 1 by default.")]
Until = Annotated[
    datetime | None,
    typer.Option(formats=DAY_FORMAT, help="Last day of the history; by default the day before TAILTRACKER_NOW."),
]
WarehouseEngine = Annotated[
    Engines | None, typer.Option("--warehouse", help="Engine of the warehouse, with a server here; duckdb by default.")
]
Recordings = Annotated[
    Path | None, typer.Option(exists=True, file_okay=False, resolve_path=True, help="Folder of recorded files.")
]


@app.command()
def generate(
    directory: Annotated[Path, typer.Argument(help="Where the files go.")],
    people: People = None,
    days: Days = None,
    seed: Seed = None,
    until: Until = None,
) -> None:
    """Write the files of a story: Mixpanel's days, Stripe's objects, the rows of the app's database."""
    from tailtracker_bi.cli.bars import Bars
    from tailtracker_bi.settings import load_own_settings

    control = _control()
    scenario = control.scenario_of(load_own_settings(), None, people, days, seed, until)
    with Bars() as bars:
        control.write(scenario, directory, bars)


@app.command()
def up(
    people: People = None,
    days: Days = None,
    seed: Seed = None,
    until: Until = None,
    live: Annotated[bool, typer.Option("--live", help="Let days pass there.")] = False,
    day_seconds: Annotated[float, typer.Option(min=1, help="How long a day lasts with --live.")] = 60,
    faults: Annotated[bool, typer.Option("--faults", help="Let things go wrong, as they do.")] = False,
    warehouse: WarehouseEngine = None,
) -> None:
    """Make up a story, unless it is there already, and serve it in the background until `sandbox down`."""
    start(people, days, seed, until, day_seconds=day_seconds if live else None, is_faulty=faults, warehouse=warehouse)
    print(NEXT)


@app.command()
def down() -> None:
    """Stop what serves the sandbox. Its files, and what was made of them, stay."""
    from tailtracker_bi.cli.bars import Bars
    from tailtracker_bi.runs import locked
    from tailtracker_bi.sandbox.home import SandboxHome
    from tailtracker_bi.settings import load_own_settings

    home = load_own_settings().home
    with Bars() as bars, locked(home, bars):  # not beside a run that reads from it, nor while one comes up
        was_up = SandboxHome(home).stop()
    print("the sandbox is down" if was_up else "no sandbox was up")


@app.command()
def replay(mixpanel: Recordings = None, stripe: Recordings = None, app_db: Recordings = None) -> None:
    """Serve recorded files in place of a story: YYYY-MM-DD.jsonl.gz, <table>.jsonl.gz, <table>.csv."""
    from tailtracker_bi.cli.bars import Bars

    control = _control()
    with Bars() as bars:
        running, plan, was_up = control.replay(bars, {"mixpanel": mixpanel, "stripe": stripe, "app_db": app_db})
    _print_running(running, plan, was_up)
    print(NEXT)


@app.command()
def check() -> None:
    """Compare the current bundle with what is true of the story; ends with 1 where a number differs."""
    from rich.table import Table

    from tailtracker_bi.cli.bars import Bars

    control = _control()
    with Bars() as bars:
        found = control.compared(bars)
    table = Table("metric", "values compared", "differing", "first difference")
    for metric, values in found.compared.items():
        wrong = [item for item in found.differences if item.metric_id == metric]
        first = (
            f"{wrong[0].grain} {wrong[0].period_start}, {wrong[0].currency}: "
            f"{wrong[0].published} published, {wrong[0].truth} true"
            if wrong
            else ""
        )
        table.add_row(metric, str(values), f"[red]{len(wrong)}[/]" if wrong else "0", plain(first))
    print_table(table)
    for metric, reason in found.unknown.items():
        print(f"not compared: {metric}: {reason}")
    if found.differences:
        raise typer.Exit(1)


def start(
    people: int | None = None,
    days: int | None = None,
    seed: int | None = None,
    until: datetime | None = None,
    *,
    day_seconds: float | None = None,
    is_faulty: bool = False,
    warehouse: str | None = None,
) -> None:
    """Bring up a sandbox in HOME, and say how it is reached."""
    from tailtracker_bi.cli.bars import Bars

    control = _control()
    with Bars() as bars:
        running, plan, was_up = control.start(
            bars, people, days, seed, until, day_seconds=day_seconds, is_faulty=is_faulty, warehouse=warehouse
        )
    _print_running(running, plan, was_up)


def demo(
    people: People = None,
    days: Days = None,
    seed: Seed = None,
    port: Port = 8501,
    no_dashboard: Annotated[bool, typer.Option("--no-dashboard", help="Publish, and serve nothing.")] = False,
    warehouse: WarehouseEngine = None,
) -> None:
    """All of it on a made-up TailTracker: bring up a sandbox, refresh from it, serve the dashboard."""
    start(people, days, seed, warehouse=warehouse)
    refresh()
    if no_dashboard:
        print("next: `tailtracker-bi dashboard`; `tailtracker-bi sandbox down` ends what was brought up")
    else:
        print(f"the dashboard: http://127.0.0.1:{port}")
        dashboard(port)


def _print_running(running: Running, plan: Plan, was_up: bool) -> None:
    from tailtracker_bi.settings import load_settings

    state = "up already" if was_up else "up"
    print(f"the sandbox is {state}, with {_control().subject(plan)}; it is {load_settings().now:%Y-%m-%d %H:%M}Z there")
    for name, url in running.urls.items():
        print(f"  {name:<14} {url}")
    if plan.day_seconds:
        print(f"  a day passes every {plan.day_seconds:g} s")
    if plan.is_faulty:
        print("  things go wrong on purpose: `tailtracker-bi status` shows them after a refresh")


def _control() -> ModuleType:
    """What brings a sandbox up. It takes a moment to load, and needs what is installed for the sandbox alone."""
    try:
        from tailtracker_bi.sandbox import control
    except ModuleNotFoundError as error:
        raise TailTrackerError(
            f"the sandbox needs {error.name}, which is not installed: pip install 'tailtracker-bi[sandbox]'"
        ) from None
    return control
