"""What is told otherwise than by a build that somebody knows, worked out by hand and by a slow version."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from tailtracker_bi.figures import restated

DAY = pd.Timestamp("2025-03-04")


def told(*rows: tuple[str, float | None, float | None, str], **more: Any) -> pd.DataFrame:
    """Restatements of one value: the build, what it was and is, and why."""
    whole = {"metric_id": "dau", "grain": "day", "period_start": DAY, "segment": "all", "segment_value": "all"}
    return pd.DataFrame(
        [
            {**whole, "old_value": old, "new_value": new, "build": build, "restated_on": DAY, "reason": why, **more}
            for build, old, new, why in rows
        ],
        columns=list(restated.NOTHING.columns),
    )


def of(found: pd.DataFrame) -> list[tuple[object, ...]]:
    named = found[["metric_id", "old_value", "new_value", "reason"]].astype(object)
    return [tuple(row) for row in named.where(named.notna(), None).itertuples(index=False)]


def test_a_value_is_told_from_what_it_was_to_what_it_is_with_all_reasons() -> None:
    rows = told(("c", 31, 33, "merge"), ("b", 30, 31, "late events"), ("a", 20, 30, "late events"))
    assert of(restated.since(rows, "a")) == [("dau", 30, 33, "late events; merge")]
    assert of(restated.since(rows, "b")) == [("dau", 31, 33, "merge")]
    assert of(restated.since(rows, "c")) == []


def test_what_is_again_as_it_was_is_not_told() -> None:
    assert of(restated.since(told(("b", 30, 31, "x"), ("c", 31, 30.000000001, "y")), "a")) == []
    assert of(restated.since(told(("b", None, 1, "x"), ("c", 1, None, "y")), "a")) == []


def test_no_number_is_told_as_such() -> None:
    rows = told(("b", None, 5, "x"), ("c", 5, 6, "y"))
    assert of(restated.since(rows, "a")) == [("dau", None, 6, "x; y")]
    rows = told(("b", 4, 5, "x"), ("c", 5, None, "y"))
    assert of(restated.since(rows, "a")) == [("dau", 4, None, "x; y")]
    assert of(restated.since(told(("b", 0, None, "x")), "a")) == [("dau", 0, None, "x")]


def test_values_are_told_apart_and_the_newest_comes_first() -> None:
    rows = pd.concat(
        [
            told(("b", 1, 2, "x")),
            told(("b", 3, 4, "x"), segment="platform", segment_value="ios"),
            told(("b", 5, 6, "x"), period_start=DAY + pd.Timedelta(days=1)),
            told(("b", 7, 8, "x"), grain="week"),
            told(("b", 9, 10, "x"), metric_id="mau"),
        ]
    )
    assert [row[1] for row in of(restated.since(rows, "a"))] == [5, 1, 3, 7, 9]
    assert restated.since(restated.NOTHING, "a").empty


NUMBER = st.one_of(st.none(), st.integers(0, 3).map(float))


@given(
    st.lists(st.tuples(st.sampled_from("bcde"), st.sampled_from(["dau", "mau"]), NUMBER, NUMBER), max_size=12),
    st.sampled_from("abcde"),
)
@settings(deadline=None)
def test_it_is_what_one_gets_step_by_step(steps: list[tuple[str, str, Any, Any]], known: str) -> None:
    """A build restates a value once."""
    once = {(build, metric): (old, new) for build, metric, old, new in steps}
    frames = [told((build, old, new, "x"), metric_id=metric) for (build, metric), (old, new) in once.items()]
    found = restated.since(pd.concat(frames) if frames else restated.NOTHING, known)
    expected = {}
    for build, metric in sorted(once):
        if build > known:
            first = expected.get(metric, once[build, metric])[0]
            expected[metric] = (first, once[build, metric][1])
    same = {
        metric
        for metric, (old, new) in expected.items()
        if old == new or (None not in {old, new} and math.isclose(old, new))
    }
    assert {row[0]: (row[1], row[2]) for row in of(found)} == {
        metric: both for metric, both in expected.items() if metric not in same
    }
