"""The database that a warehouse is in: how it is reached, held, checked, and read from outside."""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pyarrow as pa
from adbc_driver_postgresql import dbapi

from tailtracker_bi.errors import SettingsError
from tailtracker_bi.settings import Settings, database_address
from tailtracker_bi.warehouse.engines.base import Engine, Session
from tailtracker_bi.warehouse.engines.postgres.arrow import take_over
from tailtracker_bi.warehouse.engines.postgres.errors import PostgresError, refuse
from tailtracker_bi.warehouse.engines.postgres.session import PostgresSession, is_own, literal

SETTINGS = {
    "TimeZone": "UTC",
    "DateStyle": "ISO",
    "search_path": "",
    "client_min_messages": "error",
    # A build takes as long as it takes, and ends with its connection.
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "lock_timeout": "60s",
    # What a crash takes back comes from the lake again.
    "synchronous_commit": "off",
    # Many queries, none of them long.
    "jit": "off",
    # Estimates are far off where models read what they have just worked out; a hash join is never far from the best.
    "enable_nestloop": "off",
    "enable_mergejoin": "off",
    # So fewer rows do for what is known of a table: a third of them, of each that a model filled.
    "default_statistics_target": "30",
}
"""What sessions have, whatever the server, the database and the role say."""
RELEASE_SECONDS = 60
"""How long readers of the database are waited for; whoever comes meanwhile waits, too, half a second at a time."""
_DAMAGE = ("XX001", "XX002", "58030")


class Lock:
    """The right to build, which goes with its connection, and that with this object or its process."""

    def __init__(self, connection: dbapi.Connection, prefix: str) -> None:
        """Raises PostgresError where another session has it."""
        self._session = PostgresSession(connection, prefix)
        self._close = weakref.finalize(self, _close, self._session._cursor, connection)
        key = f"hashtextextended({literal(f'tailtracker-bi {prefix}')}, 0)"
        [(is_ours,)] = self._session.rows(f"select pg_try_advisory_lock({key})")
        if not is_ours:
            holders = self._session.rows(
                "select l.pid, to_char(a.backend_start at time zone 'UTC', 'YYYY-MM-DD HH24:MI') from pg_locks as l "
                "left join pg_stat_activity as a on a.pid = l.pid where l.locktype = 'advisory' and l.granted "
                f"and (l.classid::bigint << 32 | l.objid::bigint) = {key} "
                "and l.database = (select oid from pg_database where datname = current_database())"
            )
            self._close()
            who = ", ".join(f"process {pid} of the server, since {since} UTC" for pid, since in holders)
            raise PostgresError(
                f"another build works on the warehouse's database ({who or 'it has just ended'}): wait for its end"
            )

    @property
    def is_held(self) -> bool:
        """Whether the server still knows of it."""
        try:
            self._session.rows("select 1")
        except PostgresError:
            self._close()
        return self._close.alive


def _close(cursor: dbapi.Cursor, connection: dbapi.Connection) -> None:
    with suppress(dbapi.Error):  # it is gone
        cursor.close()
    with suppress(dbapi.Error):
        connection.close()


_LOCKS: weakref.WeakValueDictionary[tuple[str, str], Lock] = weakref.WeakValueDictionary()
"""Those of this process, by address and prefix."""


class Postgres(Engine):
    """Schemas with a prefix in a database."""

    name = "postgres"
    errors = (PostgresError,)
    dbt_package = "dbt-postgres"

    def __init__(
        self,
        home: Path,
        url: str = "postgresql://localhost/elsewhere",
        prefix: str = "tt",
        chosen: Mapping[str, str] | None = None,
        memory_limit: int | None = None,
        threads: int | None = None,
    ) -> None:
        """`chosen` are settings of the server in the place of those that sessions have; `memory_limit` in bytes."""
        super().__init__(home)
        self._url, self._prefix, self._chosen = url, prefix, dict(chosen or {})
        self._memory_limit, self._threads = memory_limit, threads
        self._lock: Lock | None = None

    @classmethod
    def of(cls, settings: Settings) -> Postgres:
        if settings.warehouse_url is None:
            raise SettingsError("TAILTRACKER_WAREHOUSE_URL is not set: it says where the database is")
        return cls(
            settings.home,
            settings.warehouse_url.get_secret_value(),
            settings.warehouse_prefix,
            settings.warehouse_settings,
            settings.memory_limit,
            settings.threads,
        )

    def elsewhere(self, home: Path) -> Postgres:
        return Postgres(home, prefix=self._prefix)

    @property
    def named_in_sql(self) -> tuple[str, ...]:
        return (self._prefix,)

    @property
    def where(self) -> str:
        return f"the database {unquote(urlsplit(self._url).path.strip('/'))}, schemas {self._prefix}_*"

    @cached_property
    def version(self) -> str:  # type: ignore[override]
        with self._session(is_reader=True) as session:
            return str(session.rows("select current_setting('server_version')")[0][0])

    @property
    def is_there(self) -> bool:
        with self._session(is_reader=True) as session:
            return bool(session.tables())

    @contextmanager
    def session(self, *, is_reader: bool = False) -> Iterator[Session]:
        if not is_reader:
            self._hold()
        with self._session(is_reader=is_reader) as session:
            yield session

    def _hold(self) -> None:
        """Keep other builds from this warehouse, wherever they run, for as long as this object is there."""
        key = (self._url, self._prefix)
        if self._lock is None or not self._lock.is_held:
            self._lock = _LOCKS.get(key)
            if self._lock is None or not self._lock.is_held:
                self._lock = _LOCKS[key] = Lock(self._connect(), self._prefix)

    def _connect(self) -> dbapi.Connection:
        try:
            return dbapi.connect(database_address(self._url), autocommit=True)
        except dbapi.Error as error:
            refuse(error)

    @contextmanager
    def _session(self, *, is_reader: bool) -> Iterator[PostgresSession]:
        with closing(self._connect()) as connection:
            session = PostgresSession(connection, self._prefix)
            session.choose(SETTINGS | {"default_transaction_read_only": "on" if is_reader else "off"})
            if wrong := [detail for is_ok, detail in _fitness(session) if not is_ok]:
                raise PostgresError(f"the warehouse's database: {wrong[0]}")
            session.choose(self.sized(session) | self._chosen)
            yield session

    def sized(self, session: PostgresSession) -> dict[str, str]:
        """Settings by the size of the machine: of this one where the server is on it, else of what the server says."""
        [(buffers, workers)] = session.rows(
            "select pg_size_bytes(current_setting('shared_buffers')), current_setting('max_parallel_workers')::int"
        )
        url = urlsplit(self._url)
        is_here = (dict(parse_qsl(url.query)).get("host") or url.hostname or "/").startswith(("/", "localhost", "127."))
        memory = self._memory_limit // 8 if is_here and self._memory_limit else buffers // 4
        helpers = (self._threads or os.cpu_count() or 1) if is_here else workers
        return {
            "work_mem": f"{min(max(memory, 16 << 20), 1 << 30) >> 20}MB",
            "max_parallel_workers_per_gather": str(min(workers, max(helpers - 1, 0), 4)),
        }

    def check(self) -> list[tuple[bool, str]]:
        try:
            with closing(self._connect()) as connection:
                session = PostgresSession(connection, self._prefix)
                chosen = " ".join(f"{name}={value}" for name, value in (self.sized(session) | self._chosen).items())
                return [
                    *_fitness(session),
                    *_rights(session, self._prefix),
                    (True, f"sessions of a build have {chosen}"),
                ]
        except PostgresError as error:
            return [(False, str(error))]

    def remove(self) -> None:
        self._hold()
        with self._session(is_reader=False) as session, session.transaction():
            for schema, name, _ in session._relations():
                session._drop(schema, name)

    def is_damaged(self, *, to_its_last_block: bool = False) -> bool:
        try:
            with self._session(is_reader=True) as session:
                if session.has("lake", "unlogged") and not session.rows(
                    f"select 1 from {session.named('lake.unlogged')}"
                ):
                    return True
                for table in session.tables() if to_its_last_block else ():
                    session.digest(".".join(table))
        except PostgresError as error:
            if error.sqlstate.startswith(_DAMAGE):
                return True
            raise
        return False

    def release(self, build: str, as_of: date, instead: Mapping[str, pa.Table]) -> None:
        self._hold()
        with self._session(is_reader=False) as session:
            session.create_schemas(["released"])
            deadline = time.monotonic() + RELEASE_SECONDS
            while True:
                try:
                    session.release(f"build {build}, as of {as_of}", instead)
                except PostgresError as error:
                    if error.sqlstate not in {"55P03", "40P01"} or time.monotonic() > deadline:
                        raise
                else:
                    return

    def dbt_output(self) -> dict[str, Any]:
        parts = urlsplit(self._url)
        given = dict(parse_qsl(parts.query))
        return {
            "type": "postgres",
            "host": given.pop("host", None) or parts.hostname or "localhost",
            "port": parts.port or int(given.pop("port", 5432)),
            "user": unquote(parts.username or given.pop("user", "postgres")),
            "password": "{{ env_var('DBT_ENV_SECRET_WAREHOUSE_PASSWORD', '') }}",
            "dbname": unquote(parts.path.strip("/")),
            "schema": self._prefix,
            "threads": 2,
            **{name: value for name, value in given.items() if name in {"sslmode", "sslcert", "sslkey", "sslrootcert"}},
        }

    def close_dbt(self) -> None:
        pass

    def attach(self, connection: Any, alias: str, tables: Mapping[str, str]) -> None:
        connection.execute(f"attach if not exists ':memory:' as {alias}")
        with self._session(is_reader=True) as session, session.transaction():
            there = [f"{schema}.{name}" for schema, name, _ in session._relations()]
            for wanted, condition in tables.items():
                for table in [name for name in there if name == wanted or name.startswith(f"{wanted}.")]:
                    where = f" where {condition}" if condition else ""
                    take_over(
                        connection, f"{alias}.{table}", session.reader(f"select * from {session.named(table)}{where}")
                    )


def _fitness(session: PostgresSession) -> list[tuple[bool, str]]:
    """Whether a warehouse can be in this database at all."""
    [(number, version, encoding, is_replica, zone)] = session.rows(
        "select current_setting('server_version_num')::int, current_setting('server_version'), "
        "current_setting('server_encoding'), pg_is_in_recovery(), current_setting('TimeZone')"
    )
    return [
        (number >= 140000, f"it is Postgres {version}{'' if number >= 140000 else ': 14 or later is needed'}"),
        (
            encoding == "UTF8",
            f"texts are in UTF8 and compare by their bytes, times are UTC (the server's own zone is {zone})"
            if encoding == "UTF8"
            else f"its encoding is {encoding}: name one of encoding 'UTF8' (create database ... template template0)",
        ),
        (
            not is_replica,
            "can be written to" if not is_replica else "it is a replica, which can't be written to: name the primary",
        ),
    ]


def _rights(session: PostgresSession, prefix: str) -> list[tuple[bool, str]]:
    """Whether the role may do what a build does."""
    [(role, database, may_create, size)] = session.rows(
        "select quote_ident(current_user), quote_ident(current_database()), "
        "has_database_privilege(current_database(), 'create'), pg_size_pretty(pg_database_size(current_database()))"
    )
    room = (
        True,
        f"the database takes {size}, and a build half as much again: only the server knows what room its disk has",
    )
    foreign = session.rows(
        f"select nspname::text from pg_namespace where starts_with(nspname, '{prefix}_') "
        "and not has_schema_privilege(oid, 'create') order by 1"
    )
    own = [name for (name,) in foreign if is_own(name.removeprefix(f"{prefix}_")) or name == f"{prefix}_published"]
    if own:
        return [(False, f"{role} may not create in {', '.join(own)}: alter schema ... owner to {role}"), room]
    may = "make what it needs" if may_create else "use the schemas that are there"
    more = "" if may_create else f"; for others: grant create on database {database} to {role}"
    return [(True, f"{role} may {may}{more}; no extension is needed"), room]
