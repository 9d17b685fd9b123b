"""A chart of any rows: what is drawn is in them, and what can't be drawn says why."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import altair as alt
import pyarrow as pa
import pytest

from tailtracker_bi.figures.quick_chart import MOST_BARS, MOST_LINES, NotDrawnError, numbers_of, quick_chart

FIRST, SECOND = date(2024, 1, 1), date(2024, 1, 2)


def drawn(columns: dict[str, Any], number: str = "n") -> dict[str, list[Any]]:
    """The rows of the chart's first frame, after the whole has been looked at."""
    chart = quick_chart(pa.table(columns), number)
    frames = chart.pop("datasets")
    alt.Chart.from_dict({**chart, "datasets": {name: [] for name in frames}})
    return {str(name): column.tolist() for name, column in next(iter(frames.values())).items()}


def test_days_make_a_line_in_their_order_and_what_is_unknown_is_left_out() -> None:
    n = [2.0, None, float("nan"), float("inf"), 1.0]
    found = drawn({"day": [SECOND, FIRST, date(2024, 1, 4), date(2024, 1, 5), FIRST.replace(day=3)], "n": n})
    assert [(start.date(), value) for start, value in zip(found["period_start"], found["value"], strict=True)] == [
        (SECOND, 2.0),
        (date(2024, 1, 3), 1.0),
    ]


def test_each_text_that_differs_has_a_line_and_one_that_does_not_has_no_name() -> None:
    found = drawn({"plan": ["a", "b"], "day": [FIRST, FIRST], "unit": ["x", "x"], "n": [1, 2]})
    assert found["line"] == ["a", "b"]
    assert drawn({"unit": ["x", "x"], "day": [FIRST, SECOND], "n": [1, 2]})["line"] == ["n", "n"]


def test_what_is_not_complete_is_told_apart_where_the_rows_know_it() -> None:
    columns = {"day": [FIRST, SECOND], "n": [Decimal("1.50"), Decimal("2.25")]}
    assert drawn(columns | {"is_complete": [True, False]})["state"] == ["complete", "not complete"]
    assert drawn(columns | {"is_complete": [None, False]})["state"] == ["not complete", "not complete"]
    assert drawn(columns)["shown"] == ["1.50", "2.25"]


def test_a_period_is_named_by_the_grain_that_the_rows_have() -> None:
    columns = {"start": [datetime(2024, 1, 1), datetime(2024, 2, 1)], "n": [1, 2]}  # noqa: DTZ001
    assert drawn(columns | {"grain": ["month", "month"]})["when"] == ["January 2024", "February 2024"]
    assert drawn(columns | {"grain": ["aeon", "aeon"]})["when"] == ["1 Jan 2024", "1 Feb 2024"]


def test_texts_without_days_make_bars_in_the_order_of_the_rows() -> None:
    found = drawn({"plan": ["b", None, "a"], "n": [1, None, 3]})
    assert (found["name"], found["shown"]) == (["b", "None", "a"], ["1", "no data", "3"])


def test_of_many_bars_the_first_are_drawn_and_that_is_said() -> None:
    chart = quick_chart(pa.table({"plan": list(map(str, range(99))), "n": list(range(99))}), "n")
    assert len(chart["datasets"]["bars"]) == MOST_BARS
    assert chart["encoding"]["x"]["title"] == f"n, the first {MOST_BARS} of 99 rows"


def test_numbers_are_those_that_have_a_height() -> None:
    columns = {"i": [1], "f": [1.5], "d": [Decimal(1)], "t": ["1"], "b": [True], "day": [FIRST], "l": [[1]]}
    assert numbers_of(pa.table(columns)) == ["i", "f", "d"]


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ({"n": [1, 2]}, "needs a column of days or of names"),
        ({"day": [FIRST, FIRST], "n": [1, 2]}, "Several rows have the same day: group them"),
        ({"day": [FIRST] * 3, "a": ["x", "y", "y"], "n": [1, 2, 3]}, "Several rows have the same day, a"),
        ({"day": [FIRST] * 9, "a": list("abcdefghi"), "n": [1] * 9}, f"a would make 9 lines; {MOST_LINES} can be told"),
        ({"at": [datetime(2024, 1, 1, 12)], "n": [1]}, "at has times of the day"),  # noqa: DTZ001
        ({"day": [FIRST], "n": pa.array([None], pa.int64())}, "There is no day with a value of n"),
        ({"day": pa.array([], pa.date32()), "n": pa.array([], pa.int64())}, "There is no day with a value of n"),
        ({"a": ["x", "x"], "n": [1, 2]}, "Several rows have the same a"),
        ({"a": ["x"], "n": [float("inf")]}, "There is no value of n"),
    ],
)
def test_what_cannot_be_drawn_says_why(columns: dict[str, Any], why: str) -> None:
    with pytest.raises(NotDrawnError, match=why):
        quick_chart(pa.table(columns), "n")
