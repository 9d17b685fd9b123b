"""The app's own database (Postgres): all of its tables as of one moment, without personal columns.

    one read-only transaction --ADBC, as text--> mask -> Parquet in the spool -> types and keys -> Versions

Every value is read as Postgres writes it, and typed here: so no number is rounded, and a value that can't be
represented (an infinite timestamp, a date before Christ, a column that was retyped) costs its row alone. Columns are
allow-listed: what `TABLES` does not name is not even selected.

The connection is encrypted unless the server is this machine or the URL says otherwise (`sslmode`). It goes to the
server itself: a pooler that hands out a connection per transaction is fine, one per statement is not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from adbc_driver_manager._reader import AdbcRecordBatchReader
from adbc_driver_postgresql import dbapi
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt

from tailtracker_bi.crash_points import reached
from tailtracker_bi.errors import TailTrackerError
from tailtracker_bi.personal_data import SIEVE, hash_personal_id, is_personal_id, mask_text
from tailtracker_bi.settings import Settings
from tailtracker_bi.sources.base import (
    QUARANTINE_SCHEMA,
    VERSION_SCHEMA,
    AbsentTableError,
    BadResponseError,
    Check,
    Counts,
    KnownIds,
    ObjectSource,
    Read,
    SourceUnavailableError,
    Table,
    Versions,
    nothing_known,
)

TRIES = 4
STATEMENT_TIMEOUT = "10min"
MEMORY_LIMIT = "512MB"
_BEGIN = (
    "begin isolation level repeatable read, read only",
    "set local row_security = off",  # what row-level security would hide is an error, not a table without rows
    "set local time zone 'UTC'",
    "set local datestyle = 'ISO'",
)
_PARAMETERS = {
    "application_name": "tailtracker-bi",
    "connect_timeout": "15",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
}


@dataclass(frozen=True)
class _Kind:
    """A type of columns: what it lands as, and which texts are values of it (None: all)."""

    arrow: pa.DataType
    sql: str = "varchar"
    pattern: str | None = None


_DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_MOMENT = _DAY + r"( [0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(\+00(:00)?)?)?"
_KINDS = {
    "ids": _Kind(pa.string()),
    "text": _Kind(pa.string()),
    "numeric": _Kind(pa.string(), "varchar", r"-?[0-9]+(\.[0-9]+)?(e[+-][0-9]+)?"),
    "integer": _Kind(pa.int64(), "bigint", r"-?[0-9]+"),
    "boolean": _Kind(pa.bool_(), "boolean", "true|false"),
    "date": _Kind(pa.date32(), "date", _MOMENT),
    "timestamp": _Kind(pa.timestamp("us"), "timestamp", _MOMENT),
}
_JSON_COLUMNS = {"subscription_tier": "preferences"}
"""Columns that are one text of a JSON object. Nothing else of the object is read."""


@dataclass(frozen=True)
class AppTable(Table):
    """A table of the app, as far as it is read."""

    kinds: Mapping[str, str]
    """Of each column."""
    keys: tuple[tuple[str, ...], ...]
    """What tells its rows apart: the first of these whose columns it has."""
    is_optional: bool


def _table(name: str, *keys: str, is_optional: bool = False, **columns: str) -> AppTable:
    kinds = {column: kind for kind, names in columns.items() for column in names.split()}
    schema = pa.schema([(column, _KINDS[kind].arrow) for column, kind in kinds.items()])
    return AppTable(name, schema, kinds, tuple(tuple(key.split()) for key in keys or ("id",)), is_optional)


_optional_table = partial(_table, is_optional=True)

TABLES = (
    _table(
        "user_profiles",
        ids="id user_id",
        text="subscription_tier subscription_status",
        boolean="location_sharing_enabled",
        timestamp="subscription_expires_at created_at updated_at",
    ),
    _table(
        "pets",
        ids="id user_id",
        text="species breed gender status",
        numeric="weight profile_completeness",
        boolean="is_public",
        date="date_of_birth",
        timestamp="created_at updated_at",
    ),
    _table(
        "lost_pet_reports",
        ids="id pet_id user_id",
        text="status urgency",
        numeric="alert_radius reward_amount",
        boolean="is_resolved",
        timestamp="last_seen_date found_date created_at updated_at",
    ),
    _table(
        "pet_sightings",
        ids="id lost_pet_report_id reporter_user_id",
        integer="confidence_level",
        boolean="verified",
        timestamp="sighting_date created_at",
    ),
    _table(
        "lost_pet_notifications",
        ids="id lost_pet_report_id user_id",
        numeric="distance_meters",
        timestamp="sent_at opened_at",
    ),
    _table(
        "family_sharing",
        ids="id pet_id owner_user_id shared_with_user_id",
        text="status",
        timestamp="created_at",
    ),
    _table(
        "health_reminders",
        ids="id pet_id user_id",
        text="reminder_type",
        boolean="is_recurring is_completed",
        timestamp="due_date created_at updated_at",
    ),
    _table(
        "subscriptions",
        ids="id user_id stripe_subscription_id stripe_customer_id",
        text="tier billing_cycle status downgrade_to_tier",
        boolean="cancel_at_period_end",
        timestamp="current_period_start current_period_end created_at updated_at",
    ),
    _table(
        "subscription_history",
        ids="id subscription_id user_id",
        text="action from_tier to_tier from_billing_cycle to_billing_cycle",
        numeric="proration_amount",
        timestamp="created_at",
    ),
    _optional_table(
        "feature_flags", "name environment", "name", text="name flag_type environment", boolean="is_active"
    ),
    _optional_table(
        "ab_tests",
        "name environment",
        "name",
        text="name status winning_variant environment",
        timestamp="created_at ended_at",
    ),
    _optional_table(
        "ab_test_exposures",
        "test_name user_id timestamp environment",
        "test_name user_id timestamp",
        ids="user_id",
        text="test_name variant environment",
        timestamp="timestamp",
    ),
    _optional_table(
        "security_events", ids="id user_id", text="type severity action_taken", timestamp="occurred_at resolved_at"
    ),
    _optional_table(
        "marketing_metrics", "date channel currency", text="channel currency", numeric="spend", date="date"
    ),
    _optional_table("support_tickets", ids="id user_id", text="priority category", timestamp="created_at resolved_at"),
    _optional_table(
        "app_store_ratings",
        "id",
        "platform created_at score",
        ids="id",
        text="platform",
        numeric="score",
        timestamp="created_at",
    ),
    _optional_table(
        "nps_responses", "id", "user_id created_at", ids="id user_id", numeric="score", timestamp="created_at"
    ),
)

_STRUCTURE = f"""
    select
        c.relname::text, a.attname::text, pg_catalog.has_column_privilege(c.oid, a.attnum, 'select'),
        pg_catalog.row_security_active(c.oid), pg_catalog.has_table_privilege(c.oid, 'insert, update, delete'),
        pg_catalog.quote_ident(current_user)
    from pg_catalog.pg_class as c
    join pg_catalog.pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    where
        c.relname in ({", ".join(f"'{table.name}'" for table in TABLES)})
        and c.relkind in ('r', 'p', 'v', 'm', 'f')
        and pg_catalog.pg_table_is_visible(c.oid)
"""
_UUID = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
# A passing trouble of the server or the way to it (SQLSTATE): the snapshot is gone, another may be whole.
_INTERRUPTIONS = ("08", "40", "53", "57P", "58")
_LASTING = re.compile("authentication failed|does not exist|pg_hba.conf|certificate|does not support SSL")
# What a server or the network said, without the address that libpq puts before it.
_TOLD = re.compile(r".*(?:FATAL|ERROR|failed|to address): +(.*)")


class _InterruptedError(SourceUnavailableError):
    """A snapshot that broke off: another try may be whole."""


@dataclass
class _Found:
    """A table in the database, seen with the role's eyes."""

    role: str
    hides_rows: bool
    can_write: bool
    columns: dict[str, bool]
    """Whether the role may read them."""

    def read_columns(self, table: AppTable) -> list[str]:
        return [column for column in table.kinds if _JSON_COLUMNS.get(column, column) in self.columns]

    def is_permitted(self, table: AppTable) -> bool:
        return all(self.columns[_JSON_COLUMNS.get(column, column)] for column in self.read_columns(table))


@dataclass(frozen=True)
class _Copy:
    """A table's rows as of the snapshot, as masked text."""

    file: Path
    columns: list[str]
    key: tuple[str, ...]
    withheld: frozenset[str]


class AppDb(ObjectSource):
    """Snapshots of the app's tables."""

    name = "app_db"
    tables = TABLES

    @classmethod
    def is_on(cls, settings: Settings) -> bool:
        return settings.app_database_url is not None

    @contextmanager
    def session(
        self, since: Mapping[str, datetime], spool: Path, known_ids: KnownIds = nothing_known
    ) -> Iterator[Read]:
        spool.mkdir(parents=True, exist_ok=True)
        retrying = Retrying(
            retry=retry_if_exception_type(_InterruptedError),
            stop=stop_after_attempt(TRIES),
            wait=lambda state: 2.0**state.attempt_number * self.settings.retry_scale,
            before_sleep=self._say_retry,
            reraise=True,
        )
        copies = retrying(self._snapshot, set(since), spool)
        reached("app_db.copied")

        @contextmanager
        def read(table: Table) -> Iterator[Versions]:
            copy = copies[table.name]
            if isinstance(copy, TailTrackerError):
                raise copy
            with duckdb.connect(config={"memory_limit": MEMORY_LIMIT, "temp_directory": str(spool)}) as connection:
                yield self._versions(connection, cast(AppTable, table), copy)

        yield read

    def check(self) -> Check:
        try:
            with self._transaction() as cursor:
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
            refused and f"not permitted: {_grant(role, *refused)}",
            hidden and f"row-level security hides rows of {', '.join(hidden)}: {_bypass(role)}",
        ]
        details = [
            f"{role} reads {len({*found} - {*refused, *hidden})} of {len(TABLES)} tables",
            *problems,
            (optional := sorted({*missing} - {*core})) and f"optional and absent: {', '.join(optional)}",
            writable and f"warning: {role} can write to {', '.join(writable)}: use a role that can only read",
        ]
        return Check(self.name, is_ok=not any(problems), detail="; ".join(str(detail) for detail in details if detail))

    def counts(self) -> dict[str, int]:
        with self._transaction() as cursor:
            found = self._structure(cursor)
            permitted = [table for table in TABLES if table.name in found and found[table.name].is_permitted(table)]
            counts = {}
            for table in permitted:
                cursor.execute(f"select count(*) from {table.name}")
                counts[table.name] = int(cursor.fetchone()[0])
        return counts

    def _say_retry(self, state: RetryCallState) -> None:
        wait = state.next_action.sleep if state.next_action else 0.0
        error = state.outcome.exception() if state.outcome else None
        self.say(f"{error}; the whole snapshot again: try {state.attempt_number + 1} of {TRIES} in {wait:.0f} s")

    def _snapshot(self, landed: set[str], spool: Path) -> dict[str, _Copy | TailTrackerError]:
        """Each table as of one moment, or why it can't be read; `landed` are those that were there before."""
        with self._transaction() as cursor:
            found = self._structure(cursor)
            if not found:
                raise SourceUnavailableError(
                    "app_db: the database has none of the app's tables: is APP_DATABASE_URL the right one, and does "
                    "the role's search_path name their schema?"
                )
            return {
                table.name: self._try_to_copy(cursor, table, found[table.name], spool)
                if table.name in found
                else _missing(table, landed)
                for table in TABLES
            }

    @contextmanager
    def _transaction(self) -> Iterator[dbapi.Cursor]:
        """A transaction that sees one moment and can't write."""
        assert self.settings.app_database_url is not None, "the source is on"  # noqa: S101 - for the type checker
        try:
            uri = _with_parameters(self.settings.app_database_url.get_secret_value())
            with dbapi.connect(uri, autocommit=True) as connection, connection.cursor() as cursor:
                for statement in (*_BEGIN, f"set local statement_timeout = '{STATEMENT_TIMEOUT}'"):
                    cursor.execute(statement)
                yield cursor
        except dbapi.Error as error:
            raise self._unavailable(str(error)) from None

    def _unavailable(self, error: str) -> SourceUnavailableError:
        """What happened to the connection, on one line, without its address."""
        told = (_TOLD.findall(error) or [""])[-1].strip()
        for secret in self.settings.secrets:
            told = told.replace(secret, "[secret]")
        if not told and "Failed to connect" in error:
            return SourceUnavailableError(
                "app_db: APP_DATABASE_URL is not understood: write postgresql://user:password@host:port/database, "
                "with other characters than letters and digits in the password as %XX"
            )
        if _LASTING.search(error):
            hint = "; add ?sslmode=disable if the network is to be trusted" if "support SSL" in error else ""
            return SourceUnavailableError(f"app_db: {told}; check APP_DATABASE_URL{hint}")
        return _InterruptedError(f"app_db: no connection, or it broke off{told and ': '}{told}")

    def _structure(self, cursor: dbapi.Cursor) -> dict[str, _Found]:
        cursor.execute(_STRUCTURE)
        found: dict[str, _Found] = {}
        for table, column, can_read, hides_rows, can_write, role in cursor.fetchall():
            found.setdefault(table, _Found(role, hides_rows, can_write, {})).columns[column] = can_read
        return found

    def _try_to_copy(
        self, cursor: dbapi.Cursor, table: AppTable, found: _Found, spool: Path
    ) -> _Copy | TailTrackerError:
        """A table that can't be read does not take the others with it."""
        where = f"app_db: {table.name}"
        columns = found.read_columns(table)
        key = next((key for key in table.keys if set(key) <= set(columns)), None)
        if key is None:
            return BadResponseError(f"{where}: the table lacks its key ({', '.join(table.keys[0])})")
        withheld = found.columns.keys() - {_JSON_COLUMNS.get(column, column) for column in columns}
        copy = _Copy(spool / f"{table.name}.parquet", columns, key, frozenset(withheld))
        cursor.execute("savepoint table_begins")
        try:
            self._copy(cursor, table, copy)
        except dbapi.Error as error:
            if error.sqlstate is None or error.sqlstate.startswith(_INTERRUPTIONS):
                raise
            cursor.execute("rollback to savepoint table_begins")
            return BadResponseError(f"{where}: {_reason(error, table.name, found.role)}")
        return copy

    def _copy(self, cursor: dbapi.Cursor, table: AppTable, copy: _Copy) -> None:
        cursor.execute(f"select {', '.join(map(_as_text, copy.columns))} from {table.name}")
        stream = cursor.fetch_arrow()
        # Unlike fetch_record_batch, this reader tells the SQLSTATE of an error amid the rows.
        with (
            AdbcRecordBatchReader._import_from_c(stream.address) as batches,
            pq.ParquetWriter(copy.file, batches.schema.remove_metadata()) as file,
        ):
            for batch in batches:
                file.write_batch(self._masked(batch, table))

    def _masked(self, batch: pa.RecordBatch, table: AppTable) -> pa.RecordBatch:
        """Without personal data in texts; an id that is an e-mail address or the like becomes a keyed hash."""

        def masked(name: str) -> pa.Array:
            if table.kinds[name] == "ids":
                return _rewrite(batch[name], self._hashed)
            return _rewrite(batch[name], partial(mask_text, name=name)) if table.kinds[name] == "text" else batch[name]

        return pa.record_batch({name: masked(name) for name in batch.schema.names})

    def _hashed(self, raw_id: str) -> str:
        return hash_personal_id(raw_id, self.settings.hash_key) if is_personal_id(raw_id) else raw_id

    def _versions(self, connection: duckdb.DuckDBPyConnection, table: AppTable, copy: _Copy) -> Versions:
        connection.read_parquet(str(copy.file)).create_view("copied")
        connection.execute(_typed(table, copy))
        twice = connection.execute(
            "select object_id from typed where object_id is not null group by object_id having count(*) > 1 limit 1"
        ).fetchone()
        if twice:
            key = ", ".join(copy.key)
            raise BadResponseError(f"app_db: {table.name}: {key} should tell rows apart, but does not")
        counted = connection.execute("select count(*), count(reason), min(reason) from typed").fetchone()
        received, quarantined, reason = cast(tuple[int, int, str], counted)
        if received and quarantined == received:
            raise BadResponseError(f"app_db: {table.name}: none of {received} rows can be used: {reason}")
        unreadable = connection.execute(
            "select object_id from typed where reason is not null and object_id is not null"
        ).fetchall()

        def reader(sql: str, schema: pa.Schema, **parameters: Any) -> pa.RecordBatchReader:
            return connection.cursor().execute(sql, parameters).to_arrow_reader(100_000).cast(schema)

        schema = pa.schema([*VERSION_SCHEMA, *table.schema])
        names = ", ".join(f'"{name}"' for name in schema.names)
        return Versions(
            rows=reader(f"select {names} from typed where reason is null", schema),
            is_snapshot=True,
            quarantine=reader(
                "select $day::date as day, reason, coalesce(object_id, '') as record from typed "
                "where reason is not null",
                QUARANTINE_SCHEMA,
                day=self.settings.now.date(),
            ),
            counts=Counts(received=received, quarantined=quarantined),
            withheld=copy.withheld,
            lacking=frozenset(table.kinds) - frozenset(copy.columns),
            unreadable=[object_id for (object_id,) in unreadable],
        )


def _missing(table: AppTable, landed: set[str]) -> TailTrackerError:
    """A table that was never there is no failure; one that was has gone."""
    if table.name not in landed:
        return AbsentTableError(f"app_db: {table.name}: the database has no such table")
    return BadResponseError(
        f"app_db: {table.name}: the table is gone: was it renamed, or does the role's search_path not name its schema?"
    )


def _with_parameters(url: str) -> str:
    """The URL with what it leaves open: time limits, and encryption on the way to another machine."""
    given = dict(parse_qsl(urlsplit(url).query))
    host = given.get("host") or given.get("hostaddr") or urlsplit(url).hostname or ""
    is_here = host in {"", "localhost", "::1"} or host.startswith(("/", "%2f", "127."))
    wanted = _PARAMETERS if is_here else _PARAMETERS | {"sslmode": "require"}
    added = {name: value for name, value in wanted.items() if name not in given}
    return f"{url}{'&' if '?' in url else '?'}{urlencode(added, quote_via=quote)}"


def _as_text(column: str) -> str:
    """A column as Postgres writes it. Of a JSON object only a text is taken: what is nested in it could be anything."""
    if column not in _JSON_COLUMNS:
        return f'"{column}"::text'
    path = f"""'$."{column}" ? (@.type() == "string")'"""
    return f"""jsonb_path_query_first("{_JSON_COLUMNS[column]}"::jsonb, {path}) #>> '{{}}' as {column}"""


def _rewrite(texts: pa.Array, clean: Callable[[str], str]) -> pa.Array:
    """Clean the texts that the sieve catches. It is slow on UUIDs, and they say nothing about anyone."""
    suspects = pc.if_else(pc.match_substring_regex(texts, _UUID), "", texts)
    caught = pc.fill_null(pc.match_substring_regex(suspects, SIEVE), False)
    cleaned = [clean(text) for text in texts.filter(caught).to_pylist()]
    return pc.replace_with_mask(texts, caught, pa.array(cleaned, pa.string())) if cleaned else texts


def _typed(table: AppTable, copy: _Copy) -> str:
    """The view `typed`: the columns of VERSION_SCHEMA and the table's own, and why a row can't be used, if so."""

    def value(column: str) -> str:
        kind = _KINDS[table.kinds[column]]
        if column not in copy.columns:
            return f"cast(null as {kind.sql})"
        if kind.pattern is None:
            return f'"{column}"'
        return (
            f"""case when regexp_full_match("{column}", '{kind.pattern}') then try_cast("{column}" as {kind.sql}) end"""
        )

    def fault(column: str) -> str:
        is_fault = f'"{column}" is not null and {value(column)} is null'
        return f"case when {is_fault} then '{column} is no {table.kinds[column]}' end"

    faults = [f"""case when "{column}" is null then '{column} is null' end""" for column in copy.key]
    faults += [fault(column) for column in copy.columns if _KINDS[table.kinds[column]].pattern]
    return f"""
        create view typed as
        select
            {" || '/' || ".join(f'"{column}"' for column in copy.key)} as object_id,
            cast(null as timestamp) as effective_at,
            'snapshot' as origin,
            false as is_deleted,
            {", ".join(f'{value(column)} as "{column}"' for column in table.kinds)},
            nullif(concat_ws('; ', {", ".join(faults)}), '') as reason
        from copied
    """


def _reason(error: dbapi.Error, table: str, role: str) -> str:
    """Why a single table can't be read, and what to do. Never the server's text: it may hold values."""
    if error.sqlstate == "42501":
        if "row-level security" in str(error):
            return f"row-level security would hide rows: {_bypass(role)}"
        return f"permission denied: {_grant(role, table)}"
    if error.sqlstate == "57014":
        return f"reading it took longer than {STATEMENT_TIMEOUT}: is it locked, or the server overloaded?"
    return f"the server can't read it (SQLSTATE {error.sqlstate})"


def _grant(role: str, *tables: str) -> str:
    return f"grant select on {', '.join(tables)} to {role}"


def _bypass(role: str) -> str:
    return f"alter role {role} bypassrls"
