"""Digests of rows: equal for the same rows in any order, and for no others."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailtracker_bi.sources.digests import digests_by_day

SCHEMA = pa.schema(
    [
        ("day", pa.date32()),
        ("text", pa.string()),
        ("other", pa.string()),
        ("at", pa.timestamp("us")),
        ("number", pa.float64()),
    ]
)
DAY = date(2024, 1, 1)
AT = datetime.fromisoformat("2024-01-01T12:00:00.000001")
Row = tuple[Any, ...]
TEXT = st.none() | st.sampled_from(["", " ", "-1", "1 a", "a", "é", "0  -1"]) | st.text(max_size=3)
ROW = st.tuples(TEXT, TEXT, st.none() | st.just(AT), st.sampled_from([None, 0.0, 0.1, 0.1 + 2**-55, 1e300]))


def digest_of(*rows: Row) -> str:
    told = [dict(zip(SCHEMA.names, (DAY, *row), strict=True)) for row in rows]
    return digests_by_day(pa.Table.from_pylist(told, SCHEMA), [DAY])[DAY]


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(ROW, max_size=5), others=st.lists(ROW, max_size=5), data=st.data())
def test_rows_have_one_digest_in_any_order_and_other_rows_another(
    rows: list[Row], others: list[Row], data: st.DataObject
) -> None:
    assert digest_of(*data.draw(st.permutations(rows))) == digest_of(*rows)
    assert (digest_of(*others) == digest_of(*rows)) == (sorted(map(repr, others)) == sorted(map(repr, rows)))


@pytest.mark.parametrize(
    "others",
    [
        [(None, "a", AT, 1.0)],
        [("a", "", AT, 1.0)],
        [("", "a", AT, 1.0)] * 3,
        [("", "a", AT, 1.0), (None, "a", AT, 1.0)],
        [("", "a", AT.replace(microsecond=2), 1.0)] * 2,
        [("", "a", AT, 1.0 + 2**-52)] * 2,
    ],
)
def test_null_empty_order_of_columns_copies_and_the_last_digit_are_told_apart(others: list[Row]) -> None:
    assert digest_of(*others) != digest_of(("", "a", AT, 1.0), ("", "a", AT, 1.0))


def test_each_day_has_its_own_also_one_without_rows() -> None:
    rows = pa.Table.from_pylist([{"day": DAY, "text": "a"}, {"day": date(2024, 1, 3), "text": "a"}], SCHEMA)
    found = digests_by_day(rows, [date(2024, 1, number) for number in (1, 2, 3)])
    assert found[date(2024, 1, 2)] == digests_by_day(SCHEMA.empty_table(), [DAY])[DAY]
    assert len(set(found.values())) == 3
