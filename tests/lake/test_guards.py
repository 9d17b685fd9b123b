"""What is held back: the edges of what counts as wrong."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

import pytest

from tailtracker_bi.lake.guards import changed_shape, doubtful_days, doubtful_deletions, doubtful_snapshot
from tailtracker_bi.sources.records import Counts

DAY = date(2024, 1, 29)
WEEKDAYS_BEFORE = [DAY - timedelta(weeks=number) for number in range(1, 5)]


def doubts(came: Mapping[date, int], landed: Mapping[date, int]) -> dict[date, str]:
    return doubtful_days({day: Counts(received=rows, loaded=rows) for day, rows in came.items()}, landed)


@pytest.mark.parametrize(
    ("had", "has", "is_held"),
    [(99, 0, False), (100, 49, True), (100, 50, False), (101, 50, True), (100, 0, True), (10_000, 12_000, False)],
)
def test_a_day_is_held_that_had_100_rows_and_lost_more_than_half(had: int, has: int, is_held: bool) -> None:
    expected = {DAY: f"it has {has} rows, and had {had}"} if is_held else {}
    assert doubts({DAY: has}, {DAY: had}) == expected


@pytest.mark.parametrize(
    ("before", "is_held"),
    [
        ([100, 100, 100, 100], True),
        ([100, 100, 100, 99], False),
        ([99, 100, 100, 100], False),
        ([100, 100, 100], False),
        ([], False),
    ],
)
def test_an_empty_day_is_held_where_each_of_four_weekdays_had_100_rows(before: list[int], is_held: bool) -> None:
    landed = {DAY - timedelta(days=1): 500, **dict(zip(WEEKDAYS_BEFORE, before, strict=False))}
    assert (DAY in doubts({DAY: 0}, landed)) is is_held
    assert doubts({DAY: 1}, landed) == {}


def test_days_of_the_same_answer_count_as_custom() -> None:
    landed = dict.fromkeys(WEEKDAYS_BEFORE[1:], 100)
    assert list(doubts({WEEKDAYS_BEFORE[0]: 100, DAY: 0}, landed)) == [DAY]
    assert doubts({WEEKDAYS_BEFORE[0]: 0, DAY: 0}, landed) == {}


def test_an_empty_day_that_was_empty_is_not_held_for_having_shrunk() -> None:
    assert doubts({DAY: 0}, {DAY: 0}) == {}


def test_a_first_landing_is_never_held() -> None:
    assert doubts({**dict.fromkeys(WEEKDAYS_BEFORE, 500), DAY: 0}, {}) == {}


@pytest.mark.parametrize(
    ("rows", "had", "reason"),
    [
        (0, 0, ""),
        (0, 1, "it came empty, and had 1 rows"),
        (1, 99, ""),
        (49, 100, "it has 49 rows, and had 100"),
        (50, 100, ""),
        (5, 0, ""),
    ],
)
def test_a_snapshot_is_held_that_came_empty_or_lost_more_than_half(rows: int, had: int, reason: str) -> None:
    assert doubtful_snapshot(rows, had) == reason


@pytest.mark.parametrize(
    ("gone", "had", "is_held"),
    [(1, 1, False), (2, 2, True), (2, 3, False), (50, 99, False), (50, 100, False), (51, 100, True), (0, 0, False)],
)
def test_deletions_are_held_that_leave_nothing_or_less_than_half_of_many(gone: int, had: int, is_held: bool) -> None:
    reason = f"{gone} of its {had} objects are gone: do the credentials belong to another account?"
    assert doubtful_deletions(gone, had) == (reason if is_held else "")


HAD = {"id": "uuid", "price": "numeric", "note": "text"}


def test_a_table_of_the_same_shape_or_seen_for_the_first_time_is_as_it_should_be() -> None:
    assert changed_shape(HAD, HAD, unreadable=3) == ("", [])
    assert changed_shape(HAD, {}, unreadable=0) == ("", [])
    assert changed_shape({**HAD, "added": "text"}, HAD, unreadable=0) == ("", [])


def test_a_table_that_is_gone_or_lost_columns_is_held() -> None:
    assert changed_shape({}, HAD, unreadable=0)[0].startswith("the table is gone")
    assert changed_shape({"price": "numeric"}, HAD, unreadable=0) == ("columns are gone: id, note", [])


def test_a_column_of_another_type_is_held_only_where_values_can_not_be_read() -> None:
    retyped = {**HAD, "price": "text"}
    reason, remarks = changed_shape(retyped, HAD, unreadable=0)
    assert (reason, [str(remark) for remark in remarks]) == ("", ["price was numeric and is text"])
    assert not remarks[0].is_alarm
    assert changed_shape(retyped, HAD, unreadable=2) == ("price was numeric and is text, and 2 rows can't be read", [])
