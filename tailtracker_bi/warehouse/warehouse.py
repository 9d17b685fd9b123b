"""The warehouse: shows the lake and the configuration to the engine, and has dbt build what follows from them.

Which landings the last finished build had taken in stands in schema `marks`, written only after a build succeeded: one
that broke off left no mark, and the next one does its work again. Where settings or SQL changed that rows already
stored depend on, those tables are dropped, and dbt fills them in full.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from tailtracker_bi.analytics import Analytics
from tailtracker_bi.crash_points import reached
from tailtracker_bi.lake import Lake, LakeError
from tailtracker_bi.settings import Settings
from tailtracker_bi.shipped import DBT_PROJECT
from tailtracker_bi.sources import SOURCES, DaySource, ObjectSource, Source, Table
from tailtracker_bi.warehouse.config_tables import config_tables
from tailtracker_bi.warehouse.dbt_runner import BuildError, parsed_project, run_dbt

# Tables that keep what earlier builds computed, in families that are rebuilt together.
FAMILIES = {
    "people": ("intermediate.int_identity_ties", "intermediate.int_raw_id_days", "marts.fct_person_days"),
    "funnels": ("intermediate.int_funnel_events",),
}
# SQL that their rows depend on, relative to the dbt project.
FAMILY_SQL = ("macros", "models/staging", "models/intermediate", "models/marts")

_STRING, _DATE, _LONG, _BOOL = pa.string(), pa.date32(), pa.int64(), pa.bool_()

LEDGER_SCHEMA = pa.schema([("landing", _LONG), ("chain", _STRING)])
"""The last landing that a build was shown."""
STORED_SCHEMA = pa.schema([("name", _STRING), ("rows", _LONG), ("digest", _STRING), ("engine", _STRING)])
"""What the tables of the families held when the last build finished. Digests of another DuckDB can't be compared."""

# Ids that are other people's since the last build, as of the first day on which any of them was seen. Nobody moves in a
# first build.
_MARK_MERGES = """
    insert into marks.merges
    with ids as (
        select
            raw_id,
            coalesce(after.person_id, raw_id) as person_id,
            coalesce(before.person_id, raw_id) as person_before
        from marks.identities as after
        full outer join marks.identities_before as before using (raw_id)
    )

    select $landing, min(event_date) from intermediate.int_raw_id_days
    inner join ids using (raw_id)
    where person_id <> person_before and exists (from marks.identities_before)
    having count(*) > 0
"""

DAMAGED = "the warehouse file is damaged: it is made anew from the lake"


class Warehouse:
    """The DuckDB warehouse below HOME. One process at a time: callers hold the lock of `runs.locked`."""

    _INTERNAL: ClassVar[dict[str, pa.Schema]] = {
        "landings": pa.schema(
            [("source", _STRING), ("table_name", _STRING), ("source_day", _DATE), ("landing", _LONG)]
        ),
        "identities": pa.schema([("raw_id", _STRING), ("person_id", _STRING), ("is_excluded", _BOOL)]),
        "plans": pa.schema([("person_id", _STRING), ("from_date", _DATE), ("plan", _STRING)]),
        "covered": pa.schema(
            [
                ("source", _STRING),
                ("table_name", _STRING),
                ("first_day", _DATE),
                ("last_day", _DATE),
                ("covered_from", _DATE),
                ("complete_through", _DATE),
            ]
        ),
        "fingerprints": pa.schema([("family", _STRING), ("fingerprint", _STRING)]),
        "merges": pa.schema([("landing", _LONG), ("first_date", _DATE)]),
    }

    def __init__(self, settings: Settings, analytics: Analytics, lake: Lake) -> None:
        self._settings, self._analytics, self._lake = settings, analytics, lake
        self.path = settings.home / "warehouse.duckdb"
        self.results: Sequence[Any] = ()
        """What dbt said of each node of the build that this object made."""

    def drop(self) -> None:
        """Remove the warehouse: the next build makes it anew from the lake."""
        for file in (self.path, self.path.with_name(self.path.name + ".wal")):
            file.unlink(missing_ok=True)

    def prepare(self, full_refresh: bool = False) -> list[str]:
        """Write what models read. Returns, in words, what will be rebuilt in full and why."""
        if self.is_damaged():
            self.drop()
            return [DAMAGED, *self._prepare(full_refresh)]
        return self._prepare(full_refresh)

    def is_damaged(self, *, to_its_last_block: bool = False) -> bool:
        """Whether the file is there and can't be opened or, where that is asked, some table of it not be read.

        Found by trying, not by DuckDB's words, in which a path may stand. Raises BuildError where another program holds
        the file, or it may not be read: that is no damage.
        """
        if not self.path.exists():
            return False
        self._check_is_free()
        try:
            with self._connect() as connection:
                tables = connection.execute(
                    "select database_name, schema_name, table_name from duckdb_tables() where not temporary"
                ).fetchall()
                for names in tables if to_its_last_block else ():
                    table_digest(connection, ".".join(f'"{name}"' for name in names))
        except duckdb.OutOfMemoryException:
            return False
        except duckdb.Error:
            return True
        return False

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

    def check_is_of_lake(self) -> None:
        """Raise LakeError where the warehouse took in what the ledger does not have: one of both is not this HOME's.

        Landings are numbered: those that come would pass for those that were taken in.
        """
        if not self.path.exists() or self.is_damaged():
            return
        with self._connect() as connection:
            if not _exists(connection, "marks", "ledger"):
                return
            taken_in = connection.execute("select landing, chain from marks.ledger").fetchone()
        ledger = self._lake.landings()
        known = set(zip(ledger["landing"].to_pylist(), ledger["chain"].to_pylist(), strict=True))
        if taken_in and taken_in not in known:
            raise LakeError(
                f"the warehouse took in landing {taken_in[0]}, which lake/_landings does not have: the lake is older "
                "than the warehouse, or one of both is of another HOME",
                "put back what belongs together, or, if this lake is the right one, `tailtracker-bi refresh --rebuild`",
            )

    def build(self, progress: Callable[[str, int, int], None] = lambda *_: None) -> None:
        """Run all models and data tests; then mark what was taken in.

        `progress` is told the node just finished, and how many of how many. Raises BuildError.
        """

        def told(what: str, done: int, total: int) -> None:
            progress(what, done, total)
            if done == 1:
                reached("build.first_model")
            elif done == total // 2:
                reached("build.half")

        manifest = parsed_project(self._settings.home)
        self.results = run_dbt(
            self._settings.home,
            ["build", "--exclude-resource-type", "unit_test", "--no-write-json"],
            told,
            manifest,
        ).results
        reached("build.ran")
        with self._connect() as connection:
            connection.execute(
                "create or replace table marks.landings as select source, table_name, source_day, landing "
                "from staging.stg_lake__landings where status = 'landed'"
            )
            reached("build.landings_marked")
            self._mark_stored(connection)
            connection.execute(_MARK_MERGES, {"landing": pc.max(self._lake.landings()["landing"]).as_py()})
            connection.execute("drop table marks.identities_before")
            connection.execute(
                "create or replace table marks.finished as "
                "select $finished_at::timestamp as finished_at, $landing::bigint as landing, "
                "$definition::varchar as definition",
                {
                    "finished_at": datetime.now(UTC).replace(tzinfo=None),
                    "landing": pc.max(self._lake.landings()["landing"]).as_py(),
                    "definition": self._definition(),
                },
            )
            connection.execute("checkpoint")
        reached("build.finished")

    def check_finished(self) -> None:
        """Raise BuildError unless the last build came to its end: no other state may be published."""
        if self.path.exists():
            with self._connect() as connection:
                if _exists(connection, "marks", "finished"):
                    return
        raise BuildError("the last build did not finish: build again before publishing")

    def row_counts(self) -> dict[tuple[str, str], int]:
        """Rows of each table that models filled, by schema and name; views have to be computed, and are left out."""
        with self._connect() as connection:
            tables = connection.execute(
                "select schema_name, table_name from duckdb_tables() "
                "where schema_name in ('staging', 'intermediate', 'marts', 'metrics', 'published')"
            ).fetchall()
            counts = " union all ".join(
                f"select '{schema}', '{name}', count(*) from {schema}.{name}" for schema, name in tables
            )
            rows = connection.execute(counts).fetchall() if tables else []
        return {(schema, name): count for schema, name, count in rows}

    def _prepare(self, full_refresh: bool) -> list[str]:
        with self._connect() as connection:
            for schema in ("raw_lake", "config", "marks", *(f"raw_{source.name}" for source in SOURCES)):
                connection.execute(f"create schema if not exists {schema}")
            connection.execute("drop table if exists marks.finished")
            landings = self._lake.landings()
            connection.register("landings_now", landings)
            connection.execute("create or replace table raw_lake.landings as from landings_now")
            for source in SOURCES:
                for table in source.tables:
                    self._show(connection, source, table)
            began = {source.name: self._first_day_told(connection, source) for source in SOURCES}
            for name, (schema, rows) in config_tables(self._settings, self._analytics, landings, began).items():
                _write(connection, "config", name, schema, rows)
            if len(landings):
                last = [(landings["landing"][-1].as_py(), landings["chain"][-1].as_py())]
                _write(connection, "marks", "ledger", LEDGER_SCHEMA, last)
            for name, schema in self._INTERNAL.items():
                if not _exists(connection, "marks", name):
                    _write(connection, "marks", name, schema, [])
            # Kept until a build comes to its end: one that broke off may have marked the new ones.
            connection.execute("create table if not exists marks.identities_before as from marks.identities")
            notes = self._drop_outdated(connection, full_refresh)
        reached("build.prepared")
        return notes

    def _show(self, connection: duckdb.DuckDBPyConnection, source: type[Source], table: Table) -> None:
        """A view of the table's Parquet files, or a typed empty relation where nothing has landed."""
        files = self._lake.files(source.name, table.name)
        connection.register("declared", source.raw_schema(table).empty_table())
        columns = connection.execute("describe declared").fetchall()
        if files:
            paths = ", ".join(map(_literal, files))
            days = ", hive_partitioning = true, hive_types = {'day': date}" if issubclass(source, DaySource) else ""
            origin = f"read_parquet([{paths}]{days})"
            select = ", ".join(f"{name}::{kind} as {name}" for name, kind, *_ in columns) + f" from {origin}"
        else:
            select = ", ".join(f"null::{kind} as {name}" for name, kind, *_ in columns) + " where false"
        connection.execute(f"create or replace view raw_{source.name}.{table.name} as select {select}")

    def _first_day_told(self, connection: duckdb.DuckDBPyConnection, source: type[Source]) -> date | None:
        """The reporting day on which a source's oldest object came to be; None for days, and where there is none."""
        if not issubclass(source, ObjectSource):
            return None
        told = " union all ".join(
            f"select {column}::timestamp as told_at from raw_{source.name}.{table.name}"
            for table in source.tables
            for column in DATED_BY
            if column in table.schema.names
        )
        row = connection.execute(
            f"select min(told_at) from ({told}) where told_at >= $earliest", {"earliest": EARLIEST}
        ).fetchone()
        zone = ZoneInfo(self._settings.timezone)
        return row[0].replace(tzinfo=UTC).astimezone(zone).date() if row and row[0] else None

    def _drop_outdated(self, connection: duckdb.DuckDBPyConnection, full_refresh: bool) -> list[str]:
        """Drop the families whose fingerprint changed, and note the new one, by which they are about to be filled."""
        rows = connection.execute("select family, fingerprint from marks.fingerprints").fetchall()
        before: dict[str, str] = dict(rows)
        told = []
        for family, fingerprint in self._fingerprints().items():
            is_there = all(_exists(connection, *table.split(".")) for table in FAMILIES[family])
            if not full_refresh and is_there and before.get(family) == fingerprint:
                continue
            for table in FAMILIES[family]:
                connection.execute(f"drop table if exists {table}")
            if full_refresh:
                told.append(f"{family}: rebuilt in full, as asked")
            elif family in before:
                told.append(f"{family}: rebuilt in full, because settings, analytics.yml or SQL changed")
        _write(connection, "marks", "fingerprints", self._INTERNAL["fingerprints"], self._fingerprints().items())
        return told

    def _definition(self) -> str:
        """A fingerprint of all that numbers depend on besides what sources tell: SQL, analytics.yml and settings."""
        settings = self._settings
        content = {
            "sql": [
                (str(file.relative_to(DBT_PROJECT)), file.read_text(encoding="utf-8"))
                for folder in ("macros", "models")
                for file in sorted((DBT_PROJECT / folder).rglob("*.sql"))
            ],
            "analytics": self._analytics.model_dump(exclude={"metrics"}),
            "settings": settings.model_dump(
                include={"timezone", "mixpanel_timezone", "week_start", "currency", "history_start"}
            ),
        }
        return hashlib.sha256(json.dumps(content, default=str).encode()).hexdigest()

    def _fingerprints(self) -> dict[str, str]:
        """What the rows that a family keeps depend on, besides the lake."""
        common = {
            "timezone": self._settings.timezone,
            "mixpanel_timezone": self._settings.mixpanel_timezone,
            "nobodys_ids": sorted(self._analytics.identities.all_nobodys),
            "excluded": [rule.model_dump() for rule in self._analytics.test_accounts.event_properties],
            "sql": [
                (str(file.relative_to(DBT_PROJECT)), file.read_text(encoding="utf-8"))
                for folder in FAMILY_SQL
                for file in sorted((DBT_PROJECT / folder).rglob("*.sql"))
            ],
        }
        own: dict[str, Any] = {
            "people": self._analytics.activity.model_dump(),
            "funnels": sorted({step.event for funnel in self._analytics.funnels for step in funnel.steps}),
        }
        return {
            family: hashlib.sha256(json.dumps([common, own[family]], default=str).encode()).hexdigest()
            for family in FAMILIES
        }

    def _mark_stored(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Keep what the tables hold that later builds build on: nothing else could tell whether it is still so."""
        rows = [
            (table, *table_digest(connection, table), duckdb.__version__)
            for tables in FAMILIES.values()
            for table in tables
        ]
        _write(connection, "marks", "stored", STORED_SCHEMA, rows)

    def outdated(self, connection: duckdb.DuckDBPyConnection) -> list[str]:
        """The families that other SQL or settings filled than are there now: the next build fills them in full."""
        rows = connection.execute("select family, fingerprint from marks.fingerprints").fetchall()
        return [family for family, now in self._fingerprints().items() if dict(rows).get(family) != now]

    @contextmanager
    def _connect(self) -> Iterator[duckdb.DuckDBPyConnection]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        connection = duckdb.connect(str(self.path))
        try:
            connection.execute("set TimeZone = 'UTC'")
            yield connection
        finally:
            connection.close()


def table_digest(connection: duckdb.DuckDBPyConnection, table: str) -> tuple[int, str]:
    """How many rows a table has, and a digest of them in any order; reads all of it, so that a bad block is found."""
    row = connection.execute(
        f"select count(*), cast(coalesce(sum(hash(row_of_it)), 0) as varchar) from {table} as row_of_it"
    ).fetchone()
    return (int(row[0]), str(row[1])) if row else (0, "")


DATED_BY = ("created_at", "date")
"""The columns that say when an object came to be; a table has one of them, or tells nothing of that."""
EARLIEST = date(2000, 1, 1)
"""Objects that claim to be older have a clock gone wrong: they open no calendar."""


def _write(
    connection: duckdb.DuckDBPyConnection, schema: str, name: str, columns: pa.Schema, rows: Iterable[Any]
) -> None:
    records = [dict(zip(columns.names, row, strict=True)) for row in rows]
    connection.register("rows_now", pa.Table.from_pylist(records, columns))
    connection.execute(f"create or replace table {schema}.{name} as from rows_now")
    connection.unregister("rows_now")


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _exists(connection: duckdb.DuckDBPyConnection, schema: str, name: str) -> bool:
    return bool(
        connection.execute(
            "select 1 from information_schema.tables where table_schema = ? and table_name = ?",
            [schema, name],
        ).fetchall()
    )
