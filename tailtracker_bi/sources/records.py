"""What a source gives and the lake takes: whole days, versions of objects, what became of each record; and why not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date, datetime, timedelta

import pyarrow as pa

from tailtracker_bi.errors import TailTrackerError

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


COUNTED = tuple(part.name for part in fields(Counts))
"""What is counted of a day or table: the first is the sum of the others."""


@dataclass
class Days:
    """Whole days of one table, both ends inclusive, ready to land."""

    first: date
    last: date
    rows: pa.RecordBatchReader
    quarantine: pa.RecordBatchReader
    counts: dict[date, Counts] = field(default_factory=dict)
    remarks: dict[date, list[Remark]] = field(default_factory=dict)
    content: Mapping[date, str] = field(default_factory=dict)
    """Of each day a digest of all that came of it, rows and quarantine, in any order: by it a day that has not changed
    since it landed is told. One without a digest lands anew each time."""
    shape: Mapping[str, str] | None = None
    """What was asked for, where that is up to the settings: days of another shape are no measure for these."""


@dataclass(frozen=True)
class Table:
    """A table that a source fills, and the columns of its raw relation."""

    name: str
    schema: pa.Schema

    @property
    def dated_by(self) -> str | None:
        """The column that says when an object came to be; None for a table that tells nothing of that."""
        return next((name for name in ("created_at", "started_at", "date") if name in self.schema.names), None)


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
