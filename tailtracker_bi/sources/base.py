"""What every day source looks like: whole days in, checked, cleaned and counted, or an error and nothing.

What belongs here: the interface and the words of its errors. What does not: anything of one vendor.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import ClassVar
from zoneinfo import ZoneInfo

import pyarrow as pa

from tailtracker_bi.errors import TailTrackerError
from tailtracker_bi.settings import Settings

QUARANTINE_SCHEMA = pa.schema([("day", pa.date32()), ("reason", pa.string()), ("record", pa.string())])


class BadResponseError(TailTrackerError):
    """One answer that can't be trusted: its days do not land; other days may."""


class SourceUnavailableError(TailTrackerError):
    """The source as a whole can't be used (unreachable, refused): asking again for other days is useless."""


@dataclass
class DayCounts:
    """What became of the records received for one day. Always adds up."""

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
    counts: dict[date, DayCounts] = field(default_factory=dict)


@dataclass(frozen=True)
class Check:
    """One line of `doctor`: what was looked at, whether it is well, and what to do if not."""

    what: str
    is_ok: bool
    detail: str


class DaySource(ABC):
    """A source that is pulled day by day into one table."""

    name: ClassVar[str]
    table: ClassVar[str]
    schema: ClassVar[pa.Schema]
    """Columns of the raw table; `day`, the source's own day, comes first."""
    look_back: ClassVar[timedelta]
    """How far back days may still change: they are pulled again each time."""

    def __init__(self, settings: Settings, say: Callable[[str], None] = lambda _: None) -> None:
        self.settings = settings
        self.say = say
        """Tells the person who waits why."""

    @classmethod
    @abstractmethod
    def is_on(cls, settings: Settings) -> bool:
        """Whether its credentials are set."""

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

    @abstractmethod
    def check(self) -> Check:
        """Whether it answers to these credentials."""


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
