"""What a warehouse in Postgres does besides: copies the lake, keeps others out, tells what a server does to it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import psycopg2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - a class with the name of a variable

from tailtracker_bi.warehouse.dbt_runner import write_profile
from tailtracker_bi.warehouse.engines.postgres import Postgres, PostgresError, session
from tailtracker_bi.warehouse.engines.postgres import engine as database

COLUMNS = pa.schema([("day", pa.date32()), ("name", pa.string()), ("events", pa.int64())])
FRIDAY, SATURDAY = date(2024, 3, 29), date(2024, 3, 30)


@pytest.fixture
def engine(tmp_path: Path, warehouse_url: str) -> Postgres:
    return Postgres(tmp_path, warehouse_url)


@pytest.fixture
def other(warehouse_url: str) -> Iterator[Connection]:
    """Another session of the same database, committed at each statement."""
    with closing(psycopg2.connect(warehouse_url)) as connection:
        connection.autocommit = True
        yield connection


def run(connection: Connection, sql: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else []


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files of the lake that were copied."""
    names: list[str] = []
    copy = session.read_file

    def noted(file: str, columns: pa.Schema, day: date | None) -> pa.RecordBatchReader:
        names.append(Path(file).name)
        return copy(file, columns, day)

    monkeypatch.setattr(session, "read_file", noted)
    return names


def write(folder: Path, name: str, rows: list[tuple[str | None, int]], day: date | None = None) -> str:
    file = (folder / f"day={day}" if day else folder) / name
    file.parent.mkdir(parents=True, exist_ok=True)
    columns = {"name": [row[0] for row in rows], "events": [row[1] for row in rows]}
    pq.write_table(pa.table(columns, pa.schema([("name", pa.string()), ("events", pa.int64())])), file)
    return str(file)


def test_only_the_days_that_changed_are_copied(engine: Postgres, tmp_path: Path, read: list[str]) -> None:
    friday, saturday = (write(tmp_path, f"{day:%a}.parquet", [("x", 1), (None, 2)], day) for day in (FRIDAY, SATURDAY))

    def show(*files: str) -> list[tuple[Any, ...]]:
        read.clear()
        with engine.session() as session:
            session.create_schemas(["raw"])
            session.show("raw", "events", COLUMNS, files, is_daily=True)
            return session.rows('select day, name, events from "tt_raw".events order by day, events')

    both = [(day, *row) for day in (FRIDAY, SATURDAY) for row in (("x", 1), (None, 2))]
    assert show(friday, saturday) == both
    assert read == ["Fri.parquet", "Sat.parquet"]
    assert show(friday, saturday) == both
    assert read == []
    anew = write(tmp_path, "anew.parquet", [("y", 3)], SATURDAY)
    assert show(friday, anew) == [*both[:2], (SATURDAY, "y", 3)]
    assert read == ["anew.parquet"]
    assert show(friday) == both[:2]
    assert read == []


@pytest.mark.parametrize(
    ("harm", "copied"),
    [
        ("delete from tt_raw.events where day = '2024-03-29' and events = 1", ["Fri.parquet"]),
        ("insert into tt_raw.events values ('2024-03-30', 'more', 1)", ["Sat.parquet"]),
        ("insert into tt_raw.events values (null, 'more', 1), ('2024-03-31', 'more', 1)", []),
        ("truncate tt_raw.events", ["Fri.parquet", "Sat.parquet"]),
        ("drop table tt_raw.events", ["Fri.parquet", "Sat.parquet"]),
        ("alter table tt_raw.events drop column name", ["Fri.parquet", "Sat.parquet"]),
        ("delete from tt_lake.copied where day = '2024-03-30'", ["Sat.parquet"]),
        ("update tt_lake.copied set file = 'of another time' where day = '2024-03-30'", ["Sat.parquet"]),
        ("drop schema tt_raw cascade; drop schema tt_lake cascade", ["Fri.parquet", "Sat.parquet"]),
    ],
)
def test_what_the_database_lost_or_has_too_much_comes_from_the_lake(
    engine: Postgres, other: Connection, tmp_path: Path, read: list[str], harm: str, copied: list[str]
) -> None:
    files = [write(tmp_path, f"{day:%a}.parquet", [("x", 1), ("y", 2)], day) for day in (FRIDAY, SATURDAY)]
    for _ in range(2):
        read.clear()
        with engine.session() as session:
            session.create_schemas(["raw"])
            session.show("raw", "events", COLUMNS, files, is_daily=True)
            rows = session.rows("select day, name, events from tt_raw.events order by day, events")
        assert rows == [(day, *row) for day in (FRIDAY, SATURDAY) for row in (("x", 1), ("y", 2))]
        run(other, harm)
    with engine.session() as session:
        read.clear()
        session.create_schemas(["raw"])
        session.show("raw", "events", COLUMNS, files, is_daily=True)
    assert read == copied


def test_versions_are_appended_and_all_copied_where_what_was_there_is_not(
    engine: Postgres, other: Connection, tmp_path: Path, read: list[str]
) -> None:
    columns = pa.schema([field for field in COLUMNS if field.name != "day"])
    first, second, third = (write(tmp_path, f"{n}.parquet", [(f"v{n}", n)]) for n in range(3))

    def show(*files: str) -> list[tuple[Any, ...]]:
        read.clear()
        with engine.session() as session:
            session.create_schemas(["raw"])
            session.show("raw", "objects", columns, files, is_daily=False)
            return session.rows("select name from tt_raw.objects order by name")

    assert show(first, second) == [("v0",), ("v1",)]
    assert show(first, second, third) == [("v0",), ("v1",), ("v2",)]
    assert read == ["2.parquet"]
    run(other, "delete from tt_raw.objects where name = 'v1'")
    assert show(first, second, third) == [("v0",), ("v1",), ("v2",)]
    assert read == ["0.parquet", "1.parquet", "2.parquet"]
    assert show(first, third) == [("v0",), ("v2",)]


def test_the_one_character_that_no_text_can_hold_is_replaced(engine: Postgres, tmp_path: Path) -> None:
    texts = ["a\0b", '{"a":"\\u0000"}', '{"a":"\\\\u0000"}', '{"a":"\\\\\\u0000"}', "\\u0000", None]
    file = write(tmp_path, "f.parquet", [(text, number) for number, text in enumerate(texts)], FRIDAY)
    with engine.session() as session:
        session.create_schemas(["raw"])
        session.show("raw", "events", COLUMNS, [file], is_daily=True)
        found = [text for (text,) in session.rows("select name from tt_raw.events order by events")]
    assert found == ["a\ufffdb", '{"a":"\ufffd"}', '{"a":"\\\\u0000"}', '{"a":"\\\\\ufffd"}', "\\u0000", None]


def test_text_compares_by_its_bytes_in_whatever_is_filled(engine: Postgres, other: Connection) -> None:
    with engine.session() as session:
        session.create_schemas(["marts", "config"])
        session.write("config", "names", COLUMNS, [])
        session.fill(
            "marts", "texts", "select name, 'x' as literal, cast('y' as varchar) as other from tt_config.names"
        )
        session.fill("marts", "promised", "select 'x' as name", [("name", "varchar", True)])
    collations = run(
        other,
        "select distinct collname from pg_attribute join pg_collation as c on c.oid = attcollation "
        "join pg_class on pg_class.oid = attrelid "
        "where relnamespace in ('tt_marts'::regnamespace, 'tt_config'::regnamespace)",
    )
    assert collations == [("C",)]


def test_one_build_at_a_time_works_on_a_database(other: Connection, tmp_path: Path, warehouse_url: str) -> None:
    take = "select pg_try_advisory_lock(hashtextextended('tailtracker-bi tt', 0))"
    assert run(other, take) == [(True,)]
    engine = Postgres(tmp_path, warehouse_url)
    with pytest.raises(PostgresError, match=r"another build works on .*process \d+ of the server, since .* wait for"):
        engine.session().__enter__()
    with engine.session(is_reader=True) as session:
        assert session.tables() == []
    with Postgres(tmp_path, warehouse_url, "another").session():
        pass
    run(other, "select pg_advisory_unlock_all()")
    with engine.session(), Postgres(tmp_path, warehouse_url).session():
        assert run(other, take) == [(False,)]
    assert run(other, take) == [(False,)]
    del engine
    deadline = time.monotonic() + 10
    while run(other, take) == [(False,)]:
        assert time.monotonic() < deadline


def test_a_crash_of_the_server_is_noticed(engine: Postgres, other: Connection) -> None:
    with engine.session() as session:
        session.create_schemas(["raw"])
        session.show("raw", "events", COLUMNS, [], is_daily=True)
    assert not engine.is_damaged()
    run(other, "truncate tt_lake.unlogged")  # as recovery does
    assert engine.is_damaged()
    engine.remove()
    assert not engine.is_damaged()
    assert not engine.is_there


def test_nothing_but_its_own_schemas_is_touched(engine: Postgres, other: Connection) -> None:
    run(other, "create schema tt_ours; create table tt_ours.kept as select 1 as n; create schema ttother")
    before = run(other, "select oid from pg_class where relkind in ('r', 'v') order by 1")
    with engine.session() as session:
        session.create_schemas(["marks", "marts"])
        session.write("marks", "days", COLUMNS, [(FRIDAY, "x", 1)])
        session.keep_only([], ["marks", "marts"])
        assert session.tables() == []
    engine.remove()
    assert run(other, "select oid from pg_class where relkind in ('r', 'v') order by 1") == before


def test_a_role_needs_no_more_than_the_schemas(engine: Postgres, other: Connection, app_server: Any) -> None:
    schemas = ["tt_marks", "tt_lake", "tt_raw", "tt_published", "tt_unpublished"]
    run(other, "drop role if exists builder; create role builder login")
    try:
        run(other, "; ".join(f"create schema {schema} authorization builder" for schema in schemas))
        role = Postgres(engine.home, engine._url.replace("postgres@", "builder@"))
        with role.session() as session:
            session.create_schemas(["marks", "raw", "published"])
            session.show("raw", "events", COLUMNS, [], is_daily=True)
            session.write("published", "pub_days", COLUMNS, [(FRIDAY, "x", 1)])
            with pytest.raises(PostgresError, match=r"permission denied for database .*: grant the role that right"):
                session.create_schemas(["marts"])
        role.release("b1", FRIDAY, {})
        role.remove()
    finally:
        del role
        run(other, f"drop schema {', '.join(schemas)} cascade; drop owned by builder; drop role builder")


def released(engine: Postgres, number: int) -> None:
    with engine.session() as session:
        session.create_schemas(["published"])
        for name in ("pub_a", "pub_b"):
            session.write("published", name, COLUMNS, [(FRIDAY, "x", number)] * 100)
    own = pa.table({"build": [str(number)]})
    engine.release(f"b{number}", FRIDAY, {"bundle_info": own})


def test_readers_of_the_database_see_one_build_at_a_time_and_no_error(engine: Postgres, other: Connection) -> None:
    released(engine, 0)
    seen, stop, wrong = set[int](), threading.Event(), list[Any]()

    def look(level: str) -> None:
        with closing(psycopg2.connect(engine._url)) as reader:
            while not stop.is_set():
                try:
                    with reader, reader.cursor() as cursor:
                        cursor.execute(f"set transaction isolation level {level}")
                        found = set()
                        for table in ("a", "b", "a"):
                            cursor.execute(f"select count(*), min(events), max(events) from tt_published.{table}")
                            found.add(cursor.fetchone())
                            time.sleep(0.01)
                        [(rows, least, most)] = found
                        assert (rows, least) == (100, most)
                        seen.add(most)
                except Exception as error:
                    wrong.append(error)

    readers = [threading.Thread(target=look, args=(level,)) for level in ("read committed", "repeatable read")]
    for reader in readers:
        reader.start()
    for number in range(1, 11):
        released(engine, number)
        time.sleep(0.1)
    stop.set()
    for reader in readers:
        reader.join()
    assert wrong == []
    assert len(seen) > 5
    assert run(other, "select obj_description('tt_published.a'::regclass)") == [("build b10, as of 2024-03-29",)]
    assert run(other, "select build from tt_published.bundle_info") == [("10",)]


def test_a_reader_that_keeps_its_locks_keeps_the_build_before(
    engine: Postgres, other: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "RELEASE_SECONDS", 2)
    released(engine, 1)
    run(other, "begin; select * from tt_published.b")
    with pytest.raises(PostgresError, match="another session holds locks on what has to be replaced"):
        released(engine, 2)
    assert run(other, "select distinct events from tt_published.a") == [(1,)]
    run(other, "commit")
    released(engine, 2)
    assert run(other, "select distinct events from tt_published.a") == [(2,)]


def test_a_reader_that_takes_its_time_between_two_tables_is_not_broken_off(engine: Postgres, other: Connection) -> None:
    """The change waits for the one table and holds the other: of the two the server would end whom it finds first."""
    released(engine, 1)
    run(other, "begin; select * from tt_published.b")
    change = threading.Thread(target=released, args=(engine, 2))
    change.start()
    with closing(psycopg2.connect(engine._url)) as looking:
        waits = "select count(*) from pg_locks where not granted"
        while run(looking, waits) == [(0,)]:
            looking.rollback()
    time.sleep(1.5)
    assert run(other, "select distinct events from tt_published.a") == [(1,)]
    run(other, "commit")
    change.join()
    assert run(other, "select distinct events from tt_published.a") == [(2,)]


def test_rights_that_were_granted_on_what_is_read_stay(engine: Postgres, other: Connection) -> None:
    released(engine, 1)
    run(other, "grant select on tt_published.a to public")
    released(engine, 2)
    assert "=r/" in str(run(other, "select relacl from pg_class where oid = 'tt_published.a'::regclass"))


def test_settings_go_by_the_machine_unless_others_are_chosen(engine: Postgres, warehouse_url: str) -> None:
    asked = "select current_setting('work_mem'), current_setting('jit'), current_setting('TimeZone')"
    with Postgres(engine.home, warehouse_url, memory_limit=1 << 30, threads=1).session() as session:
        assert session.rows(asked) == [("128MB", "off", "UTC")]
    with Postgres(engine.home, warehouse_url, chosen={"work_mem": "20MB", "jit": "on"}).session() as session:
        assert session.rows(asked) == [("20MB", "on", "UTC")]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda url: url.replace("/app_", "/nowhere_"), "no such database"),
        (lambda url: url.replace("postgres@", "nobody:s3cret@"), "no such database or role"),
        (lambda url: url.replace("postgres@", "analytics:s3cret@"), "it refuses the role: check user and password"),
        (lambda _: "postgresql://u:s3cret@127.0.0.1:1/bi", "it can't be reached: is it up"),
    ],
)
def test_a_database_that_can_not_be_reached_is_one_clear_line(
    engine: Postgres, change: Callable[[str], str], told: str
) -> None:
    for attempt in (
        lambda other: other.session().__enter__(),
        lambda other: other.is_damaged(),
        lambda other: other.is_there,
        lambda other: other.remove(),
    ):
        with pytest.raises(PostgresError) as raised:
            attempt(Postgres(engine.home, change(engine._url)))
        assert told in str(raised.value)
        assert "s3cret" not in str(raised.value)
        assert "\n" not in str(raised.value)


def test_the_password_is_in_no_file(tmp_path: Path) -> None:
    url = "postgresql://u:s3cret@db.example.com:6432/bi?sslmode=verify-full&sslrootcert=/ca.crt&connect_timeout=5"
    folder = write_profile(Postgres(tmp_path, url))
    written = (folder / "profiles.yml").read_text()
    assert "s3cret" not in written
    [output] = json.loads(written)["tailtracker"]["outputs"].values()
    assert {name: output[name] for name in ("host", "port", "user", "dbname", "schema", "sslmode", "sslrootcert")} == {
        "host": "db.example.com",
        "port": 6432,
        "user": "u",
        "dbname": "bi",
        "schema": "tt",
        "sslmode": "verify-full",
        "sslrootcert": "/ca.crt",
    }
    assert (folder / "profiles.yml").stat().st_mode & 0o077 == 0
