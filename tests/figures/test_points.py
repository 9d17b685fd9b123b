"""Values of a part over time, and an earlier time to draw beside: by hand, and against a slow way."""

from __future__ import annotations

from datetime import date, timedelta

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from tailtracker_bi.figures.catalogue import Metric
from tailtracker_bi.figures.points import NO_SERIES, compared, of_part


def metric(unit: str) -> Metric:
    return Metric("m", "M", "", "", unit, "decimal", True, "", "", "", "active", None, ())


def over_time(*rows: tuple[str, float | None, bool]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["period_start", "value", "is_complete"])
    frame = frame.assign(period_start=pd.to_datetime(frame["period_start"]), numerator=None, denominator=None)
    return frame[[*NO_SERIES]]


def test_a_part_without_a_row_is_zero_for_counts_unknown_for_shares_and_unknown_where_all_is() -> None:
    whole = over_time(("2025-03-01", 5, True), ("2025-03-02", None, False), ("2025-03-03", 4, True))
    own = over_time(("2025-03-03", 1, True))
    for unit, first in (("people", 0.0), ("currency", 0.0), ("share", None), ("hours", None)):
        values = of_part(metric(unit), whole, own)["value"]
        assert [None if pd.isna(value) else value for value in values] == [first, None, 1.0]
    assert of_part(metric("people"), whole, own.iloc[:0])["value"].iloc[0] == 0


def test_an_earlier_time_stands_where_its_later_one_does_and_both_are_complete() -> None:
    months = over_time(
        ("2024-01-01", 1, True), ("2024-02-01", 2, False), ("2024-11-01", 3, True), ("2024-12-01", 4, True),
        ("2025-01-01", 5, True), ("2025-02-01", 6, True), ("2025-03-01", 7, False),
    )  # fmt: skip
    shown = months.iloc[-3:]
    before = compared(months, shown, "month", "previous")
    assert [(f"{at:%Y-%m}", f"{was:%Y-%m}", value) for at, was, value in before.itertuples(index=False)] == [
        # October is not there, and March, which December would stand beside, is not complete.
        ("2025-02", "2024-11", 3)
    ]
    a_year = compared(months, shown, "month", "year")
    assert [(f"{at:%Y-%m}", value) for at, _, value in a_year.itertuples(index=False)] == [("2025-01", 1)]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=1, max_size=40),
    st.integers(1, 40),
    st.sampled_from(["previous", "year"]),
)
def test_an_earlier_time_is_what_looking_up_each_day_gives(
    values: list[tuple[int, bool]], last: int, against: str
) -> None:
    first = date(2024, 1, 1)
    days = {first + timedelta(days=at * (91 if against == "year" else 1)): one for at, one in enumerate(values)}
    points = over_time(*((str(day), value, done) for day, (value, done) in days.items()))
    shown = points.iloc[-last:]
    back = timedelta(days=364 if against == "year" else len(shown))
    slow = {
        day: days[day - back][0]
        for day in shown["period_start"].dt.date
        if days[day][1] and (day - back) in days and days[day - back][1]
    }
    found = compared(points, shown, "day", against)
    assert dict(zip(found["period_start"].dt.date, found["value"], strict=True)) == slow
