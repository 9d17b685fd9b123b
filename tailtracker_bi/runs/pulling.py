"""Pull: what plans ask for, from the sources into the lake: whole days; objects, brought to their state now."""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path

import duckdb
import pyarrow as pa
from deltalake.exceptions import DeltaError
from polars.exceptions import PolarsError

from tailtracker_bi import crash_points
from tailtracker_bi.errors import TailTrackerError
from tailtracker_bi.lake import Lake, ObjectLanding, landing_objects
from tailtracker_bi.runs.planning import Accepted, DayPlan, ObjectPlan, Plan, without_names
from tailtracker_bi.runs.report import Progress, RunReport
from tailtracker_bi.settings import Settings
from tailtracker_bi.sources import (
    COUNTED,
    AbsentTableError,
    BadResponseError,
    Counts,
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
                    outcome = self.lake.land(source.name, table, days, self.settings.now, accepted)
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
                    if day in outcome.held:
                        why = f"{source.name}: {day}: {outcome.held[day]}"
                        self._hold(source, table, day, why, count.received, str(day))
                    else:
                        status = "unchanged" if day in outcome.unchanged else "landed"
                        self._read(source, table, day, status, count, days.remarks.get(day, []))
            self.done += 1
        self._step(source.name)

    def objects(self, item: ObjectPlan) -> None:
        source = item.source(self.settings, self.progress.say)
        as_of, done = self.settings.now, self.done
        # What becomes of each table is told once the ledger knows it.
        outcomes: dict[str, Callable[[], None]] = {}
        self._step(source.name)

        try:
            with _workable(source.name), landing_objects(self.lake, item.source, self.spool) as landing:

                def known_ids(table: Table, condition: str) -> Collection[str]:
                    return self.lake.ids_now(item.source, table, condition, landing.comparison)

                try:
                    with source.session(item.since, self.spool, known_ids) as read:
                        for table in source.tables:
                            self._step(f"{source.name} {table.name}")
                            outcomes[table.name] = self._object_table(source, table, read, landing, as_of, item.since)
                            self.done += 1
                except (BadResponseError, SourceUnavailableError) as error:
                    for table in source.tables:
                        outcomes.setdefault(table.name, partial(self._fail, source, table.name, [as_of.date()], error))
        except BadResponseError as error:  # so that nothing of it has landed
            outcomes = {
                table.name: partial(self._fail, source, table.name, [as_of.date()], error) for table in source.tables
            }
        for tell in outcomes.values():
            tell()
        self.done = done + len(source.tables)
        self._step(source.name)

    def _object_table(
        self,
        source: ObjectSource,
        table: Table,
        read: Read,
        landing: ObjectLanding,
        as_of: datetime,
        since: Mapping[str, datetime],
    ) -> Callable[[], None]:
        """Bring a table to its state now; what tells of it."""
        accepted = self.accepted.get((source.name, table.name), {})
        where = f"{source.name}: {table.name}"
        try:
            with _workable(where), read(table) as versions:
                moment = versions.as_of or as_of
                latest = self.lake.ledger.synced_at(source.name, table.name)
                if latest and moment < latest <= as_of:
                    raise BadResponseError(
                        f"{where}: it tells how things were at {moment:%Y-%m-%d %H:%M}Z, before what has landed "
                        f"({latest:%Y-%m-%d %H:%M}Z): is it a replica that fell behind, or an older file?"
                    )
                counts = landing.land(table, versions, moment, next(iter(accepted.values()), ""))
                fields = {"withheld": sorted(versions.withheld), "lacking": sorted(versions.lacking)}
        except AbsentTableError as error:
            return partial(self._note, source, table.name, as_of.date(), status="absent", reason=str(error))
        except HeldError as error:
            return partial(self._hold_table, source, table, as_of.date(), error, since)
        except BadResponseError as error:
            return partial(self._fail, source, table.name, [as_of.date()], error)
        remarks = versions.remarks
        return partial(self._read, source, table.name, moment.date(), "landed", counts, remarks, **fields)

    def _hold_table(
        self, source: ObjectSource, table: Table, day: date, error: HeldError, since: Mapping[str, datetime]
    ) -> None:
        self.lake.note_failure(source.name, table.name, [day], without_names(error, source.name, table.name), "held")
        # What came of a full list would not come again without one.
        relist = " --relist" if source.follows_changes and table.name not in since else ""
        self._hold(source, table.name, day, str(error), error.received, table.name, relist)

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
                source.name,
                table,
                tried,
                without_names(error, source.name, table, str(tried[0]), f"{tried[0]} to {tried[-1]}"),
            )
        for day in tried:
            self._note(source, table, day, status="failed", reason=str(error))

    def _hold(
        self, source: Source, table: str, day: date, why: str, received: int, what: str, option: str = ""
    ) -> None:
        accept = f"tailtracker-bi refresh{option} --accept {source.name}:{what}"
        self.report.held.append(f"{why}; if that is right: `{accept}`")
        self._note(source, table, day, status="held", reason=why, held=received)

    def _read(
        self,
        source: Source,
        table: str,
        day: date,
        status: str,
        counts: Counts,
        remarks: Sequence[Remark],
        **fields: object,
    ) -> None:
        for remark in remarks:
            if remark.is_alarm:
                self.report.notes.append(f"{source.name}: {table}: {day}: {remark}")
                self.progress.say(self.report.notes[-1])
        noticed = {"remarks": list(map(str, remarks))} if remarks else {}
        self._note(source, table, day, status=status, reason=None, **vars(counts), **fields, **noticed)

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
