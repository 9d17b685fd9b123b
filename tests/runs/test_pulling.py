"""A pull of objects: what could be read lands together, and what is told of it is what the ledger has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pytest

from tailtracker_bi.lake.lake import Lake
from tailtracker_bi.lake.ledger import Ledger
from tailtracker_bi.runs.planning import ObjectPlan
from tailtracker_bi.runs.pulling import pull
from tailtracker_bi.runs.report import Progress, new_report
from tailtracker_bi.settings.model import Settings
from tailtracker_bi.sources.base import Check, KnownIds, ObjectSource, Read, nothing_known
from tailtracker_bi.sources.records import (
    QUARANTINE_SCHEMA,
    VERSION_SCHEMA,
    BadResponseError,
    Counts,
    SourceUnavailableError,
    Table,
    Versions,
)


class Zoo(ObjectSource):
    """A source of three tables, of which each may fail, and the whole of it after the second."""

    name = "zoo"
    title = "Zoo"
    tables = tuple(Table(name, pa.schema([("name", pa.string())])) for name in ("apes", "bears", "cats"))
    failing: ClassVar[set[str]] = set()

    @classmethod
    def is_on(cls, settings: Settings) -> bool:
        return True

    def check(self) -> Check:
        raise NotImplementedError

    @contextmanager
    def session(
        self, since: Mapping[str, datetime], spool: Path, known_ids: KnownIds = nothing_known
    ) -> Iterator[Read]:
        @contextmanager
        def read(table: Table) -> Iterator[Versions]:
            if table.name in self.failing:
                raise BadResponseError(f"zoo: {table.name}: it is closed")
            if "all" in self.failing and table.name == "cats":
                raise SourceUnavailableError("zoo: it is far away")
            rows = [{"object_id": "1", "origin": "snapshot", "is_deleted": False, "name": str(self.settings.now)}]
            told = pa.Table.from_pylist(rows, pa.schema([*VERSION_SCHEMA, *table.schema])).to_reader()
            yield Versions(told, True, QUARANTINE_SCHEMA.empty_table().to_reader(), Counts(received=1))

        yield read


@pytest.mark.parametrize(
    ("failing", "landed"),
    [(set(), "abc"), ({"apes"}, "bc"), ({"bears"}, "ac"), ({"all"}, "ab"), ({"apes", "all"}, "b")],
)
def test_what_could_be_read_of_a_source_lands_in_one_landing_whatever_fails_beside_it(
    make_settings: Callable[..., Settings],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    failing: set[str],
    landed: str,
) -> None:
    lake = Lake(tmp_path)
    for day_ in (1, 2):
        monkeypatch.setattr(Zoo, "failing", failing if day_ == 2 else set())
        report = new_report()
        settings = make_settings(TAILTRACKER_NOW=f"2024-01-0{day_}T06:00Z")
        pull(settings, lake, [ObjectPlan(Zoo, {})], report, Progress())
    statuses = {line["table"][0]: line["status"] for line in report.days}
    assert statuses == {letter: "landed" if letter in landed else "failed" for letter in "abc"}
    assert len(report.errors) == 3 - len(landed)
    rows = [row for row in lake.ledger.landings().to_pylist() if row["as_of"] == settings.now.replace(tzinfo=None)]
    assert [row["table_name"][0] for row in rows] == list(landed)
    assert len({row["landing"] for row in rows}) == 1
    troubled = [table.name[0] for table in Zoo.tables if lake.ledger.troubled_days("zoo", table.name)]
    assert troubled == [letter for letter in "abc" if letter not in landed]
    lake.check()


def test_what_the_ledger_could_not_take_down_is_told_as_failed_and_lands_next_time(
    make_settings: Callable[..., Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, report = Lake(tmp_path), new_report()
    pull(make_settings(TAILTRACKER_NOW="2024-01-01T06:00Z"), lake, [ObjectPlan(Zoo, {})], new_report(), Progress())
    record, tries = Ledger.record, iter([OSError(28, "No space left on device")])

    def full_at_first(self: Ledger, rows: Any) -> None:
        for error in tries:
            raise error
        record(self, rows)

    monkeypatch.setattr(Ledger, "record", full_at_first)
    settings = make_settings(TAILTRACKER_NOW="2024-01-02T06:00Z")
    pull(settings, lake, [ObjectPlan(Zoo, {})], report, Progress())
    assert [line["status"] for line in report.days] == ["failed"] * 3
    assert all("No space left on device" in error for error in report.errors)
    lake.check()
    report = new_report()
    pull(settings, lake, [ObjectPlan(Zoo, {})], report, Progress())
    assert [(line["status"], line["loaded"]) for line in report.days] == [("landed", 1)] * 3
