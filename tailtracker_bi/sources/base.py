"""What sources look like: what is whole comes in, checked, cleaned and counted, or an error and nothing.

    DaySource       facts that belong to a day (events): a day replaces a day
    ObjectSource    objects that change under one's hands (subscriptions, profiles): kept as versions

What belongs here: the interfaces. What they give is in `records.py`. What does not belong here: anything of one vendor.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import ClassVar
from zoneinfo import ZoneInfo

import pyarrow as pa

from tailtracker_bi.settings import Settings
from tailtracker_bi.sources.records import ARRIVAL_SCHEMA, VERSION_SCHEMA, Days, Table, Versions


@dataclass(frozen=True)
class Check:
    """One line of `doctor`: what was looked at, whether it is well, and what to do if not."""

    what: str
    is_ok: bool
    detail: str


class Source(ABC):
    """A place that data comes from, and the tables that it fills."""

    name: ClassVar[str]
    title: ClassVar[str]
    """What people call it."""
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
