"""What a subscriber is worth, of rows that can be worked out by hand."""

from __future__ import annotations

from datetime import date
from typing import Any

import pyarrow as pa
import pytest

from tailtracker_bi.inference import COHORTS, LIVES, MONTHS, predict
from tailtracker_bi.inference.ltv import over_churn
from tailtracker_bi.inference.survival import TooLittleError

ALL = {"segment": "all", "segment_value": "all"}


def month(number: int) -> date:
    """Months of 2024 and after, from 1."""
    return date(2024 + (number - 1) // 12, (number - 1) % 12 + 1, 1)


def a_tenth_leaves(through: int, part: dict[str, str] = ALL) -> tuple[pa.Table, pa.Table, pa.Table]:
    """1,000 begin each month and pay 5 each; at each month's end but their first a tenth of those there has left."""
    lives: list[dict[str, Any]] = []
    cohorts: list[dict[str, Any]] = []
    for began in range(1, through + 1):
        there = 1000.0
        for now in range(began, through + 1):
            left = there * 0.1 if now > began else 0.0
            there -= left
            if left:
                lives.append({**part, "began_month": month(began), "ended_month": month(now), "customers": round(left)})
            cohorts.append({
                **part, "cohort_month": month(began), "month_index": now - began, "customers": 1000,
                "mrr": 5 * there, "net_revenue_cumulative": 4.0 * 1000 * (now - began + 1),
            })  # fmt: skip
        lives.append({**part, "began_month": month(began), "ended_month": None, "customers": round(there)})
    months = [
        {**part, "month": month(now), "arppu": 5.0, "subscribers": 100.0, "churned": 10.0, "opening": 100.0}
        for now in range(1, through + 1)
    ]
    tables = ((lives, LIVES), (cohorts, COHORTS), (months, MONTHS))
    one, two, three = (pa.Table.from_pylist(rows, schema) for rows, schema in tables)
    return one, two, three


def told(predictions: pa.Table, method: str, horizon: int | None) -> dict[str, Any]:
    [row] = [row for row in predictions.to_pylist() if (row["method"], row["horizon_months"]) == (method, horizon)]
    return row


def test_each_method_says_what_can_be_worked_out_by_hand() -> None:
    predictions, curves = predict(*a_tenth_leaves(13), currency="EUR")
    assert {(row["as_of_month"], row["currency"]) for row in predictions.to_pylist()} == {(month(13), "EUR")}
    for_ever = told(predictions, "arppu_over_churn", None)
    assert (for_ever["value"], for_ever["customers"]) == (pytest.approx(50), 100)
    # Wilson's interval of 10 of 100: 0.0552 to 0.1744.
    assert (for_ever["ci_low"], for_ever["ci_high"]) == pytest.approx((28.68, 90.53), abs=0.02)
    seen = told(predictions, "survival", 12)
    assert seen["value"] == pytest.approx(5 * sum(0.9**index for index in range(12)), rel=1e-3)
    assert seen["ci_low"] < seen["value"] < seen["ci_high"]
    assert (told(predictions, "survival", 24)["status"], told(predictions, "survival", 24)["value"]) == (
        "13 of 24 months are known", None,
    )  # fmt: skip
    assert told(predictions, "sbg", 60)["status"] == "ok"
    received = told(predictions, "realised", 6)
    # Of the cohorts of months 1 to 8, which are as old: 4 a month each.
    assert (received["value"], received["ci_low"], received["customers"]) == (24, None, 8000)
    assert told(predictions, "realised", 24)["status"].startswith("0 customers began 24 months ago")
    shares = {row["month_index"]: row for row in curves.to_pylist() if row["method"] == "survival"}
    assert (shares[0]["share"], shares[0]["at_risk"]) == (1, pytest.approx(13_000, abs=5))
    assert shares[12]["share"] == pytest.approx(0.9**12, rel=1e-3)


def test_a_method_is_tried_on_those_who_began_after_what_it_knew() -> None:
    """As of a year ago nothing had been seen; half a year ago it was: what came is 5 times the shares of six months."""
    lives, cohorts, months = a_tenth_leaves(13)
    predictions, _ = predict(lives, cohorts, months, "EUR")
    tried = told(predictions, "survival", 6)
    assert (tried["backtest_months"], tried["backtest_error"]) == (6, pytest.approx(0, abs=1e-3))
    # As if a tenth left in the first month, too, which is 0.9 times as much, less what comes of the first payment.
    said, came = (1 - 0.9**12) / 0.1, sum(0.9**index for index in range(12))
    churn = told(predictions, "arppu_over_churn", None)
    assert (churn["backtest_months"], churn["backtest_error"]) == (12, pytest.approx(said / came - 1, abs=1e-9))

    next_ones = [month(8) == one for one in cohorts["cohort_month"].to_pylist()]
    twice = pa.array(
        [mrr * (2 if is_so else 1) for mrr, is_so in zip(cohorts["mrr"].to_pylist(), next_ones, strict=True)]
    )
    predictions, _ = predict(lives, cohorts.set_column(5, "mrr", twice), months, "EUR")
    assert told(predictions, "survival", 6)["backtest_error"] == pytest.approx(-0.5, abs=1e-3)

    doubled = months.set_column(3, "arppu", pa.array([10.0] * 7 + [5.0] * 6))
    predictions, _ = predict(lives, cohorts, doubled, "EUR")
    assert told(predictions, "survival", 6)["backtest_error"] == pytest.approx(1, abs=1e-2)


def test_what_customers_cost_is_taken_off_all_that_they_are_worth_and_off_no_trial_of_a_method() -> None:
    revenue, _ = predict(*a_tenth_leaves(13), currency="EUR")
    margin, _ = predict(*a_tenth_leaves(13), currency="EUR", margin=0.75)
    for whole, left in zip(revenue.to_pylist(), margin.to_pylist(), strict=True):
        for bound in ("value", "ci_low", "ci_high"):
            assert left[bound] == (None if whole[bound] is None else pytest.approx(0.75 * whole[bound]))
        assert left["backtest_error"] == whole["backtest_error"]
        assert (whole["gross_margin"], left["gross_margin"]) == (1, 0.75)


def test_a_part_is_told_of_itself_in_its_own_currency_and_too_little_says_so() -> None:
    tables = [
        pa.concat_tables(pair)
        for pair in zip(
            a_tenth_leaves(13), a_tenth_leaves(3, {"segment": "currency", "segment_value": "JPY"}), strict=True
        )
    ]
    predictions, curves = predict(*tables, currency="EUR")  # type: ignore[call-arg]
    own = [row for row in predictions.to_pylist() if row["segment"] == "currency"]
    assert {row["currency"] for row in own} == {"JPY"}
    # Its last month is not the last.
    assert [row["status"] for row in own if row["method"] == "arppu_over_churn"] == ["ARPPU is not known"]
    assert {row["segment"] for row in curves.to_pylist()} == {"all", "currency"}


def test_nothing_known_is_no_row() -> None:
    predictions, curves = predict(*(schema.empty_table() for schema in (LIVES, COHORTS, MONTHS)), currency="EUR")
    assert (predictions.num_rows, curves.num_rows) == (0, 0)


@pytest.mark.parametrize(("churned", "opening", "why"), [(0, 10, "nobody left"), (0, 0, "nobody left")])
def test_no_churn_is_no_number(churned: float, opening: float, why: str) -> None:
    with pytest.raises(TooLittleError, match=why):
        over_churn(churned, opening, None)


def test_all_leaving_at_once_is_one_month() -> None:
    assert over_churn(10, 10, None).value == 1
    assert over_churn(10, 10, 6).value == 1
