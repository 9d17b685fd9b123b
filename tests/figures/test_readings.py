"""What is compared, and whether a change is good, bad, or may be chance: by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pandas as pd
import pytest

from tailtracker_bi.figures.catalogue import Metric
from tailtracker_bi.figures.readings import (
    COHORTS,
    Figure,
    Reading,
    at,
    judged,
    latest,
    pooled,
    read,
    recent,
    retention_curve,
)


def metric(form: str, *, better: bool | None = True) -> Metric:
    return Metric("m", "M", "", "", "people", form, better, "", "", "", "active", None, ())


def share(part: float, size: float) -> Figure:
    return Figure(part / size, part, size)


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        (3, 11, "may be chance"),  # +266.7 %, of few
        (29, 1, "may be chance"),
        (1, 30, "better"),
        (500, 20, "worse"),
        (100, 127, "may be chance"),  # 1.96 * sqrt(227) = 29.5
        (100, 131, "better"),  # 1.96 * sqrt(231) = 29.8
        (100, 100, ""),
    ],
)
def test_a_count_is_judged_where_it_is_large_and_further_apart_than_chance(before: int, now: int, said: str) -> None:
    figures = [Figure(value, value) for value in (now, before)]
    assert judged(metric("integer"), *figures) == said
    assert judged(metric("integer", better=None), *figures) == ""
    other = {"better": "worse", "worse": "better"}.get(said, said)
    assert judged(metric("integer", better=False), *figures) == other


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        (share(5, 29), share(29, 29), "may be chance"),
        (share(5, 30), share(29, 30), "better"),
        # 24.1 % and 23.6 % of 1,000: apart by less than 1.96 * sqrt(0.2385 * 0.7615 * 2 / 1000) = 3.7 points.
        (share(241, 1000), share(236, 1000), "may be chance"),
        (share(241, 1000), share(200, 1000), "worse"),
        # Nobody was, all are.
        (share(0, 40), share(40, 40), "better"),
    ],
)
def test_a_share_is_judged_by_the_test_of_two_proportions(before: Figure, now: Figure, said: str) -> None:
    assert judged(metric("percent"), now, before) == said


def test_an_average_is_judged_by_how_many_it_is_of_and_money_always() -> None:
    assert judged(metric("decimal"), share(90, 30), share(60, 30)) == "better"
    assert judged(metric("decimal"), share(90, 29), share(60, 30)) == "may be chance"
    assert judged(metric("decimal"), Figure(3.0), Figure(2.0)) == "may be chance"
    assert judged(metric("money EUR"), Figure(300.0, 300.0), Figure(200.0, 200.0)) == "better"
    assert judged(metric("money EUR"), Figure(), Figure(200.0)) == ""


def days(values: list[float | None], *, of: float | None = None, unfinished: int = 0) -> pd.DataFrame:
    """Values of days from 1 January on, the last few of which are not complete; ratios `of` so many."""
    numerators = pd.Series(values, dtype=float) * (1.0 if of is None else of)
    return pd.DataFrame(
        {
            "period_start": pd.date_range("2025-01-01", periods=len(values)),
            "numerator": numerators,
            "denominator": of,
            "value": pd.Series(values, dtype=float),
            "is_complete": [place < len(values) - unfinished for place in range(len(values))],
        }
    )


def test_only_complete_values_are_compared() -> None:
    points = days([10, None, 30, 99], unfinished=1)
    reading = latest(metric("integer"), points)
    assert (reading.now.value, reading.before.value) == (30, 10)
    assert reading.before.period_start == pd.Timestamp("2025-01-01")
    assert (reading.shown, reading.change, reading.judged) == ("30", "+200.0%", "better")
    alone = latest(metric("integer"), points, days_back=3)
    assert (alone.now.value, alone.before.value, alone.change, alone.judged) == (30, None, "", "")
    assert alone.not_compared == "nothing to compare with"
    unfinished = Reading(metric("integer"), at(points, date(2025, 1, 4)), at(points, date(2025, 1, 3)))
    assert (unfinished.change, unfinished.judged, unfinished.not_compared) == ("", "", "not complete yet")
    unknown = Reading(metric("integer"), at(points, date(2025, 1, 2)), at(points, date(2025, 2, 1)))
    assert (unknown.shown, unknown.shown_before, unknown.not_compared) == ("no data", "no data", "")


def test_cohorts_are_compared_with_as_many_before_them_or_none() -> None:
    retention = replace(metric("percent"), metric_id="retention_d7")
    points = days([0.5] * COHORTS + [0.25] * COHORTS + [1.0], of=8, unfinished=1)
    reading = latest(retention, points)
    assert (reading.shown, reading.shown_before, reading.sample) == ("25.0%", "50.0%", "n = 224, before 224")
    assert reading.now.period_start == pd.Timestamp("2025-01-01") + pd.Timedelta(days=COHORTS)
    too_few = latest(retention, points.iloc[1:])
    assert (too_few.shown, too_few.shown_before) == ("25.0%", "no data")


def test_a_ratio_over_periods_is_sum_over_sum_and_complete_where_all_are() -> None:
    points = pd.concat([days([0.1], of=90), days([0.9], of=10, unfinished=1)])
    assert (pooled(points).value, pooled(points).is_complete) == (0.18, False)
    assert pooled(points.head(1)).is_complete
    assert pooled(points.assign(denominator=0.0)).value is None
    assert pooled(points.head(0)) == Figure()


def test_retention_over_cohorts_is_sum_over_sum_of_complete_cells() -> None:
    cohorts = pd.DataFrame(
        {
            "cohort_start": pd.to_datetime(["2025-01-06", "2025-01-13", "2025-01-20"]),
            "period_index": [1, 1, 1],
            "cohort_size": [10, 90, 50],
            "retained": [10, 0, 50],
            "is_complete": [True, True, False],
        }
    )
    assert retention_curve(cohorts)["share"].tolist() == [0.1]


def by_month(*values: tuple[str, float | None, bool]) -> pd.DataFrame:
    frame = pd.DataFrame(values, columns=["period_start", "value", "is_complete"])
    return frame.assign(period_start=pd.to_datetime(frame["period_start"]), numerator=None, denominator=None)


def test_a_figure_compares_with_the_period_before_a_year_before_or_nothing() -> None:
    months = by_month(
        ("2024-02-01", 7, True), ("2025-01-01", 9, True), ("2025-02-01", 10, True), ("2025-03-01", 3, False)
    )  # fmt: skip
    kinds = {against: read(metric("integer"), months, "month", against) for against in ("previous", "year", "none")}
    assert {against: reading.now.value for against, reading in kinds.items()} == dict.fromkeys(kinds, 10)
    assert {against: reading.before.value for against, reading in kinds.items()} == {
        "previous": 9, "year": 7, "none": None,
    }  # fmt: skip
    assert kinds["year"].before.period_start == pd.Timestamp("2024-02-01")
    assert kinds["none"].change == ""
    unknown = months.assign(is_complete=[False, True, True, False])
    assert read(metric("integer"), unknown, "month", "year").before.value is None


def test_weeks_compare_with_those_of_52_weeks_before() -> None:
    weeks = by_month(("2024-03-04", 5, True), ("2025-02-24", 6, True), ("2025-03-03", 8, True))
    assert read(metric("integer"), weeks, "week", "year").before.value == 5


def test_a_small_line_is_of_complete_values_and_of_retention_of_many_cohorts() -> None:
    months = by_month(("2025-01-01", 9, True), ("2025-02-01", None, True), ("2025-03-01", 3, False))
    assert recent(metric("integer"), months, "month") == [9]
    days = pd.date_range("2025-01-01", periods=COHORTS + 1)
    cohorts = pd.DataFrame(
        {
            "period_start": days,
            "numerator": 1.0,
            "denominator": [4.0, *[2.0] * COHORTS],
            "value": 0.5,
            "is_complete": True,
        }
    )
    retained = replace(metric("percent"), metric_id="retention_d7")
    assert recent(retained, cohorts, "day") == [COHORTS / (2 * COHORTS + 2), 0.5]


def test_a_share_of_money_is_not_judged_as_nobody_knows_how_many_customers_it_is_of() -> None:
    now, before = share(500, 1000), share(900, 1000)
    of_people = replace(metric("percent"), unit="share")
    assert judged(of_people, now, before) == "worse"
    of_money = replace(of_people, is_of_money=True)
    assert judged(of_money, now, before) == ""
    assert Reading(of_people, now, before).sample == "n = 1,000, before 1,000"
    assert Reading(of_money, now, before).sample == ""
    assert judged(replace(of_money, unit="currency_per_customer"), now, before) == "worse"
