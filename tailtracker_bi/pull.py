"""Pull: what is asked of the sources, and how it lands.

plan            what the ledger, the calendar and the settings say is to be asked for
check_accepted  what is held, and may land all the same
pull            sources -> lake: whole days; objects, brought to their state now
"""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
from deltalake.exceptions import DeltaError
from polars.exceptions import PolarsError

from tailtracker_bi import crash_points
from tailtracker_bi.configuration import history_start
from tailtracker_bi.errors import SettingsError, TailTrackerError
from tailtracker_bi.lake import Lake
from tailtracker_bi.runs import COUNTED, Progress, RunReport
from tailtracker_bi.settings import Settings
from tailtracker_bi.sources import SOURCES
from tailtracker_bi.sources.base import (
    AbsentTableError,
    BadResponseError,
    Counts,
    DaySource,
    HeldError,
    NotAskedError,
    ObjectSource,
    Read,
    Remark,
    Source,
    SourceUnavailableError,
    Table,
    each_day,
    ranges,
)

HALVINGS_PER_PULL = 5
"""How often a request that failed is made anew for each half of its days: enough to find one bad day among 32, and few
enough for a source that is broken as a whole to leave some of the hour's requests."""
MOST_SPANS = 5
"""Of days that were not asked for, in one line."""
SECONDS_PER_REQUEST = 5.0
"""What a request takes, roughly; for the estimate of a dry run only."""


@dataclass(frozen=True)
class DayPlan:
    """The requests that a pull will make of a day source."""

    source: type[DaySource]
    requests: list[tuple[date, date]]

    @property
    def steps(self) -> int:
        return len(self.requests)

    def __str__(self) -> str:
        days = sum((last - first).days + 1 for first, last in self.requests)
        span = f", {self.requests[0][0]} to {self.requests[-1][1]}" if self.requests else ""
        seconds = len(self.requests) * SECONDS_PER_REQUEST
        return f"{self.source.name}: {days} days{span}; {len(self.requests)} requests, about {seconds:.0f} s"


@dataclass(frozen=True)
class ObjectPlan:
    """The tables that a pull will bring to their state now, and as of when they are that already."""

    source: type[ObjectSource]
    since: dict[str, datetime]

    @property
    def steps(self) -> int:
        return len(self.source.tables)

    def __str__(self) -> str:
        new = len(self.source.tables) - len(self.since)
        known = f"{len(self.since)} of them since {min(self.since.values()):%Y-%m-%d %H:%M}Z" if self.since else ""
        in_full = f"{new} in full" if new else ""
        return f"{self.source.name}: {self.steps} tables, {', '.join(filter(None, (known, in_full)))}"


Plan = DayPlan | ObjectPlan


def plan(
    settings: Settings,
    lake: Lake,
    first: date | None = None,
    last: date | None = None,
    sources: Sequence[str] = (),
    *,
    relist: bool = False,
) -> list[Plan]:
    """What brings the sources up to date, oldest days first.

    Of days without dates: every day from history start to yesterday that has not landed, or was last read while it
    might still change, and days on which the latest attempt failed; with dates exactly those days. Objects are brought
    to their state now, whatever the dates; `relist` has them all read again where a source would read what changed.
    Raises SettingsError for a range that is not over yet, or sources that do not exist or are off.
    """
    if first and last and first > last:
        raise SettingsError(f"--from {first} is after --to {last}")
    known = {source.name: source for source in SOURCES}
    for name in sources:
        if name not in known:
            raise SettingsError(f"--source {name}: there is no such source; there are: {', '.join(known)}")
        if not known[name].is_on(settings):
            raise SettingsError(f"--source {name}: it is off, no credentials are set")
    return [
        _plan_of(settings, lake, source, first, last, relist)
        for name, source in known.items()
        if source.is_on(settings) and (not sources or name in sources)
    ]


def _plan_of(
    settings: Settings, lake: Lake, source: type[Source], first: date | None, last: date | None, relist: bool
) -> Plan:
    if issubclass(source, ObjectSource):
        if relist and source.follows_changes:
            return ObjectPlan(source, {})
        synced = {table.name: lake.synced_at(source.name, table.name) for table in source.tables}
        return ObjectPlan(source, {name: moment for name, moment in synced.items() if moment})
    if not issubclass(source, DaySource):
        raise TypeError(f"{source.name} is neither a DaySource nor an ObjectSource")
    days = _wanted(settings, lake, source, first, last)
    return DayPlan(source, source.split(days, lake.records_a_day(source.name, source.tables[0].name)))


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
    table = source.tables[0].name
    landed = lake.landed_as_of(source.name, table)
    zone = ZoneInfo(source.timezone(settings))

    def may_have_changed(day: date) -> bool:
        read_at = landed[day]
        was_read_early = read_at is not None and read_at.astimezone(zone).date() - day < source.look_back
        # Read by a clock that was ahead: nobody knows when.
        was_read_in_future = read_at is not None and read_at > settings.now
        return was_read_early or was_read_in_future or day > yesterday - source.look_back

    def was_read_long_ago(day: date) -> bool:
        read_at = landed[day]
        return read_at is not None and settings.now - read_at >= source.long_look_back_every

    over = [day for day in landed if day <= yesterday]
    wanted = {day for day in each_day(history_start(settings, landed), yesterday) if day not in landed}
    wanted.update(filter(may_have_changed, over))
    # All of them at once, now and then: each at a time of its own would be a request each.
    recent = [day for day in over if day > yesterday - source.long_look_back]
    if any(map(was_read_long_ago, recent)):
        wanted.update(recent)
    wanted.update(day for day in lake.troubled_days(source.name, table) if day <= yesterday)
    return sorted(wanted)


Accepted = Mapping[tuple[str, str], Mapping[date, str]]
"""By source and table: the days that are held and accepted, each with why it is held."""


def check_accepted(lake: Lake, accepted: Iterable[str], plans: Sequence[Plan]) -> Accepted:
    """What is accepted, given as SOURCE:DAY or SOURCE:TABLE.

    Raises SettingsError for what is not held, or what these plans would not ask for.
    """
    found: dict[tuple[str, str], dict[date, str]] = {}
    for text in accepted:
        name, _, what = text.partition(":")
        days = {key: held for key, held in _held(lake, plans, what).items() if key[0] == name and held}
        if not days:
            raise SettingsError(
                f"--accept {text}: nothing of that name is held, or this run would not ask for it; `tailtracker-bi "
                "status` says what is held"
            )
        for key, held in days.items():
            found.setdefault(key, {}).update(held)
    return found


def _held(lake: Lake, plans: Sequence[Plan], what: str) -> dict[tuple[str, str], dict[date, str]]:
    """The days of that date, or of the table of that name, whose latest attempt is held, among those planned."""
    found = {}
    for item in plans:
        for table in item.source.tables:
            attempts = lake.attempts(item.source.name, table.name)
            if isinstance(item, DayPlan):
                planned = {day for first, last in item.requests for day in each_day(first, last)}
                latest = {row["day"]: row for row in attempts if row["day"] in planned}
            else:
                latest = {row["day"]: row for row in attempts[-1:]}
            found[item.source.name, table.name] = {
                day: _bare(row["reason"], item.source.name, table.name)  # of older versions, with its names
                for day, row in latest.items()
                if row["status"] == "held" and what in {table.name, str(day)}
            }
    return found


@contextmanager
def _workable(what: str) -> Iterator[None]:
    """Say of what an engine or the disk could not do that it did not land. Their texts may hold values."""
    try:
        yield
    except (duckdb.Error, pa.ArrowException, PolarsError, DeltaError, OSError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        advice = "should it last, `tailtracker-bi verify` tells whether the lake is whole"
        raise BadResponseError(f"{what}: its rows could not be worked through ({why}); {advice}") from None


def pull(
    settings: Settings,
    lake: Lake,
    plans: Sequence[Plan],
    report: RunReport,
    progress: Progress,
    accepted: Accepted | None = None,
) -> None:
    """Land what the plans ask for. What fails, or is held and not accepted, is noted and leaves the last good state.

    `accepted` is what `check_accepted` gives.
    """
    crash_points.reached("pull.planned")
    total = sum(item.steps for item in plans)
    work = _Pull(settings, lake, report, progress, total, accepted or {})
    for item in plans:
        if isinstance(item, DayPlan):
            work.days(item)
        else:
            work.objects(item)
    crash_points.reached("pull.finished")
    lake.tidy()
    crash_points.reached("pull.tidied")
    shutil.rmtree(work.spool, ignore_errors=True)


@dataclass
class _Pull:
    """A pull that is under way."""

    settings: Settings
    lake: Lake
    report: RunReport
    progress: Progress
    total: int
    accepted: Accepted
    done: int = 0

    @property
    def spool(self) -> Path:
        return self.settings.home / "spool"

    def days(self, item: DayPlan) -> None:
        source = item.source(self.settings, self.progress.say)
        table = source.tables[0].name
        waiting, halvings = deque(item.requests), HALVINGS_PER_PULL
        while waiting:
            first, last = waiting.popleft()
            self._step(f"{source.name} {first}" if first == last else f"{source.name} {first} to {last}")
            try:
                with _workable(f"{source.name}: {first} to {last}"), source.fetch(first, last, self.spool) as days:
                    accepted = self.accepted.get((source.name, table), {})
                    held = self.lake.land(source.name, table, days, self.settings.now, accepted)
            except SourceUnavailableError as error:
                # Said for every day that was asked for; asking the source for them would be useless.
                untried = [(first, last), *waiting] if isinstance(error, NotAskedError) else list(waiting)
                tried = () if isinstance(error, NotAskedError) else each_day(first, last)
                self._fail(source, table, tried, error, untried)
                for rest in untried:
                    for day in each_day(*rest):
                        self._note(source, table, day, status="not tried", reason=str(error))
                self.done += len(waiting)
                waiting.clear()
            except BadResponseError as error:
                if first < last and halvings:
                    halvings -= 1
                    self.total += 2
                    self.progress.say(f"{error}; asking for each half of these days")
                    middle = first + (last - first) // 2
                    waiting.extendleft([(middle + timedelta(days=1), last), (first, middle)])
                else:
                    self._fail(source, table, each_day(first, last), error)
            else:
                for day, count in sorted(days.counts.items()):
                    if day in held:
                        self._hold(source, table, day, f"{source.name}: {day}: {held[day]}", count.received, str(day))
                    else:
                        self._landed(source, table, day, count, days.remarks.get(day, []))
            self.done += 1
        self._step(source.name)

    def objects(self, item: ObjectPlan) -> None:
        source = item.source(self.settings, self.progress.say)
        as_of = self.settings.now
        self._step(source.name)

        def known_ids(table: Table, condition: str) -> Collection[str]:
            return self.lake.ids_now(item.source, table, condition, self.spool)

        try:
            with source.session(item.since, self.spool, known_ids) as read:
                for table in source.tables:
                    self._step(f"{source.name} {table.name}")
                    self._object_table(source, table, read, as_of, item.since)
                    self.done += 1
        except (BadResponseError, SourceUnavailableError) as error:
            noted = {line["table"] for line in self.report.days if line["source"] == source.name}
            for table in source.tables:
                if table.name not in noted:
                    self._fail(source, table.name, [as_of.date()], error)
                    self.done += 1
        self._step(source.name)

    def _object_table(
        self, source: ObjectSource, table: Table, read: Read, as_of: datetime, since: Mapping[str, datetime]
    ) -> None:
        accepted = self.accepted.get((source.name, table.name), {})
        where = f"{source.name}: {table.name}"
        try:
            with _workable(where), read(table) as versions:
                moment = versions.as_of or as_of
                latest = self.lake.synced_at(source.name, table.name)
                if latest and moment < latest <= as_of:
                    raise BadResponseError(
                        f"{where}: it tells how things were at {moment:%Y-%m-%d %H:%M}Z, before what has landed "
                        f"({latest:%Y-%m-%d %H:%M}Z): is it a replica that fell behind, or an older file?"
                    )
                counts = self.lake.land_versions(
                    type(source), table, versions, moment, self.spool, next(iter(accepted.values()), "")
                )
                fields = {"withheld": sorted(versions.withheld), "lacking": sorted(versions.lacking)}
        except AbsentTableError as error:
            self._note(source, table.name, as_of.date(), status="absent", reason=str(error))
        except HeldError as error:
            why = _bare(error, source.name, table.name)
            self.lake.note_failure(source.name, table.name, [as_of.date()], why, "held")
            # What came of a full list would not come again without one.
            relist = " --relist" if source.follows_changes and table.name not in since else ""
            self._hold(source, table.name, as_of.date(), str(error), error.received, table.name, relist)
        except BadResponseError as error:
            self._fail(source, table.name, [as_of.date()], error)
        else:
            self._landed(source, table.name, moment.date(), counts, versions.remarks, **fields)

    def _fail(
        self,
        source: Source,
        table: str,
        days: Iterable[date],
        error: TailTrackerError,
        untried: Sequence[tuple[date, date]] = (),
    ) -> None:
        tried = list(days)
        self.report.errors.append(f"{error}{_not_asked_for(untried)}")
        if tried:
            self.lake.note_failure(
                source.name, table, tried, _bare(error, source.name, table, str(tried[0]), f"{tried[0]} to {tried[-1]}")
            )
        for day in tried:
            self._note(source, table, day, status="failed", reason=str(error))

    def _hold(
        self, source: Source, table: str, day: date, why: str, received: int, what: str, option: str = ""
    ) -> None:
        accept = f"tailtracker-bi refresh{option} --accept {source.name}:{what}"
        self.report.held.append(f"{why}; if that is right: `{accept}`")
        self._note(source, table, day, status="held", reason=why, held=received)

    def _landed(
        self, source: Source, table: str, day: date, counts: Counts, remarks: Sequence[Remark], **fields: object
    ) -> None:
        for remark in remarks:
            if remark.is_alarm:
                self.report.notes.append(f"{source.name}: {table}: {day}: {remark}")
                self.progress.say(self.report.notes[-1])
        told = {"remarks": list(map(str, remarks))} if remarks else {}
        self._note(source, table, day, status="landed", reason=None, **vars(counts), **fields, **told)

    def _note(self, source: Source, table: str, day: date, **outcome: object) -> None:
        nothing = dict.fromkeys((*COUNTED, "held"), 0)
        self.report.days.append({"source": source.name, "table": table, "day": day, **nothing, **outcome})

    def _step(self, what: str) -> None:
        self.progress.step("pull", what, self.done, self.total)


def _not_asked_for(requests: Sequence[tuple[date, date]]) -> str:
    days = [day for first, last in requests for day in each_day(first, last)]
    spans = [f"{first} to {last}" if first < last else str(first) for first, last in ranges(days, longest=len(days))]
    more = f" and {len(spans) - MOST_SPANS} more" if len(spans) > MOST_SPANS else ""
    return f"; not asked for: {', '.join(spans[:MOST_SPANS])}{more}" if spans else ""


def _bare(error: TailTrackerError | str, *names: str) -> str:
    """An error without the names that it begins with: the ledger has them in columns of their own."""
    text = str(error)
    while (found := text.partition(": "))[0] in names:
        text = found[2]
    return text
