"""`tailtracker-bi sandbox`: a TailTracker to try everything on, served on this machine in place of the real sources."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from filelock import FileLock, Timeout
from rich.table import Table

from tailtracker_bi import bundle
from tailtracker_bi.console import Bars, err, print_table
from tailtracker_bi.errors import SettingsError, TailTrackerError
from tailtracker_bi.lake import Lake
from tailtracker_bi.pipeline import check_home
from tailtracker_bi.sandbox.home import SandboxHome
from tailtracker_bi.settings import Settings, load_own_settings, load_settings

if TYPE_CHECKING:
    from tailtracker_bi.sandbox.service import Plan
    from tailtracker_bi.sandbox.story import Scenario, Story

app = typer.Typer(no_args_is_help=True, help="A TailTracker to try everything on, in place of the real sources.")

PEOPLE, DAYS, SEED = 5000, 120, 1
FURTHER_DAYS = 30
"""For which `--live` can let the story go on."""
SECONDS_TO_START = 120.0

People = Annotated[int | None, typer.Option(min=1, help=f"Who sign up for the app; {PEOPLE} by default.")]
Days = Annotated[int | None, typer.Option(min=1, help=f"Days of history; {DAYS} by default.")]
Seed = Annotated[int | None, typer.Option(help=f"Another seed tells another story; {SEED} by default.")]
Until = Annotated[
    datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last day of the history; yesterday by default.")
]
Recordings = Annotated[Path | None, typer.Option(exists=True, file_okay=False, resolve_path=True)]


@app.command()
def generate(
    directory: Annotated[Path, typer.Argument(help="Where the files go.")],
    people: People = None,
    days: Days = None,
    seed: Seed = None,
    until: Until = None,
) -> None:
    """Write the files of a story: Mixpanel's days, Stripe's objects, the rows of the app's database."""
    scenario = _scenario(None, _yesterday(load_own_settings()), people, days, seed, until)
    with Bars() as bars:
        _write(scenario, directory, bars)


@app.command()
def up(
    people: People = None,
    days: Days = None,
    seed: Seed = None,
    until: Until = None,
    live: Annotated[bool, typer.Option("--live", help="Let days pass there.")] = False,
    day_seconds: Annotated[float, typer.Option(min=1, help="How long a day lasts with --live.")] = 60,
    faults: Annotated[bool, typer.Option("--faults", help="Let things go wrong, as they do.")] = False,
) -> None:
    """Make up a story, unless it is there already, and serve it in the background until `sandbox down`."""
    start(people, days, seed, until, day_seconds=day_seconds if live else None, is_faulty=faults)


@app.command()
def down() -> None:
    """Stop what serves the sandbox. Its files and what was made of them stay."""
    place = SandboxHome(load_own_settings().home)
    print("the sandbox is down" if place.stop() else "no sandbox is up")


@app.command()
def replay(mixpanel: Recordings = None, stripe: Recordings = None, app_db: Recordings = None) -> None:
    """Serve recorded files in place of a story: YYYY-MM-DD.jsonl.gz, <table>.jsonl.gz, <table>.csv."""
    from tailtracker_bi.sandbox.service import Plan, morning_after

    settings = load_own_settings()
    given = {"mixpanel": mixpanel, "stripe": stripe, "app_db": app_db}
    recordings = {name: directory for name, directory in given.items() if directory}
    if not recordings:
        raise SettingsError("sandbox replay: name at least one of --mixpanel, --stripe, --app-db")
    recorded = _recorded_days(mixpanel) if mixpanel else []
    plan = Plan(
        recordings,
        now=settings.fixed_now or (morning_after(recorded[-1]) if recorded else None),
        first_day=settings.history_start or next(iter(recorded), None),
        timezone=settings.mixpanel_timezone,
    )
    with _one_at_a_time(settings) as place:
        _check_one_world(place, None)
        _serve(place, plan)


@app.command()
def check() -> None:
    """Compare the current bundle with what is true of the story: ends with 1 where a number differs."""
    from tailtracker_bi.sandbox.service import MORNING, Plan
    from tailtracker_bi.sandbox.story import tell
    from tailtracker_bi.sandbox.truth import differences

    settings = load_settings()
    plan = Plan.read(SandboxHome(settings.home))
    if plan is None or plan.story is None:
        raise SettingsError(f"{settings.home} holds no story to check by: `tailtracker-bi sandbox up` makes one")
    current = bundle.current(settings.home)
    ((as_of,),) = (row.values() for row in bundle.query(current, "select as_of from bundle_info").to_pylist())
    with Bars() as bars:
        story = tell(plan.story, lambda what, done, total: bars.step("story", what, done, total))
    found = differences(story, datetime.combine(as_of, MORNING), current)
    table = Table("metric", "values compared", "differing", "first difference")
    for metric, compared in sorted(found.compared.items()):
        wrong = [item for item in found.differences if item.metric_id == metric]
        first = f"{wrong[0].grain} {wrong[0].period_start}: {wrong[0].published}, true {wrong[0].truth}" if wrong else ""
        table.add_row(metric, str(compared), f"[red]{len(wrong)}[/]" if wrong else "0", first)
    print_table(table)
    for metric, reason in sorted(found.unknown.items()):
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
) -> None:
    """Bring up a sandbox in HOME; what is None stays as it is there, or takes its default."""
    from tailtracker_bi.sandbox.service import Plan, morning_after

    settings = load_own_settings()
    with _one_at_a_time(settings) as place:
        before = Plan.read(place)
        scenario = _scenario(before.story if before else None, _yesterday(settings), people, days, seed, until)
        _check_one_world(place, scenario)
        files = place.folder / "story"
        if before and before.story == scenario and files.exists():
            # Days may have passed there: its clock goes on from where it stood.
            now = load_settings().fixed_now or morning_after(scenario.until)
        else:
            place.stop()
            draft = place.folder / "story.draft"
            for leftover in (files, draft):
                shutil.rmtree(leftover, ignore_errors=True)
            with Bars() as bars:
                _write(scenario, draft, bars)
            draft.rename(files)
            now = morning_after(scenario.until)
        plan = Plan(
            {name: files / name for name in ("mixpanel", "stripe", "app_db")},
            now=now,
            first_day=scenario.until - timedelta(days=scenario.days - 1),
            story=scenario,
            day_seconds=day_seconds,
            is_faulty=is_faulty,
        )
        _serve(place, plan)


def _serve(place: SandboxHome, plan: Plan) -> None:
    """Have a process of its own serve this plan, unless one does, and say where."""
    from tailtracker_bi.sandbox.service import Plan

    before, running = Plan.read(place), place.running
    is_same = before is not None and replace(before, now=plan.now) == plan
    if place.is_up and running and running.urls and is_same:
        print("the sandbox is up already")
    else:
        place.stop()
        plan.write(place)
        running = _start_process(place)
        print("the sandbox is up")
    now = load_settings().now
    for name, url in running.urls.items():
        print(f"  {name:<9} {url}")
    print(f"  it is {now:%Y-%m-%d %H:%M}Z there" + (f", {_told(plan)}" if plan.story else ""))
    if plan.is_faulty:
        print("  things go wrong there on purpose: see `tailtracker-bi status` after a refresh")
    print("next: tailtracker-bi refresh, tailtracker-bi dashboard; in the end tailtracker-bi sandbox down")


def _told(plan: Plan) -> str:
    story = plan.story
    assert story is not None  # noqa: S101 - for the type checker
    passing = f"; a day lasts {plan.day_seconds:g} s" if plan.day_seconds else ""
    return f"after {story.days} days of {story.people:,} people up to {story.until}{passing}"


def _start_process(place: SandboxHome):  # type: ignore[no-untyped-def]
    with (place.folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tailtracker_bi.sandbox.service", str(place.home)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline and process.poll() is None:
        running = place.running
        if running and running.pid == process.pid and running.urls:
            return running
        time.sleep(0.05)
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(30)
    lines = (place.folder / "log").read_text(errors="replace").splitlines()
    told = (lines or ["nothing was logged"])[-1].removeprefix("error: ")
    raise TailTrackerError(f"the sandbox did not come up: {told} ({place.folder / 'log'})")


def _one_at_a_time(settings: Settings):  # type: ignore[no-untyped-def]
    ...


def _check_one_world(place: SandboxHome, scenario: Scenario | None) -> None:
    """Raise SettingsError where what this HOME has landed comes from somewhere else than what is to be served."""
    from tailtracker_bi.sandbox.service import Plan

    if Lake(place.home).is_empty:
        return
    before = Plan.read(place)
    other = "; set another TAILTRACKER_HOME for this, such as TAILTRACKER_HOME=.sandbox"
    if before is None:
        raise SettingsError(f"{place.home} holds data of your own, which a sandbox must not mix with{other}")
    if before.story != scenario:
        held = "recorded files" if before.story is None else f"another story ({_told(before)}, seed {before.story.seed})"
        raise SettingsError(f"{place.home} holds what was pulled from {held}{other}, or remove it first")


def _yesterday(settings: Settings) -> date | None:
    ...
