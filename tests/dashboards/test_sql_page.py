"""The SQL page: a link shows its result, what is wrong is told with its place, and nothing is asked for nobody."""

from __future__ import annotations

import io
import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow.parquet as pq
import pytest
from streamlit.testing.v1 import AppTest

from dashboards import components, data
from tailtracker_bi import bundle
from tailtracker_bi.bundle import Answer
from tailtracker_bi.figures.csv_output import csv_lines
from tests.dashboards import open_page
from tests.worlds import sample_bundle

BY_DAY = (
    "select period_start, value, is_complete from metric_values "
    "where metric_id = 'dau' and grain = 'day' and segment = 'all' order by period_start desc"
)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that a process is started for."""
    statements: list[str] = []
    ask = bundle.ask_for_rows

    def seen(build: Path, sql: str, *more: Any) -> Answer:
        statements.append(sql)
        return ask(build, sql, *more)

    monkeypatch.setattr(bundle, "ask_for_rows", seen)
    return statements


def run(page: AppTest, statement: str) -> AppTest:
    page.text_area(key="statement").set_value(statement)
    return next(button for button in page.button if button.label == "Run").click().run()


def words(page: AppTest) -> str:
    kinds = (page.error, page.warning, page.info, page.main.caption)
    return "\n".join(str(block.value) for kind in kinds for block in kind).replace("\\", "")


def test_a_link_shows_its_result_and_what_is_chosen_beside_it_asks_for_nothing(asked: list[str]) -> None:
    page = open_page("SQL", sql=BY_DAY)
    table = page.dataframe[0].value
    assert list(table) == ["period_start", "value", "is_complete"]
    assert len(table) == len(sample_bundle.DAYS)
    assert "70 rows" in words(page)
    assert page.text_area(key="statement").value == BY_DAY
    page.selectbox(key="table").set_value("stickiness").run()
    assert len(page.dataframe[0].value) == len(sample_bundle.DAYS)
    assert asked == [BY_DAY]
    assert page.query_params == {"sql": BY_DAY, "table": "stickiness"}


def test_what_is_run_comes_into_the_address_bar_and_is_asked_anew_each_time(asked: list[str]) -> None:
    page = open_page("SQL")
    assert (len(page.dataframe), asked) == (0, [])
    run(page, "  select 1 as one ")
    assert page.query_params == {"sql": "select 1 as one"}
    run(page, "select 1 as one")
    assert asked == ["select 1 as one"] * 2
    run(page, "")
    assert (len(page.dataframe), page.query_params) == (0, {})


def test_back_and_forward_show_what_their_links_say(asked: list[str]) -> None:
    page = run(open_page("SQL"), "select 1 as one")
    page.query_params["sql"] = "select 2 as two"
    page.run()
    assert list(page.dataframe[0].value) == ["two"]
    assert page.text_area(key="statement").value == "select 2 as two"
    assert asked == ["select 1 as one", "select 2 as two"]


def test_a_statement_that_is_too_long_for_a_link_is_answered_and_told() -> None:
    page = run(open_page("SQL"), "select 1 as one -- " + "x" * 7_000)
    assert list(page.dataframe[0].value) == ["one"]
    assert "too long for a link" in words(page)
    assert page.query_params == {}


def test_an_error_is_told_in_words_with_its_place() -> None:
    page = open_page("SQL", sql="select metric_id,\n  valu\nfrom metric_values")
    assert words(page) == (
        'Binder Error: Referenced column "valu" not found in FROM clause! Candidate bindings: "value" '
        "(line 2, column 3)"
    )
    assert page.code[0].value == "  valu\n  ^"


@pytest.mark.parametrize(
    "sql",
    [
        "select 1; select 2",
        "from read_text('/etc/passwd')",
        "attach '/tmp/x.duckdb' as x",
        "copy (select 1) to '/tmp/x.csv'",
        "set threads = 1",
        "from duckdb_settings()",
        "<img src=x onerror=alert(1)>",
        "\0",
    ],
)
def test_a_link_gets_no_more_than_one_select_over_the_tables(sql: str, home: Path) -> None:
    page = open_page("SQL", sql=sql)
    assert len(page.error) == 1
    assert len(page.dataframe) == 0
    assert str(home) not in words(page)
    assert "<img" not in page.error[0].value


def test_rows_that_are_cut_are_told_and_all_rows_are_the_csv(monkeypatch: pytest.MonkeyPatch) -> None:
    written: dict[str, bytes] = {}
    monkeypatch.setattr(
        components.st, "download_button", lambda _, make, **more: written.update({more["file_name"]: make()})
    )
    sql = (
        "select '=1+1' as \"@SUM(A1)\", '\t@x' as t, -0.5 as n, 'nan'::double as u, 'inf'::double as i, range "
        "from range(3)"
    )
    page = open_page("SQL", sql=sql)
    assert written["sql.csv"].decode() == "'@SUM(A1),t,n,u,i,range\n" + "".join(
        f"'=1+1,'\t@x,-0.5,,,{number}\n" for number in range(3)
    )
    build = data.current_build()
    assert written["sql.csv"] == bundle.ask(build.path, sql, 20, csv_lines, is_raw=False)
    assert "there are more" not in words(page)

    monkeypatch.setattr(data, "MOST_ROWS", 2)
    page = open_page("SQL", sql="from range(3)")
    assert "**The first 2 rows: there are more.**" in words(page)
    assert written["sql.csv"] == b"range\n0\n1\n"


def test_what_a_spreadsheet_would_run_is_text_in_every_form(monkeypatch: pytest.MonkeyPatch) -> None:
    written: dict[str, bytes] = {}
    monkeypatch.setattr(
        components.st, "download_button", lambda _, make, **more: written.update({more["file_name"]: make()})
    )
    page = open_page("SQL", sql="select '=1+1' as \"@SUM(A1)\", 7.25::decimal(9, 2) as n, date '2025-03-01' as d")
    page.selectbox(key=components.FORM).select("XLSX").run()
    cells = next(openpyxl.load_workbook(io.BytesIO(written["sql.xlsx"]))["Data"].iter_rows(min_row=2))
    assert [(cell.value, cell.data_type) for cell in cells[:2]] == [("=1+1", "s"), (7.25, "n")]
    assert cells[2].is_date
    page.selectbox(key=components.FORM).select("Parquet").run()
    [row] = pq.read_table(io.BytesIO(written["sql.parquet"])).to_pylist()
    assert row == {"@SUM(A1)": "=1+1", "n": Decimal("7.25"), "d": date(2025, 3, 1)}


def test_the_result_can_be_a_chart_of_any_of_its_numbers_or_says_why_not() -> None:
    page = open_page("SQL", sql=BY_DAY, show="chart")
    [chart] = page.get("vega_lite_chart")
    assert "Line chart of value by day: value from" in json.loads(chart.proto.spec)["description"]
    page = open_page("SQL", sql="select 'a' as plan, 1 as x, 2 as y", show="chart", number="y")
    assert "Bars of y by plan: a 2." in json.loads(page.get("vega_lite_chart")[0].proto.spec)["description"]
    run(page, "select 'a' as plan, 1 as z, 2 as x")
    assert "not known here" not in words(page)
    assert page.query_params == {"sql": "select 'a' as plan, 1 as z, 2 as x", "show": "chart"}
    twice = "select period_start, value from metric_values"
    assert "Several rows have the same period_start" in words(open_page("SQL", sql=twice, show="chart"))
    assert "needs a column of numbers" in words(open_page("SQL", sql="select 'a' as t", show="chart"))


def test_values_that_a_page_has_no_form_for_are_shown_as_text() -> None:
    sql = "select [1, 2] as l, {'a': 1} as s, interval 1 day as i, 'x'::blob as b, uuid() as u, time '10:00' as t"
    table = open_page("SQL", sql=f"{sql}, null as n").dataframe[0].value
    assert table["l"].tolist() == ["[1, 2]"]
    assert table["s"].tolist() == ["{'a': 1}"]
    assert table["t"].tolist() == ["10:00:00"]


def test_the_tables_are_those_of_the_build_with_their_columns() -> None:
    page = open_page("SQL", table="stickiness")
    assert page.selectbox(key="table").options == bundle.tables(data.current_build())
    columns = next(text.value for text in page.markdown if "`days_active`" in text.value)
    assert columns.splitlines()[0] == "- `grain` :gray[varchar]"
    next(button for button in page.button if button.label == "Show first rows").click().run()
    assert page.query_params["sql"] == "from stickiness\nlimit 100"
    assert "days_active" in page.dataframe[0].value


def test_a_new_build_is_asked_anew_and_one_whose_file_is_gone_is_told(
    asked: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sample_bundle.publish(tmp_path)
    monkeypatch.setenv("TAILTRACKER_HOME", str(tmp_path))
    page = open_page("SQL", sql="select build from bundle_info")
    newer = sample_bundle.publish(tmp_path, build="20250313T060000-77aa01")
    page.run()
    assert page.dataframe[0].value["build"].tolist() == ["20250313T060000-77aa01"]
    assert len(asked) == 2

    newer.path.unlink()
    newer.path.write_bytes(b"")
    assert "can't be read: `tailtracker-bi rollback`" in words(run(page, "select 1"))


def test_no_more_are_answered_at_once_than_there_are_places() -> None:
    build = data.current_build()

    def children() -> set[str]:
        return {child for task in Path("/proc/self/task").glob("*/children") for child in task.read_text().split()}

    before, most, began = children(), 0, time.monotonic()

    def look() -> None:
        nonlocal most
        most = max(most, len(children() - before))
        if time.monotonic() - began > 2:
            raise TimeoutError

    def ask() -> None:
        with pytest.raises(TimeoutError):
            data.ask(build, "select sleep_ms(60000)", look)

    with ThreadPoolExecutor(6) as threads:
        for answer in [threads.submit(ask) for _ in range(6)]:
            answer.result()
    assert most == data.ASKED_AT_ONCE
    assert children() == before
    assert data.ask(build, "select 1 as one", lambda: None).rows.to_pylist() == [{"one": 1}]
