"""What is handed out reads back as it was, opens without running anything, and says what it is."""

from __future__ import annotations

import csv
import io
from datetime import date
from pathlib import Path

import duckdb
import openpyxl
import pyarrow.parquet as pq
import pytest

from tailtracker_bi import bundle
from tailtracker_bi.bundle import Bundle
from tailtracker_bi.errors import SettingsError
from tailtracker_bi.exports import FORMS, export, files, put
from tests.worlds import sample_bundle
from tests.worlds.sample_bundle import changed


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return sample_bundle.publish(tmp_path_factory.mktemp("home"))


def sheet(content: bytes, name: str = "Data") -> list[tuple[object, ...]]:
    return list(openpyxl.load_workbook(io.BytesIO(content))[name].iter_rows(values_only=True))


def test_every_table_is_as_it_is_published_in_every_form(build: Bundle) -> None:
    for table in bundle.tables(build):
        told = bundle.query(build, f'from "{table}"')
        name, content = export(build, table, "parquet")
        assert name == f"{table}-{sample_bundle.BUILD}.parquet"
        assert pq.read_table(io.BytesIO(content)).equals(told)
        rows = list(csv.reader(io.StringIO(export(build, table, "csv")[1].decode())))
        assert (rows[0], len(rows)) == (told.column_names, told.num_rows + 1)


@pytest.mark.parametrize("table", ["metric_catalog", "mrr_movements", "data_status", "payment_outcomes"])
def test_a_sheet_has_numbers_days_and_times_as_such(table: str, build: Bundle) -> None:
    told = bundle.query(build, f'from "{table}"')
    header, *rows = sheet(export(build, table, "xlsx")[1])
    assert list(header) == told.column_names
    assert len(rows) == told.num_rows
    for read, row in zip(rows, told.to_pylist(), strict=True):
        for got, (name, was) in zip(read, row.items(), strict=True):
            if isinstance(was, date):
                assert str(got)[:10] == str(was)[:10], name
            elif was is None or was == "":
                assert got is None, name
            elif isinstance(was, bool | str):
                assert got == was, name
            else:
                assert float(str(got)) == pytest.approx(float(was)), name


def test_a_metric_has_all_its_grains_and_segments_and_says_what_it_is(build: Bundle) -> None:
    rows = list(csv.DictReader(io.StringIO(export(build, "mrr", "csv")[1].decode())))
    published = bundle.query(build, "from metric_values where metric_id = 'mrr'")
    assert len(rows) == published.num_rows
    assert {row["segment"] for row in rows} > {"all", "plan", "currency"}
    assert {row["currency"] for row in rows if row["segment"] == "currency"} > {"USD"}
    assert {row["currency"] for row in rows if row["segment"] == "all"} == {"EUR"}
    content = export(build, "mrr", "xlsx")[1]
    about = dict(sheet(content, "Definitions"))
    assert about["MRR"] == "What subscriptions pay a month."
    assert (about["build"], about["data as of"]) == (sample_bundle.BUILD, "2025-03-12")
    book = openpyxl.load_workbook(io.BytesIO(content))["Data"]
    header = [cell.value for cell in book[1]]
    assert book.cell(2, header.index("value") + 1).number_format == "#,##0.00"
    assert book.cell(2, header.index("period_start") + 1).is_date


def test_a_share_is_a_percentage_in_a_sheet(build: Bundle) -> None:
    book = openpyxl.load_workbook(io.BytesIO(export(build, "payment_success_rate", "xlsx")[1]))["Data"]
    header = [cell.value for cell in book[1]]
    cells = [row[header.index("value")] for row in book.iter_rows(min_row=2)]
    assert {cell.number_format for cell in cells if cell.value is not None} == {"0.0%"}


@pytest.mark.parametrize("text", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "https://evil.example"])
def test_no_cell_is_run_by_what_opens_it(text: str, build: Bundle, tmp_path: Path) -> None:
    own = changed(build, tmp_path, "update metric_catalog set label = $text", text=text)
    content = export(own, "metric_catalog", "xlsx")[1]
    book = openpyxl.load_workbook(io.BytesIO(content))
    cells = [cell for row in book["Data"].iter_rows(min_row=2) for cell in row if cell.value == text]
    assert cells
    assert {cell.data_type for cell in cells} == {"s"}
    assert not any(cell.hyperlink for cell in cells)
    if text[0] != "h":
        assert f",{text}," not in export(own, "metric_catalog", "csv")[1].decode()


def test_the_same_build_gives_the_same_file_to_the_byte(build: Bundle) -> None:
    for form in FORMS:
        assert export(build, "mrr", form) == export(build, "mrr", form)


def test_parquet_carries_what_it_is_and_exact_decimals(build: Bundle) -> None:
    file = io.BytesIO(export(build, "mrr_movements", "parquet")[1])
    told = {key.decode(): value.decode() for key, value in pq.read_schema(file).metadata.items()}
    assert told["tailtracker.data as of"] == "2025-03-12"
    metric = io.BytesIO(export(build, "mrr", "parquet")[1])
    assert pq.read_schema(metric).metadata[b"tailtracker.MRR"] == b"What subscriptions pay a month."
    assert str(pq.read_schema(file).field("amount").type).startswith("decimal")


def test_what_can_not_be_exported_is_told_in_one_line(build: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match=r"no table and no metric 'mrr_movement'; did you mean mrr_movements"):
        export(build, "mrr_movement", "csv")
    with pytest.raises(SettingsError, match="no metric 'x; drop table y'"):
        export(build, "x; drop table y", "csv")
    monkeypatch.setattr(files, "MOST_ROWS", 10)
    with pytest.raises(SettingsError, match=r"mrr has [\d,]+ rows and a sheet at most 10: take csv or parquet"):
        export(build, "mrr", "xlsx")
    with pytest.raises(SettingsError, match="nothing can be put into nosuch://"):
        put("nosuch://bucket/x", "a.csv", b"")


def test_a_file_is_put_where_it_is_to_be(tmp_path: Path) -> None:
    assert put(f"{tmp_path}/new/folder", "a.csv", b"x,y\n") == f"{tmp_path}/new/folder/a.csv"
    assert [file.name for file in (tmp_path / "new" / "folder").iterdir()] == ["a.csv"]
    assert duckdb.sql(f"from '{tmp_path}/new/folder/a.csv'").columns == ["x", "y"]
    put("memory://kept", "b.csv", b"z\n")
