"""DuckDB: the warehouse is one file in HOME, and reads the lake's files in place."""

from __future__ import annotations

import fcntl
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from tailtracker_bi.errors import BuildError
from tailtracker_bi.settings import Settings
from tailtracker_bi.warehouse.engines.base import Engine, Session

FEW_ROWS = 4 * 122_880
"""Rows of a table that one thread reads in a moment, four of DuckDB's groups: to have others wait for so little takes
more than they save."""


class DuckDbSession(Session):
    """A connection to the file."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, threads: int | None = None) -> None:
        """`threads` are those of what is large; None leaves them to DuckDB."""
        self._connection = connection
        self._is_within = False
        """A transaction, which what is done within it joins."""
        self._all_threads = f"set threads = {threads}" if threads else "reset threads"
        self._is_alone: bool | None = None
        """Whether one thread works; None until it is known how large anything is."""

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql).fetchall()

    def table(self, sql: str) -> pa.Table:
        return self._connection.execute(sql).to_arrow_table()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        if self._is_within:
            yield
            return
        self._connection.begin()
        self._is_within = True
        try:
            yield
        except BaseException:
            self._connection.rollback()
            raise
        else:
            self._connection.commit()
        finally:
            self._is_within = False

    def create_schemas(self, names: Iterable[str]) -> None:
        for name in names:
            self._connection.execute(f"create schema if not exists {name}")

    def show(self, schema: str, name: str, columns: pa.Schema, files: Sequence[str], *, is_daily: bool) -> None:
        self._connection.register("declared", columns.empty_table())
        declared = self._connection.execute("describe declared").fetchall()
        if files:
            paths = ", ".join(map(_literal, files))
            days = ", hive_partitioning = true, hive_types = {'day': date}" if is_daily else ""
            origin = f"read_parquet([{paths}]{days})"
            select = ", ".join(f"{column}::{kind} as {column}" for column, kind, *_ in declared) + f" from {origin}"
        else:
            select = ", ".join(f"null::{kind} as {column}" for column, kind, *_ in declared) + " where false"
        self._connection.execute(f"create or replace view {schema}.{name} as select {select}")

    def load(self, schema: str, name: str, table: pa.Table) -> None:
        self._connection.register("rows_now", table)
        self._connection.execute(f"create or replace table {schema}.{name} as from rows_now")
        self._connection.unregister("rows_now")

    def define(self, schema: str, name: str, select: str) -> None:
        self._connection.execute(f"create or replace view {schema}.{name} as {select}")

    def fill(self, schema: str, name: str, select: str, columns: Sequence[tuple[str, str, bool]] = ()) -> None:
        if not columns:
            self._connection.execute(f"create or replace table {schema}.{name} as {select}")
            return
        self.create(schema, name, columns)
        found = dict(row[:2] for row in self._connection.execute(f"describe {select}").fetchall())
        wanted = dict(row[:2] for row in self._connection.execute(f"describe {schema}.{name}").fetchall())
        wrong = [
            f"{column} is {found.get(column, 'missing')}, not {wanted.get(column, 'promised')}"
            for column in sorted(found.keys() | wanted.keys())
            if found.get(column) != wanted.get(column)
        ]
        if wrong:
            raise duckdb.BinderException(f"its columns are not those of its contract: {', '.join(wrong)}")
        self._connection.execute(f"insert into {schema}.{name} by name {select}")

    def create(self, schema: str, name: str, columns: Sequence[tuple[str, str, bool]]) -> None:
        promised = ", ".join(
            f'"{column}" {kind}{" not null" if is_filled else ""}' for column, kind, is_filled in columns
        )
        self._connection.execute(f"create or replace table {schema}.{name} ({promised})")

    def replace(self, schema: str, name: str, condition: str, select: str) -> None:
        with self.transaction():
            self._connection.execute(f"create or replace temp table anew as {select}")
            self._connection.execute(f"delete from {schema}.{name} where {condition}")
            self._connection.execute(f"insert into {schema}.{name} by name from anew")
            self._connection.execute("drop table anew")

    def give_dates(self, name: str, dates: Sequence[date]) -> None:
        listed = ", ".join(f"date '{day}'" for day in dates)
        self._connection.execute(f"set variable {name} = cast([{listed}] as date[])")

    def give_date(self, name: str, day: date | None) -> None:
        self._connection.execute(f"set variable {name} = cast({_literal(str(day)) if day else 'null'} as date)")

    def tell(self, name: str, is_so: bool) -> None:
        self._connection.execute(f"set variable {name} = {is_so}")

    def drop(self, table: str) -> None:
        self._connection.execute(f"drop table if exists {table}")

    def keep_only(self, known: Collection[tuple[str, str, bool]], schemas: Collection[str]) -> None:
        found = self._connection.execute(
            "select 'table', schema_name, table_name from duckdb_tables() "
            "union all select 'view', schema_name, view_name from duckdb_views() where not internal"
        ).fetchall()
        for kind, schema, name in found:
            if schema in schemas and (schema, name, kind == "view") not in known:
                self._connection.execute(f'drop {kind} {schema}."{name}"')

    def tables(self, schemas: Collection[str] = ()) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = self._connection.execute(
            "select schema_name, table_name from duckdb_tables() where not temporary"
        ).fetchall()
        return [table for table in found if not schemas or table[0] in schemas]

    def views(self) -> list[tuple[str, str]]:
        return self._connection.execute(
            "select schema_name, view_name from duckdb_views() where not internal and not temporary"
        ).fetchall()

    def digest(self, table: str) -> tuple[int, str]:
        row = self._connection.execute(
            f"select count(*), cast(coalesce(sum(hash(row_of_it)), 0) as varchar) from {table} as row_of_it"
        ).fetchone()
        return (int(row[0]), str(row[1])) if row else (0, "")

    def expect(self, rows: int) -> None:
        is_alone = rows <= FEW_ROWS
        if is_alone is not self._is_alone:
            self._connection.execute("set threads = 1" if is_alone else self._all_threads)
            self._is_alone = is_alone

    def digests(self, select: str, by: str) -> dict[Any, tuple[int, str]]:
        found = self._connection.execute(
            f"select {by}, count(*), cast(sum(hash(row_of_it)) as varchar) from ({select}) as row_of_it group by {by}"
        ).fetchall()
        return {part: (rows, digest) for part, rows, digest in found}


class DuckDb(Engine):
    """The file `warehouse.duckdb` in HOME. No other process may even read it meanwhile."""

    name = "duckdb"
    errors = (duckdb.Error,)
    version = duckdb.__version__
    dbt_package = "dbt-duckdb"

    def __init__(self, home: Path, memory_limit: int | None = None, threads: int | None = None) -> None:
        """`memory_limit` in bytes, beyond which it spills to the disk; None leaves both to DuckDB."""
        super().__init__(home)
        self._threads = threads
        self._config: dict[str, str | bool | int | float | list[str]] = {
            # Nobody relies on the order of rows that no ORDER BY names, and to keep it takes memory.
            "preserve_insertion_order": "false",
            **({"memory_limit": f"{memory_limit}B"} if memory_limit else {}),
            **({"threads": str(threads)} if threads else {}),
        }

    @classmethod
    def of(cls, settings: Settings) -> DuckDb:
        return cls(settings.home, settings.memory_limit, settings.threads)

    @property
    def path(self) -> Path:
        return self.home / "warehouse.duckdb"

    @property
    def where(self) -> str:
        return self.path.name

    @property
    def is_there(self) -> bool:
        return self.path.exists()

    @contextmanager
    def session(self, *, is_reader: bool = False) -> Iterator[Session]:
        self.home.mkdir(parents=True, exist_ok=True)
        connection = duckdb.connect(str(self.path), read_only=is_reader, config=self._config)
        try:
            connection.execute("set TimeZone = 'UTC'; set enable_progress_bar = false")
            yield DuckDbSession(connection, self._threads)
        finally:
            connection.close()

    def remove(self) -> None:
        for file in (self.path, self.path.with_name(self.path.name + ".wal")):
            file.unlink(missing_ok=True)

    def is_damaged(self, *, to_its_last_block: bool = False) -> bool:
        with self.held() as is_sound:
            try:
                if is_sound and to_its_last_block and self.is_there:
                    with self.session() as session:
                        for table in session.tables():
                            session.digest(".".join(f'"{name}"' for name in table))
            except duckdb.OutOfMemoryException:
                return False
            except duckdb.Error:
                return True
        return not is_sound

    @contextmanager
    def held(self) -> Iterator[bool]:
        with ExitStack() as stack:
            is_sound = True
            if self.is_there:
                self._check_is_free()
                try:
                    # To open the file takes longer than what most sessions do; a second one in a process shares it.
                    stack.enter_context(self.session())
                except duckdb.OutOfMemoryException:
                    pass
                except duckdb.Error:
                    is_sound = False
            yield is_sound

    def _check_is_free(self) -> None:
        """Raise BuildError where the file may not be read, or another process has it open: DuckDB then locks it so."""
        try:
            with self.path.open("r+b") as file:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BuildError(f"another program has {self.path} open: close it and refresh again") from None
        except OSError as error:
            advice = "move it away, and refresh again: it is made anew from the lake"
            raise BuildError(f"{self.path}: {error.strerror}: {advice}") from None

    def dbt_output(self) -> dict[str, Any]:
        return {
            "type": "duckdb",
            "path": str(self.path),
            "schema": "main",
            "threads": 2,
            "config_options": self._config,
            "settings": {"TimeZone": "UTC"},
        }

    def close_dbt(self) -> None:
        from dbt.adapters.duckdb.connections import DuckDBConnectionManager

        DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]

    def attach(self, connection: Any, alias: str, tables: Mapping[str, str]) -> None:
        connection.execute(f"attach if not exists {_literal(str(self.path))} as {alias} (read_only)")


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
