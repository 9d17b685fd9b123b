"""What an engine does for a warehouse. A new one is a subclass here, its macros in `dialect.sql`, and their test."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import date
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from tailtracker_bi.settings import Settings


class Session(ABC):
    """A connection to the warehouse: in UTC, and committed at each statement unless in a `transaction`."""

    def named(self, table: str) -> str:
        """How SQL names a table or view of which code says `schema.name`, or a schema."""
        return table

    @abstractmethod
    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What a statement gives, in SQL that all engines understand."""

    @abstractmethod
    def table(self, sql: str) -> pa.Table:
        """The same, as Arrow."""

    @abstractmethod
    def transaction(self) -> AbstractContextManager[None]:
        """All that is done within it stays, or none of it; one within another is part of that."""

    @abstractmethod
    def create_schemas(self, names: Iterable[str]) -> None:
        """Make these schemas where they are not there."""

    @abstractmethod
    def show(self, schema: str, name: str, columns: pa.Schema, files: Sequence[str], *, is_daily: bool) -> None:
        """Let models read these Parquet files of the lake as a relation with these columns; empty where there is none.

        Of daily tables `day` stands in the files' paths.
        """

    @abstractmethod
    def load(self, schema: str, name: str, table: pa.Table) -> None:
        """Put these rows in the place of a table."""

    @abstractmethod
    def define(self, schema: str, name: str, select: str) -> None:
        """Put a view in the place of another."""

    @abstractmethod
    def fill(self, schema: str, name: str, select: str, columns: Sequence[tuple[str, str, bool]] = ()) -> None:
        """Put what a SELECT gives in the place of a table.

        `columns` promise the name and type of each, and whether it is always filled: one of `Engine.errors` where they
        are others.
        """

    @abstractmethod
    def create(self, schema: str, name: str, columns: Sequence[tuple[str, str, bool]]) -> None:
        """Put a table without rows in the place of another."""

    @abstractmethod
    def replace(self, schema: str, name: str, condition: str, select: str) -> None:
        """Put what a SELECT gives, which may read the table, in the place of the rows that meet a condition."""

    @abstractmethod
    def give_dates(self, name: str, dates: Sequence[date]) -> None:
        """Tell the SQL that follows on this connection which dates it is about: `is_run_date` in `dialect.sql`."""

    @abstractmethod
    def give_date(self, name: str, day: date | None) -> None:
        """The same of one date: `run_date`."""

    @abstractmethod
    def tell(self, name: str, is_so: bool) -> None:
        """The same of whether something is so: `is_run`."""

    @abstractmethod
    def drop(self, table: str) -> None:
        """Remove a table, `schema.name`, if it is there."""

    @abstractmethod
    def keep_only(self, known: Collection[tuple[str, str, bool]], schemas: Collection[str]) -> None:
        """Remove every table and view of these schemas that is not known, by schema, name and whether it is a view."""

    @abstractmethod
    def tables(self, schemas: Collection[str] = ()) -> list[tuple[str, str]]:
        """Schema and name of every table that is stored; views are none. Without schemas, of all."""

    @abstractmethod
    def views(self) -> list[tuple[str, str]]:
        """Schema and name of every view."""

    @abstractmethod
    def digest(self, table: str) -> tuple[int, str]:
        """How many rows a table has, and a digest of them in any order; reads all of it, so that damage is found."""

    @abstractmethod
    def digests(self, select: str, by: str) -> dict[Any, tuple[int, str]]:
        """The same of the rows that a SELECT gives, by the values of a column."""

    def expect(self, rows: int) -> None:
        """Be ready for statements that read tables of so many rows at most, by which an engine may spread its work."""
        del rows

    def write(self, schema: str, name: str, columns: pa.Schema, rows: Iterable[Sequence[Any]]) -> None:
        """Put a few rows in the place of a table."""
        self.load(
            schema, name, pa.Table.from_pylist([dict(zip(columns.names, row, strict=True)) for row in rows], columns)
        )

    def has(self, schema: str, name: str) -> bool:
        """Whether there is this table."""
        return (schema, name) in self.tables([schema])


class Engine(ABC):
    """Where a warehouse lives, and how it is reached. One process at a time writes: callers hold the lock of HOME."""

    name: ClassVar[str]
    """As settings, dbt's target and `bundle_info.engine` have it."""
    errors: ClassVar[tuple[type[Exception], ...]]
    """What its client raises."""
    version: str
    """Digests of another version can't be compared."""

    dbt_package: ClassVar[str]
    """Its adapter, which brings macros."""

    def __init__(self, home: Path) -> None:
        self.home = home

    @classmethod
    def of(cls, settings: Settings) -> Engine:
        """The engine by these settings."""
        return cls(settings.home)

    def elsewhere(self, home: Path) -> Engine:
        """The same with another HOME, for what dbt does without a warehouse."""
        return type(self)(home)

    @property
    def named_in_sql(self) -> tuple[str, ...]:
        """What of its settings stands in the SQL that dbt compiles."""
        return ()

    @property
    @abstractmethod
    def where(self) -> str:
        """What people call it: a file's name, a database's."""

    def check(self) -> list[tuple[bool, str]]:
        """Whether it can do what is asked of it: what is well, what to do about the rest. A file need not be asked."""
        return []

    @property
    @abstractmethod
    def is_there(self) -> bool:
        """Whether there is a warehouse, sound or not."""

    @abstractmethod
    def session(self, *, is_reader: bool = False) -> AbstractContextManager[Session]:
        """A connection; a reader's changes nothing. Raises one of `errors`."""

    @abstractmethod
    def remove(self) -> None:
        """Remove the warehouse: the next build makes it anew from the lake."""

    @abstractmethod
    def is_damaged(self, *, to_its_last_block: bool = False) -> bool:
        """Whether it is there and can't be opened or, where that is asked, some table of it not be read.

        Found by trying, not by the client's words, in which a path may stand. Raises BuildError where another program
        holds it, or it may not be read: that is no damage.
        """

    @contextmanager
    def held(self) -> Iterator[bool]:
        """Whether it is sound, by `is_damaged`; sessions within begin at once."""
        yield not self.is_damaged()

    @abstractmethod
    def dbt_output(self) -> dict[str, Any]:
        """How dbt reaches it: an output of a profile. Secrets are named by their variable."""

    @abstractmethod
    def close_dbt(self) -> None:
        """Close what dbt left open."""

    @abstractmethod
    def attach(self, connection: Any, alias: str, tables: Mapping[str, str]) -> None:
        """Let a connection of DuckDB read tables as `<alias>.<schema>.<name>`: bundles are copied from there.

        `tables` says which, as `schema.name` or all of a schema, and of large ones the condition that the rows meet
        which are asked for: the others need not be there. What an earlier call brought stays. Raises one of `errors`.
        """

    def release(self, build: str, as_of: date, instead: Mapping[str, pa.Table]) -> None:
        """Let people who read the warehouse itself see what was built and audited, all of it at once; if they may.

        `instead` are tables of the build that are no plain copies of those of the warehouse. Raises one of `errors`.
        """
        del build, as_of, instead
