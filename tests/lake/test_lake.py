"""The lake: a day is there by its ledger row, whole, or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tailtracker_bi.lake import Lake, LakeError
from tailtracker_bi.lake import lake as lake_module
from tailtracker_bi.lake.check import check_ledger
from tailtracker_bi.lake.ledger import LANDINGS_SCHEMA
from tailtracker_bi.lake.tables import files_of
from tailtracker_bi.sources.records import BadResponseError, Days, Remark
from tests.lake.days import FIRST, SCHEMA, SOURCE, day, rows, whole_days


def content(lake: Lake) -> dict[int, list[str]]:
    """The events of each day, from the files that the ledger points to."""
    found: dict[int, list[str]] = {}
    for file in lake.files(*SOURCE):
        path = file.removeprefix("file://")
        (of_day,) = (part.removeprefix("day=") for part in Path(path).parts if part.startswith("day="))
        events = pq.ParquetFile(path).read(columns=["event"])["event"].to_pylist()
        found.setdefault((date.fromisoformat(of_day) - FIRST).days + 1, []).extend(events)
    return {number: sorted(found[number]) for number in sorted(found)}


def ledger(lake: Lake) -> list[dict[str, Any]]:
    return lake.ledger.landings().to_pylist()


def crash_after_commit(home: Path, days: dict[int, list[str]]) -> None:
    """What a process leaves that dies between the commit of the data and that of its ledger rows."""
    path = home / "lake" / "mixpanel" / "events"
    predicate = f"day >= '{day(min(days))}' and day <= '{day(max(days))}'" if path.exists() else None
    write_deltalake(path, rows(days), mode="overwrite", predicate=predicate, partition_by=["day"])


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path)


def test_the_files_of_a_version_are_read_anew_where_its_table_was_put_in_another_s_place(tmp_path: Path) -> None:
    write_deltalake(tmp_path / "table", rows({1: ["a"]}))
    before = files_of(tmp_path / "table", 0)
    assert files_of(tmp_path / "table", 0) == before == [str(file) for file in (tmp_path / "table").glob("*.parquet")]
    (tmp_path / "table").rename(tmp_path / "aside")
    write_deltalake(tmp_path / "table", rows({1: ["b"]}))
    assert files_of(tmp_path / "table", 0) == [str(file) for file in (tmp_path / "table").glob("*.parquet")] != before
    with pytest.raises(DeltaError):
        files_of(tmp_path / "table", 1)


def test_an_untouched_lake_is_empty(lake: Lake) -> None:
    assert lake.ledger.landed_days(*SOURCE) == set()
    assert lake.files(*SOURCE) == []
    assert lake.ledger.landings() == LANDINGS_SCHEMA.empty_table()
    lake.tidy()


def test_days_land_in_one_commit_with_a_ledger_row_each(lake: Lake, tmp_path: Path) -> None:
    lake.land(*SOURCE, whole_days({1: ["a", "b"], 2: ["c"]}))
    assert content(lake) == {1: ["a", "b"], 2: ["c"]}
    assert lake.ledger.landed_days(*SOURCE) == {day(1), day(2)}
    assert DeltaTable(tmp_path / "lake" / "mixpanel" / "events").version() == 0
    assert [(row["day"], row["status"], row["version"], row["landing"], row["loaded"]) for row in ledger(lake)] == [
        (day(1), "landed", 0, 0, 2),
        (day(2), "landed", 0, 0, 1),
    ]
    assert lake.ledger.landings().schema == LANDINGS_SCHEMA


def test_a_day_replaces_that_day_and_no_other(lake: Lake) -> None:
    lake.land(*SOURCE, whole_days({1: ["a"], 2: ["b"], 3: ["c"]}))
    lake.land(*SOURCE, whole_days({2: ["late", "b"]}))
    assert content(lake) == {1: ["a"], 2: ["b", "late"], 3: ["c"]}
    assert [row["landing"] for row in ledger(lake)] == [0, 0, 0, 1]


def test_the_same_days_landed_again_change_nothing(lake: Lake) -> None:
    for _ in range(3):
        lake.land(*SOURCE, whole_days({1: ["a", "a"], 2: ["b"]}))
    assert content(lake) == {1: ["a", "a"], 2: ["b"]}


@pytest.mark.parametrize("before", [{}, {1: ["a"], 2: ["b"]}])
def test_an_empty_day_lands_as_empty(lake: Lake, before: dict[int, list[str]]) -> None:
    if before:
        lake.land(*SOURCE, whole_days(before))
    lake.land(*SOURCE, whole_days({2: []}))
    assert content(lake) == {number: events for number, events in before.items() if number != 2}
    assert day(2) in lake.ledger.landed_days(*SOURCE)
    assert (ledger(lake)[-1]["received"], ledger(lake)[-1]["status"]) == (0, "landed")


def test_counts_that_do_not_add_up_never_land(lake: Lake, tmp_path: Path) -> None:
    lake.land(*SOURCE, whole_days({1: ["a"]}, aside={1: ["{kept"]}))
    wrong = whole_days({1: ["x"]})
    wrong.counts[day(1)].received = 5
    with pytest.raises(
        BadResponseError, match=r"mixpanel\.events 2024-01-01: received 5 records but can account for 1"
    ):
        lake.land(*SOURCE, wrong)
    assert content(lake) == {1: ["a"]}
    assert len(ledger(lake)) == 1
    assert (tmp_path / "quarantine" / "mixpanel" / "events" / "2024-01-01.jsonl").exists()


def test_every_landing_accounts_for_what_was_received(lake: Lake) -> None:
    lake.land(*SOURCE, whole_days({1: ["a"], 2: []}, aside={1: ["{x", "{y"], 2: ["{z"]}))
    for row in ledger(lake):
        assert row["received"] == row["loaded"] + row["deduplicated"] + row["filtered"] + row["quarantined"]
    assert [row["quarantined"] for row in ledger(lake)] == [2, 1]


def test_records_set_aside_are_kept_by_day_until_the_day_lands_again(lake: Lake, tmp_path: Path) -> None:
    folder = tmp_path / "quarantine" / "mixpanel" / "events"
    lake.land(*SOURCE, whole_days({1: ["a"], 2: ["b"]}, aside={1: ["{x\u2028", "{y\n"], 2: ["{z"]}))
    lake.land(*SOURCE, whole_days({2: ["b"]}))
    assert [file.name for file in folder.iterdir()] == ["2024-01-01.jsonl"]
    records = [json.loads(line) for line in (folder / "2024-01-01.jsonl").read_bytes().split(b"\n") if line]
    assert records == [{"reason": "not JSON", "record": "{x\u2028"}, {"reason": "not JSON", "record": "{y\n"}]


def test_a_failure_is_noted_and_the_last_landing_stays(lake: Lake) -> None:
    lake.land(*SOURCE, whole_days({1: ["a"]}))
    lake.note_failure(*SOURCE, [day(1), day(2)], "the gzip stream was cut off")
    assert content(lake) == {1: ["a"]}
    assert lake.ledger.landed_days(*SOURCE) == {day(1)}
    assert [(row["day"], row["status"], row["reason"], row["version"]) for row in ledger(lake)[1:]] == [
        (day(1), "failed", "the gzip stream was cut off", None),
        (day(2), "failed", "the gzip stream was cut off", None),
    ]


def test_a_failure_before_anything_landed_leaves_nothing_to_read(lake: Lake) -> None:
    lake.note_failure(*SOURCE, [day(1)], "down")
    assert (lake.ledger.landed_days(*SOURCE), lake.files(*SOURCE)) == (set(), [])


def test_an_answer_that_breaks_while_it_lands_leaves_the_day_as_it_was(lake: Lake, tmp_path: Path) -> None:
    lake.land(*SOURCE, whole_days({1: ["a"]}, aside={1: ["{kept"]}))
    broken = whole_days({1: ["x"], 2: ["y"]})

    def batches() -> Any:
        yield rows({1: ["x"]}).to_batches()[0]
        raise OSError("disk full")

    broken.rows = pa.RecordBatchReader.from_batches(SCHEMA, batches())
    with pytest.raises(Exception, match="disk full"):
        lake.land(*SOURCE, broken)
    assert content(lake) == {1: ["a"]}
    assert lake.ledger.landed_days(*SOURCE) == {day(1)}
    assert "{kept" in (tmp_path / "quarantine" / "mixpanel" / "events" / "2024-01-01.jsonl").read_text()


# A crash between the commit and its ledger rows.


def test_an_unrecorded_commit_is_invisible(lake: Lake, tmp_path: Path) -> None:
    lake.land(*SOURCE, whole_days({1: ["a"], 2: ["b"]}))
    crash_after_commit(tmp_path, {2: ["half"], 3: ["half"]})
    assert content(lake) == {1: ["a"], 2: ["b"]}
    assert lake.ledger.landed_days(*SOURCE) == {day(1), day(2)}


def test_an_unrecorded_commit_is_rolled_back_by_the_next_landing(lake: Lake, tmp_path: Path) -> None:
    lake.land(*SOURCE, whole_days({1: ["a"], 2: ["b"]}))
    crash_after_commit(tmp_path, {2: ["half"], 3: ["half"]})
    lake.land(*SOURCE, whole_days({5: ["e"]}))
    assert content(lake) == {1: ["a"], 2: ["b"], 5: ["e"]}
    assert lake.ledger.landed_days(*SOURCE) == {day(1), day(2), day(5)}


def test_crashes_in_a_row_are_rolled_back_too(lake: Lake, tmp_path: Path) -> None:
    lake.land(*SOURCE, whole_days({1: ["a"]}))
    for _ in range(3):
        crash_after_commit(tmp_path, {1: ["half"], 2: ["half"]})
        lake._roll_back_unrecorded(*SOURCE)
    crash_after_commit(tmp_path, {2: ["half"]})
    lake.land(*SOURCE, whole_days({3: ["c"]}))
    assert content(lake) == {1: ["a"], 3: ["c"]}


def test_an_unrecorded_first_commit_is_thrown_away(lake: Lake, tmp_path: Path) -> None:
    crash_after_commit(tmp_path, {1: ["half"], 2: ["half"]})
    assert lake.files(*SOURCE) == []
    lake.land(*SOURCE, whole_days({1: ["a"]}))
    assert content(lake) == {1: ["a"]}


def test_a_first_commit_followed_by_a_noted_failure_is_thrown_away(lake: Lake, tmp_path: Path) -> None:
    crash_after_commit(tmp_path, {1: ["half"]})
    lake.note_failure(*SOURCE, [day(1)], "down")
    lake.land(*SOURCE, whole_days({2: ["b"]}))
    assert content(lake) == {2: ["b"]}


def test_more_unrecorded_commits_than_a_crash_leaves_are_refused_and_stay(lake: Lake, tmp_path: Path) -> None:
    lake.land(*SOURCE, whole_days({1: ["a"]}))
    crash_after_commit(tmp_path, {2: ["b"]})
    crash_after_commit(tmp_path, {3: ["c"]})
    for refused in (lake.check, lake.tidy, lambda: lake.land(*SOURCE, whole_days({4: ["d"]}))):
        with pytest.raises(LakeError, match="has 2 commits that the ledger does not know, and a crash leaves one"):
            refused()
    assert DeltaTable(tmp_path / "lake" / "mixpanel" / "events").version() == 2


def test_an_unrecorded_first_commit_is_moved_aside_not_deleted(lake: Lake, tmp_path: Path) -> None:
    crash_after_commit(tmp_path, {1: ["half"]})
    lake.check()
    lake.land(*SOURCE, whole_days({1: ["a"]}))
    (aside,) = (tmp_path / "aside").glob("*/lake/mixpanel/events")
    assert DeltaTable(aside).to_pyarrow_table()["event"].to_pylist() == ["half"]


def two_tables(lake: Lake) -> None:
    lake.land(*SOURCE, whole_days({1: ["a"], 2: ["b"]}))
    lake.land("mixpanel", "people", whole_days({1: ["p"]}))
    lake.land(*SOURCE, whole_days({2: ["c"]}))


@pytest.mark.parametrize("has_head", [True, False])
def test_tables_without_their_ledger_are_refused_and_stay(lake: Lake, tmp_path: Path, has_head: bool) -> None:
    """As after a copy that skipped names with an underscore; a lake of an older version has no note of its end."""
    two_tables(lake)
    before = {file: file.read_bytes() for file in (tmp_path / "lake").glob("mixpanel/**/*") if file.is_file()}
    shutil.rmtree(tmp_path / "lake" / "_landings")
    if not has_head:
        (tmp_path / "lake" / "head.json").unlink()
    wrong = "lacks landing 2" if has_head else "is not there, or empty, and 2 tables are"
    with pytest.raises(LakeError, match=rf"lake/_landings {wrong}.*: restore lake/ and quarantine/ whole"):
        Lake(tmp_path).check()
    assert {file: file.read_bytes() for file in before} == before


def test_a_ledger_that_lost_its_end_or_is_of_another_lake_is_refused(lake: Lake, tmp_path: Path) -> None:
    two_tables(lake)
    (tmp_path / "lake/_landings/_delta_log/00000000000000000002.json").unlink()
    with pytest.raises(LakeError, match="lacks landing 2, the last that this lake had"):
        Lake(tmp_path).check()
    shutil.rmtree(tmp_path / "lake" / "_landings")
    other = Lake(tmp_path / "other")
    two_tables(other)
    (tmp_path / "other/lake/_landings").rename(tmp_path / "lake/_landings")
    with pytest.raises(LakeError, match="has another landing 2"):
        Lake(tmp_path).check()


def test_a_crash_before_the_note_of_the_ledgers_end_is_no_fault(lake: Lake, tmp_path: Path) -> None:
    two_tables(lake)
    head = (tmp_path / "lake" / "head.json").read_bytes()
    lake.note_failure(*SOURCE, [day(3)], "down")
    (tmp_path / "lake" / "head.json").write_bytes(head)
    Lake(tmp_path).check()
    (tmp_path / "lake" / "head.json").unlink()
    Lake(tmp_path).check()


@pytest.mark.parametrize("lost", ["_delta_log", "_delta_log/00000000000000000001.json"])
def test_a_table_that_lacks_what_the_ledger_names_is_refused_before_its_files_pass_for_old(
    lake: Lake, tmp_path: Path, lost: str
) -> None:
    two_tables(lake)
    path = tmp_path / "lake" / "mixpanel" / "events" / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    for refused in (lake.check, lambda: lake.land(*SOURCE, whole_days({3: ["d"]}))):
        with pytest.raises(LakeError, match="lake/mixpanel/events lacks version 1, which the ledger names"):
            refused()


@pytest.mark.parametrize("what", ["parquet", "json"])
def test_a_ledger_that_cannot_be_read_is_refused_in_words(lake: Lake, tmp_path: Path, what: str) -> None:
    two_tables(lake)
    for file in (tmp_path / "lake" / "_landings").rglob(f"*.{what}"):
        file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(LakeError, match=r"lake/_landings can't be read \(\w+\): restore"):
        Lake(tmp_path).check()


def test_a_lake_takes_no_other_key_than_the_first(lake: Lake, tmp_path: Path) -> None:
    lake.check_hash_key(b"the first key")
    Lake(tmp_path).check_hash_key(b"the first key")
    with pytest.raises(LakeError, match=r"not the one that this lake was filled with.*: put back the right one"):
        Lake(tmp_path).check_hash_key(b"another key")
    assert b"the first key" not in (tmp_path / "lake" / "hash_key.check").read_bytes()


def test_sources_and_tables_do_not_touch_each_other(lake: Lake) -> None:
    lake.land(*SOURCE, whole_days({1: ["a"]}))
    lake.land("other", "events", whole_days({1: ["o"], 2: ["o"]}))
    lake.land("mixpanel", "people", whole_days({3: ["p"]}))
    assert content(lake) == {1: ["a"]}
    assert lake.ledger.landed_days("other", "events") == {day(1), day(2)}
    assert lake.ledger.landed_days("mixpanel", "people") == {day(3)}


class DiedError(Exception):
    """In place of a kill."""


@pytest.mark.parametrize(
    ("step", "there", "set_aside"),
    [
        ("lake.day.committed", ["a", "b"], "{old"),
        ("lake.day.set_aside", ["a", "b"], "{old"),
        ("lake.day.recorded", ["c"], "{new"),
    ],
)
def test_a_day_keeps_the_quarantine_of_the_landing_that_counts_wherever_another_breaks_off(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, there: list[str], set_aside: str
) -> None:
    lake.land(*SOURCE, whole_days({1: ["a", "b"], 2: ["z"]}, aside={1: ["{old"], 2: ["{gone"]}))

    def die(reached: str) -> None:
        if reached == step:
            raise DiedError

    monkeypatch.setattr("tailtracker_bi.lake.lake.reached", die)
    with pytest.raises(DiedError):
        lake.land(*SOURCE, whole_days({1: ["c"], 2: ["z"]}, aside={1: ["{new"]}))
    monkeypatch.undo()
    lake = Lake(tmp_path)
    lake.tidy()
    assert content(lake) == {1: there, 2: ["z"]}
    files = {file.name: file.read_text() for file in (tmp_path / "quarantine" / "mixpanel" / "events").iterdir()}
    assert set_aside in files.pop("2024-01-01.jsonl")
    assert list(files) == ([] if step == "lake.day.recorded" else ["2024-01-02.jsonl"])


# Days that have not changed.


def files_at(home: Path) -> set[tuple[Path, float]]:
    """The files of the table and of its quarantine, and when each was written."""
    folders = [home / "lake" / "mixpanel" / "events", home / "quarantine" / "mixpanel" / "events"]
    return {(file, file.stat().st_mtime_ns) for folder in folders for file in folder.rglob("*")}


def test_a_day_that_has_not_changed_is_seen_and_nothing_of_it_is_written(lake: Lake, tmp_path: Path) -> None:
    lake.land(*SOURCE, whole_days({1: ["a", "b"], 2: []}, aside={1: ["{x", "{y"]}), datetime(2024, 1, 5, tzinfo=UTC))
    before = files_at(tmp_path)
    again = whole_days({1: ["b", "a"], 2: []}, aside={1: ["{y", "{x"]})
    again.remarks = {day(1): [Remark("a card number", is_alarm=True)]}
    outcome = lake.land(*SOURCE, again, datetime(2024, 1, 9, tzinfo=UTC))
    assert (outcome.held, sorted(outcome.unchanged)) == ({}, [day(1), day(2)])
    assert files_at(tmp_path) == before
    landed, seen = ledger(lake)[0], ledger(lake)[2]
    own = ("received", "loaded", "deduplicated", "filtered", "quarantined", "day", "source", "table_name")
    assert {name: seen[name] for name in own} == {name: landed[name] for name in own}
    assert (seen["status"], seen["landing"], seen["as_of"]) == ("unchanged", 1, datetime.fromisoformat("2024-01-09"))
    assert (seen["remark"], seen["is_alarm"]) == ("a card number", True)
    assert seen["landed_at"] >= landed["landed_at"]
    not_its_own = ("version", "digests", "set_aside", "set_aside_for", "content", "shape")
    assert [seen[name] for name in not_its_own] == [None] * len(not_its_own)
    assert lake.ledger.landed_as_of(*SOURCE) == dict.fromkeys([day(1), day(2)], datetime(2024, 1, 9, tzinfo=UTC))
    assert (lake.ledger.summary(*SOURCE).status, lake.ledger.summary(*SOURCE).days) == ("unchanged", 2)
    assert content(lake) == {1: ["a", "b"]}
    assert broken(ledger(lake)) == []
    lake.check()


def test_of_a_range_the_days_that_changed_land_and_the_others_stay(lake: Lake, tmp_path: Path) -> None:
    lake.land(*SOURCE, whole_days({1: ["a"], 2: ["b"], 3: ["c"]}, aside={1: ["{x"], 2: ["{y"]}))
    (first,) = (file for file in lake.files(*SOURCE) if "day=2024-01-01" in file)
    before = files_at(tmp_path)
    outcome = lake.land(*SOURCE, whole_days({1: ["a"], 2: ["late", "b"], 3: ["c"]}, aside={1: ["{x"], 2: ["{y"]}))
    assert sorted(outcome.unchanged) == [day(1), day(3)]
    assert content(lake) == {1: ["a"], 2: ["b", "late"], 3: ["c"]}
    assert first in lake.files(*SOURCE)
    assert [(row["day"], row["status"]) for row in ledger(lake)[3:]] == [
        (day(1), "unchanged"), (day(2), "landed"), (day(3), "unchanged"),
    ]  # fmt: skip
    written = {file.name for file, _ in files_at(tmp_path) - before if file.is_file()}
    assert {name for name in written if not name.endswith(".parquet")} == {f"{1:020}.json", "2024-01-02.jsonl"}
    assert len(written) == 3


def with_a_copy(days: Days) -> Days:
    days.counts[day(1)] = replace(days.counts[day(1)], received=4, deduplicated=1)
    return days


@pytest.mark.parametrize(
    "again",
    [
        pytest.param(whole_days({1: ["a", "c"]}, aside={1: ["{x"]}), id="another event"),
        pytest.param(whole_days({1: ["a", "a"]}, aside={1: ["{x"]}), id="one twice in place of another"),
        pytest.param(whole_days({1: ["a", "b"]}, aside={1: ["{z"]}), id="another record set aside"),
        pytest.param(with_a_copy(whole_days({1: ["a", "b"]}, aside={1: ["{x"]})), id="a copy more"),
        pytest.param(replace(whole_days({1: ["a", "b"]}, aside={1: ["{x"]}), content={}), id="no digest"),
        pytest.param(
            replace(whole_days({1: ["a", "b"]}, aside={1: ["{x"]}), shape={"slo": "..."}), id="asked otherwise"
        ),
    ],
)
def test_a_day_that_came_in_another_way_lands(lake: Lake, again: Days) -> None:
    lake.land(*SOURCE, whole_days({1: ["a", "b"]}, aside={1: ["{x"]}))
    assert lake.land(*SOURCE, again).unchanged == set()
    assert [row["status"] for row in ledger(lake)] == ["landed", "landed"]
    assert ledger(lake)[-1]["received"] == again.counts[day(1)].received


def damaged(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-8] + b"otherwise"[:8])


@pytest.mark.parametrize("harm", [Path.unlink, damaged, lambda file: file.write_bytes(b"")])
@pytest.mark.parametrize("where", ["lake/mixpanel/events/day=2024-01-01/*", "quarantine/mixpanel/events/*.jsonl"])
def test_a_day_that_is_damaged_lands_anew_though_it_came_as_before(
    lake: Lake, tmp_path: Path, where: str, harm: Callable[[Path], None]
) -> None:
    lake.land(*SOURCE, whole_days({1: ["a"], 2: ["b"]}, aside={1: ["{x"]}))
    harm(*tmp_path.glob(where))
    outcome = lake.land(*SOURCE, whole_days({1: ["a"], 2: ["b"]}, aside={1: ["{x"]}))
    assert outcome.unchanged == {day(2)}
    assert (content(lake), lake.damage(*SOURCE)) == ({1: ["a"], 2: ["b"]}, {})
    assert len(lake.quarantine(*SOURCE).lines(day(1))) == 1


def test_a_day_of_an_older_ledger_lands_once_more(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "tailtracker_bi.lake.ledger.LANDINGS_SCHEMA",
        pa.schema([field for field in LANDINGS_SCHEMA if field.name != "content"]),
    )
    lake.land(*SOURCE, replace(whole_days({1: ["a"]})))
    monkeypatch.undo()
    lake = Lake(lake.root.parent)
    assert [lake.land(*SOURCE, whole_days({1: ["a"]})).unchanged for _ in range(2)] == [set(), {day(1)}]


def test_a_day_that_failed_and_is_then_seen_unchanged_is_in_no_trouble(lake: Lake) -> None:
    lake.land(*SOURCE, whole_days({1: ["a"]}))
    lake.note_failure(*SOURCE, [day(1), day(2)], "down")
    lake.land(*SOURCE, whole_days({1: ["a"]}))
    assert lake.ledger.troubled_days(*SOURCE) == {day(2): "failed"}


def test_a_day_that_failed_is_not_taken_for_one_that_came(lake: Lake) -> None:
    lake.note_failure(*SOURCE, [day(1)], "down")
    assert lake.land(*SOURCE, whole_days({1: []})).unchanged == set()


def test_an_empty_day_that_was_accepted_is_held_again_as_long_as_it_comes_empty_against_all_custom(lake: Lake) -> None:
    lake.land(*SOURCE, whole_days(dict.fromkeys(range(1, 30), FULL)))
    held = lake.land(*SOURCE, whole_days({29: []})).held
    lake.land(*SOURCE, whole_days({29: []}), accepted=held)
    outcome = lake.land(*SOURCE, whole_days({29: []}))
    assert (list(outcome.held), outcome.unchanged) == ([day(29)], set())
    outcome = lake.land(*SOURCE, whole_days({29: []}), accepted=outcome.held)
    assert (outcome.held, outcome.unchanged) == ({}, {day(29)})


@pytest.mark.parametrize("step", ["lake.day.committed", "lake.day.set_aside", "lake.day.recorded"])
def test_what_breaks_off_beside_an_unchanged_day_leaves_it_and_is_made_good(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    lake.land(*SOURCE, whole_days({1: ["a"], 2: ["b"]}, aside={1: ["{x"], 2: ["{y"]}))
    days = ({1: ["a"], 2: ["c"]}, {1: ["{x"], 2: ["{z"]})

    def die(reached: str) -> None:
        if reached == step:
            raise DiedError

    monkeypatch.setattr("tailtracker_bi.lake.lake.reached", die)
    with pytest.raises(DiedError):
        lake.land(*SOURCE, whole_days(*days))
    monkeypatch.undo()
    lake = Lake(tmp_path)
    lake.check()
    assert day(1) in lake.land(*SOURCE, whole_days(*days)).unchanged
    assert content(lake) == {1: ["a"], 2: ["c"]}
    for number, record in ((1, b"{x"), (2, b"{z")):
        assert [record in line for line in lake.quarantine(*SOURCE).lines(day(number))] == [True]


# The ledger's chain.


def broken(rows: list[dict[str, Any]]) -> list[str]:
    """The landings that `verify` finds wrong, in its words."""
    return [finding.wrong for finding in check_ledger(rows, []).findings]


@pytest.fixture
def long_ledger(lake: Lake) -> list[dict[str, Any]]:
    """Six landings, of one day or two."""
    for number in (1, 3, 5):
        lake.land(*SOURCE, whole_days({number: ["a"], number + 1: ["b"]}))
        lake.note_failure("stripe", "charges", [day(number)], f"reason {number}")
    return ledger(lake)


def test_a_ledger_as_it_was_written_is_sound_also_compacted_and_read_anew(
    lake: Lake, long_ledger: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tailtracker_bi.lake.ledger.COMPACT_AT", 3)
    lake.tidy()
    lake.land(*SOURCE, whole_days({1: ["c"]}))
    assert ledger(lake)[: len(long_ledger)] == long_ledger
    assert ledger(Lake(tmp_path)) == ledger(lake)
    assert broken(ledger(lake)) == []


@given(data=st.data())
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_changed_in_the_ledger_names_its_landing(
    data: st.DataObject, long_ledger: list[dict[str, Any]]
) -> None:
    row = data.draw(st.sampled_from(range(len(long_ledger))))
    column = data.draw(st.sampled_from(LANDINGS_SCHEMA.names))
    value = data.draw(st.sampled_from([None, 7, "text", True, day(9)]))
    changed = [{**told, column: value} if number == row else told for number, told in enumerate(long_ledger)]
    assume(changed != long_ledger)
    assert broken(changed) != []
    if column not in {"landing", "chain"}:
        (wrong,) = (wrong for wrong in broken(changed) if "as it was written" in wrong)
        assert f"landing {long_ledger[row]['landing']} of" in wrong


@pytest.mark.parametrize("landing", range(1, 5))
def test_a_landing_that_is_gone_from_the_ledger_is_noticed_at_the_next(
    landing: int, long_ledger: list[dict[str, Any]]
) -> None:
    (wrong,) = broken([row for row in long_ledger if row["landing"] != landing])
    assert wrong.startswith(f"landing {landing + 1} of")


def test_a_ledger_of_an_older_version_goes_on_and_is_chained_from_there(lake: Lake, tmp_path: Path) -> None:
    old = dict.fromkeys(LANDINGS_SCHEMA.names) | {"landing": 0, "source": "stripe", "table_name": "charges"}
    fields = [field for field in LANDINGS_SCHEMA if field.name != "chain"]
    write_deltalake(tmp_path / "lake" / "_landings", pa.Table.from_pylist([old], pa.schema(fields)))
    lake.land(*SOURCE, whole_days({1: ["a"]}))
    assert [bool(row["chain"]) for row in ledger(Lake(tmp_path))] == [False, True]
    assert broken(ledger(lake)) == []
    assert broken([{**row, "chain": None} for row in ledger(lake)] + ledger(lake)[1:]) != []


# Held.

FULL = [f"e{number}" for number in range(100)]


def test_of_a_range_a_day_that_shrank_is_held_and_the_others_land_in_one_commit(lake: Lake, tmp_path: Path) -> None:
    lake.land(*SOURCE, whole_days({1: ["a"], 2: FULL, 3: ["c"]}, aside={2: ["{kept"], 3: ["{gone"]}))
    held = lake.land(*SOURCE, whole_days({1: ["a", "late"], 2: FULL[:40], 3: ["c"]}, aside={2: ["{new"]})).held
    assert held == {day(2): "it has 40 rows, and had 100"}
    assert content(lake) == {1: ["a", "late"], 2: sorted(FULL), 3: ["c"]}
    assert DeltaTable(tmp_path / "lake" / "mixpanel" / "events").version() == 1
    # Its quarantine stays with it; that of the 3rd went.
    (file,) = (tmp_path / "quarantine" / "mixpanel" / "events").iterdir()
    assert "{kept" in file.read_text()
    assert [(row["day"], row["status"], row["reason"], row["version"], row["loaded"]) for row in ledger(lake)[3:]] == [
        (day(1), "landed", None, 1, 2),
        (day(2), "held", held[day(2)], None, None),
        (day(3), "landed", None, 1, 1),
    ]
    assert lake.ledger.troubled_days(*SOURCE) == {day(2): "held"}


def test_days_that_were_asked_for_otherwise_are_no_measure(lake: Lake) -> None:
    lake.land(*SOURCE, replace(whole_days({1: FULL}), shape={"availability": "..."}))
    less = whole_days({1: FULL[:10]})
    assert lake.land(*SOURCE, replace(less, shape={"availability": "..."})).held != {}
    assert lake.land(*SOURCE, replace(whole_days({1: FULL[:10]}), shape={"latency": "..."})).held == {}


def test_where_all_days_are_held_nothing_is_committed(lake: Lake, tmp_path: Path) -> None:
    lake.land(*SOURCE, whole_days({1: FULL, 2: FULL}))
    assert list(lake.land(*SOURCE, whole_days({1: [], 2: []})).held) == [day(1), day(2)]
    assert DeltaTable(tmp_path / "lake" / "mixpanel" / "events").version() == 0
    assert content(lake) == {1: sorted(FULL), 2: sorted(FULL)}


def test_a_day_that_is_accepted_lands_and_the_ledger_keeps_who_took_it_in_against_what(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "olga")
    lake.land(*SOURCE, whole_days({1: FULL, 2: FULL}))
    held = lake.land(*SOURCE, whole_days({1: [], 2: []})).held
    assert list(lake.land(*SOURCE, whole_days({1: [], 2: []}), accepted={day(1): held[day(1)]}).held) == [day(2)]
    assert content(lake) == {2: sorted(FULL)}
    (row,) = (row for row in ledger(lake)[2:] if row["status"] == "landed")
    assert (row["day"], row["is_alarm"]) == (day(1), False)
    assert row["remark"] == "accepted by olga, though it has 0 rows, and had 100"


def test_what_is_accepted_is_what_was_held_and_nothing_worse(lake: Lake) -> None:
    lake.land(*SOURCE, whole_days({1: FULL}))
    held = lake.land(*SOURCE, whole_days({1: FULL[:40]})).held
    assert held == {day(1): "it has 40 rows, and had 100"}
    assert lake.land(*SOURCE, whole_days({1: []}), accepted=held).held == {day(1): "it has 0 rows, and had 100"}
    assert content(lake) == {1: sorted(FULL)}


# Tidying.


def test_what_is_rolled_back_is_rolled_back_once(lake: Lake, tmp_path: Path) -> None:
    lake.land(*SOURCE, whole_days({1: ["a"]}))
    crash_after_commit(tmp_path, {1: ["x"]})
    lake.tidy()
    version = DeltaTable(tmp_path / "lake" / "mixpanel" / "events").version()
    lake.tidy()
    assert DeltaTable(tmp_path / "lake" / "mixpanel" / "events").version() == version
    assert content(lake) == {1: ["a"]}


def test_files_that_are_in_no_commit_go_when_no_reader_can_use_them(lake: Lake, tmp_path: Path) -> None:
    lake.land(*SOURCE, whole_days({1: ["a"]}))
    folder = tmp_path / "lake" / "mixpanel" / "events" / "day=2024-01-01"
    old, young = folder / "old.parquet", folder / "young.parquet"
    for file in (old, young):
        shutil.copyfile(lake.files(*SOURCE)[0], file)
    long_ago = (datetime.now(UTC) - lake_module.KEEP_OLD_FILES - timedelta(hours=1)).timestamp()
    for file in folder.iterdir():
        if file != young:
            os.utime(file, (long_ago, long_ago))
    lake.tidy()
    assert (old.exists(), young.exists()) == (False, True)
    assert content(lake) == {1: ["a"]}


@pytest.mark.parametrize(("age", "is_looked_through"), [(1, False), (6, False), (8, True), (13, True), (15, False)])
def test_a_table_that_was_not_written_to_is_looked_through_once_what_it_replaced_is_old(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, age: int, is_looked_through: bool
) -> None:
    looked_through: list[object] = []
    monkeypatch.setattr(DeltaTable, "vacuum", lambda self, **_: looked_through.append(self))
    lake.land(*SOURCE, whole_days({1: ["a"]}))
    lake.tidy()
    assert len(looked_through) == 1, "it was written to"
    written = (datetime.now(UTC) - timedelta(days=age)).timestamp()
    for commit in (tmp_path / "lake" / "mixpanel" / "events" / "_delta_log").iterdir():
        os.utime(commit, (written, written))
    lake.land(*SOURCE, whole_days({1: ["a"]}))
    lake.tidy()
    assert len(looked_through) == 1 + is_looked_through


def test_tidying_keeps_the_ledger_and_the_days(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tailtracker_bi.lake.ledger.COMPACT_AT", 3)
    for number in range(1, 5):
        lake.land(*SOURCE, whole_days({number: [str(number)], number + 1: []}))
    before = ledger(lake)
    lake.tidy()
    lake.tidy()
    assert ledger(lake) == before
    assert content(lake) == {number: [str(number)] for number in range(1, 5)}
    lake.land(*SOURCE, whole_days({9: ["x"]}))
    assert ledger(lake)[-1]["landing"] > before[-1]["landing"]


def test_tidying_never_drops_what_the_ledger_names_after_a_crash(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def vacuum_everything(self: DeltaTable, **_: Any) -> list[str]:
        return vacuum(self, retention_hours=0, dry_run=False, enforce_retention_duration=False)

    vacuum = DeltaTable.vacuum
    monkeypatch.setattr(DeltaTable, "vacuum", vacuum_everything)
    lake.land(*SOURCE, whole_days({1: ["a"], 2: ["b"]}))
    crash_after_commit(tmp_path, {1: ["half"], 2: ["half"]})
    lake.tidy()
    assert content(lake) == {1: ["a"], 2: ["b"]}
    lake.land(*SOURCE, whole_days({3: ["c"]}))
    assert content(lake) == {1: ["a"], 2: ["b"], 3: ["c"]}


def test_a_home_may_have_a_blank_in_its_path(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "Tail Tracker")
    lake.land(*SOURCE, whole_days({1: ["a"], 2: ["b"]}))
    lake.land(*SOURCE, whole_days({2: ["c"]}))
    assert content(lake) == {1: ["a"], 2: ["c"]}
    assert all(Path(file).exists() for file in lake.files(*SOURCE))
    assert Lake(tmp_path / "Tail Tracker").damage(*SOURCE) == {}
