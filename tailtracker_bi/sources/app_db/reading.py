"""The app's own database (Postgres): all of its tables as of one moment, without personal columns.

    one read-only transaction --ADBC, as text--> mask -> Parquet in the spool --app_tables.py--> Versions

What the tables are, and how their rows are typed, stands in `app_tables.py`. A column that it does not name is not even
selected.

The connection is encrypted and the server's certificate checked, unless the server is this machine or the URL says
otherwise (`sslmode`). It goes to the server itself: a pooler that hands out a connection per transaction is fine, one
per statement is not. What a replica tells is as of the last transaction that it has replayed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, cast

import duckdb
import pyarrow.parquet as pq
from pydantic import Field, SecretStr, model_validator

from tailtracker_bi.crash_points import declare, reached
from tailtracker_bi.errors import TailTrackerError
from tailtracker_bi.settings import Settings, SourceSettings, check_database_url, database_address
from tailtracker_bi.sources.app_db.connection import (
    HINTS,
    INTERRUPTIONS,
    LASTING,
    STRUCTURE,
    TOLD,
    begin_snapshot,
    bypass_for,
    grant_for,
    how_far_behind,
    lag_of,
    reason_of,
)
from tailtracker_bi.sources.app_tables import (
    JSON_COLUMNS,
    MEMORY_LIMIT,
    TABLES,
    AppTable,
    TextRows,
    gone,
    key_of,
    masked,
    versions_of,
)
from tailtracker_bi.sources.base import Check, KnownIds, ObjectSource, Read, nothing_known
from tailtracker_bi.sources.foreign_text import readable
from tailtracker_bi.sources.records import (
    AbsentTableError,
    BadResponseError,
    Remark,
    SourceUnavailableError,
    Table,
    Versions,
)

if TYPE_CHECKING:
    from adbc_driver_postgresql import dbapi
    from tenacity import RetryCallState

declare(
    {
        "app_db.copied": "all tables are copied into the spool",
    }
)

TRIES = 4
WORTH_SAYING = timedelta(minutes=5)
"""A replica that is as far behind is remarked."""


class _InterruptedError(SourceUnavailableError):
    """A snapshot that broke off: another try may be whole."""


class _SlowTableError(BadResponseError):
    """A table that took too long, as one that was locked does: it may be quick another time."""


@dataclass
class _Found:
    """A table in the database, seen with the role's eyes."""

    role: str
    hides_rows: bool
    can_write: bool
    types: dict[str, str]
    """Of all its columns."""
    permitted: set[str]
    """The columns that the role may read."""

    def read_columns(self, table: AppTable) -> list[str]:
        return [column for column in table.kinds if JSON_COLUMNS.get(column, column) in self.types]

    def shape(self, table: AppTable) -> dict[str, str]:
        """The columns that are read, with their types."""
        names = [JSON_COLUMNS.get(column, column) for column in self.read_columns(table)]
        return {name: self.types[name] for name in names}

    def is_permitted(self, table: AppTable) -> bool:
        return self.permitted.issuperset(self.shape(table))


@dataclass(frozen=True)
class _Snapshot:
    """The tables as of one moment."""

    tables: Mapping[str, TextRows | TailTrackerError | None]
    """Each table's rows, or why it can't be read; None where it has gone."""
    as_of: datetime
    remarks: list[Remark]

    @property
    def slow(self) -> list[str]:
        return [name for name, found in self.tables.items() if isinstance(found, _SlowTableError)]


class AppDbSettings(SourceSettings):
    """Where the app's database is, and who reads it."""

    url: SecretStr | None = Field(None, alias="APP_DATABASE_URL")

    @model_validator(mode="after")
    def _check_url(self) -> AppDbSettings:
        if self.url is not None:
            check_database_url("APP_DATABASE_URL", self.url.get_secret_value())
        return self


class AppDb(ObjectSource):
    """Snapshots of the app's tables."""

    name = "app_db"
    title = "App database"
    tables = TABLES

    @classmethod
    def is_on(cls, settings: Settings) -> bool:
        return settings.of(AppDbSettings).url is not None

    @contextmanager
    def session(
        self, since: Mapping[str, datetime], spool: Path, known_ids: KnownIds = nothing_known
    ) -> Iterator[Read]:
        from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

        spool.mkdir(parents=True, exist_ok=True)
        retrying = Retrying(
            retry=retry_if_exception_type(_InterruptedError),
            stop=stop_after_attempt(TRIES),
            wait=lambda state: 2.0**state.attempt_number * self.settings.retry_scale,
            before_sleep=self._say_retry,
            reraise=True,
        )
        snapshot: _Snapshot = retrying(self._snapshot, set(since), spool)
        if snapshot.slow:
            self.say(f"app_db: {', '.join(snapshot.slow)}: reading took too long; the whole snapshot again, once")
            snapshot = retrying(self._snapshot, set(since), spool)
        reached("app_db.copied")
        with duckdb.connect(config={"memory_limit": MEMORY_LIMIT, "temp_directory": str(spool)}) as connection:
            connection.execute("set enable_progress_bar = false")

            @contextmanager
            def read(table: Table) -> Iterator[Versions]:
                copy = snapshot.tables[table.name]
                if isinstance(copy, TailTrackerError):
                    raise copy
                day = self.settings.now.date()
                versions = versions_of(connection, cast(AppTable, table), copy, day) if copy else gone(table)
                versions.as_of = snapshot.as_of
                versions.remarks += snapshot.remarks
                yield versions

            yield read

    def check(self) -> Check:
        try:
            with self._connected() as cursor:
                behind = how_far_behind(cursor)
                begin_snapshot(cursor)
                found = self._structure(cursor)
        except SourceUnavailableError as error:
            return Check(self.name, is_ok=False, detail=str(error))
        role = next((seen.role for seen in found.values()), "the role")
        missing = [table.name for table in TABLES if table.name not in found]
        core = [table.name for table in TABLES if table.name in missing and not table.is_optional]
        refused = [table.name for table in TABLES if table.name in found and not found[table.name].is_permitted(table)]
        hidden = [name for name, seen in found.items() if seen.hides_rows]
        writable = [name for name, seen in found.items() if seen.can_write]
        problems = [
            core
            and f"missing: {', '.join(core)} (does the role's search_path name their schema, and may it use that?)",
            refused and f"not permitted: {grant_for(role, *refused)}",
            hidden and f"row-level security hides rows of {', '.join(hidden)}: {bypass_for(role)}",
        ]
        details = [
            f"{role} reads {len({*found} - {*refused, *hidden})} of {len(TABLES)} tables",
            *problems,
            behind >= WORTH_SAYING and lag_of(behind).text,
            (optional := sorted({*missing} - {*core})) and f"optional and absent: {', '.join(optional)}",
            writable and f"warning: {role} can write to {', '.join(writable)}: use a role that can only read",
        ]
        return Check(self.name, is_ok=not any(problems), detail="; ".join(str(detail) for detail in details if detail))

    def counts(self) -> dict[str, int]:
        with self._connected() as cursor:
            begin_snapshot(cursor)
            found = self._structure(cursor)
            permitted = [table for table in TABLES if table.name in found and found[table.name].is_permitted(table)]
            counts = {}
            for table in permitted:
                cursor.execute(f"select count(*) from {table.name}")
                counts[table.name] = int(cursor.fetchone()[0])
        return counts

    def consenting(self, key: str) -> set[str]:
        """The users who consent now: in whose `privacy_settings` this key is true, and nothing else.

        It is kept nowhere, so that who withdraws is not told of any more with the next reading. Raises
        SourceUnavailableError, and BadResponseError where the column can't be read.
        """
        from adbc_driver_postgresql import dbapi

        with self._connected() as cursor:
            begin_snapshot(cursor)
            try:
                cursor.execute(
                    "select user_id::text from user_profiles where (privacy_settings::jsonb) -> $1 = 'true'::jsonb",
                    (key,),
                )
                return {user_id for (user_id,) in cursor.fetchall()}
            except dbapi.Error as error:
                if error.sqlstate is None or error.sqlstate.startswith(INTERRUPTIONS):
                    raise
                why = reason_of(error, "user_profiles", "the role")
                raise BadResponseError(f"app_db: who consents is not known: {why}") from None

    def _say_retry(self, state: RetryCallState) -> None:
        wait = state.next_action.sleep if state.next_action else 0.0
        error = state.outcome.exception() if state.outcome else None
        self.say(f"{error}; the whole snapshot again: try {state.attempt_number + 1} of {TRIES} in {wait:.0f} s")

    def _snapshot(self, landed: set[str], spool: Path) -> _Snapshot:
        """All tables as of one moment; `landed` are those that were there before."""
        with self._connected() as cursor:
            # Before the transaction sees its moment: so it can't claim more than it sees.
            behind, now = how_far_behind(cursor), self.settings.now
            begin_snapshot(cursor)
            found = self._structure(cursor)
            if not found:
                raise SourceUnavailableError(
                    "app_db: the database has none of the app's tables: is APP_DATABASE_URL the right one, and does "
                    "the role's search_path name their schema?"
                )
            tables = {
                table.name: self._try_to_copy(cursor, table, found[table.name], spool)
                if table.name in found
                else _absent(table, landed)
                for table in TABLES
            }
        return _Snapshot(tables, now - behind, [lag_of(behind)] if behind >= WORTH_SAYING else [])

    @contextmanager
    def _connected(self) -> Iterator[dbapi.Cursor]:
        from adbc_driver_postgresql import dbapi  # pandas comes with it, for half a second

        url = self.settings.of(AppDbSettings).url
        assert url is not None, "the source is on"  # noqa: S101 - for the type checker
        try:
            uri = database_address(url.get_secret_value())
            with dbapi.connect(uri, autocommit=True) as connection, connection.cursor() as cursor:
                yield cursor
        except dbapi.Error as error:
            raise self._unavailable(str(error)) from None

    def _unavailable(self, error: str) -> SourceUnavailableError:
        """What happened to the connection, on one line, without its address."""
        message = readable((TOLD.findall(error) or [""])[-1], self.settings.secrets)
        if not message and "Failed to connect" in error:
            return SourceUnavailableError(
                "app_db: APP_DATABASE_URL is not understood: write postgresql://user:password@host:port/database, "
                "with other characters than letters and digits in the password as %XX"
            )
        if LASTING.search(error):
            hint = next((hint for text, hint in HINTS.items() if text in error), "")
            return SourceUnavailableError(f"app_db: {message}; check APP_DATABASE_URL{hint}")
        return _InterruptedError(f"app_db: no connection, or it broke off{message and ': '}{message}")

    def _structure(self, cursor: dbapi.Cursor) -> dict[str, _Found]:
        cursor.execute(STRUCTURE)
        found: dict[str, _Found] = {}
        for table, column, type_, can_read, hides_rows, can_write, role in cursor.fetchall():
            seen = found.setdefault(table, _Found(role, hides_rows, can_write, {}, set()))
            seen.types[column] = type_
            if can_read:
                seen.permitted.add(column)
        return found

    def _try_to_copy(
        self, cursor: dbapi.Cursor, table: AppTable, found: _Found, spool: Path
    ) -> TextRows | TailTrackerError:
        """A table that can't be read does not take the others with it."""
        from adbc_driver_postgresql import dbapi

        where = f"app_db: {table.name}"
        columns, shape = found.read_columns(table), found.shape(table)
        key = key_of(table, columns)
        if key is None:
            return BadResponseError(f"{where}: the table lacks its key ({', '.join(table.keys[0])})")
        withheld = frozenset(found.types.keys() - shape.keys())
        copy = TextRows(self.name, spool / f"{table.name}.parquet", columns, key, withheld, shape)
        cursor.execute("savepoint table_begins")
        try:
            self._copy(cursor, table, copy)
        except dbapi.Error as error:
            if error.sqlstate is None or error.sqlstate.startswith(INTERRUPTIONS):
                raise
            cursor.execute("rollback to savepoint table_begins")
            kind = _SlowTableError if error.sqlstate == "57014" else BadResponseError
            return kind(f"{where}: {reason_of(error, table.name, found.role)}")
        return copy

    def _copy(self, cursor: dbapi.Cursor, table: AppTable, copy: TextRows) -> None:
        from adbc_driver_manager._reader import AdbcRecordBatchReader

        cursor.execute(f"select {', '.join(map(_as_text, copy.columns))} from {table.name}")
        stream, hash_key = cursor.fetch_arrow(), self.settings.hash_key
        # Unlike fetch_record_batch, this reader tells the SQLSTATE of an error amid the rows.
        with (
            AdbcRecordBatchReader._import_from_c(stream.address) as batches,
            pq.ParquetWriter(copy.file, batches.schema.remove_metadata()) as file,
        ):
            for batch in batches:
                file.write_batch(masked(batch, table, hash_key))


def _absent(table: AppTable, landed: set[str]) -> AbsentTableError | None:
    """A table that was never there is no failure; one that was has gone."""
    if table.name in landed:
        return None
    return AbsentTableError(f"app_db: {table.name}: the database has no such table")


def _as_text(column: str) -> str:
    """A column as Postgres writes it. Of a JSON object only a text is taken: what is nested in it could be anything."""
    if column not in JSON_COLUMNS:
        return f'"{column}"::text'
    path = f"""'$."{column}" ? (@.type() == "string")'"""
    return f"""jsonb_path_query_first("{JSON_COLUMNS[column]}"::jsonb, {path}) #>> '{{}}' as {column}"""
