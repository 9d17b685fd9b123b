"""People's own SQL: SELECTs over the bundle's tables are answered; all else is refused, and leaves nothing behind."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pytest

from tailtracker_bi.bundle.asking import Answer, QueryError, ask, ask_for_rows
from tailtracker_bi.bundle.sql import answer
from tailtracker_bi.figures.json_output import json_lines

SECONDS = 20.0

ANSWERED = [
    "select 1",
    "select 1;",
    "SELECT build FROM bundle_info",
    "select count(*) from metric_values",
    "select * from main.metric_values",
    "select * from bundle.main.metric_values limit 3",
    "select v.value from metric_values as v order by v.value desc limit 1",
    "select metric_id, sum(value) from metric_values group by all having sum(value) > 0",
    "from metric_values",
    "from metric_values select metric_id",
    "table metric_values",
    "values (1, 'a'), (2, 'b')",
    "with day as (select * from metric_values where grain = 'day') select count(*) from day",
    "with a as (select 1 as x), b as (from a) from b",
    "with recursive r(n) as (select 1 union all select n + 1 from r where n < 5) select sum(n) from r",
    "select * from metric_values union all select * from metric_values",
    "select metric_id from metric_values except select 'dau'",
    "select * from (select metric_id from metric_values) as inner_one",
    "select (select max(value) from metric_values) as most",
    "select metric_id from metric_values where exists (from bundle_info)",
    "select sum(value) over (order by period_start) from metric_values",
    "select * from metric_values qualify row_number() over (partition by metric_id) = 1",
    "select a.value from metric_values a join metric_values b using (metric_id)",
    "select a.value from metric_values a asof join metric_values b on a.period_start >= b.period_start",
    "pivot metric_values on grain in ('day', 'week') using sum(value) group by metric_id",
    "unpivot metric_values on value into name what value amount",
    "select * from metric_values using sample 2 rows",
    "describe metric_values",
    "describe select 1 as a",
    "summarize metric_values",
    "show tables",
    "show all tables",
    "select table_name from information_schema.tables",
    "select column_name from information_schema.columns where table_name = 'metric_values'",
    "select table_name from duckdb_tables()",
    "select column_name from duckdb_columns()",
    "select * from range(3)",
    "select * from generate_series(1, 3)",
    "select unnest([1, 2, 3])",
    "select key from json_each('{\"a\": 1}')",
    "select json_extract('{\"a\": 1}', '$.a')",
    "select list_transform([1, 2], x -> x + 1), [x for x in [1, 2]]",
    "select regexp_extract('abc', 'b'), strftime(date '2024-01-01', '%Y')",
    "select timestamptz '2024-01-01 00:00:00+02' at time zone 'Europe/Berlin'",
    "select 'attach, copy and pragma are words' as text -- checkpoint",
    "select 1;; -- done",
    "select/**/1/* ; drop table metric_values */",
    "select $$ ; attach 'x' as y; $$, E'\\x27; attach'",
    # What sounds dangerous and tells nothing.
    "select getvariable('x'), current_query(), current_database(), current_user, version(), in_search_path('a', 'b')",
    "show databases",
    "select regexp_matches(repeat('a', 100000) || 'b', '(a+)+$')",
    "select json_structure(repeat('[', 10000) || repeat(']', 10000))",
    "select list_where(array_value('1', null), [true, true, true])",
    "select 1 as a, 2 as a",
    'select 1 as "from"',
]

REFUSED = [
    "",
    ";",
    "-- nothing",
    "selec 1",
    "select 1; select 2",
    "select 1; drop table metric_values",
    "select * from nope",
    "select nope from metric_values",
    "select ?",
    "select $a",
    "attach '{outside}/other.duckdb' as other",
    "attach ':memory:' as other",
    "detach bundle",
    "use memory",
    "use memory.main",
    "checkpoint",
    "force checkpoint",
    "call checkpoint()",
    "from checkpoint()",
    "from force_checkpoint()",
    "prepare q as select 1",
    "execute q",
    "deallocate q",
    "call enable_logging('QueryLog')",
    "from enable_logging('QueryLog')",
    "from enable_logging('QueryLog', storage = 'file', storage_config = {{'path': '{outside}/log'}})",
    "call disable_logging()",
    "from truncate_duckdb_logs()",
    "select write_log('x')",
    "select write_log('x', level := 'error', scope := 'database')",
    "select 'x'.write_log()",
    "from duckdb_logs()",
    "from duckdb_logs",
    "call enable_profiling()",
    "from enable_profiling()",
    "explain select 1",
    "explain analyze select 1",
    "explain copy metric_values to '{outside}/x'",
    "explain analyze insert into metric_values from metric_values",
    "set threads = 1",
    "set variable a = 1",
    "reset threads",
    "set enable_external_access = true",
    "set lock_configuration = false",
    "set temp_directory = '{outside}'",
    "pragma threads = 1",
    "pragma enable_profiling",
    "pragma database_list",
    "pragma database_size",
    "pragma show_tables",
    "install httpfs",
    "load httpfs",
    "load '{outside}/x.duckdb_extension'",
    "create table t as select 1",
    "create temp table t as select 1",
    "create view v as select 1",
    "create macro m() as 1",
    "create secret s (type s3)",
    "create type t as enum ('a')",
    "create sequence s",
    "create schema s",
    "drop table metric_values",
    "alter table metric_values add column x int",
    "comment on table metric_values is 'x'",
    "insert into metric_values from metric_values",
    "update metric_values set value = 0",
    "delete from metric_values",
    "truncate metric_values",
    "merge into metric_values using bundle_info on true when matched then delete",
    "with x as (select 1) insert into metric_values from metric_values",
    "begin",
    "commit",
    "rollback",
    "vacuum",
    "analyze",
    "copy metric_values to '{outside}/copy.csv'",
    "copy (select 1) to '.tmp/copy.csv'",
    "copy (select 1) to '/dev/stdout'",
    "copy metric_values from '{outside}/secret.csv'",
    "export database '{outside}/export'",
    "import database '{outside}/export'",
    "pivot metric_values on grain using sum(value)",
    "from read_csv('{outside}/secret.csv')",
    "from read_text('{outside}/secret.csv')",
    "from read_blob('{outside}/secret.csv')",
    "from read_text('/proc/self/environ')",
    "from read_parquet('{outside}/x.parquet')",
    "from read_json('{outside}/x.json')",
    "from read_duckdb('{outside}/x.duckdb')",
    "from read_text('.tmp/x')",
    "from glob('{outside}/*')",
    "from sniff_csv('{outside}/secret.csv')",
    "from parquet_metadata('{outside}/x.parquet')",
    "from '{outside}/secret.csv'",
    'from "{outside}/secret.csv"',
    "describe '{outside}/secret.csv'",
    "from 'https://example.com/x.csv'",
    "from query('select 1')",
    "from query_table('duckdb_settings')",
    "from json_execute_serialized_sql(json_serialize_sql('select 1'))",
    "from duckdb_settings()",
    "select value from duckdb_settings() where name = 'secret_directory'",
    "from pg_settings",
    "from pg_catalog.pg_settings",
    "from pg_settings, (with pg_settings as (select 1) from pg_settings) as shadowed",
    "select current_setting('secret_directory')",
    "select system.main.current_setting('secret_directory')",
    "select 'secret_directory'.current_setting()",
    "select [current_setting(x) for x in ['secret_directory']]",
    "select (with a as (select current_setting('secret_directory') as s) select s from a)",
    "from duckdb_databases()",
    "from duckdb_databases",
    "from pragma_database_list",
    "from system.main.pragma_database_list",
    "from duckdb_secrets()",
    "from duckdb_extensions()",
    "from duckdb_temporary_files()",
    "from duckdb_variables()",
    "from duckdb_external_file_cache()",
    "from which_secret('x', 's3')",
    "from pragma_user_agent()",
    "from pragma_storage_info('metric_values')",
    "from test_all_types()",
    "from arrow_scan(1, 2, 3)",
    "from pandas_scan(1)",
    "from seq_scan('x')",
    "from build",
    "from sql",
    "from duckdb",
    "from connection",
    "from _",
    # By other ways to a function of files: quoted, qualified, beside and within others, where a value stands.
    "from \"read_text\"('{outside}/secret.csv')",
    "from system.main.read_text('{outside}/secret.csv')",
    "from range(1), read_text('{outside}/secret.csv')",
    "from range(1), lateral (from read_text('{outside}/secret.csv'))",
    "select (select content from read_text('{outside}/secret.csv'))",
    "select 1 where 1 in (select 1 from glob('{outside}/*'))",
    "select exists(from read_blob('{outside}/secret.csv'))",
    "with a as (from read_text('{outside}/secret.csv')) from a",
    "with recursive a as (select 1 union all from read_text('{outside}/secret.csv')) from a",
    "select unnest(glob('{outside}/*'))",
    "select read_text('{outside}/secret.csv')",
    "describe (from duckdb_settings())",
    "summarize pg_settings",
    "show temp_directory",
    # Other places that a name may mean.
    "from 's3://bucket/x.parquet'",
    "from 'hf://datasets/x.csv'",
    "from 'file://{outside}/secret.csv'",
    "from 'http://169.254.169.254/latest/meta-data'",
    "from '/dev/stdin'",
    "from '~/.ssh/id_rsa'",
    "from '/proc/self/fd/*'",
    "from '{outside}/*.csv'",
    "from temp.pg_catalog.pg_settings",
    "from memory.main.metric_values",
    "from metric_values at (version => 1)",
    # Extensions', and what other engines offer.
    "from sqlite_scan('{outside}/x', 'y')",
    "from postgres_scan('', '', '')",
    "from delta_scan('{outside}')",
    "from st_read('{outside}')",
    "select http_get('http://127.0.0.1')",
    "select load_extension('x')",
    "select pg_read_file('{outside}/secret.csv')",
    "select set_config('threads', '1', false)",
    # SQL within SQL.
    "from query_table(['metric_values'])",
    "select (from query('attach ''{outside}/x'' as y'))",
    "select nextval('s')",
    "select checkpoint()",
    "select enable_logging()",
    # What tells of the process.
    "from duckdb_functions()",
    "from duckdb_memory()",
    "from duckdb_log_contexts()",
    "from duckdb_prepared_statements()",
    "from duckdb_optimizers()",
    "from pragma_platform()",
    "from sql_auto_complete('sel')",
    # A second statement by a sign that looks like another, in a comment's shadow, behind a zero byte.
    "select 1\uff1b drop table metric_values",
    "select 1\u200b; select 2",
    "select 1 /* ; */ -- ;\n; drop table metric_values",
    "select 1 -- ;\r drop table metric_values",
    "select e'\\'' ; drop table metric_values --'",
    "select 1\0; drop table metric_values",
    # Depth.
    "select cast(null as integer" + "[]" * 5_000 + ")",
    "select " + "(" * 20_000 + "1" + ")" * 20_000,
    "select " + "[" * 5_000 + "]" * 5_000,
    "select " + "not " * 50_000 + "true",
    "select " + "union_value(a := " * 500 + "1" + ")" * 500,
    # Sizes that are refused before they are tried.
    "select list_resize([1, 2, 3], 9999999999999999999)",
    "select repeat(repeat('0', 24), 4611686018427387904)",
    "select generate_series(1, 10000000000)",
    "select regexp_full_match('a', '((a{{1000}}){{1000}}){{1000}}')",
    "select json(repeat('[', 1000000))",
    "select getenv('HOME')",
    "select shell('id')",
    "select error('no')",
    "select 1/*",
    "select " + "1+" * 5_000 + "1",
]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small build, in a folder whose name would show."""
    folder = tmp_path_factory.mktemp("a_telling_folder") / "published"
    folder.mkdir()
    file = folder / "20240101T000000-abcdef.duckdb"
    with duckdb.connect(str(file)) as connection:
        connection.execute("create table bundle_info as select 'abcdef' as build")
        connection.execute(
            "create table metric_values as select 'dau' as metric_id, 'day' as grain, "
            "date '2024-01-01' + range::int as period_start, range::double as value from range(10)"
        )
    return file


BOMBS = [
    "select sum(a.range * b.range) from range(10000000) a, range(10000000) b",
    "select sleep_ms(60000)",
    "select list(range) from range(1000000000)",
    "select range(1000000000)",
    "from range(100000000000)",
    "select like_escape(repeat('a', 1000000), repeat('%a', 1000000), '')",
    "select length(repeat('x', 4000000000))",
    "select printf('%2000000000d', 1)",
    "select string_agg(repeat('a', 1000000), '') from range(3000)",
    "select regexp_replace(repeat('a', 1000000), 'a', repeat('b', 10000), 'g')",
    "with recursive r as (select 1 union all select * from r) select count(*) from r",
    "with recursive r(s) as (select 'x' union all select s || s from r) select max(length(s)) from r",
    "select count(*) from generate_series(timestamp '0001-01-01', timestamp '9999-12-31', interval 1 microsecond)",
    "select list(range order by random()) from range(100000000) group by range % 1000",
    "select approx_count_distinct(a.range + b.range) from range(100000) a, range(100000) b group by a.range, b.range",
    " union all ".join(["select 1"] * 20_000),
    "from metric_values a, " + ", ".join(f"metric_values m{number}" for number in range(12)) + " order by all",
]
"""What takes more time, memory, stack or rows than there is; some of it kills the process."""

Asked = Callable[[Path, str], object]


def asked_apart(build: Path, sql: str, seconds: float = SECONDS) -> object:
    return json.loads(ask(build, sql, seconds, json_lines))


def question(build: Path, sql: str, seconds: float = SECONDS) -> bytes:
    """What the process that answers is told."""
    return json.dumps([str(build), sql, seconds, [json_lines.__module__, json_lines.__name__, {}], 0]).encode()


def rows_of(build: Path, sql: str, most: int = 100) -> Answer:
    return ask_for_rows(build, sql, SECONDS, most, lambda: None)


def children() -> set[str]:
    """The processes that this one has started, by their ids."""
    return {child for task in Path("/proc/self/task").glob("*/children") for child in task.read_text().split()}


# In a process of its own each takes as long as Python and DuckDB take to load: all of them so in `make soak`.
BOTH = pytest.mark.parametrize("asked", [answer, pytest.param(asked_apart, marks=pytest.mark.slow)])


@BOTH
def test_selects_are_answered(build: Path, asked: Asked) -> None:
    for sql in ANSWERED:
        assert asked(build, sql) is not None, sql


@BOTH
def test_all_else_is_refused_in_one_line_that_tells_no_path_and_leaves_no_file(
    build: Path, asked: Asked, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.csv").write_text("a\n1\n")
    before = build.read_bytes()
    for text in REFUSED:
        sql = text.format(outside=outside)
        with pytest.raises(QueryError) as refused:
            asked(build, sql)
        told = str(refused.value)
        assert told.startswith("query: "), sql
        assert "\n" not in told, sql
        assert "a_telling_folder" not in told, sql
        assert "Permission" not in told, f"{sql} came as far as DuckDB's own wall"
    assert [file.name for file in outside.iterdir()] == ["secret.csv"]
    assert [file.name for file in tmp_path.iterdir()] == ["outside"]
    assert [file.name for file in build.parent.iterdir()] == [build.name]
    assert build.read_bytes() == before


def all_end_and_leave_nothing(build: Path, bombs: Sequence[str]) -> None:
    def told(sql: str) -> str:
        with pytest.raises(QueryError) as ended:
            asked_apart(build, sql, 2)
        return str(ended.value)

    before = children()
    with ThreadPoolExecutor(2) as threads:
        for sql, message in zip(bombs, threads.map(told, bombs), strict=True):
            assert message in {
                "query: it took longer than 2 s (TAILTRACKER_QUERY_SECONDS)",
                "query: it needs more than 1GB of memory: ask for less at once",
                "query: the answer has more than 256 MiB: ask for less at once",
                "query: the process that was to answer died: it asked for too much, or for what kills DuckDB",
            }, sql
    assert children() <= before  # What other tests left may end meanwhile.
    assert [*build.parent.iterdir()] == [build]
    assert not Path("/.tmp").exists()
    assert asked_apart(build, "select count(*) as rows from metric_values") == [{"rows": 10}]


def test_what_asks_for_too_much_is_ended_in_one_line_and_leaves_nothing_behind(build: Path) -> None:
    all_end_and_leave_nothing(build, BOMBS[:6])


@pytest.mark.slow
def test_nothing_that_asks_for_too_much_gets_it(build: Path) -> None:
    all_end_and_leave_nothing(build, BOMBS[6:])


def test_who_asks_for_rows_gets_the_first_of_them_with_their_types_and_learns_of_more(build: Path) -> None:
    sql = "select metric_id, period_start, value, value::decimal(9, 2), [1] from metric_values order by value"
    found = rows_of(build, sql, most=3)
    assert found.types == ["VARCHAR", "DATE", "DOUBLE", "DECIMAL(9,2)", "INTEGER[]"]
    assert found.rows["value"].to_pylist() == [0, 1, 2]
    assert [rows_of(build, "from metric_values", most).is_cut for most in (9, 10, 11)] == [True, False, False]
    assert rows_of(build, "select 1 as a, 2 as a").rows.to_pylist() == [{"a": 1, "a_1": 2}]
    assert rows_of(build, "from metric_values where false").rows.num_rows == 0


def test_the_first_of_endless_rows_come_at_once(build: Path) -> None:
    found = ask_for_rows(build, "from range(100000000000)", 10, 100_001, lambda: None)
    assert (found.rows.num_rows, found.is_cut) == (100_001, True)


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("select repeat('x', 1000000) from range(20)", "the answer has more than 16 MiB: ask for less at once"),
        ("select date 'infinity'", "a value can't be printed"),
    ],
)
def test_rows_that_cannot_be_shown_are_told(build: Path, sql: str, why: str) -> None:
    with pytest.raises(QueryError, match=f"^query: {why}"):
        rows_of(build, sql)


def test_when_nobody_wants_the_answer_any_more_its_process_ends(build: Path) -> None:
    began, before = time.monotonic(), children()

    class GoneError(Exception):
        pass

    def gone() -> None:
        assert children() != before
        raise GoneError

    with pytest.raises(GoneError):
        ask_for_rows(build, "select sleep_ms(60000)", 60, 1, gone)
    assert time.monotonic() - began < 5
    assert children() <= before  # What other tests left may end meanwhile.


@pytest.mark.parametrize(
    ("sql", "message", "pointer"),
    [
        (
            "select metric_id,\n\tvalu\nfrom metric_values",
            'Binder Error: Referenced column "valu" not found in FROM clause! Candidate bindings: "value" '
            "(line 2, column 2)",
            "\tvalu\n\t^",
        ),
        # DuckDB counts signs where it can't parse, and else bytes.
        (
            "select 'Zürich' frm metric_values",
            'Parser Error: syntax error at or near "metric_values" (line 1, column 21)',
            "select 'Zürich' frm metric_values\n                    ^",
        ),
        (
            "select 'Zürich', valu from metric_values",
            'Binder Error: Referenced column "valu" not found in FROM clause! Candidate bindings: "value" '
            "(line 1, column 18)",
            "select 'Zürich', valu from metric_values\n                 ^",
        ),
        (
            "from metric_values\nwhere 'ü' in (from nope)",
            "the bundle has no table nope; it has: bundle_info, metric_values (line 2, column 20)",
            "where 'ü' in (from nope)\n                   ^",
        ),
        (
            "select 1, " + "2, " * 40 + "nope " + "x" * 80,
            'Binder Error: Referenced column "nope" was not found because the FROM clause is missing '
            "(line 1, column 131)",
            "2, " * 20 + "nope " + "x" * 55 + "\n" + " " * 60 + "^",
        ),
        ("select error('not here')", "Invalid Input Error: not here", ""),
    ],
)
def test_an_error_says_where_in_the_statement(build: Path, sql: str, message: str, pointer: str) -> None:
    for asked in (answer, asked_apart):
        with pytest.raises(QueryError) as refused:
            asked(build, sql)
        assert (str(refused.value), refused.value.pointer) == (f"query: {message}", pointer)


def test_a_process_that_nobody_waits_for_ends_by_itself(build: Path) -> None:
    """As that of a command that was killed; here the clock alone ends it."""
    script = "from tailtracker_bi.bundle import sql; sql.resource.setrlimit = lambda *_: None; sql.main()"
    asked = question(build, "select sleep_ms(600000)", 1)
    process = subprocess.run([sys.executable, "-c", script], input=asked, check=False, timeout=60)
    assert process.returncode == -signal.SIGALRM


def test_an_answer_that_takes_seconds_comes_without_a_progress_bar(build: Path) -> None:
    slept = "select count(*) as n from range(2500) where sleep_ms(1) is null"
    assert asked_apart(build, slept, 60) == [{"n": 2500}]


def test_the_process_that_answers_loads_no_more_than_it_needs() -> None:
    script = "import sys; from tailtracker_bi.bundle.sql import main; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True).stdout
    assert {"duckdb", "pyarrow", "orjson"} <= {*loaded.split()}
    assert {"pandas", "pydantic", "deltalake", "dbt", "dagster", "streamlit"}.isdisjoint(loaded.split())


def test_the_process_that_answers_inherits_no_environment(build: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inherited: list[object] = []
    start = subprocess.Popen

    def seen(*arguments: object, **options: object) -> object:
        inherited.append(options["env"])
        return start(*arguments, **options)  # type: ignore[call-overload]

    monkeypatch.setenv("stripe_api_key", "rk_live_secret")
    monkeypatch.setattr("subprocess.Popen", seen)
    assert asked_apart(build, "select 1 as one") == [{"one": 1}]
    assert inherited == [{}]


def test_what_got_past_the_parse_tree_could_still_open_no_file(build: Path, tmp_path: Path) -> None:
    """The second wall by itself."""
    (tmp_path / "secret.csv").write_text("a\n1\n")
    script = """
import sys, orjson
from tailtracker_bi.bundle import sql as query
query._check = lambda *_: None
query.main()
"""
    for sql in (
        f"from read_text('{tmp_path}/secret.csv')",
        f"copy (select 1) to '{tmp_path}/copy.csv'",
        f"attach '{tmp_path}/other.duckdb' as other",
    ):
        process = subprocess.run(
            [sys.executable, "-c", script],
            input=question(build, sql),
            capture_output=True,
            cwd="/",
            env={},
            check=False,
        )
        assert process.returncode == 1, sql
        assert json.loads(process.stderr)[0].startswith("query: "), process.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["secret.csv"]


def test_a_build_that_cannot_be_read_is_told_with_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "20240101T000000-abcdef.duckdb"
    file.write_bytes(b"not a database" * 1000)
    with pytest.raises(
        QueryError, match=r"^query: build 20240101T000000-abcdef can't be read: `tailtracker-bi rollback`"
    ):
        answer(file, "select 1")


def test_a_statement_that_is_no_text_is_refused(build: Path) -> None:
    with pytest.raises(QueryError, match="is not UTF-8 text"):
        asked_apart(build, "select '\udcff'")


def test_the_process_that_answers_opens_no_file_once_the_build_is_open(build: Path) -> None:
    """Whatever asks for it: even Python's own code could not."""
    script = """
import sys
from tailtracker_bi.bundle import sql as query

def look(*_):
    try:
        open("/etc/passwd")
    except OSError as error:
        sys.exit(error.strerror)

query._check = look
query.main()
"""
    process = subprocess.run(
        [sys.executable, "-c", script], input=question(build, "select 1"), capture_output=True, env={}, check=False
    )
    assert (process.returncode, process.stderr) == (1, b"Too many open files\n")
