"""Figures of few people: which are hidden in parts, and that none can be had from the rest."""

from __future__ import annotations

from itertools import product
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailtracker_bi.access import IN_THE_WHOLE, PartsNotOpenError, hide_small, whole_rows
from tailtracker_bi.figures.catalogue import Metric

UNITS = {
    "dau": "people", "mrr": "currency", "mrr_expansion": "currency", "subscribers": "customers", "churn": "share",
    "rating": "ratio", "uptime": "share",
}  # fmt: skip


def metric(metric_id: str) -> Metric:
    domain = "health" if metric_id == "uptime" else "any"
    return Metric(metric_id, "", "", "", UNITS[metric_id], "", None, "", domain, "", "active", None, ())


METRICS = {metric_id: metric(metric_id) for metric_id in UNITS}


def cells(metric_id: str, *numbers: Any) -> pd.DataFrame:
    """A row a segment value: a count or amount, or (numerator, denominator)."""
    rows = [
        (metric_id, "day", "2025-01-01", "plan", f"plan {at}", *(
            (number[0], number[1], number[0] / number[1]) if isinstance(number, tuple) else (number, None, number)
        ))
        for at, number in enumerate(numbers)
    ]  # fmt: skip
    names = ["metric_id", "grain", "period_start", "segment", "segment_value", "numerator", "denominator", "value"]
    return pd.DataFrame(rows, columns=names)


def hidden(frame: pd.DataFrame, fewest: int = 5) -> list[bool]:
    told = hide_small(frame, METRICS, fewest)
    for name in ("numerator", "denominator", "value"):
        assert told.loc[told["is_hidden"], name].isna().all()
        shown = ~told["is_hidden"]
        pd.testing.assert_series_equal(told.loc[shown, name], frame.loc[shown, name], check_dtype=False)
    return [*told["is_hidden"]]


NO, YES = False, True


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ([100, 50, 5], [NO, NO, NO]),
        ([100, 50, 4], [NO, YES, YES]),
        ([100, 50, 0], [NO, NO, NO]),
        ([100, 50, 4, 0], [NO, YES, YES, NO]),
        # Together they are 5, so that either may be more than one.
        ([100, 50, 4, 1], [NO, NO, YES, YES]),
        # Together they are 2, so that each would be known to be one.
        ([100, 50, 1, 1], [NO, YES, YES, YES]),
        # Together they are 5, and there are five of them, so that each would be known to be one.
        ([100, 50, 1, 1, 1, 1, 1], [NO, YES, YES, YES, YES, YES, YES]),
        ([4], [YES]),
        ([4, None], [YES, NO]),
    ],
)
def test_few_people_are_hidden_and_the_next_smallest_with_them(counts: list[Any], told: list[str]) -> None:
    assert hidden(cells("dau", *counts)) == told


def test_an_amount_is_hidden_where_it_is_of_few_or_of_nobody_knows_how_many() -> None:
    subscribers, mrr = cells("subscribers", 40, 30, 2), cells("mrr", 400.0, 300.0, 900.0)
    together = pd.concat([subscribers, mrr], ignore_index=True)
    assert hidden(together) == [NO, YES, YES] * 2
    assert hidden(mrr) == [YES] * 3
    assert hidden(cells("mrr_expansion", 9.0, 0.0)) == [YES, NO]


def test_a_share_is_hidden_where_any_side_of_it_is_few() -> None:
    shares = [(30, 60), (2, 60), (58, 60), (1, 4), (0, 60), (60, 60)]
    assert hidden(cells("churn", *shares)) == [NO, YES, YES, YES, NO, NO]
    assert hidden(cells("rating", (120, 30), (110, 25), (9, 2))) == [NO, YES, YES]


def test_requests_are_no_people() -> None:
    assert hidden(cells("uptime", (1, 2), (999, 1000))) == [NO, NO]


def test_each_total_is_seen_by_itself() -> None:
    monday, tuesday = cells("dau", 3, 10, 20), cells("dau", 8, 10, 20).assign(period_start="2025-01-02")
    assert hidden(pd.concat([monday, tuesday], ignore_index=True)) == [YES, YES, NO, NO, NO, NO]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 8), min_size=2, max_size=4), st.integers(3, 5))
def test_no_hidden_count_can_be_told_from_the_total_and_the_rest(counts: list[int], fewest: int) -> None:
    """The slow way: every split of what is left, of which one part is few, and none larger than what is shown."""
    is_hidden = hidden(cells("dau", *counts), fewest)
    places = [place for place, is_so in enumerate(is_hidden) if is_so]
    if len(places) < 2:
        assert not places or sum(map(bool, counts)) == 1  # Who sees the total sees its only part.
        return
    left = sum(counts[place] for place in places)
    shown = [count for place, count in enumerate(counts) if count and place not in places]
    most = min(shown, default=left)
    worlds = [
        world for world in product(range(1, most + 1), repeat=len(places)) if sum(world) == left and min(world) < fewest
    ]
    found = [{world[at] for world in worlds} for at in range(len(places))]
    # Of three parts of three people in all, each has one: the whole says so, which everybody sees.
    if left > len(places):
        assert all(len(seen) > 1 for seen in found), (counts, is_hidden)
    else:
        assert sum(map(bool, counts)) == len(places)


@pytest.mark.parametrize("table", IN_THE_WHOLE)
def test_only_rows_of_everyone_are_left_of_other_tables(table: str) -> None:
    rows = pd.DataFrame(
        {"segment": ["all", "plan", "all"], "currency": ["all", "all", "JPY"], "example": "in_1", "n": range(3)}
    )
    told = whole_rows(table, rows)
    kept = {("segment",): [0, 2], ("segment", "currency"): [0], ("currency",): [0, 1], (): [0, 1, 2]}
    assert [*told["n"]] == kept[IN_THE_WHOLE[table]]
    assert told["example"].isna().all() == (table in {"not_counted", "reconciliation"})


def test_a_table_of_which_nobody_said_what_is_whole_is_not_shown() -> None:
    with pytest.raises(PartsNotOpenError):
        whole_rows("people", pd.DataFrame({"user_id": ["a"]}))
