"""What an engine does for a warehouse, the same for all of them."""

from __future__ import annotations

from contextlib import suppress
from datetime import date
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tailtracker_bi.warehouse import DuckDb, Engine
from tailtracker_bi.warehouse.engines.postgres import Postgres

COLUMNS = pa.schema([("day", pa.date32()), ("name", pa.string()), ("events", pa.int64())])
FRIDAY = date(2024, 3, 29)


@pytest.fixture(params=["duckdb", "postgres"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    home = tmp_path / "it's here"
    return DuckDb(home) if request.param == "duckdb" else Postgres(home, request.getfixturevalue("warehouse_url"))


def test_what_is_written_is_read_back_and_written_anew(engine: Engine) -> None:
    with engine.session() as session:
        session.create_schemas(["marks", "marks"])
        session.write("marks", "days", COLUMNS, [(FRIDAY, "a'b", 2**53 + 1), (None, None, None)])
        assert session.rows(f"select day, name, events from {session.named('marks.days')} order by events") == [
            (FRIDAY, "a'b", 2**53 + 1),
            (None, None, None),
        ]
        anew = f"select day, name, events from {session.named('marks.days')} where name is null"
        session.fill("marks", "days", anew)
    with engine.session(is_reader=True) as session:
        assert session.rows(f"select count(*) from {session.named('marks.days')}") == [(1,)]
        assert session.has("marks", "days")
        assert not session.has("marks", "weeks")
        assert session.tables(["other"]) == []


def test_what_takes_more_memory_than_it_may_goes_to_the_disk_below_home(tmp_path: Path) -> None:
    with DuckDb(tmp_path, memory_limit=128 << 20, threads=1).session() as session:
        [limits] = session.rows(
            "select current_setting('memory_limit'), current_setting('threads'), current_setting('temp_directory')"
        )
        assert limits == ("128.0 MiB", 1, str(tmp_path / "warehouse.duckdb.tmp"))
        session.create_schemas(["marts"])
        session.fill("marts", "many", "select range as n, md5(cast(range as varchar)) as text from range(3000000)")
        kept = "select count(*), count(distinct text) from (select * from marts.many order by text limit 2900000)"
        assert session.rows(kept) == [(2_900_000, 2_900_000)]
    assert not [*tmp_path.glob("*.tmp/*")]


def test_one_thread_reads_what_is_small_and_all_that_are_allowed_the_rest(tmp_path: Path) -> None:
    with DuckDb(tmp_path, threads=3).session() as session:

        def threads() -> object:
            return session.rows("select current_setting('threads')")[0][0]

        assert threads() == 3
        session.expect(100_000)
        assert threads() == 1
        session.expect(2_000_000)
        assert threads() == 3


def test_a_transaction_that_breaks_off_leaves_nothing(engine: Engine) -> None:
    with engine.session() as session:
        session.create_schemas(["marks"])
        session.write("marks", "days", COLUMNS, [])
        with suppress(KeyboardInterrupt), session.transaction():
            session.write("marks", "days", COLUMNS, [(FRIDAY, "x", 1)])
            session.drop("marks.days")
            raise KeyboardInterrupt
        assert session.rows(f"select count(*) from {session.named('marks.days')}") == [(0,)]


def test_the_lake_is_shown_by_day_and_empty_where_nothing_landed(engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "lake" / f"day={FRIDAY}" / "it's.parquet"
    file.parent.mkdir(parents=True)
    pq.write_table(pa.table({"name": ["x"], "events": [3]}), file)
    with engine.session() as session:
        session.create_schemas(["raw"])
        session.show("raw", "events", COLUMNS, [str(file)], is_daily=True)
        assert session.rows(f"select day, name, events from {session.named('raw.events')}") == [(FRIDAY, "x", 3)]
        session.show("raw", "events", COLUMNS, [], is_daily=True)
        assert session.rows(f"select day, name, events from {session.named('raw.events')}") == []
        assert ("raw", "events") not in session.tables()  # it is read in place, or a copy


def test_digests_tell_what_a_table_holds_whatever_its_order(engine: Engine) -> None:
    with engine.session() as session:
        session.create_schemas(["marks"])
        digests = []
        for rows in ([(FRIDAY, "x", 1), (FRIDAY, "y", 2)], [(FRIDAY, "y", 2), (FRIDAY, "x", 1)], [(FRIDAY, "x", 1)]):
            session.write("marks", "days", COLUMNS, rows)
            digests.append(session.digest("marks.days"))
    assert digests[0] == digests[1] != digests[2]
    assert [rows for rows, _ in digests] == [2, 2, 1]


def test_what_no_model_makes_any_more_goes_and_the_rest_stays(engine: Engine) -> None:
    with engine.session() as session:
        session.create_schemas(["metrics", "marks"])
        for schema, name in (("metrics", "kept"), ("metrics", "renamed"), ("marks", "renamed")):
            session.write(schema, name, COLUMNS, [])
        for name in ("view_of_old", "a_table_by_now"):
            session.define("metrics", name, f"select name from {session.named('metrics.renamed')}")
        session.keep_only({("metrics", "kept", False), ("metrics", "a_table_by_now", False)}, ["metrics"])
        assert sorted(session.tables()) == [("marks", "renamed"), ("metrics", "kept")]
        for name in ("view_of_old", "a_table_by_now"):
            session.fill("metrics", name, "select 1 as name")


def test_a_table_has_the_columns_that_its_contract_promises_and_no_others(engine: Engine) -> None:
    promised = [("name", "varchar", True), ("events", "bigint", False)]
    with engine.session() as session:
        session.create_schemas(["published"])
        session.fill("published", "days", "select cast(3 as bigint) as events, 'x' as name", promised)
        assert session.rows(f"select name, events from {session.named('published.days')}") == [("x", 3)]
        for select in (
            "select 'x' as name, 3 as events",
            "select 'x' as name",
            "select 'x' as name, cast(3 as bigint) as events, 1 as more",
            "select cast(null as varchar) as name, cast(3 as bigint) as events",
        ):
            with pytest.raises(engine.errors):
                session.fill("published", "days", select, promised)


def test_rows_that_meet_a_condition_are_replaced_by_what_may_be_made_of_them(engine: Engine) -> None:
    with engine.session() as session:
        session.create_schemas(["marts"])
        session.write("marts", "days", COLUMNS, [(FRIDAY, "x", 1), (FRIDAY, "y", 2)])
        anew = f"select events + 1 as events, name, day from {session.named('marts.days')} where name = 'x'"
        session.replace("marts", "days", "name = 'x'", anew)
        assert session.rows(f"select name, events from {session.named('marts.days')} order by 1") == [
            ("x", 2),
            ("y", 2),
        ]


def test_a_bundle_reads_its_tables_from_there(engine: Engine) -> None:
    with engine.session() as session:
        session.create_schemas(["published"])
        session.write("published", "pub_days", COLUMNS, [(FRIDAY, "x", 1)])
    with duckdb.connect() as connection:
        engine.attach(connection, "warehouse", {"published": ""})
        assert connection.execute("select events from warehouse.published.pub_days").fetchall() == [(1,)]
