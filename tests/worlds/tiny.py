"""A few events whose answers can be worked out by hand, and what a build makes of them."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb

from tailtracker_bi import bundle
from tailtracker_bi.lake.lake import Lake
from tailtracker_bi.runs.lock import locked
from tailtracker_bi.runs.planning import plan
from tailtracker_bi.runs.pulling import pull
from tailtracker_bi.runs.report import Progress, RunReport, new_report
from tailtracker_bi.settings.model import Settings
from tests.sources.export_lines import event_line

FRIDAY, SATURDAY, SUNDAY = date(2024, 3, 29), date(2024, 3, 30), date(2024, 3, 31)
MONDAY, TUESDAY = date(2024, 4, 1), date(2024, 4, 2)


def at(moment: str) -> int:
    """Epoch seconds of a UTC time of 2024."""
    return int(datetime.fromisoformat(f"2024-{moment}:00+00:00").timestamp())


# Anna's device comes on Friday, and is known to be hers on Saturday. Bob's two events lie close to midnight in Berlin,
# where Sunday has 23 hours. Saturday has a duplicate, Monday a broken line and an event that is no activity, Tuesday
# only a load test.
REGISTRATION = event_line(
    "User Registration", at("03-30 09:00"), "anna", _user_id="anna", _device_id="d1", _insert_id="i2"
)
TINY: dict[date, list[bytes]] = {
    FRIDAY: [event_line("Open", at("03-29 10:00"), "$device:d1", _device_id="d1", _insert_id="i1")],
    SATURDAY: [
        REGISTRATION,
        REGISTRATION,
        event_line("Open", at("03-30 23:30"), "bob", _user_id="bob", _insert_id="i4"),
    ],
    SUNDAY: [event_line("Open", at("03-31 22:30"), "bob", _user_id="bob", _insert_id="i5")],
    MONDAY: [
        event_line("Pet Profile Created", at("04-01 12:00"), "anna", _user_id="anna", _insert_id="i6"),
        b'{"event":"Open","properties":{"time":1711972800,"distinct_id":"eve"',
        event_line("Payment Failed", at("04-01 12:00"), "anna", _user_id="anna", _insert_id="i7"),
    ],
    TUESDAY: [event_line("Open", at("04-02 08:00"), "robot", mp_lib="load-test", _insert_id="i8")],
}


def assert_adds_up(report: RunReport) -> None:
    for line in report.days:
        parts = ("loaded", "deduplicated", "filtered", "quarantined")
        assert line["received"] == sum(line[part] for part in parts), line


def land(settings: Settings, first: date, last: date) -> RunReport:
    """Land days as a refresh does, and build nothing."""
    lake, report = Lake(settings.home), new_report()
    with locked(settings.home, Progress()):
        pull(settings, lake, plan(settings, lake, first, last), report, Progress())
    assert_adds_up(report)
    return report


def rows(home: Path, sql: str) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in bundle.query(bundle.current(home), sql).to_pylist()]


def published(home: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every table of the current bundle, sorted, less what tells one build from another.

    Restatements tell of the builds before: they depend on which there were. To open a build takes longer than to read
    all of it: it is opened once.
    """
    columns = {"data_status": "* exclude (loaded_at)"}
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(f"attach '{bundle.current(home).path}' as build (read_only); use build")
        names = [name for (name,) in connection.execute("select table_name from duckdb_tables()").fetchall()]
        return {
            name: sorted(connection.execute(f"select {columns.get(name, '*')} from {name}").fetchall(), key=repr)
            for name in names
            if name not in {"bundle_info", "restatements"}
        }
