"""Pull, build, publish: what the CLI runs and what Dagster's assets call.

    pull      sources -> lake, whole days, asked for by the ledger
    build     lake -> warehouse, models and data tests
    publish   warehouse -> a new bundle

`refresh` is the three in a row under the one lock, and writes the run report that adds up.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
from filelock import FileLock, Timeout

from tailtracker_bi import bundle
from tailtracker_bi.analytics import Analytics, load_analytics
from tailtracker_bi.errors import SettingsError, TailTrackerError
from tailtracker_bi.lake import Lake
from tailtracker_bi.settings import Settings
from tailtracker_bi.sources import SOURCES
from tailtracker_bi.sources.base import BadResponseError, DaySource, SourceUnavailableError, each_day
from tailtracker_bi.warehouse import Warehouse, history_start, note_first_run

LOCK_SECONDS = 3600.0
SECONDS_PER_REQUEST = 5.0
"""What a request takes, roughly; for the estimate of a dry run only."""


class LockedError(TailTrackerError):
    """Another run works on the same HOME."""


class Progress:
    """What a run tells while it works. The defaults say nothing."""

    def say(self, message: str) -> None:
        """One line of news."""

    def step(self, stage: str, what: str, done: int, total: int) -> None:
        """`done` of `total` parts of a stage are finished; `what` is at hand."""


@dataclass(frozen=True)
class Plan:
    """What a pull will ask of one source."""

    source: type[DaySource]
    requests: list[tuple[date, date]]

    @property
    def days(self) -> int:
        return sum((last - first).days + 1 for first, last in self.requests)

    @property
    def seconds(self) -> float:
        """About how long it takes."""
        return len(self.requests) * SECONDS_PER_REQUEST


@dataclass
class RunReport:
    """What one refresh did; `runs/<run_id>.json` in HOME."""

    run_id: str
    started_at: datetime
    days: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    build: str | None = None
    finished_at: datetime | None = None

    @property
    def is_success(self) -> bool:
        return not self.errors

    def write(self, home: Path) -> Path:
        self.finished_at = datetime.now(UTC)
        file = home / "runs" / f"{self.run_id}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        content = {
            "run_id": self.run_id,
            "started_at": self.started_at,
            "finished_at": self.finished_at,
            "status": "success" if self.is_success else "failure",
            "build": self.build,
            "notes": self.notes,
            "errors": self.errors,
            "days": self.days,
        }
        file.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z))
        return file


@contextmanager
def locked(home: Path, progress: Progress) -> Iterator[None]:
    """The one lock of HOME, held by whoever writes. It goes with its process, however that ends.

    Waits for another holder for up to an hour, then raises LockedError.
    """
    home.mkdir(parents=True, exist_ok=True)
    lock = FileLock(home / "refresh.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        progress.say("waiting for another run that works on the same data")
        try:
            lock.acquire(timeout=LOCK_SECONDS)
        except Timeout:
            raise LockedError(f"another run has held {lock.lock_file} for an hour: is it stuck?") from None
    try:
        yield
    finally:
        lock.release()


def plan(
    settings: Settings,
    lake: Lake,
    first: date | None = None,
    last: date | None = None,
    sources: Sequence[str] = (),
) -> list[Plan]:
    """The requests that bring the sources up to date, oldest days first.

    Without dates: every day from history start to yesterday that has not landed, the look-back, and days on which the
    latest attempt failed. With dates: exactly those days. Raises SettingsError for a range that is not over yet, or
    sources that do not exist or are off.
    """
    known = {source.name: source for source in SOURCES}
    for name in sources:
        if name not in known:
            raise SettingsError(f"--source {name}: there is no such source; there are: {', '.join(known)}")
        if not known[name].is_on(settings):
            raise SettingsError(f"--source {name}: it is off, no credentials are set")
    chosen = [source for name, source in known.items() if source.is_on(settings) and (not sources or name in sources)]
    return [
        Plan(
            source,
            source.split(_wanted(settings, lake, source, first, last), lake.records_a_day(source.name, source.table)),
        )
        for source in chosen
    ]


def _wanted(
    settings: Settings, lake: Lake, source: type[DaySource], first: date | None, last: date | None
) -> list[date]:
    yesterday = source.today(settings) - timedelta(days=1)
    if first or last:
        first, last = first or last, last or yesterday
        if first is None or first > last:
            raise SettingsError(f"--from {first} is after --to {last}")
        if last > yesterday:
            raise SettingsError(
                f"--to {last}: that day is not over yet in {source.timezone(settings)}; the last is {yesterday}"
            )
        return list(each_day(first, last))
    landed = lake.landed_days(source.name, source.table)
    start = history_start(settings, landed)
    missing = {day for day in each_day(start, yesterday) if day not in landed or day > yesterday - source.look_back}
    return sorted(missing | lake.failed_days(source.name, source.table))


def pull(settings: Settings, lake: Lake, plans: Sequence[Plan], report: RunReport, progress: Progress) -> None:
    """Land what the plans ask for. A request that fails is noted and leaves the last good state; the others go on."""
    spool = settings.home / "spool"
    total = sum(len(item.requests) for item in plans)
    done = 0
    for item in plans:
        source = item.source(settings, progress.say)
        for first, last in item.requests:
            span = str(first) if first == last else f"{first} to {last}"
            progress.step("pull", f"{source.name} {span}", done, total)
            try:
                with source.fetch(first, last, spool) as days:
                    lake.land(source.name, source.table, days)
                    counts = days.counts
            except (BadResponseError, SourceUnavailableError) as error:
                report.errors.append(str(error))
                lake.note_failure(source.name, source.table, each_day(first, last), str(error))
                report.days += [
                    _day_line(source, day, status="failed", reason=str(error)) for day in each_day(first, last)
                ]
                if isinstance(error, SourceUnavailableError):
                    # Said for every day that was asked for; asking the source for them would be useless.
                    report.days += [
                        _day_line(source, day, status="not tried", reason=str(error))
                        for rest in item.requests[item.requests.index((first, last)) + 1 :]
                        for day in each_day(*rest)
                    ]
                    break
            else:
                report.days += [
                    _day_line(source, day, status="landed", reason=None, **vars(count))
                    for day, count in sorted(counts.items())
                ]
            done += 1
        progress.step("pull", source.name, done, total)
    lake.tidy()
    shutil.rmtree(spool, ignore_errors=True)


def _day_line(source: DaySource, day: date, **outcome: object) -> dict[str, object]:
    nothing = dict.fromkeys(("received", "loaded", "deduplicated", "filtered", "quarantined"), 0)
    return {"source": source.name, "table": source.table, "day": day, **nothing, **outcome}


def build(
    settings: Settings,
    analytics: Analytics,
    lake: Lake,
    report: RunReport,
    progress: Progress,
    *,
    full_refresh: bool = False,
    rebuild: bool = False,
) -> Warehouse:
    """Bring the warehouse up to the lake. Raises BuildError; the next build then does it again."""
    warehouse = Warehouse(settings, analytics, lake)
    if rebuild:
        warehouse.drop()
        report.notes.append("the warehouse is made anew from the lake, as asked")
    for note in warehouse.prepare(full_refresh):
        progress.say(note)
        report.notes.append(note)
    warehouse.build(lambda what, done, total: progress.step("build", what, done, total))
    return warehouse


def publish(settings: Settings, warehouse: Warehouse, report: RunReport, progress: Progress) -> bundle.Bundle:
    """Publish what the warehouse holds as a new bundle."""
    published = bundle.publish(
        settings.home,
        warehouse.path,
        run_id=report.run_id,
        as_of=settings.today,
        progress=lambda what, done, total: progress.step("publish", what, done, total),
    )
    report.build = published.build
    return published


def new_report() -> RunReport:
    started = datetime.now(UTC)
    return RunReport(f"{started:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}", started)


def refresh(
    settings: Settings,
    progress: Progress,
    *,
    first: date | None = None,
    last: date | None = None,
    sources: Sequence[str] = (),
    full_refresh: bool = False,
    rebuild: bool = False,
) -> RunReport:
    """Pull, build, check and publish; what failed stands in the report, which is also written to HOME.

    Raises SettingsError before anything runs. Where nothing has ever landed there is nothing to build.
    """
    analytics = load_analytics(settings.analytics_path)
    lake = Lake(settings.home)
    report = new_report()
    with locked(settings.home, progress):
        note_first_run(settings)
        try:
            plans = plan(settings, lake, first, last, sources)
            pull(settings, lake, plans, report, progress)
            if any(lake.landed_days(source.name, source.table) for source in SOURCES):
                warehouse = build(
                    settings, analytics, lake, report, progress, full_refresh=full_refresh, rebuild=rebuild
                )
                publish(settings, warehouse, report, progress)
            elif not report.errors:
                report.errors.append("nothing to build: no source is on and nothing has landed")
        except SettingsError:
            raise
        except TailTrackerError as error:
            report.errors.append(str(error))
        except Exception as error:
            report.errors.append(f"{type(error).__name__}: {error}")
            report.write(settings.home)
            raise
        report.write(settings.home)
    return report
