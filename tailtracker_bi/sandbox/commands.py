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
from rich.table import Table

from tailtracker_bi import bundle
from tailtracker_bi.console import Bars, plain, print_table
from tailtracker_bi.errors import SettingsError, TailTrackerError
from tailtracker_bi.lake import Lake
from tailtracker_bi.runs import locked
from tailtracker_bi.sandbox.home import SECONDS_TO_STOP, Running, SandboxHome
from tailtracker_bi.settings import Settings, load_own_settings, load_settings
from tailtracker_bi.sources.app_db import AppDb

if TYPE_CHECKING:
    from tailtracker_bi.sandbox.service import Plan
    from tailtracker_bi.sandbox.story import Progress, Scenario

app = typer.Typer(no_args_is_help=True, help="A TailTracker to try everything on, in place of the real sources.")

PEOPLE, DAYS, SEED = 5000, 120, 1
DAYS_AHEAD = 30
"""For which `--live` can let a story go on."""
SECONDS_TO_START = 120.0

People = Annotated[int | None, typer.Option(min=1, help="Who sign up for the app; 5000 by default.")]
Days = Annotated[int | None, typer.Option(min=1, help="Days of history; 120 by default.")]
Seed = Annotated[int | None, typer.Option(help="Another seed tells another story; 1 by default.")]
Until = Annotated[
    datetime | None,
    typer.Option(formats=["%Y-%m-%d"], help="Last day of the history; by default the day before TAILTRACKER_NOW."),
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
    scenario = _scenario(load_own_settings(), None, people, days, seed, until)
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
    """Stop what serves the sandbox. Its files, and what was made of them, stay."""
    home = load_own_settings().home
    with Bars() as bars, locked(home, bars):  # not beside a run that reads from it, nor while one comes up
        was_up = SandboxHome(home).stop()
    print("the sandbox is down" if was_up else "no sandbox was up")


@app.command()
def replay(mixpanel: Recordings = None, stripe: Recordings = None, app_db: Recordings = None) -> None:
    """Serve recorded files in place of a story: YYYY-MM-DD.jsonl.gz, <table>.jsonl.gz, <table>.csv."""
    from tailtracker_bi.sandbox.service import Plan, morning_after

    settings = load_own_settings()
    given = {"mixpanel": mixpanel, "stripe": stripe, "app_db": app_db}
    recordings = {name: directory for name, directory in given.items() if directory}
    if not recordings:
        raise SettingsError("sandbox replay: name at least one of --mixpanel, --stripe and --app-db")
    recorded = _recorded_days(mixpanel) if mixpanel else []
    plan = Plan(
        recordings,
        now=settings.fixed_now or (morning_after(recorded[-1]) if recorded else None),
        first_day=settings.history_start or next(iter(recorded), None),
        timezone=settings.mixpanel_timezone,
    )
    place = SandboxHome(settings.home)
    with Bars() as bars, locked(settings.home, bars):
        _check_one_world(place, None)
        running, was_up = _serve(place, plan)
    _print_running(running, plan, was_up)


@app.command()
def check() -> None:
    """Compare the current bundle with what is true of the story; ends with 1 where a number differs."""
    from tailtracker_bi.sandbox.check import differences
    from tailtracker_bi.sandbox.service import MORNING, Plan
    from tailtracker_bi.sandbox.story import tell

    settings = load_settings()
    plan = Plan.read(SandboxHome(settings.home))
    if plan is None or plan.story is None:
        raise SettingsError(f"{settings.home} holds no story to check by: `tailtracker-bi sandbox up` makes one")
    current = bundle.current(settings.home)
    as_of: date = bundle.query(current, "select as_of from bundle_info").to_pylist()[0]["as_of"]
    with Bars() as bars:
        story = tell(plan.story, _steps(bars))
        found = differences(story, datetime.combine(as_of, MORNING), current, _readings(settings.home))
    table = Table("metric", "values compared", "differing", "first difference")
    for metric, compared in found.compared.items():
        wrong = [item for item in found.differences if item.metric_id == metric]
        first = (
            f"{wrong[0].grain} {wrong[0].period_start}: {wrong[0].published} published, {wrong[0].truth} true"
            if wrong
            else ""
        )
        table.add_row(metric, str(compared), f"[red]{len(wrong)}[/]" if wrong else "0", plain(first))
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
) -> None:
    """Bring up a sandbox in HOME; what is None stays as it is there, else takes its default."""
    from tailtracker_bi.sandbox.service import Plan, morning_after

    settings = load_own_settings()
    place = SandboxHome(settings.home)
    with Bars() as bars, locked(settings.home, bars):
        before = Plan.read(place)
        told = before.story if before else None
        scenario = _scenario(settings, told, people, days, seed, until)
        _check_one_world(place, scenario)
        files, now = place.folder / "story", morning_after(scenario.until)
        if told == scenario and files.exists():
            now = load_settings().fixed_now or now  # days may have passed there
        else:
            place.stop()
            if told != scenario:
                Plan.forget(place)
            _write_anew(scenario, files, bars)
        plan = Plan(
            {name: files / name for name in ("mixpanel", "stripe", "app_db")},
            now=now,
            first_day=scenario.until - timedelta(days=scenario.days - 1),
            story=scenario,
            day_seconds=day_seconds,
            is_faulty=is_faulty,
        )
        running, was_up = _serve(place, plan)
    _print_running(running, plan, was_up)


def _scenario(
    settings: Settings,
    told: Scenario | None,
    people: int | None,
    days: int | None,
    seed: int | None,
    until: datetime | None,
) -> Scenario:
    """What is asked for; else what is told already; else the defaults."""
    from tailtracker_bi.sandbox.story import Scenario

    yesterday = settings.now.date() - timedelta(days=1)
    base = told or Scenario(PEOPLE, DAYS, yesterday, SEED, DAYS_AHEAD)
    last_day = until.date() if until else yesterday if settings.fixed_now else base.until
    return Scenario(people or base.people, days or base.days, last_day, base.seed if seed is None else seed, base.ahead)


def _write(scenario: Scenario, directory: Path, bars: Bars) -> None:
    from tailtracker_bi.sandbox.service import morning_after
    from tailtracker_bi.sandbox.story import tell

    tell(scenario, _steps(bars)).write(directory, morning_after(scenario.until), progress=_steps(bars))


def _write_anew(scenario: Scenario, files: Path, bars: Bars) -> None:
    """Put the files of a story in the place of another's, whole."""
    draft = files.with_suffix(".draft")
    for leftover in (files, draft):
        shutil.rmtree(leftover, ignore_errors=True)
    draft.mkdir(parents=True)
    _write(scenario, draft, bars)
    draft.rename(files)


def _readings(home: Path) -> list[datetime]:
    """When the app's database was read: what came and went between two of them was never seen."""
    rows = Lake(home).landings().to_pylist()
    return sorted({row["as_of"].replace(tzinfo=UTC) for row in rows if row["source"] == AppDb.name and row["as_of"]})


def _steps(bars: Bars) -> Progress:
    return lambda what, done, total: bars.step("story", what, done, total)


def _check_one_world(place: SandboxHome, scenario: Scenario | None) -> None:
    """Raise SettingsError where the lake holds something else than what is to be served: the two must never mix."""
    from tailtracker_bi.sandbox.service import Plan

    if Lake(place.home).is_empty:
        return
    plan = Plan.read(place)
    if plan and plan.story == scenario:
        return
    held = "data that no sandbox has made" if plan is None else f"what was pulled from {_subject(plan)}"
    remove = "" if plan is None else ", or remove this one"
    raise SettingsError(f"{place.home} holds {held}: set TAILTRACKER_HOME to another directory for this{remove}")


def _subject(plan: Plan) -> str:
    if plan.story is None:
        return "recorded files"
    story = plan.story
    return f"a story of {story.people} people and {story.days} days up to {story.until} (seed {story.seed})"


def _recorded_days(directory: Path) -> list[date]:
    days = []
    for file in directory.glob("*.jsonl.gz"):
        with suppress(ValueError):
            days.append(date.fromisoformat(file.name.removesuffix(".jsonl.gz")))
    if not days:
        raise SettingsError(f"sandbox replay: {directory} holds no file YYYY-MM-DD.jsonl.gz")
    return sorted(days)


def _serve(place: SandboxHome, plan: Plan) -> tuple[Running, bool]:
    """Have a process of its own serve this plan, unless one does already, and whether one did."""
    from tailtracker_bi.sandbox.service import Plan

    before, running = Plan.read(place), place.running
    is_same = before is not None and replace(before, now=plan.now) == plan
    # Recorded files may have become more.
    if is_same and plan.story and running and running.urls and place.is_up:
        return running, True
    place.stop()
    place.folder.mkdir(exist_ok=True)
    plan.write(place)
    log = place.folder / "log"
    with log.open("ab") as lines:
        process = subprocess.Popen(
            [sys.executable, "-m", "tailtracker_bi.sandbox.service", str(place.home)],
            stdin=subprocess.DEVNULL,
            stdout=lines,
            stderr=lines,
            start_new_session=True,
        )
    deadline = time.monotonic() + SECONDS_TO_START
    try:
        while process.poll() is None and time.monotonic() < deadline:
            running = place.running
            if running and running.pid == process.pid and running.urls:
                return running, False
            time.sleep(0.05)
    except KeyboardInterrupt:
        _give_up(process, place)
        raise
    _give_up(process, place)
    last = log.read_text(errors="replace").strip().splitlines()[-1:] or ["nothing was said"]
    raise TailTrackerError(f"the sandbox did not come up: {last[0].removeprefix('error: ')} ({log})")


def _give_up(process: subprocess.Popen[bytes], place: SandboxHome) -> None:
    """End a process that did not come up, and the Postgres that it may have started."""
    process.terminate()
    try:
        process.wait(SECONDS_TO_STOP)
    except subprocess.TimeoutExpired:
        process.kill()
    place.stop()


def _print_running(running: Running, plan: Plan, was_up: bool) -> None:
    state = "up already" if was_up else "up"
    print(f"the sandbox is {state}, with {_subject(plan)}; it is {load_settings().now:%Y-%m-%d %H:%M}Z there")
    for name, url in running.urls.items():
        print(f"  {name:<9} {url}")
    if plan.day_seconds:
        print(f"  a day passes every {plan.day_seconds:g} s")
    if plan.is_faulty:
        print("  things go wrong on purpose: `tailtracker-bi status` shows them after a refresh")
    print("next: `tailtracker-bi refresh`, then `tailtracker-bi dashboard`; `tailtracker-bi sandbox down` ends it")
