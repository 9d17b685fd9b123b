"""Snapshots of the app's database, over a real Postgres: all of a moment, or an error, and nothing personal."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import psycopg2
import pyarrow as pa
import pytest

from tailtracker_bi.errors import TailTrackerError
from tailtracker_bi.sandbox.servers.app_database import PASSWORD, AppDatabase
from tailtracker_bi.settings.addresses import database_address
from tailtracker_bi.settings.model import Settings
from tailtracker_bi.sources.app_db import connection
from tailtracker_bi.sources.app_db import reading as app_db
from tailtracker_bi.sources.app_db.reading import TRIES, AppDb
from tailtracker_bi.sources.app_tables import TABLES, AppTable
from tailtracker_bi.sources.records import (
    QUARANTINE_SCHEMA,
    VERSION_SCHEMA,
    AbsentTableError,
    BadResponseError,
    Counts,
    SourceUnavailableError,
)

MakeSource = Callable[..., AppDb]
BY_NAME = {table.name: table for table in TABLES}
OPTIONAL = {table.name for table in TABLES if table.is_optional}
USER = "0b9ad1de-2f3a-4c41-9d2e-7f3a1d6f2a11"
UNCHECKED = "alter table pet_sightings drop constraint pet_sightings_confidence_level_check"

# In every column that holds personal data, and in every JSON object.
CANARY = "canary-7f3a"


@pytest.fixture
def make_source(make_settings: Callable[..., Settings], app_database: AppDatabase) -> MakeSource:
    def make(say: Callable[[str], None] = lambda _: None, **overrides: Any) -> AppDb:
        return AppDb(make_settings(**{"APP_DATABASE_URL": app_database.url} | overrides), say)

    return make


class Snapshot:
    """What a session gave, by table: rows, quarantine, counts and withheld columns, or the error."""

    def __init__(self, source: AppDb, *landed: str) -> None:
        self.tables: dict[str, pa.Table] = {}
        self.quarantine: dict[str, list[tuple[str, str]]] = {}
        self.counts: dict[str, Counts] = {}
        self.withheld: dict[str, frozenset[str]] = {}
        self.shapes: dict[str, dict[str, str]] = {}
        self.remarks: dict[str, list[str]] = {}
        self.errors: dict[str, TailTrackerError] = {}
        since = dict.fromkeys(landed, source.settings.now)
        with source.session(since, source.settings.home / "spool") as read:
            for table in source.tables:
                try:
                    with read(table) as versions:
                        assert versions.is_snapshot
                        self.tables[table.name] = versions.rows.read_all()
                        quarantine = versions.quarantine.read_all()
                        assert quarantine.schema == QUARANTINE_SCHEMA
                        self.quarantine[table.name] = [(row["reason"], row["record"]) for row in quarantine.to_pylist()]
                        self.counts[table.name] = versions.counts
                        self.withheld[table.name] = versions.withheld
                        self.shapes[table.name] = dict(versions.shape or {})
                        self.remarks[table.name] = list(map(str, versions.remarks))
                except (AbsentTableError, BadResponseError) as error:
                    self.errors[table.name] = error

    def rows(self, table: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.tables[table].to_pylist()
        return rows


def test_every_table_lands_in_its_declared_schema(make_source: MakeSource) -> None:
    snapshot = Snapshot(make_source())
    assert not snapshot.errors
    for name, table in BY_NAME.items():
        assert snapshot.tables[name].schema == pa.schema([*VERSION_SCHEMA, *table.schema])
        assert snapshot.counts[name] == Counts()


def test_changes_are_seen_that_postgres_tells_of_by_no_count_and_no_xmin_of_a_table(
    make_source: MakeSource, app_database: AppDatabase
) -> None:
    """So that a table is read to know whether it has changed: a cheaper question has a wrong answer."""

    def cheaply() -> list[tuple[Any, ...]]:
        return app_database.execute("select count(*), max(xmin::text::bigint) from pets")

    def breeds() -> list[str]:
        return sorted(row["breed"] for row in Snapshot(make_source()).rows("pets"))

    one, two = (app_database.add("pets", breed="calm")["id"] for _ in range(2))
    with closing(psycopg2.connect(app_database.connection.dsn)) as other, other.cursor() as cursor:
        # What begins first and is committed last has the smaller number of the two.
        cursor.execute("update pets set breed = 'wild' where id = %s", (one,))
        app_database.execute("update pets set breed = 'mild' where id = %s", two)
        before, seen = cheaply(), breeds()
        other.commit()
        assert (cheaply(), seen, breeds()) == (before, ["calm", "mild"], ["mild", "wild"])
    app_database.execute("create type temper as enum ('mild', 'wild')")
    app_database.execute("alter table pets alter breed type temper using breed::temper")
    before = cheaply()
    app_database.execute("alter type temper rename value 'wild' to 'free'")  # touches no row, and no snapshot of xids
    assert (cheaply(), breeds()) == (before, ["free", "mild"])


def test_values_land_exactly(make_source: MakeSource, app_database: AppDatabase) -> None:
    app_database.add(
        "user_profiles",
        user_id=USER,
        preferences={"subscription_tier": "pro", "theme": {"dark": True}},
        subscription_status="past_due",
        subscription_expires_at="2024-02-29 23:59:59.123456+05",
        location_sharing_enabled=None,
    )
    subscription = app_database.add("subscriptions", user_id=USER, tier="pro", billing_cycle="annual")
    history = app_database.add(
        "subscription_history",
        subscription_id=subscription["id"],
        proration_amount="-123456789012345678901234567890.0123456789",
        to_tier="free",
    )
    app_database.add("pets", date_of_birth="2020-02-29", weight="4.50", species="dog", photos=[None, "x"])
    app_database.execute(f"{UNCHECKED}, alter confidence_level type bigint")
    app_database.add("pet_sightings", confidence_level=2**63 - 1)
    app_database.add("marketing_metrics", date="2024-03-01", channel="search", spend="10.00", currency="EUR")

    snapshot = Snapshot(make_source())
    (profile,) = snapshot.rows("user_profiles")
    assert profile["user_id"] == USER
    assert profile["subscription_tier"] == "pro"
    assert profile["subscription_status"] == "past_due"
    assert profile["subscription_expires_at"] == datetime(2024, 2, 29, 18, 59, 59, 123456)  # noqa: DTZ001 - UTC
    assert profile["location_sharing_enabled"] is None
    (change,) = snapshot.rows("subscription_history")
    assert (change["object_id"], change["effective_at"], change["origin"], change["is_deleted"]) == (
        history["id"],
        None,
        "snapshot",
        False,
    )
    assert change["proration_amount"] == "-123456789012345678901234567890.0123456789"
    assert change["to_tier"] == "free"
    (pet,) = snapshot.rows("pets")
    assert (pet["date_of_birth"], pet["weight"], pet["is_public"]) == (date(2020, 2, 29), "4.50", False)
    assert snapshot.rows("pet_sightings")[0]["confidence_level"] == 2**63 - 1
    (spend,) = snapshot.rows("marketing_metrics")
    assert (spend["object_id"], spend["date"], spend["spend"]) == ("2024-03-01/search/EUR", date(2024, 3, 1), "10.00")


@pytest.mark.parametrize(
    ("table", "column", "value", "reason"),
    [
        ("user_profiles", "subscription_expires_at", "infinity", "subscription_expires_at is no timestamp"),
        ("user_profiles", "created_at", "0044-03-15 BC", "created_at is no timestamp"),
        ("user_profiles", "created_at", "20240-01-01", "created_at is no timestamp"),
        ("pets", "date_of_birth", "-infinity", "date_of_birth is no date"),
        ("pets", "weight", "NaN", "weight is no numeric"),
        ("subscription_history", "proration_amount", "NaN", "proration_amount is no numeric"),
    ],
)
def test_a_value_that_cannot_be_represented_costs_its_row_alone(
    make_source: MakeSource, app_database: AppDatabase, table: str, column: str, value: str, reason: str
) -> None:
    broken, sound = app_database.add(table, **{column: value}), app_database.add(table)
    snapshot = Snapshot(make_source(TAILTRACKER_NOW=datetime(2024, 5, 1, tzinfo=UTC)))
    assert [row["object_id"] for row in snapshot.rows(table)] == [sound["id"]]
    assert snapshot.quarantine[table] == [(reason, broken["id"])]
    assert snapshot.counts[table] == Counts(received=2, quarantined=1)


def test_a_retyped_column_is_read_where_its_values_still_fit(
    make_source: MakeSource, app_database: AppDatabase
) -> None:
    app_database.execute(f"{UNCHECKED}, alter confidence_level type text, alter created_at type date")
    fitting = app_database.add("pet_sightings", confidence_level="3", created_at="2024-01-02")
    app_database.add("pet_sightings", confidence_level="2.5")
    snapshot = Snapshot(make_source())
    (row,) = snapshot.rows("pet_sightings")
    assert (row["object_id"], row["confidence_level"]) == (fitting["id"], 3)
    assert row["created_at"] == datetime(2024, 1, 2)  # noqa: DTZ001 - UTC
    assert [reason for reason, _ in snapshot.quarantine["pet_sightings"]] == ["confidence_level is no integer"]


def test_no_personal_column_is_read_not_even_into_the_spool(make_source: MakeSource, app_database: AppDatabase) -> None:
    secret = {"secret": CANARY}
    app_database.add(
        "user_profiles",
        user_id=USER,
        full_name=CANARY,
        email=f"{CANARY}@example.com",
        phone=CANARY,
        preferences=secret | {"subscription_tier": secret},
        notification_preferences=secret,
        privacy_settings=secret,
    )
    pet = app_database.add("pets", user_id=USER, name=CANARY, microchip_id=CANARY, photos=[None, CANARY])
    report = app_database.add("lost_pet_reports", pet_id=pet["id"], last_seen_location=CANARY, description=CANARY)
    app_database.add("pet_sightings", lost_pet_report_id=report["id"], location=CANARY)
    app_database.add("ab_tests", name="colour", environment="prod", description=CANARY, variants=secret)
    app_database.add("security_events", ip_address="203.0.113.77")
    app_database.execute("alter table support_tickets add email text")
    app_database.add("support_tickets", email=f"{CANARY}@example.com")

    source = make_source()
    snapshot = Snapshot(source)
    assert not snapshot.errors
    assert {name: set(columns) for name, columns in snapshot.withheld.items() if columns} == {
        "user_profiles": {"full_name", "email", "phone", "notification_preferences", "privacy_settings"},
        "pets": {"name", "microchip_id", "photos"},
        "lost_pet_reports": {"last_seen_location", "description"},
        "pet_sightings": {"location"},
        "ab_tests": {"description", "variants"},
        "security_events": {"ip_address"},
        "support_tickets": {"email"},
    }
    assert snapshot.rows("user_profiles")[0]["subscription_tier"] is None
    landed = "".join(str(table.to_pylist()) for table in snapshot.tables.values())
    spooled = b"".join(file.read_bytes() for file in (source.settings.home / "spool").iterdir() if file.is_file())
    for personal in (CANARY, "203.0.113.77"):
        assert personal not in landed
        assert personal.encode() not in spooled
    assert pet["id"].encode() in spooled


def test_what_people_wrote_into_a_text_is_masked_and_ids_stay(
    make_source: MakeSource, app_database: AppDatabase
) -> None:
    id_like_a_phone = "01234567-0123-4567-8901-234567890123"
    app_database.execute("alter table support_tickets alter user_id type text")
    app_database.add("support_tickets", id=id_like_a_phone, user_id="7", category="call +49 170 1234567")
    app_database.add("support_tickets", user_id="jo@example.com", priority="mail jo@example.com")
    rows = {row["id"]: row for row in Snapshot(make_source()).rows("support_tickets")}
    phoned = rows.pop(id_like_a_phone)
    (mailed,) = rows.values()
    assert (phoned["user_id"], phoned["category"]) == ("7", "call [phone]")
    assert mailed["priority"] == "mail [email]"
    assert mailed["user_id"].startswith("hashed-")


def test_a_row_that_moves_between_tables_meanwhile_is_seen_once(
    make_source: MakeSource, app_database: AppDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    pet = app_database.add("pets", user_id=app_database.add("user_profiles")["user_id"])
    copy, moves = AppDb._copy, iter(["once"])

    def copy_and_move(source: AppDb, cursor: Any, table: AppTable, to: Any) -> None:
        copy(source, cursor, table, to)
        if table.name == "pets" and next(moves, None):
            app_database.execute("delete from user_profiles")  # cascades to the pet that was just read
            app_database.add("lost_pet_reports")

    monkeypatch.setattr(AppDb, "_copy", copy_and_move)
    snapshot = Snapshot(make_source())
    assert [row["object_id"] for row in snapshot.rows("pets")] == [pet["id"]]
    assert snapshot.rows("lost_pet_reports") == []
    later = Snapshot(make_source())
    assert (later.rows("pets"), len(later.rows("lost_pet_reports"))) == ([], 1)


def _kill_amid_rows(app_database: AppDatabase, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """Fill a table so that it comes in several batches, and break the connection after the first of them."""
    app_database.execute("insert into pets (breed) select repeat('x', 1000) from generate_series(1, 60000)")
    masked, kills = app_db.masked, iter(range(times))

    def masked_and_killed(batch: pa.RecordBatch, table: AppTable, hash_key: bytes) -> pa.RecordBatch:
        if next(kills, None) is not None:
            app_database.execute(
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity "
                "where application_name = 'tailtracker-bi' and datname = current_database()"
            )
        return masked(batch, table, hash_key)

    monkeypatch.setattr(app_db, "masked", masked_and_killed)


def test_a_connection_that_dies_amid_rows_means_the_whole_snapshot_again(
    make_source: MakeSource, app_database: AppDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    _kill_amid_rows(app_database, monkeypatch, times=TRIES - 1)
    said: list[str] = []
    snapshot = Snapshot(make_source(said.append))
    assert snapshot.counts["pets"] == Counts(received=60_000)
    assert len(said) == TRIES - 1
    assert "the whole snapshot again: try 2 of 4" in said[0]


def test_a_connection_that_dies_each_time_is_given_up(
    make_source: MakeSource, app_database: AppDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    _kill_amid_rows(app_database, monkeypatch, times=TRIES)
    with pytest.raises(SourceUnavailableError, match="app_db: no connection, or it broke off: "):
        Snapshot(make_source())


def _fail_with(app_database: AppDatabase, table: str, sqlstate: str) -> None:
    """Put a view in the table's place that fails when it is read."""
    app_database.execute(
        f"""
        create function fail() returns integer language plpgsql as
            $$ begin raise exception 'about jo@example.com' using errcode = '{sqlstate}'; end $$;
        drop table {table} cascade;
        create view {table} as select fail() as id;
        grant select on {table} to analytics
        """
    )


def test_a_conflict_on_a_standby_means_the_whole_snapshot_again(
    make_source: MakeSource, app_database: AppDatabase
) -> None:
    _fail_with(app_database, "nps_responses", "40001")
    said: list[str] = []
    with pytest.raises(SourceUnavailableError):
        Snapshot(make_source(said.append))
    assert len(said) == TRIES - 1


def test_a_table_that_fails_does_not_take_the_others_with_it(
    make_source: MakeSource, app_database: AppDatabase
) -> None:
    app_database.add("user_profiles")
    _fail_with(app_database, "health_reminders", "22012")
    snapshot = Snapshot(make_source())
    assert {name: str(error) for name, error in snapshot.errors.items()} == {
        "health_reminders": "app_db: health_reminders: the server can't read it (SQLSTATE 22012)"
    }
    assert len(snapshot.rows("user_profiles")) == 1


def test_rows_that_row_level_security_hides_are_an_error(make_source: MakeSource, app_database: AppDatabase) -> None:
    app_database.add("pets")
    app_database.execute("alter table pets enable row level security")
    snapshot = Snapshot(make_source())
    assert snapshot.errors.keys() == {"pets"}
    assert str(snapshot.errors["pets"]) == (
        "app_db: pets: row-level security would hide rows: alter role analytics bypassrls"
    )
    check = make_source().check()
    assert not check.is_ok
    assert "row-level security hides rows of pets: alter role analytics bypassrls" in check.detail


def test_a_missing_permission_names_the_grant(make_source: MakeSource, app_database: AppDatabase) -> None:
    app_database.execute("revoke select on pets, nps_responses from analytics")
    snapshot = Snapshot(make_source())
    assert snapshot.errors.keys() == {"pets", "nps_responses"}
    assert isinstance(snapshot.errors["pets"], BadResponseError)
    assert str(snapshot.errors["pets"]) == "app_db: pets: permission denied: grant select on pets to analytics"
    check = make_source().check()
    assert not check.is_ok
    assert "not permitted: grant select on pets, nps_responses to analytics" in check.detail


def test_a_role_needs_no_more_than_the_columns_that_are_read(
    make_source: MakeSource, app_database: AppDatabase
) -> None:
    app_database.add("security_events", severity="low", ip_address="203.0.113.77")
    app_database.execute("revoke select on security_events from analytics")
    columns = "id, user_id, type, severity, action_taken, occurred_at, resolved_at"
    app_database.execute(f"grant select ({columns}) on security_events to analytics")
    assert Snapshot(make_source()).rows("security_events")[0]["severity"] == "low"
    assert make_source().check().is_ok


def test_a_table_that_takes_too_long_is_named(
    make_source: MakeSource, app_database: AppDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "STATEMENT_TIMEOUT", "300ms")
    app_database.execute(
        "drop table pet_sightings; create view pet_sightings as select 1 as id from pg_sleep(30); "
        "grant select on pet_sightings to analytics"
    )
    said: list[str] = []
    snapshot = Snapshot(make_source(said.append))
    assert said == ["app_db: pet_sightings: reading took too long; the whole snapshot again, once"]
    assert snapshot.errors.keys() == {"pet_sightings"}
    assert "app_db: pet_sightings: reading it took longer than 300ms" in str(snapshot.errors["pet_sightings"])


def test_a_table_may_be_absent_until_it_has_been_there(make_source: MakeSource, app_database: AppDatabase) -> None:
    for table in OPTIONAL:
        app_database.execute(f"drop table {table}")
    check = make_source().check()
    assert check.is_ok
    assert "analytics reads 9 of 17 tables; optional and absent: ab_test_exposures, ab_tests" in check.detail
    app_database.execute("drop table pets cascade")
    never_there = Snapshot(make_source())
    assert never_there.errors.keys() == OPTIONAL | {"pets"}
    assert all(isinstance(error, AbsentTableError) for error in never_there.errors.values())
    gone = Snapshot(make_source(), "pets")
    assert (gone.rows("pets"), gone.shapes["pets"]) == ([], {})
    assert gone.errors.keys() == OPTIONAL
    check = make_source().check()
    assert not check.is_ok
    assert "missing: pets" in check.detail


def test_a_database_without_any_table_of_the_app_is_the_wrong_one(
    make_source: MakeSource, app_database: AppDatabase
) -> None:
    app_database.execute("drop schema public cascade; create schema public; grant usage on schema public to public")
    with pytest.raises(SourceUnavailableError, match="none of the app's tables"):
        Snapshot(make_source())


def test_a_table_that_has_only_some_columns_gives_nulls_for_the_others(
    make_source: MakeSource, app_database: AppDatabase, tmp_path: Path
) -> None:
    (tmp_path / "user_profiles.csv").write_text(
        "id,user_id,preferences,subscription_status,location_sharing_enabled,created_at,shoe_size\n"
        'p1,1,"{""subscription_tier"": ""free""}",inactive,false,2014-04-22 03:53:30+00:00,42\n'
        "p2,2,{},,true,2013-11-15 03:45:04+00:00,\n"
    )
    app_database.load_csv(tmp_path)
    snapshot = Snapshot(make_source())
    first, second = snapshot.rows("user_profiles")
    assert (first["object_id"], first["user_id"], first["subscription_tier"]) == ("p1", "1", "free")
    assert (second["subscription_tier"], second["location_sharing_enabled"]) == (None, True)
    assert second["updated_at"] is None
    assert second["created_at"] == datetime(2013, 11, 15, 3, 45, 4)  # noqa: DTZ001 - UTC
    assert snapshot.withheld["user_profiles"] == {"shoe_size"}


def test_keys_tell_rows_apart_or_the_table_does_not_land(make_source: MakeSource, app_database: AppDatabase) -> None:
    for _ in range(2):
        app_database.add("feature_flags", name="maps", environment="prod")
    app_database.add("ab_tests", name="colour", environment="prod")
    app_database.add("ab_tests", name="colour", environment="dev")
    app_database.add("ab_tests", name="colour")
    app_database.execute("alter table nps_responses drop id")
    app_database.add("nps_responses", user_id=USER, created_at="2024-01-01")
    app_database.execute("alter table support_tickets drop id")
    snapshot = Snapshot(make_source())
    assert {name: str(error) for name, error in snapshot.errors.items()} == {
        "feature_flags": "app_db: feature_flags: name, environment should tell rows apart, but does not",
        "support_tickets": "app_db: support_tickets: the table lacks its key (id)",
    }
    assert [row["object_id"] for row in snapshot.rows("ab_tests")] == ["colour/prod", "colour/dev"]
    assert snapshot.quarantine["ab_tests"] == [("environment is null", "")]
    assert snapshot.rows("nps_responses")[0]["object_id"] == f"{USER}/2024-01-01 00:00:00+00"


def test_a_role_that_can_write_is_warned_about(make_source: MakeSource, app_database: AppDatabase) -> None:
    assert make_source().check().detail == "analytics reads 17 of 17 tables"
    app_database.execute("grant update on pets to analytics")
    check = make_source().check()
    assert check.is_ok
    assert "warning: analytics can write to pets: use a role that can only read" in check.detail


# Refused at once, or after all tries; never showing what only the settings should hold.


@pytest.mark.parametrize(
    ("change", "tries", "message"),
    [
        (lambda url: url.replace("role", "rolf"), 1, "password authentication failed.*; check APP_DATABASE_URL"),
        (lambda url: url.replace("/app_", "/none_"), 1, "does not exist; check APP_DATABASE_URL"),
        (lambda url: url.replace("?host=", "?host=/nowhere"), TRIES, "No such file or directory"),
        (lambda url: url.replace("@/", "@database.invalid:5432/").split("?")[0], TRIES, "app_db: no connection"),
        (lambda url: url + "&nonsense=1", 1, "APP_DATABASE_URL is not understood"),
        (lambda url: url.replace("%40", "%zz"), 1, "APP_DATABASE_URL is not understood"),
    ],
)
def test_a_refused_connection_says_so_on_one_line_without_secrets(
    make_source: MakeSource, app_database: AppDatabase, change: Callable[[str], str], tries: int, message: str
) -> None:
    said: list[str] = []
    source = make_source(said.append, APP_DATABASE_URL=change(app_database.url))
    with pytest.raises(SourceUnavailableError, match=message) as refusal:
        Snapshot(source)
    assert len(said) == tries - 1
    check = source.check()
    assert not check.is_ok
    for text in (str(refusal.value), check.detail, *said):
        assert "\n" not in text
        assert "postgresql://analytics" not in text
        assert not any(
            secret in text for secret in (PASSWORD, "of%20", "the:rol", "%zz", app_database.connection.info.host)
        )


def test_no_password_goes_over_a_connection_that_a_server_will_not_encrypt(
    make_settings: Callable[..., Settings],
) -> None:
    received: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def refuse() -> None:
            connection, _ = server.accept()
            with connection:
                received.append(connection.recv(100))
                connection.sendall(b"N")
                received.append(connection.recv(100))

        thread = threading.Thread(target=refuse)
        thread.start()
        url = f"postgresql://analytics:hidden@127.0.0.1:{server.getsockname()[1]}/app?sslmode=require"
        check = AppDb(make_settings(APP_DATABASE_URL=url)).check()
        thread.join()
    assert "server does not support SSL, but SSL was required; check APP_DATABASE_URL" in check.detail
    assert "add ?sslmode=disable if the network is to be trusted" in check.detail
    assert received[1] == b""


@pytest.mark.parametrize(
    ("url", "is_checked"),
    [
        ("postgresql://u:p@db.example.com/app", True),
        ("postgresql://u:p@/app?host=db.example.com", True),
        ("postgresql://u:p@db.example.com/app?sslmode=require", False),
        ("postgresql://u:p@db.example.com/app?sslmode=disable", False),
        ("postgresql://u:p@localhost/app", False),
        ("postgresql://u:p@127.0.0.1:5432/app", False),
        ("postgresql://u:p@/app?host=/run/postgresql", False),
    ],
)
def test_another_machine_has_to_prove_its_name_unless_the_url_says_otherwise(url: str, is_checked: bool) -> None:
    parameters = database_address(url)
    assert parameters.startswith(url)
    assert ("sslmode=verify-full" in parameters) == is_checked
    assert ("sslrootcert=system" in parameters) == is_checked


def test_an_authority_of_ones_own_is_the_one_that_is_asked() -> None:
    parameters = database_address("postgresql://u:p@db.example.com/app?sslrootcert=/own/ca.crt")
    assert "sslmode=verify-full" in parameters
    assert parameters.count("sslrootcert") == 1


def test_it_is_on_where_its_url_is_set(make_settings: Callable[..., Settings]) -> None:
    assert not AppDb.is_on(make_settings())
    assert AppDb.is_on(make_settings(APP_DATABASE_URL="postgresql://u:p@localhost/app"))
