"""Whole days of a small table, as a source would give them."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pyarrow as pa

from tailtracker_bi.sources.digests import digests_by_day
from tailtracker_bi.sources.records import QUARANTINE_SCHEMA, Counts, Days, each_day

SCHEMA = pa.schema([("day", pa.date32()), ("event", pa.string()), ("time", pa.timestamp("us"))])
FIRST = date(2024, 1, 1)
SOURCE = ("mixpanel", "events")


def day(number: int) -> date:
    return FIRST + timedelta(days=number - 1)


def rows(days: dict[int, list[str]]) -> pa.Table:
    found = [
        (day(number), event, datetime.fromisoformat("2024-01-01"))
        for number, events in days.items()
        for event in events
    ]
    return pa.Table.from_pylist([dict(zip(SCHEMA.names, row, strict=True)) for row in found], SCHEMA)


def whole_days(days: dict[int, list[str]], aside: dict[int, list[str]] | None = None) -> Days:
    """These events on these days, and these records set aside."""
    aside = aside or {}
    quarantine = [
        {"day": day(number), "reason": "not JSON", "record": record}
        for number, records in aside.items()
        for record in records
    ]
    counts = {
        one: Counts(
            received=len(days.get(number, [])) + len(aside.get(number, [])),
            loaded=len(days.get(number, [])),
            quarantined=len(aside.get(number, [])),
        )
        for number, one in enumerate(each_day(day(min(days)), day(max(days))), start=min(days))
    }
    events, set_aside = rows(days), pa.Table.from_pylist(quarantine, QUARANTINE_SCHEMA)
    of_events, of_set_aside = digests_by_day(events, counts), digests_by_day(set_aside, counts)
    return Days(
        day(min(days)),
        day(max(days)),
        events.to_reader(),
        set_aside.to_reader(),
        counts,
        content={one: f"{of_events[one]} {of_set_aside[one]}" for one in counts},
    )
