"""Versions of objects: only what differs is added, what is gone is told, and it all adds up."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar
from uuid import NAMESPACE_OID, uuid5

import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from tailtracker_bi.lake import lake as lake_module
from tailtracker_bi.lake.lake import Lake
from tailtracker_bi.lake.ledger import Ledger
from tailtracker_bi.sources.base import ObjectSource
from tailtracker_bi.sources.records import QUARANTINE_SCHEMA, VERSION_SCHEMA, BadResponseError, Counts, Table, Versions

PETS = Table("pets", pa.schema([("name", pa.string()), ("weight", pa.string())]))
NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)


class Shelter(ObjectSource):
    """A source with one table; only its names are needed here."""

    name = "shelter"
    tables: ClassVar = (PETS,)


def told(
    *rows: dict[str, Any], is_snapshot: bool = True, quarantined: int = 0, origin: str = "snapshot", reason: str = ""
) -> Versions:
    full = [{"origin": origin, "is_deleted": False, "weight": None, **row} for row in rows]
    table = pa.Table.from_pylist(full, pa.schema([*VERSION_SCHEMA, *PETS.schema]))
    aside = [{"day": NOON.date(), "reason": reason, "record": "{}"}] * quarantined
    counts = Counts(received=len(rows) + quarantined, quarantined=quarantined)
    quarantine = pa.Table.from_pylist(aside, QUARANTINE_SCHEMA).to_reader()
    return Versions(table.to_reader(), is_snapshot, quarantine, counts)


def pet(object_id: str, name: str | None, **more: Any) -> dict[str, Any]:
    return {"object_id": object_id, "name": name, **more}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path)


def land(lake: Lake, versions: Versions, days: int = 0) -> tuple[int, int, int]:
    """Received, loaded and deduplicated of a reading so many days after the first."""
    counts = lake.land_versions(Shelter, PETS, versions, NOON + timedelta(days=days), lake.root.parent / "spool")  # type: ignore[type-abstract]
    return counts.received, counts.loaded, counts.deduplicated


def kept(lake: Lake) -> list[tuple[Any, ...]]:
    """(object, name, deleted, day observed) of every version, in order of arrival."""
    files = lake.files("shelter", "pets")
    rows = ds.dataset(files).to_table().sort_by([("landing", "ascending"), ("object_id", "ascending")]).to_pylist()
    return [
        (row["object_id"], row["name"], row["is_deleted"], (row["observed_at"].date() - NOON.date()).days)
        for row in rows
    ]


def test_only_what_differs_is_added(lake: Lake) -> None:
    assert land(lake, told(pet("1", "Rex"), pet("2", "Mia"))) == (2, 2, 0)
    assert land(lake, told(pet("1", "Rex"), pet("2", "Mio")), days=1) == (2, 1, 1)
    assert kept(lake) == [("1", "Rex", False, 0), ("2", "Mia", False, 0), ("2", "Mio", False, 1)]


def test_what_is_no_longer_in_a_snapshot_is_gone_once_and_may_come_back(lake: Lake) -> None:
    land(lake, told(pet("1", "Rex"), pet("2", "Mia")))
    assert land(lake, told(pet("1", "Rex")), days=1) == (2, 1, 1)
    assert land(lake, told(pet("1", "Rex")), days=2) == (1, 0, 1)
    assert land(lake, told(pet("1", "Rex"), pet("2", "Mia")), days=3) == (2, 1, 1)
    assert kept(lake)[2:] == [("2", "Mia", True, 1), ("2", "Mia", False, 3)]


def test_ids_are_those_of_what_is_there_now_and_meets_the_condition(lake: Lake, tmp_path: Path) -> None:
    def ids(condition: str) -> set[str]:
        return lake.ids_now(Shelter, PETS, condition, tmp_path / "spool")  # type: ignore[type-abstract]

    assert ids("") == set()
    land(lake, told(pet("1", "Rex"), pet("2", "Rex"), pet("3", None), pet("4", "Mia")))
    land(lake, told(pet("1", "Max"), pet("3", None), pet("4", "Mia")), days=1)
    history = pet("4", "Rex", effective_at=NOON.replace(tzinfo=None)), pet("5", "Rex", effective_at=None)
    land(lake, told(*history, is_snapshot=False, origin="event"), days=2)
    assert ids("") == {"1", "3", "4"}
    assert ids("name <> 'Mia'") == {"1"}
    assert ids("name = 'Rex'") == set()


def test_many_changes_with_a_few_deletions_among_many_rows(lake: Lake) -> None:
    # So many that DuckDB would filter its scan of what is known with a Bloom filter.
    ids = [str(uuid5(NAMESPACE_OID, str(number))) for number in range(3000)]
    land(lake, told(*(pet(id_, "Rex") for id_ in ids)))
    later = told(*(pet(id_, "Max" if number > 2900 else "Rex") for number, id_ in enumerate(ids) if number >= 10))
    assert land(lake, later, days=1) == (3000, 109, 2891)


def test_what_is_left_out_as_no_news_changes_no_moment() -> None:
    """All orders of two events and three lists or reads of values A and B, each told of an object of its own.

    The slow version keeps all that was told. What is in force at a moment is the last of it: by its time, what was read
    after what an event told. Of an event that comes late nobody keeps which lists before it saw its object: from the
    next list on all is right again.
    """
    values, days = ("A", "B"), (1, 2, 3)
    # An event of so many half days, which comes with the reading of a day after it.
    events = [(half, value, day) for half in (1, 3, 5) for value in values for day in days if 2 * day > half]
    told_of: dict[str, list[tuple[int, str, str]]] = {}
    moments: dict[str, range] = {}
    readings: dict[int, list[dict[str, Any]]] = {day: [] for day in days}
    for number, (lists, *both) in enumerate(
        product(product((None, *values), repeat=3), [None, *events], [None, *events])
    ):
        history = [event for event in both if event]
        if len({half for half, *_ in history}) < len(history):
            continue  # which of them came last, nobody can tell
        id_ = str(number)
        told_of[id_] = [(2 * day, "list", value) for day, value in zip(days, lists, strict=True) if value]
        late = max((day for half, _, day in history if half < 2 * (day - 1)), default=0)
        known = [day for day, value in zip(days, lists, strict=True) if value and day >= late]
        moments[id_] = range(8) if not late else range(2 * known[0], 8) if known else range(0)
        for half, value, day in history:
            at = (NOON + timedelta(days=half / 2)).replace(tzinfo=None)
            readings[day].append(pet(id_, value, origin="event", effective_at=at))
            told_of[id_].append((half, "event", value))
        for day, value in zip(days, lists, strict=True):
            if value:
                readings[day].append(pet(id_, value, origin="list"))

    with TemporaryDirectory() as directory:
        lake = Lake(Path(directory))
        for day, rows in readings.items():
            land(lake, told(*rows, is_snapshot=False), days=day)
        files = lake.files("shelter", "pets")
        kept_of: dict[str, list[tuple[int, str, str]]] = {id_: [] for id_ in told_of}
        for row in ds.dataset(files).to_table().to_pylist():
            half = round((row["effective_at"] - NOON.replace(tzinfo=None)) / timedelta(hours=12))
            kept_of[row["object_id"]].append((half, row["origin"], row["name"]))

    def in_force(versions: list[tuple[int, str, str]], half: int) -> str | None:
        seen = sorted((at, origin == "list", value) for at, origin, value in versions if at <= half)
        return seen[-1][2] if seen else None

    assert len(told_of) > 3000
    wrong = [
        (told_of[id_], kept_of[id_])
        for id_ in told_of
        if any(in_force(told_of[id_], half) != in_force(kept_of[id_], half) for half in moments[id_])
    ]
    assert wrong == []
    assert sum(map(len, kept_of.values())) < sum(map(len, told_of.values())), "what is no news is left out"


def test_a_list_of_what_changed_deletes_nothing_unless_it_says_so(lake: Lake) -> None:
    land(lake, told(pet("1", "Rex"), pet("2", "Mia"), is_snapshot=False))
    assert land(lake, told(pet("2", "Mia"), is_snapshot=False), days=1) == (1, 0, 1)
    assert land(lake, told(pet("1", None, is_deleted=True), is_snapshot=False), days=2) == (1, 1, 0)
    assert land(lake, told(pet("1", None, is_deleted=True), is_snapshot=False), days=3) == (1, 0, 1)
    # A deletion carries the content that the object had last.
    assert kept(lake)[2:] == [("1", "Rex", True, 2)]


def test_what_could_not_be_read_is_not_gone(lake: Lake) -> None:
    land(lake, told(pet("1", "Rex"), pet("2", "Mia")))
    half_read = told(pet("1", "Rex"), quarantined=1)
    half_read.unreadable = ["2"]
    assert land(lake, half_read, days=1) == (2, 0, 1)
    assert land(lake, told(pet("1", "Rex"), pet("2", "Mia")), days=2) == (2, 0, 2)


def test_an_object_that_came_and_went_unseen_keeps_what_an_event_told_of_it(lake: Lake) -> None:
    event = pet("1", "Rex", origin="event", effective_at=datetime.fromisoformat("2024-02-01"))
    assert land(lake, told(event, pet("1", None, origin="read", is_deleted=True), is_snapshot=False)) == (2, 2, 0)
    assert [row[:3] for row in kept(lake)] == [("1", "Rex", False), ("1", "Rex", True)]


def test_history_is_kept_beside_what_an_object_is_now(lake: Lake) -> None:
    land(lake, told(pet("1", "Rex", origin="list"), is_snapshot=False))
    event = pet("1", "Max", origin="event", effective_at=datetime.fromisoformat("2024-02-01"))
    assert land(lake, told(event, event, pet("1", "Rex", origin="read"), is_snapshot=False), days=1) == (3, 1, 2)
    assert land(lake, told(event, is_snapshot=False), days=2) == (1, 0, 1)
    assert [row[1] for row in kept(lake)] == ["Rex", "Max"]


def test_an_object_told_of_twice_is_what_was_told_last(lake: Lake) -> None:
    land(lake, told(pet("1", "Rex"), pet("1", "Max"), is_snapshot=False))
    assert [row[1] for row in kept(lake)] == ["Max"]


def test_null_and_empty_are_not_the_same(lake: Lake) -> None:
    land(lake, told(pet("1", None, weight="")))
    assert land(lake, told(pet("1", "", weight=None)), days=1)[1] == 1


def test_an_empty_table_has_landed_too(lake: Lake) -> None:
    assert land(lake, told()) == (0, 0, 0)
    assert lake.ledger.synced_at("shelter", "pets") == NOON
    assert lake.files("shelter", "pets") == []


def test_counts_that_do_not_add_up_land_nothing(lake: Lake) -> None:
    lying = told(pet("1", "Rex"))
    lying.counts.received = 2
    with pytest.raises(BadResponseError, match="2 objects received, but 1 were told of"):
        land(lake, lying)
    assert lake.ledger.synced_at("shelter", "pets") is None


def test_what_is_set_aside_is_counted_and_not_piled_up(lake: Lake, tmp_path: Path) -> None:
    for days in (0, 1):
        land(lake, told(pet("1", "Rex"), quarantined=1), days=days)
    assert lake.ledger.landings()["quarantined"].to_pylist() == [1, 1]
    (file,) = (tmp_path / "quarantine" / "shelter" / "pets").iterdir()
    assert len(file.read_text().splitlines()) == 1


@pytest.mark.parametrize("is_snapshot", [True, False])
@pytest.mark.parametrize("step", ["lake.version.committed", "lake.version.set_aside", "lake.version.recorded"])
def test_quarantine_is_that_of_the_landings_that_count_wherever_another_breaks_off(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, is_snapshot: bool
) -> None:
    land(lake, told(pet("1", "Rex"), is_snapshot=is_snapshot, quarantined=1, reason="old"))

    def die(reached: str) -> None:
        if reached == step:
            raise KeyboardInterrupt

    monkeypatch.setattr("tailtracker_bi.lake.lake.reached", die)
    with pytest.raises(KeyboardInterrupt):
        land(lake, told(pet("1", "Max"), is_snapshot=is_snapshot, quarantined=1, reason="new"), days=1)
    monkeypatch.undo()
    lake = Lake(tmp_path)
    lake.settle()
    (file,) = (tmp_path / "quarantine" / "shelter" / "pets").iterdir()
    reasons = [json.loads(line)["reason"] for line in file.read_text().splitlines()]
    counts = ["new"] if is_snapshot else ["old", "new"]
    assert reasons == (counts if step == "lake.version.recorded" else ["old"])
    assert lake.ledger.landings()["set_aside"].to_pylist()[-1] == len(reasons)
    told_of = json.loads(lake.ledger.landings()["set_aside_for"].to_pylist()[-1])["told"]
    assert [(part["reason"], part["records"]) for part in told_of] == [(reason, 1) for reason in sorted(reasons)]
    land(lake, told(pet("1", "Max"), is_snapshot=is_snapshot, quarantined=1, reason="new"), days=2)
    assert [json.loads(line)["reason"] for line in file.read_text().splitlines()] == counts


def test_a_snapshot_without_anything_to_set_aside_clears_what_was(lake: Lake, tmp_path: Path) -> None:
    land(lake, told(pet("1", "Rex"), quarantined=1))
    land(lake, told(pet("1", "Rex")), days=1)
    assert not (tmp_path / "quarantine" / "shelter" / "pets").exists()


def test_many_small_files_become_one_without_a_version_lost(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lake_module, "COMPACT_AT", 3)
    for number in range(5):
        land(lake, told(pet("1", f"Rex {number}")), days=number)
    assert [row[1] for row in kept(lake)] == [f"Rex {number}" for number in range(5)]
    assert len(lake.files("shelter", "pets")) < 3


def test_a_commit_that_a_crash_left_without_its_row_is_undone(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    land(lake, told(pet("1", "Rex")))
    with monkeypatch.context() as crashing:
        crashing.setattr(Ledger, "record", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            land(lake, told(pet("1", "Max")), days=1)
    assert [row[1] for row in kept(lake)] == ["Rex"]
    assert land(lake, told(pet("1", "Max")), days=2) == (1, 1, 0)
    assert kept(lake) == [("1", "Rex", False, 0), ("1", "Max", False, 2)]
