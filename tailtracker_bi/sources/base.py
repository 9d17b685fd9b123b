"""What sources look like: what is whole comes in, checked, cleaned and counted, or an error and nothing.

    DaySource       facts that belong to a day (events): a day replaces a day
    ObjectSource    objects that change under one's hands (subscriptions, profiles): kept as versions

What belongs here: the interfaces and the words of their errors. What does not: anything of one vendor.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import ClassVar
from zoneinfo import ZoneInfo

import pyarrow as pa

from tailtracker_bi.errors import TailTrackerError
from tailtracker_bi.settings import Settings

QUARANTINE_SCHEMA = pa.schema([("day", pa.date32()), ("reason", pa.string()), ("record", pa.string())])


class BadResponseError(TailTrackerError):
    """One answer that can't be trusted: its days do not land; other days may."""


class TooLargeError(BadResponseError):
    """An answer that this machine can't or won't hold: asking for the same days again is useless."""


class SourceUnavailableError(TailTrackerError):
    """The source as a whole can't be used (unreachable, refused): asking again for other days is useless."""


class NotAskedError(SourceUnavailableError):
    """Days that nobody was asked for: nothing is to be noted of them."""


class FutureDaysError(NotAskedError):
    """Days that are not over by the source's own clock: this machine's is wrong."""


class AbsentTableError(TailTrackerError):
    """An optional table that this source does not have: no failure, there is just no data."""


class HeldError(TailTrackerError):
    """What came is whole, and looks so wrong that a person has to accept it first: the last good state stays."""

    exit_code = 3

    def __init__(self, message: str, received: int) -> None:
        super().__init__(message)
        self.received = received
        """Records that came and are held."""


@dataclass(frozen=True)
class Remark:
    """What is to be known of what landed: it stands in the ledger, the run report and the published status."""

    text: str
    is_alarm: bool = False
    """Whether somebody has to act: what came should not exist. Else it is worth knowing, and no more."""

    def __str__(self) -> str:
        return self.text


@dataclass
class Counts:
    """What became of the records received for a day, or in one reading of a table. Always adds up."""

    received: int = 0
    loaded: int = 0
    deduplicated: int = 0
    filtered: int = 0
    quarantined: int = 0

    def check(self, what: str) -> None:
        accounted = self.loaded + self.deduplicated + self.filtered + self.quarantined
        if accounted != self.received:
            raise BadResponseError(f"{what}: received {self.received} records but can account for {accounted}")


@dataclass
class Days:
    """Whole days of one table, both ends inclusive, ready to land."""

    first: date
    last: date
    rows: pa.RecordBatchReader
    quarantine: pa.RecordBatchReader
    counts: dict[date, Counts] = field(default_factory=dict)
    remarks: dict[date, list[Remark]] = field(default_factory=dict)
    shape: Mapping[str, str] | None = None
    """What was asked for, where that is up to the settings: days of another shape are no measure for these."""


@dataclass(frozen=True)
class Check:
    """One line of `doctor`: what was looked at, whether it is well, and what to do if not."""

    what: str
    is_ok: bool
    detail: str


@dataclass(frozen=True)
class Table:
    """A table that a source fills, and the columns of its raw relation."""

    name: str
    schema: pa.Schema


class Source(ABC):
    """A place that data comes from, and the tables that it fills."""

    name: ClassVar[str]
    tables: ClassVar[tuple[Table, ...]]
    why_off: ClassVar[str] = "no credentials are set"

    def __init__(self, settings: Settings, say: Callable[[str], None] = lambda _: None) -> None:
        self.settings = settings
        self.say = say
        """Tells the person who waits why."""

    @classmethod
    @abstractmethod
    def is_on(cls, settings: Settings) -> bool:
        """Whether its credentials are set."""

    @classmethod
    def raw_schema(cls, table: Table) -> pa.Schema:
        """The columns in which the lake keeps the table."""
        return table.schema

    @abstractmethod
    def check(self) -> Check:
        """Whether it answers to these credentials."""

    def counts(self) -> dict[str, int] | None:
        """How many rows each table has now, where the source tells at little cost; None where it tells of none.

        Raises SourceUnavailableError.
        """
        return None


class DaySource(Source):
    """A source that is pulled day by day into one table, whose first column is `day`, the source's own day."""

    look_back: ClassVar[timedelta]
    """How far back days may still change: they are pulled again each time."""
    long_look_back: ClassVar[timedelta] = timedelta()
    """How far back days now and then change after that."""
    long_look_back_every: ClassVar[timedelta] = timedelta(days=7)
    """After so long those are pulled again, too."""

    @classmethod
    @abstractmethod
    def timezone(cls, settings: Settings) -> str:
        """The time zone in which its days begin and end."""

    @classmethod
    def today(cls, settings: Settings) -> date:
        """The day of the source that is not over yet."""
        return settings.now.astimezone(ZoneInfo(cls.timezone(settings))).date()

    @classmethod
    @abstractmethod
    def split(cls, days: list[date], records_a_day: float | None) -> list[tuple[date, date]]:
        """The requests that fetch these days, as inclusive ranges without gaps, within the source's limits.

        `records_a_day` is what days held so far, None where none has landed.
        """

    @abstractmethod
    @contextmanager
    def fetch(self, first: date, last: date, spool: Path) -> Iterator[Days]:
        """Whole days, verified complete.

        `spool` is a directory for large intermediates. Raises BadResponseError or SourceUnavailableError.
        """


VERSION_SCHEMA = pa.schema(
    [
        ("object_id", pa.string()),
        ("effective_at", pa.timestamp("us")),  # UTC; when the object became so; null: when it was observed
        ("origin", pa.string()),  # how it came: list, read, snapshot; event, before (history that an event told of)
        ("is_deleted", pa.bool_()),
    ]
)
"""The columns with which every row of `Versions` begins; those of the table follow."""

ARRIVAL_SCHEMA = pa.schema(
    [
        ("landing", pa.int64()),  # order of arrival: later is higher, whatever the clock says
        ("observed_at", pa.timestamp("us")),  # UTC, business time of which it was read
        ("content_hash", pa.string()),  # of the table's own columns
    ]
)
"""What the lake adds to each version."""

HISTORY_ORIGINS = ("event", "before")
"""Versions that an event told of: what an object was at its time, whatever it is now."""


@dataclass
class Versions:
    """What a source tells of the objects of one table: all there are, or those that may have changed."""

    rows: pa.RecordBatchReader
    """VERSION_SCHEMA and the table's own columns; objects whose content is known already may be among them."""
    is_snapshot: bool
    """Whether these are all the objects that exist: one that was there before and is not among them is gone."""
    quarantine: pa.RecordBatchReader
    counts: Counts
    """`received`, `filtered` and `quarantined`; the lake finds out what is new among the rest."""
    withheld: frozenset[str] = frozenset()
    """Columns or fields that the source has and the allow-list does not name."""
    lacking: frozenset[str] = frozenset()
    """Columns that the allow-list names and the source does not have."""
    unreadable: Sequence[str] = ()
    """Objects that are there and could not be used: they have not changed, and are not gone."""
    doubt: str = ""
    """Why a person should look before they land, where the source itself can tell."""
    shape: Mapping[str, str] | None = None
    """The columns that were read and the types the source gives them, where it has such; none: the table is gone."""
    remarks: list[Remark] = field(default_factory=list)
    as_of: datetime | None = None
    """The business time at which it was so, in UTC, where that is not the time at which it was read."""


Read = Callable[[Table], AbstractContextManager[Versions]]
KnownIds = Callable[[Table, str], Collection[str]]
"""The ids of a table's objects that have landed and are not deleted, of which, as they are now, an SQL condition on the
table's own columns is true. The condition is in DuckDB's dialect; an empty one is true of all."""


def nothing_known(table: Table, condition: str) -> Collection[str]:
    """What is known where nothing has landed."""
    return ()


class ObjectSource(Source):
    """A source whose objects change: each of its tables is brought to its state now, and every version is kept."""

    follows_changes: ClassVar[bool] = False
    """Whether it reads, after the first time, what has changed and no more; `--relist` then reads everything."""
    opens_calendar: ClassVar[bool] = True
    """Whether there are values from its first object on; not so where its objects only help to read others."""

    @classmethod
    def raw_schema(cls, table: Table) -> pa.Schema:
        return pa.schema([*VERSION_SCHEMA, *ARRIVAL_SCHEMA, *table.schema])

    @abstractmethod
    @contextmanager
    def session(
        self, since: Mapping[str, datetime], spool: Path, known_ids: KnownIds = nothing_known
    ) -> Iterator[Read]:
        """A function that reads one table after the other, as of one moment where the source allows it.

        `since` says, by table, as of when it was last brought up to date, in UTC; a table that never was, or of which
        everything is to be read again, is not there. `known_ids` tells what has landed, for what only a read by id can
        tell to be gone. `spool` is a directory for large intermediates. Raises BadResponseError or
        SourceUnavailableError where nothing can be read; the function raises them for a single table: the others may be
        read all the same.
        """


def ranges(days: list[date], longest: int) -> list[tuple[date, date]]:
    """The days as inclusive ranges of consecutive days, none longer than `longest` days."""
    found: list[tuple[date, date]] = []
    for day in sorted(set(days)):
        if found and day - found[-1][1] == timedelta(days=1) and (day - found[-1][0]).days < longest:
            found[-1] = (found[-1][0], day)
        else:
            found.append((day, day))
    return found


def each_day(first: date, last: date) -> Iterator[date]:
    """Every day from first to last, both inclusive."""
    for offset in range((last - first).days + 1):
        yield first + timedelta(days=offset)
