"""Versions of objects: only what differs is added, what is gone is told, and it all adds up."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar
from uuid import NAMESPACE_OID, uuid5

import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tailtracker_bi.lake import versions
from tailtracker_bi.lake.lake import Lake
from tailtracker_bi.lake.ledger import Ledger, broken_links
from tailtracker_bi.lake.objects import ObjectLanding, landing_objects
from tailtracker_bi.lake.versions import Comparison, Told
from tailtracker_bi.sources.base import ObjectSource
from tailtracker_bi.sources.records import (
    QUARANTINE_SCHEMA,
    VERSION_SCHEMA,
    BadResponseError,
    Counts,
    HeldError,
    Table,
    Versions,
)

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
    with landing_objects(lake, Shelter, lake.root.parent / "spool") as landing:  # type: ignore[type-abstract]
        counts = landing.land(PETS, versions, NOON + timedelta(days=days))
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


def test_more_objects_than_there_is_memory_land(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "MEMORY_LIMIT", "60MB")
    dice = random.Random(1)
    herd = [pet(str(number), dice.randbytes(1000).hex()) for number in range(40_000)]
    assert land(lake, told(*herd)) == (40_000, 40_000, 0)
    assert land(lake, told(*herd[1:], pet("0", "Rex")), days=1) == (40_000, 1, 39_999)


def test_ids_are_those_of_what_is_there_now_and_meets_the_condition(lake: Lake, tmp_path: Path) -> None:
    def ids(condition: str) -> set[str]:
        with Comparison(tmp_path / "spool") as comparison:
            return lake.ids_now(Shelter, PETS, condition, comparison)  # type: ignore[type-abstract]

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

    monkeypatch.setattr("tailtracker_bi.lake.objects.reached", die)
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
    monkeypatch.setattr("tailtracker_bi.lake.objects.COMPACT_AT", 3)
    for number in range(5):
        land(lake, told(pet("1", f"Rex {number}")), days=number)
    assert [row[1] for row in kept(lake)] == [f"Rex {number}" for number in range(5)]
    assert len(lake.files("shelter", "pets")) < 3


# Told as at its last landing.


def refuse(*_: Any, **__: Any) -> None:
    raise AssertionError("it was compared")


def test_what_is_told_as_last_time_is_compared_with_nothing_and_is_as_up_to_date(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(lake, told(pet("1", "Rex"), pet("2", None)))
    files, before = lake.files("shelter", "pets"), lake.ledger.last("shelter", "pets")
    monkeypatch.setattr(Told, "against", refuse)
    assert land(lake, told(pet("2", None), pet("1", "Rex")), days=1) == (2, 0, 2)
    assert lake.files("shelter", "pets") == files
    assert lake.ledger.synced_at("shelter", "pets") == NOON + timedelta(days=1)
    now = lake.ledger.last("shelter", "pets")
    assert before
    assert now
    same = ("version", "content", "set_aside", "set_aside_for", "status")
    assert {name: now[name] for name in same} == {name: before[name] for name in same}
    assert now["digests"] == "{}"
    lake.check()


@pytest.mark.parametrize(
    ("before", "after", "days", "follows_changes"),
    [
        pytest.param([pet("1", "Rex")], [pet("1", "Max")], 1, False, id="another value"),
        pytest.param([pet("1", "Rex")], [pet("1", None)], 1, False, id="no value"),
        pytest.param([pet("1", "Rex")], [pet("1", "Rex"), pet("2", "Rex")], 1, False, id="one more"),
        pytest.param([pet("1", "Rex")], [pet("1", "Rex", is_deleted=True)], 1, False, id="deleted"),
        pytest.param([pet("1", "Rex"), pet("1", "Max")], [pet("1", "Max"), pet("1", "Rex")], 1, False, id="told twice"),
        pytest.param([pet("1", "Rex")], [pet("1", "Rex")], -1, False, id="by a clock that was set back"),
        pytest.param([pet("1", "Rex")], [pet("1", "Rex")], 1, True, id="by a source that tells of changes"),
    ],
)
def test_what_may_bring_something_new_is_compared(
    lake: Lake,
    monkeypatch: pytest.MonkeyPatch,
    before: list[dict[str, Any]],
    after: list[dict[str, Any]],
    days: int,
    follows_changes: bool,
) -> None:
    monkeypatch.setattr(Shelter, "follows_changes", follows_changes)
    land(lake, told(*before))
    monkeypatch.setattr(Told, "against", refuse)
    with pytest.raises(AssertionError, match="it was compared"):
        land(lake, told(*after), days=days)


def test_what_is_set_aside_now_or_was_is_compared(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    land(lake, told(pet("1", "Rex"), quarantined=1))
    with monkeypatch.context() as patch:
        patch.setattr(Told, "against", refuse)
        for quarantined in (0, 1):
            with pytest.raises(AssertionError, match="it was compared"):
                land(lake, told(pet("1", "Rex"), quarantined=quarantined), days=1)
    land(lake, told(pet("1", "Rex")), days=2)
    monkeypatch.setattr(Told, "against", refuse)
    with pytest.raises(AssertionError, match="it was compared"):
        land(lake, told(pet("1", "Rex"), quarantined=1), days=3)


def test_a_list_of_what_changed_that_is_empty_is_compared_with_nothing_and_keeps_what_was_set_aside(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Shelter, "follows_changes", True)
    land(lake, told(pet("1", "Rex"), is_snapshot=False, quarantined=2, reason="why"))
    monkeypatch.setattr(Told, "against", refuse)
    assert land(lake, told(is_snapshot=False), days=1) == (0, 0, 0)
    last = lake.ledger.last("shelter", "pets")
    assert last
    assert (last["quarantined"], last["set_aside"]) == (0, 1)
    assert json.loads(last["set_aside_for"])["told"][0]["reason"] == "why"


ROW = st.builds(
    pet, st.sampled_from("123"), st.sampled_from(["Rex", "Max", None]), is_deleted=st.sampled_from([False, False, True])
)
ROWS = st.lists(ROW, max_size=3, unique_by=lambda row: row["object_id"])
READING = st.tuples(ROWS, st.integers(-1, 2), st.booleans(), st.integers(1, 2))
"""What is told, days since the reading before, whether it is a snapshot, and how often it is told."""


def landed(readings: list[tuple[list[dict[str, Any]], int, bool, int]]) -> tuple[Any, ...]:
    """What became of all that was told, in a lake of its own."""
    with TemporaryDirectory() as directory:
        lake, days = Lake(Path(directory)), 0
        counts: list[object] = []
        for rows, pause, is_snapshot, times in readings:
            days += pause
            for _ in range(times):
                try:
                    counts.append(land(lake, told(*rows, is_snapshot=is_snapshot), days))
                except HeldError as error:
                    counts.append(str(error))
        own = ("version", "as_of", "loaded", "deduplicated", "set_aside", "status")
        ledger = [{name: row[name] for name in own} for row in lake.ledger.landings().to_pylist()]
        return counts, kept(lake) if lake.files("shelter", "pets") else [], ledger


@pytest.mark.parametrize("examples", [6, pytest.param(40, marks=pytest.mark.slow)])
def test_whatever_is_told_in_whatever_order_of_moments_the_lake_is_as_if_all_were_compared(examples: int) -> None:
    @settings(max_examples=examples, deadline=None)
    @example(readings=[([pet("1", "Rex")], 0, False, 1), ([], 0, False, 1), ([], 0, True, 1)])
    @given(readings=st.lists(READING, max_size=5))
    def is_as_if_all_were_compared(readings: list[tuple[list[dict[str, Any]], int, bool, int]]) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ObjectLanding, "_is_as", lambda *_: False)
            compared = landed(readings)
        assert landed(readings) == compared

    is_as_if_all_were_compared()


# Several tables together.

CHIPS = Table("chips", PETS.schema)


def land_both(lake: Lake, name: str, days: int = 0) -> None:
    with landing_objects(lake, Shelter, lake.root.parent / "spool") as landing:  # type: ignore[type-abstract]
        for table in (PETS, CHIPS):
            landing.land(table, told(pet("1", name), quarantined=1, reason=name), NOON + timedelta(days=days))


def names(lake: Lake) -> list[list[str]]:
    """The versions of both tables, by their names."""
    return [
        sorted(ds.dataset(lake.files("shelter", table.name)).to_table()["name"].to_pylist()) for table in (PETS, CHIPS)
    ]


def test_tables_that_land_together_have_one_landing_in_the_ledger(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    land_both(lake, "Rex")
    land_both(lake, "Max", days=1)
    rows = lake.ledger.landings().to_pylist()
    landing = rows[2]["landing"]
    assert [(row["table_name"], row["landing"]) for row in rows[2:]] == [("chips", landing), ("pets", landing)]
    assert names(lake) == [["Max", "Rex"]] * 2
    for table in (PETS, CHIPS):
        landings = ds.dataset(lake.files("shelter", table.name)).to_table()["landing"].to_pylist()
        assert max(landings) == landing, "versions are of the landing that the ledger has"
        assert len(lake.quarantine("shelter", table.name).lines(NOON.date())) == 1
    monkeypatch.setattr("tailtracker_bi.lake.ledger.COMPACT_AT", 2)
    lake.tidy()
    assert list(broken_links(Lake(tmp_path).ledger.landings().to_pylist())) == [], "their order is the chain's"


def test_a_table_that_fails_takes_none_of_the_others_with_it(lake: Lake) -> None:
    land_both(lake, "Rex")
    lying = told(pet("1", "Max"))
    lying.counts.received = 2
    with landing_objects(lake, Shelter, lake.root.parent / "spool") as landing:  # type: ignore[type-abstract]
        landing.land(CHIPS, told(pet("1", "Max")), NOON + timedelta(days=1))
        with pytest.raises(BadResponseError, match="2 objects received"):
            landing.land(PETS, lying, NOON + timedelta(days=1))
    assert names(Lake(lake.root.parent)) == [["Rex"], ["Max", "Rex"]]


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("step", ["lake.version.committed", "lake.version.set_aside", "lake.version.recorded"])
def test_a_kill_before_the_ledger_knows_of_any_table_loses_nothing(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, is_first: bool
) -> None:
    if not is_first:
        land_both(lake, "Rex")
    reached: list[str] = []

    def die(this: str) -> None:
        reached.append(this)
        if this == step and (reached.count(step) == 2 or step == "lake.version.recorded"):
            monkeypatch.setattr(Ledger, "record", lambda *_: None)  # a killed process writes nothing any more
            raise KeyboardInterrupt

    monkeypatch.setattr("tailtracker_bi.lake.objects.reached", die)
    with pytest.raises(KeyboardInterrupt):
        land_both(lake, "Max", days=1)
    monkeypatch.undo()
    lake = Lake(tmp_path)
    lake.check()
    land_both(lake, "Max", days=2)
    lake.check()
    assert names(lake) == [["Max"] if is_first else ["Max", "Rex"]] * 2
    for table in (PETS, CHIPS):
        assert [b"Max" in line for line in lake.quarantine("shelter", table.name).lines(NOON.date())] == [True]


def test_a_commit_that_a_crash_left_without_its_row_is_undone(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    land(lake, told(pet("1", "Rex")))
    with monkeypatch.context() as crashing:
        crashing.setattr(Ledger, "record", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            land(lake, told(pet("1", "Max")), days=1)
    assert [row[1] for row in kept(lake)] == ["Rex"]
    assert land(lake, told(pet("1", "Max")), days=2) == (1, 1, 0)
    assert kept(lake) == [("1", "Rex", False, 0), ("1", "Max", False, 2)]
