"""A folder of CSV files: each file whole and typed like the app's table of its name, or an error with its line."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tailtracker_bi.errors import TailTrackerError
from tailtracker_bi.lake.lake import Lake
from tailtracker_bi.runs.planning import check_accepted, plan
from tailtracker_bi.runs.pulling import pull
from tailtracker_bi.runs.report import Progress, RunReport, new_report
from tailtracker_bi.settings.model import Settings
from tailtracker_bi.sources import csv_files
from tailtracker_bi.sources.csv_files import CsvFiles
from tailtracker_bi.sources.records import VERSION_SCHEMA, AbsentTableError, Counts, SourceUnavailableError

NOW = datetime(2024, 4, 2, 6, tzinfo=UTC)
SPEND = "date,channel,spend,currency\n2024-03-01,search,10.00,EUR\n2024-03-01,social,2.5,EUR\n"
TICKETS = (
    "id,user_id,priority,category,created_at,resolved_at\n"
    "t1,u1,high,billing,2024-03-01T08:00:00Z,\n"
    "t2,jo@example.com,low,call +49 170 1234567,2024-03-02 09:30:00,2024-03-02 10:00:00+00\n"
)
NPS = "id,user_id,score,created_at\nn1,u1,9,2024-03-01\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "csv").mkdir()
    return tmp_path / "csv"


@pytest.fixture
def settings(make_settings: Callable[..., Settings], folder: Path) -> Settings:
    return make_settings(TAILTRACKER_CSV_FOLDER=folder, TAILTRACKER_NOW=NOW)


class Snapshot:
    """What a session gave, by table: rows, quarantine, counts and remarks, or the error."""

    def __init__(self, settings: Settings) -> None:
        self.rows: dict[str, list[dict[str, Any]]] = {}
        self.quarantine: dict[str, list[tuple[str, str]]] = {}
        self.counts: dict[str, Counts] = {}
        self.remarks: dict[str, list[str]] = {}
        self.errors: dict[str, TailTrackerError] = {}
        self.as_of: dict[str, datetime | None] = {}
        with CsvFiles(settings).session({}, settings.home / "spool") as read:
            for table in CsvFiles.tables:
                try:
                    with read(table) as versions:
                        assert versions.is_snapshot
                        landed = versions.rows.read_all()
                        assert landed.schema == pa.schema([*VERSION_SCHEMA, *table.schema])
                        self.rows[table.name] = landed.to_pylist()
                        aside = versions.quarantine.read_all().to_pylist()
                        self.quarantine[table.name] = [(row["reason"], row["record"]) for row in aside]
                        self.counts[table.name] = versions.counts
                        self.remarks[table.name] = list(map(str, versions.remarks))
                        self.as_of[table.name] = versions.as_of
                except TailTrackerError as error:
                    self.errors[table.name] = error


def test_rows_are_typed_and_masked_like_those_of_the_app_database(settings: Settings, folder: Path) -> None:
    (folder / "marketing_metrics.csv").write_text(SPEND)
    (folder / "support_tickets.csv").write_text(TICKETS)
    snapshot = Snapshot(settings)
    search, social = snapshot.rows["marketing_metrics"]
    assert (search["object_id"], search["date"], search["spend"]) == (
        "2024-03-01/search/EUR",
        date(2024, 3, 1),
        "10.00",
    )
    assert (social["spend"], social["channel"]) == ("2.5", "social")
    first, second = snapshot.rows["support_tickets"]
    assert (first["id"], first["created_at"], first["resolved_at"]) == ("t1", datetime(2024, 3, 1, 8), None)  # noqa: DTZ001 - UTC
    assert second["created_at"] == datetime(2024, 3, 2, 9, 30)  # noqa: DTZ001 - UTC
    assert second["category"] == "call [phone]"
    assert second["user_id"].startswith("hashed-")
    spooled = b"".join(file.read_bytes() for file in (settings.home / "spool").iterdir())
    assert b"jo@example.com" not in spooled
    assert {name: type(error) for name, error in snapshot.errors.items()} == {
        "app_store_ratings": AbsentTableError,
        "nps_responses": AbsentTableError,
    }


def test_a_byte_order_mark_quoted_fields_and_blank_lines_change_nothing(settings: Settings, folder: Path) -> None:
    (folder / "support_tickets.csv").write_bytes(
        b'\xef\xbb\xbfid,category\r\nt1,"one, two\r\nthree ""four"""\r\n\r\nt2,five\r\n'
    )
    rows = Snapshot(settings).rows["support_tickets"]
    assert [(row["id"], row["category"]) for row in rows] == [("t1", 'one, two\r\nthree "four"'), ("t2", "five")]


def test_a_row_that_cannot_be_used_is_set_aside_with_its_line(settings: Settings, folder: Path) -> None:
    (folder / "nps_responses.csv").write_text(
        NPS + "n2,u2,nine,2024-03-01\nn3,u3,8\nn4,u4,8,2024-03-01,more\n,u5,8,2024-03-01\nn6,u6,8,2024-03-09\n"
    )
    snapshot = Snapshot(settings)
    assert [row["id"] for row in snapshot.rows["nps_responses"]] == ["n1", "n6"]
    assert snapshot.quarantine["nps_responses"] == [
        ("score is no numeric", "line 3"),
        ("3 fields, where the header has 4", "line 4"),
        ("5 fields, where the header has 4", "line 5"),
        ("id is null", "line 6"),
    ]
    assert snapshot.counts["nps_responses"] == Counts(received=6, quarantined=4)


def test_a_column_that_nobody_allowed_is_withheld_and_remarked(settings: Settings, folder: Path) -> None:
    (folder / "nps_responses.csv").write_text("id,user_id,score,created_at,email\nn1,u1,9,2024-03-01,jo@example.com\n")
    snapshot = Snapshot(settings)
    assert snapshot.remarks["nps_responses"] == ["withheld, as nobody has allowed it: email"]
    assert "email" not in snapshot.rows["nps_responses"][0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "nps_responses.csv: line 1: there is no header: is it still being written?"),
        (b"n1,u1,9,2024-03-01\n", "nps_responses.csv: line 1: there is no header that names id, with commas between"),
        (b"id;score\nn1;9\n", "nps_responses.csv: line 1: there is no header that names id, with commas between"),
        (b"id,score,score\nn1,9,9\n", "nps_responses.csv: line 1: the header names score twice"),
        (b"id,score\nn1,9\nn2,\xff\n", "nps_responses.csv: line 3: it is not UTF-8"),
        (
            b"id,score\nn1,9\nn2,1",  # of 10
            "nps_responses.csv: line 3: no newline ends it, so it may be cut short: is it still being written?",
        ),
        (b'id,score\nn1,9\nn2,"8\n', "nps_responses.csv: line 3: a quote has no end: is it still being written?"),
        (b'id,score\nn1,"9"9\n', "nps_responses.csv: line 2: it is no CSV: ',' expected after '\"'"),
        (
            b"id,score\nn1,9\nn2,9\nn1,7\n",
            "nps_responses: id should tell rows apart, but does not in lines 2 and 4",
        ),
    ],
)
def test_a_file_that_is_not_whole_says_where_and_leaves_the_others(
    settings: Settings, folder: Path, content: bytes, message: str
) -> None:
    (folder / "nps_responses.csv").write_bytes(content)
    (folder / "marketing_metrics.csv").write_text(SPEND)
    snapshot = Snapshot(settings)
    assert str(snapshot.errors["nps_responses"]) == f"csv_files: {message}"
    assert len(snapshot.rows["marketing_metrics"]) == 2


def test_a_file_that_grows_while_it_is_read_does_not_land(
    settings: Settings, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = folder / "nps_responses.csv"
    file.write_text(NPS)
    masked = csv_files.masked

    def masked_while_it_grows(*parts: Any) -> pa.RecordBatch:
        with file.open("a") as lines:
            lines.write("n2,u2,3,2024-03-01\n")
        return masked(*parts)

    monkeypatch.setattr(csv_files, "masked", masked_while_it_grows)
    error = Snapshot(settings).errors["nps_responses"]
    assert str(error) == "csv_files: nps_responses.csv: it changed while it was read: is it still being written?"


def test_a_file_tells_of_the_time_until_it_was_written(settings: Settings, folder: Path) -> None:
    written = datetime(2024, 3, 20, 12, tzinfo=UTC)
    for name, moment in (("nps_responses", written), ("support_tickets", datetime(2030, 1, 1, tzinfo=UTC))):
        file = folder / f"{name}.csv"
        file.write_text(NPS if name == "nps_responses" else TICKETS)
        os.utime(file, (moment.timestamp(), moment.timestamp()))
    assert Snapshot(settings).as_of == {"nps_responses": written, "support_tickets": NOW}
    lake = Lake(settings.home)
    run(settings, lake)
    assert lake.ledger.synced_at("csv_files", "nps_responses") == written


def run(settings: Settings, lake: Lake, *accept: str) -> RunReport:
    report = new_report()
    plans = plan(settings, lake, sources=["csv_files"])
    pull(settings, lake, plans, report, Progress(), check_accepted(lake, accept, plans))
    return report


def test_a_file_that_went_missing_is_held_until_somebody_accepts_it(settings: Settings, folder: Path) -> None:
    (folder / "nps_responses.csv").write_text(NPS)
    (folder / "marketing_metrics.csv").write_text(SPEND)
    lake = Lake(settings.home)
    assert run(settings, lake).exit_code == 0
    (folder / "nps_responses.csv").unlink()
    held = run(settings, lake)
    assert held.exit_code == 3
    assert "csv_files: nps_responses: the table is gone" in held.held[0]
    assert run(settings, lake, "csv_files:nps_responses").exit_code == 0
    assert run(settings, lake).exit_code == 0


def test_a_file_of_which_nothing_can_be_used_does_not_land(settings: Settings, folder: Path) -> None:
    (folder / "nps_responses.csv").write_text("id,score\nn1,nine\nn2,ten\n")
    report = run(settings, Lake(settings.home))
    assert report.errors == ["csv_files: nps_responses: none of 2 rows can be used: score is no numeric"]


def test_doctor_says_what_the_folder_holds(settings: Settings, folder: Path) -> None:
    missing = CsvFiles(settings).check()
    assert not missing.is_ok
    assert "is TAILTRACKER_CSV_FOLDER the right one?" in missing.detail
    with pytest.raises(SourceUnavailableError):
        Snapshot(settings)
    (folder / "marketing_metrics.csv").write_text(SPEND)
    (folder / "nps_responses.csv").write_text(NPS)
    sound = CsvFiles(settings).check()
    assert sound.is_ok
    assert sound.detail == "reads 2 of 4 files; absent: support_tickets, app_store_ratings"
    (folder / "nps_responses.csv").write_text("score\n9\n")
    broken = CsvFiles(settings).check()
    assert not broken.is_ok
    assert "reads 1 of 4 files; csv_files: nps_responses.csv: line 1: there is no header that names id" in broken.detail


def test_it_is_on_where_its_folder_is_set(settings: Settings, make_settings: Callable[..., Settings]) -> None:
    assert CsvFiles.is_on(settings)
    assert not CsvFiles.is_on(make_settings())
