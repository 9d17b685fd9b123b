"""Whether a change is good, bad, or may be chance: by hand."""

from __future__ import annotations

import pytest

from tailtracker_bi.figures.catalogue import Metric
from tailtracker_bi.figures.readings import Figure, verdict


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
    assert verdict(metric("integer"), *figures) == said
    assert verdict(metric("integer", better=None), *figures) == ""
    other = {"better": "worse", "worse": "better"}.get(said, said)
    assert verdict(metric("integer", better=False), *figures) == other


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
    assert verdict(metric("percent"), now, before) == said


def test_an_average_is_judged_by_how_many_it_is_of_and_money_always() -> None:
    assert verdict(metric("decimal"), share(90, 30), share(60, 30)) == "better"
    assert verdict(metric("decimal"), share(90, 29), share(60, 30)) == "may be chance"
    assert verdict(metric("decimal"), Figure(3.0), Figure(2.0)) == "may be chance"
    assert verdict(metric("money EUR"), Figure(300.0, 300.0), Figure(200.0, 200.0)) == "better"
    assert verdict(metric("money EUR"), Figure(), Figure(200.0)) == ""
