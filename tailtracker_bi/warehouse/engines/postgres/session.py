"""A connection to the warehouse's database: schemas with a prefix, and what is done to their tables."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import date
from typing import Any

import pyarrow as pa
from adbc_driver_postgresql import dbapi

from tailtracker_bi.warehouse.engines.base import Session
from tailtracker_bi.warehouse.engines.postgres.arrow import day_of, plain, read_file, type_of
from tailtracker_bi.warehouse.engines.postgres.errors import PostgresError, refuse

MODELS = {"staging", "intermediate", "marts", "metrics", "published"}
"""The schemas that models fill: unlogged."""
_PHYSICAL = {"published": "unpublished", "released": "published"}
_LOGICAL = {there: name for name, there in _PHYSICAL.items()}
_PROMISED = {"varchar": "text", "timestamp": "timestamp without time zone"}
"""By their names in contracts, types that Postgres calls something else."""
COPIED = [("table_name", "text", True), ("file", "text", True), ("day", "date", False), ("rows", "bigint", True)]
"""Which files of the lake are there, with how many rows."""
_DIGEST = "cast(coalesce(sum(hash_record_extended(row_of_it, 0)), 0) as text)"


class PostgresSession(Session):
    """A connection to the database."""

    def __init__(self, connection: dbapi.Connection, prefix: str) -> None:
        self._cursor = connection.cursor()
        self._prefix = prefix
        self._is_within = False
        """A transaction, which what is done within it joins."""

    def named(self, table: str) -> str:
        schema, _, name = table.partition(".")
        return f'"{self._prefix}_{_PHYSICAL.get(schema, schema)}"' + (f'."{name}"' if name else "")

    def choose(self, settings: Mapping[str, str]) -> None:
        """Have these settings of the server's for this session."""
        listed = ", ".join(f"set_config({literal(name)}, {literal(value)}, false)" for name, value in settings.items())
        self.rows(f"select {listed}")

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        table = self.table(sql)
        columns = [plain(column.to_pylist(), field) for column, field in zip(table.columns, table.schema, strict=True)]
        return list(zip(*columns, strict=True)) if columns else []

    def table(self, sql: str) -> pa.Table:
        self._run(sql)
        try:
            found: pa.Table = self._cursor.fetch_arrow_table()
        except dbapi.Error as error:
            refuse(error)
        return found

    def reader(self, sql: str) -> pa.RecordBatchReader:
        """The same, batch by batch; nothing else may be asked meanwhile."""
        self._run(sql)
        return self._cursor.fetch_record_batch()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        if self._is_within:
            yield
            return
        self._run("begin")
        self._is_within = True
        try:
            yield
        except BaseException:
            self._is_within = False
            with suppress(PostgresError):  # it went with the connection
                self._run("rollback")
            raise
        else:
            self._is_within = False
            self._run("commit")

    def create_schemas(self, names: Iterable[str]) -> None:
        there = {name for (name,) in self.rows("select nspname::text from pg_catalog.pg_namespace")}
        for name in dict.fromkeys(names):
            if self.named(name).strip('"') not in there:  # who may not create any may use one that is there
                self._run(f"create schema if not exists {self.named(name)}")

    def show(self, schema: str, name: str, columns: pa.Schema, files: Sequence[str], *, is_daily: bool) -> None:
        table = f"{schema}.{name}"
        self._have_raw(schema, name, columns, is_daily)
        days = {file: day_of(file) if is_daily else None for file in files}
        wanted = {day: {file for file in files if days[file] == day} for day in {*days.values()}}
        copied = dict[date | None, dict[str, int]]()
        for file, day, rows in self.rows(
            f"select file, day, rows from {self.named('lake.copied')} where table_name = {literal(table)}"
        ):
            copied.setdefault(day, {})[file] = rows
        part = "day" if is_daily else "cast(null as date)"
        held = dict(self.rows(f"select {part} as day, count(*) from {self.named(table)} group by 1"))
        changed = False
        for day in sorted({*wanted, *copied, *held}, key=str):
            before, now = copied.get(day, {}), wanted.get(day, set())
            is_sound = held.get(day, 0) == sum(before.values())
            if is_sound and before.keys() == now:
                continue
            changed = True
            with self.transaction():
                added = now
                if is_sound and not is_daily and before.keys() < now:
                    added = now - before.keys()  # versions are appended
                else:
                    self._forget(table, day, is_daily)
                for file in sorted(added):
                    rows = self._copy(schema, name, read_file(file, columns, day))
                    self._run(
                        f"insert into {self.named('lake.copied')} (table_name, file, day, rows) "
                        f"values ({literal(table)}, {literal(file)}, {_date(day)}, {rows})"
                    )
        if changed:
            self._run(f"analyze {self.named(table)}")

    def _have_raw(self, schema: str, name: str, columns: pa.Schema, is_daily: bool) -> None:
        """Have a table for what lies in the lake; an empty one, where it had other columns."""
        wanted = [(field.name, type_of(field.type), False) for field in columns]
        with self.transaction():
            if not self.has("lake", "copied"):
                self.create_schemas(["lake"])
                self._make("lake", "copied", COPIED)
                self._run(f"create unlogged table {self.named('lake.unlogged')} as select true as is_there")
            if self._columns(schema, name) != _told(wanted):
                self._make(schema, name, wanted)
                if is_daily:
                    self._run(f"create index on {self.named(f'{schema}.{name}')} (day)")
                self._run(f"delete from {self.named('lake.copied')} where table_name = {literal(f'{schema}.{name}')}")

    def _forget(self, table: str, day: date | None, is_daily: bool) -> None:
        """Remove what was copied of a day, or of a table that has none."""
        # An index finds what is equal; of `is not distinct from` it knows nothing.
        of_day = f"day = {_date(day)}" if day else "day is null"
        self._run(f"delete from {self.named(table)}" + (f" where {of_day}" if is_daily else ""))
        self._run(f"delete from {self.named('lake.copied')} where table_name = {literal(table)} and {of_day}")

    def load(self, schema: str, name: str, table: pa.Table) -> None:
        wanted = [(field.name, type_of(field.type), False) for field in table.schema]
        with self.transaction():
            if self._columns(schema, name) == _told(wanted):
                self._run(f"delete from {self.named(f'{schema}.{name}')}")
            else:
                self._make(schema, name, wanted)
            if table.num_rows:
                self._copy(schema, name, table.to_reader())
        self._run(f"analyze {self.named(f'{schema}.{name}')}")

    def define(self, schema: str, name: str, select: str) -> None:
        with self.transaction():
            self._drop(schema, name)
            self._run(f"create view {self.named(f'{schema}.{name}')} as {select}")

    def fill(self, schema: str, name: str, select: str, columns: Sequence[tuple[str, str, bool]] = ()) -> None:
        with self.transaction():
            found = self._described(select)
            wanted = [(column, kind, False) for column, kind in found]
            if columns:
                wanted = [(column, _PROMISED.get(kind, kind), is_filled) for column, kind, is_filled in columns]
                _check(dict(found), dict(_told(wanted)))
            into = ", ".join(f'"{column}"' for column, _ in found)
            if schema not in MODELS:  # it may be made of what is there
                self._run(f"create temp table anew on commit drop as {select}")
                select = "select * from pg_temp.anew"
            if self._columns(schema, name) == _told(wanted):
                self._run(f"truncate {self.named(f'{schema}.{name}')}")
            else:
                self._make(schema, name, wanted)
            self._run(f"insert into {self.named(f'{schema}.{name}')} ({into}) {select}")
            if schema not in MODELS:
                self._run("drop table pg_temp.anew")
        self._run(f"analyze {self.named(f'{schema}.{name}')}")

    def create(self, schema: str, name: str, columns: Sequence[tuple[str, str, bool]]) -> None:
        self._make(
            schema, name, [(column, _PROMISED.get(kind, kind), is_filled) for column, kind, is_filled in columns]
        )

    def replace(self, schema: str, name: str, condition: str, select: str) -> None:
        table = self.named(f"{schema}.{name}")
        with self.transaction():
            self._run(f"create temp table anew on commit drop as {select}")
            into = ", ".join(f'"{column}"' for column, _ in self._columns_of("pg_temp.anew"))
            self._run(f"delete from {table} where {condition}")
            self._run(f"insert into {table} ({into}) select {into} from pg_temp.anew")
            self._run("drop table pg_temp.anew")
        self._run(f"analyze {table}")

    def give_dates(self, name: str, dates: Sequence[date]) -> None:
        listed = "{" + ",".join(map(str, dates)) + "}"
        self.rows(f"select set_config('tailtracker.{name}', '{listed}', false)")

    def give_date(self, name: str, day: date | None) -> None:
        self.rows(f"select set_config('tailtracker.{name}', '{day or ''}', false)")

    def tell(self, name: str, is_so: bool) -> None:
        self.rows(f"select set_config('tailtracker.{name}', '{str(is_so).lower()}', false)")

    def drop(self, table: str) -> None:
        self._drop(*table.split("."))

    def keep_only(self, known: Collection[tuple[str, str, bool]], schemas: Collection[str]) -> None:
        for schema, name, kind in self._relations():
            if schema in schemas and (schema, name, kind == "v") not in known:
                self._drop(schema, name)

    def tables(self, schemas: Collection[str] = ()) -> list[tuple[str, str]]:
        return [
            (schema, name)
            for schema, name, kind in self._relations()
            if kind == "r" and (schema in schemas if schemas else not schema.startswith("raw"))
        ]

    def views(self) -> list[tuple[str, str]]:
        return [(schema, name) for schema, name, kind in self._relations() if kind == "v"]

    def digest(self, table: str) -> tuple[int, str]:
        return self._digest(self.named(table))

    def _digest(self, relation: str) -> tuple[int, str]:
        [(rows, digest)] = self.rows(f"select count(*), {_DIGEST} from {relation} as row_of_it")
        return rows, digest

    def digests(self, select: str, by: str) -> dict[Any, tuple[int, str]]:
        found = self.rows(f"select {by}, count(*), {_DIGEST} from ({select}) as row_of_it group by {by}")
        return {part: (rows, digest) for part, rows, digest in found}

    def release(self, comment: str, instead: Mapping[str, pa.Table]) -> None:
        """Let readers of the database see what was built, at once: those who read meanwhile are waited for."""
        origins = {name.removeprefix("pub_"): self.named(f"published.{name}") for _, name in self.tables(["published"])}
        with self.transaction():
            for name, table in instead.items():
                columns = [(field.name, type_of(field.type), False) for field in table.schema]
                self._run(f"create temp table instead_{name} ({_columns_sql(columns)}) on commit drop")
                self._copy("pg_temp", f"instead_{name}", table.to_reader())
                origins[name] = f"pg_temp.instead_{name}"
            # Given up before the server looks for deadlocks: it would end a reader who goes from one table to the next.
            self.rows(
                "select set_config('lock_timeout', (setting::int / 2)::text, true) from pg_catalog.pg_settings "
                "where name = 'deadlock_timeout'"
            )
            there = [
                name
                for (name,) in self.rows(
                    f"select relname::text from pg_catalog.pg_class where relkind = 'r' and relnamespace = "
                    f"to_regnamespace({literal(self.named('released'))}) order by relname"
                )
            ]
            if there:
                self._run(
                    f"lock table {', '.join(self.named(f'released.{name}') for name in there)} in access exclusive mode"
                )
            for name in {*there} - {*origins}:
                self._drop("released", name)
            for name, origin in sorted(origins.items()):
                table = self.named(f"released.{name}")
                found = self._columns_of(origin)
                if self._columns_of(table) != found:
                    self._make("released", name, [(column, kind, False) for column, kind in found])
                if self._digest(table) != self._digest(origin):
                    # Not `truncate`, of which also those would see the outcome who began to read before.
                    self._run(f"delete from {table}")
                    self._run(f"insert into {table} select * from {origin}")
                self._run(f"comment on table {table} is {literal(comment)}")

    def _relations(self) -> list[tuple[str, str, str]]:
        found = self.rows(
            "select n.nspname::text, c.relname::text, c.relkind::text from pg_catalog.pg_class as c "
            "join pg_catalog.pg_namespace as n on n.oid = c.relnamespace "
            f"where starts_with(n.nspname, '{self._prefix}_') and c.relkind in ('r', 'v')"
        )
        own = ((schema.removeprefix(f"{self._prefix}_"), name, kind) for schema, name, kind in found)
        return [(_LOGICAL.get(schema, schema), name, kind) for schema, name, kind in own if is_own(schema)]

    def _columns(self, schema: str, name: str) -> list[tuple[str, str]]:
        return self._columns_of(self.named(f"{schema}.{name}"))

    def _columns_of(self, relation: str) -> list[tuple[str, str]]:
        found = self.rows(
            "select attname::text, pg_catalog.format_type(atttypid, atttypmod) from pg_catalog.pg_attribute "
            f"where attrelid = to_regclass({literal(relation)}) and attnum > 0 and not attisdropped order by attnum"
        )
        return [(column, "text" if kind.startswith("character varying") else kind) for column, kind in found]

    def _described(self, select: str) -> list[tuple[str, str]]:
        """The columns that a SELECT gives."""
        self._run(f"create temp view asked as {select}")
        found = self._columns_of("pg_temp.asked")
        self._run("drop view pg_temp.asked")
        return found

    def _make(self, schema: str, name: str, columns: Sequence[tuple[str, str, bool]]) -> None:
        """Put an empty table in the place of another. Text compares by its bytes, as everywhere."""
        self._drop(schema, name)
        logged = "unlogged " if schema in MODELS else ""
        self._run(f"create {logged}table {self.named(f'{schema}.{name}')} ({_columns_sql(columns)})")

    def _drop(self, schema: str, name: str) -> None:
        """Remove a table or a view, and the views that read it: they are defined anew once it is."""
        relation = self.named(f"{schema}.{name}")
        kinds = self.rows(f"select relkind::text from pg_catalog.pg_class where oid = to_regclass({literal(relation)})")
        for (kind,) in kinds:
            self._run(f"drop {'view' if kind == 'v' else 'table'} {relation} cascade")

    def _copy(self, schema: str, name: str, rows: pa.RecordBatchReader) -> int:
        there = {} if schema == "pg_temp" else {"db_schema_name": self.named(schema).strip('"')}
        try:
            return int(self._cursor.adbc_ingest(name, rows, mode="append", temporary=schema == "pg_temp", **there))
        except dbapi.Error as error:
            refuse(error)

    def _run(self, sql: str) -> None:
        try:
            self._cursor.execute(sql)
        except dbapi.Error as error:
            refuse(error)


def is_own(schema: str) -> bool:
    """Whether a schema, without its prefix, is one that a build fills."""
    return schema in {*MODELS, "unpublished", "config", "marks", "lake"} - {"published"} or schema.startswith("raw")


def _columns_sql(columns: Sequence[tuple[str, str, bool]]) -> str:
    collated = {"text": 'text collate "C"'}
    return ", ".join(
        f'"{column}" {collated.get(kind, kind)}{" not null" if is_filled else ""}'
        for column, kind, is_filled in columns
    )


def _check(found: Mapping[str, str], promised: Mapping[str, str]) -> None:
    wrong = [
        f"{column} is {found.get(column, 'missing')}, not {promised.get(column, 'promised')}"
        for column in sorted(found.keys() | promised.keys())
        # A case loses how many digits its branches have.
        if found.get(column) not in {promised.get(column), promised.get(column, "").partition("(")[0]}
    ]
    if wrong:
        raise PostgresError(f"its columns are not those of its contract: {', '.join(wrong)}")


def _told(columns: Iterable[tuple[str, str, bool]]) -> list[tuple[str, str]]:
    """Columns as Postgres tells of them."""
    return [(name, kind.replace("decimal", "numeric").replace(", ", ",")) for name, kind, _ in columns]


def _date(day: date | None) -> str:
    return f"cast({literal(str(day)) if day else 'null'} as date)"


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
