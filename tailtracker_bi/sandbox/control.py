"""Brings a sandbox up in a HOME, and sees to it that no invented data mixes with other data."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from tailtracker_bi import bundle
from tailtracker_bi.errors import SettingsError, TailTrackerError
from tailtracker_bi.lake import Lake
from tailtracker_bi.runs import Progress, locked
from tailtracker_bi.sandbox.check import Comparison, differences
from tailtracker_bi.sandbox.home import SECONDS_TO_STOP, Running, SandboxHome
from tailtracker_bi.sandbox.service import MORNING, Plan, morning_after
from tailtracker_bi.sandbox.shown.recording import record
from tailtracker_bi.sandbox.story.story import Progress as Steps
from tailtracker_bi.sandbox.story.story import Scenario, tell
from tailtracker_bi.settings import Settings, load_own_settings, load_settings
from tailtracker_bi.sources import AppDb, MixpanelSettings

PEOPLE, DAYS, SEED = 5000, 120, 1
DAYS_AHEAD = 30
"""For which `--live` can let a story go on."""
SECONDS_TO_START = 120.0


def start(
    progress: Progress,
    people: int | None = None,
    days: int | None = None,
    seed: int | None = None,
    until: datetime | None = None,
    *,
    day_seconds: float | None = None,
    is_faulty: bool = False,
    warehouse: str | None = None,
) -> tuple[Running, Plan, bool]:
    """Bring up a sandbox in HOME; what is None stays as it is there, else takes its default.

    Gives what serves, what it serves, and whether it did so already.
    """
    settings = load_own_settings()
    place = SandboxHome(settings.home)
    with locked(settings.home, progress):
        before = Plan.read(place)
        scenario_before = before.story if before else None
        scenario = scenario_of(settings, scenario_before, people, days, seed, until)
        _check_one_world(place, scenario)
        files, now = place.folder / "story", morning_after(scenario.until)
        if scenario_before == scenario and files.exists():
            now = load_settings().fixed_now or now  # days may have passed there
        else:
            place.stop()
            if scenario_before != scenario:
                Plan.forget(place)
            _write_anew(scenario, files, progress)
        plan = Plan(
            {name: files / name for name in ("mixpanel", "stripe", "app_db")},
            now=now,
            first_day=scenario.until - timedelta(days=scenario.days - 1),
            story=scenario,
            day_seconds=day_seconds,
            is_faulty=is_faulty,
            warehouse=warehouse or (before.warehouse if before else "duckdb"),
        )
        running, was_up = _serve(place, plan)
    return running, plan, was_up


def replay(progress: Progress, given: dict[str, Path | None]) -> tuple[Running, Plan, bool]:
    """Serve recorded files in place of a story: by source, the directory that holds them."""
    settings = load_own_settings()
    recordings = {name: directory for name, directory in given.items() if directory}
    if not recordings:
        raise SettingsError("sandbox replay: name at least one of --mixpanel, --stripe and --app-db")
    mixpanel = given.get("mixpanel")
    recorded = _recorded_days(mixpanel) if mixpanel else []
    plan = Plan(
        recordings,
        now=settings.fixed_now or (morning_after(recorded[-1]) if recorded else None),
        first_day=settings.history_start or next(iter(recorded), None),
        timezone=settings.of(MixpanelSettings).timezone,
    )
    place = SandboxHome(settings.home)
    with locked(settings.home, progress):
        _check_one_world(place, None)
        running, was_up = _serve(place, plan)
    return running, plan, was_up


def compared(progress: Progress) -> Comparison:
    """The current bundle of HOME compared with what is true of its story."""
    settings = load_settings()
    plan = Plan.read(SandboxHome(settings.home))
    if plan is None or plan.story is None:
        raise SettingsError(f"{settings.home} holds no story to check by: `tailtracker-bi sandbox up` makes one")
    current = bundle.current(settings.home)
    as_of: date = bundle.query(current, "select as_of from bundle_info").to_pylist()[0]["as_of"]
    story = tell(plan.story, _steps(progress))
    return differences(story, datetime.combine(as_of, MORNING), current, _readings(settings.home))


def scenario_of(
    settings: Settings,
    before: Scenario | None,
    people: int | None,
    days: int | None,
    seed: int | None,
    until: datetime | None,
) -> Scenario:
    """What is asked for; else what is told already; else the defaults."""
    yesterday = settings.now.date() - timedelta(days=1)
    base = before or Scenario(PEOPLE, DAYS, yesterday, SEED, DAYS_AHEAD)
    last_day = until.date() if until else yesterday if settings.fixed_now else base.until
    return Scenario(people or base.people, days or base.days, last_day, base.seed if seed is None else seed, base.ahead)


def write(scenario: Scenario, directory: Path, progress: Progress) -> None:
    """The files of a story as they are on the morning after its last day."""
    record(tell(scenario, _steps(progress)), directory, morning_after(scenario.until), progress=_steps(progress))


def _write_anew(scenario: Scenario, files: Path, progress: Progress) -> None:
    """Put the files of a story in the place of another's, whole."""
    draft = files.with_suffix(".draft")
    for leftover in (files, draft):
        shutil.rmtree(leftover, ignore_errors=True)
    draft.mkdir(parents=True)
    write(scenario, draft, progress)
    draft.rename(files)


def _readings(home: Path) -> list[datetime]:
    """When the app's database was read: what came and went between two of them was never seen."""
    rows = Lake(home).ledger.landings().to_pylist()
    return sorted({row["as_of"].replace(tzinfo=UTC) for row in rows if row["source"] == AppDb.name and row["as_of"]})


def _steps(progress: Progress) -> Steps:
    return lambda what, done, total: progress.step("story", what, done, total)


def _check_one_world(place: SandboxHome, scenario: Scenario | None) -> None:
    """Raise SettingsError where the lake holds something else than what is to be served: the two must never mix."""
    if Lake(place.home).ledger.is_empty:
        return
    plan = Plan.read(place)
    if plan and plan.story == scenario:
        return
    held = "data that no sandbox has made" if plan is None else f"what was pulled from {subject(plan)}"
    remove = "" if plan is None else ", or remove this one"
    raise SettingsError(f"{place.home} holds {held}: set TAILTRACKER_HOME to another directory for this{remove}")


def subject(plan: Plan) -> str:
    """What a sandbox is of, in words."""
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
