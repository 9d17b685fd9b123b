"""What buyers bring, against what others published of a known sample, and what can be worked out by hand."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tailtracker_bi.inference import COHORTS, LIVES, MONTHS, PURCHASES, predict
from tailtracker_bi.inference.purchases import (
    DAYS_A_MONTH,
    Buyers,
    buyers_of,
    expected_amount,
    expected_repeats,
    fit_bg_nbd,
    fit_gamma_gamma,
)
from tailtracker_bi.inference.survival import TooLittleError


@pytest.fixture(scope="module")
def cdnow() -> Buyers:
    """In weeks."""
    sample = pd.read_csv(Path(__file__).with_name("cdnow_sample.csv.gz"))
    return Buyers(*(sample[name].to_numpy(dtype=float) for name in sample))


def test_the_sample_has_the_parameters_that_its_authors_published(cdnow: Buyers) -> None:
    """BG/NBD: Fader, Hardie and Lee 2005, table 2. Gamma-Gamma: Fader and Hardie 2013, of the same customers."""
    often, covariance = fit_bg_nbd(cdnow)
    assert np.exp(often) == pytest.approx([0.243, 4.414, 0.793, 2.426], abs=6e-4)
    assert (np.diag(covariance) > 0).all()
    much, _ = fit_gamma_gamma(cdnow)
    assert np.exp(much) == pytest.approx([6.25, 3.74, 15.44], abs=0.01)
    assert expected_amount(much) == pytest.approx(35.17, abs=0.05)
    # Seen were 1.04 in the 27 to 39 weeks of each.
    assert expected_repeats(often, float(cdnow.seen_for.mean())) == pytest.approx(cdnow.repeats.mean(), abs=0.05)


def test_what_a_buyer_did_is_what_was_known_by_then() -> None:
    purchases = np.array([[1, 10, 5.0], [1, 20, 3.0], [1, 40, 9.0], [2, 15, 7.0], [3, 35, 1.0]])
    known = buyers_of(purchases, 30)
    assert [column.tolist() for column in (known.repeats, known.last_after, known.seen_for, known.mean_amount)] == [
        [1, 0], [10, 0], [20, 15], [3, 0],
    ]  # fmt: skip
    assert buyers_of(purchases, 5).repeats.tolist() == []
    assert buyers_of(purchases, 40).mean_amount.tolist() == [6, 0, 0]
    with pytest.raises(TooLittleError, match="1 buyers bought again, where 30 say something"):
        _ = known.fit


def bought(buyers: int, seed: int, through: date) -> pa.Table:
    """Buyers who began over two years, buy about once a month for 20.00 to 40.00, and stop with one chance in eight."""
    dice = np.random.default_rng(seed)
    rows = []
    for buyer in range(buyers):
        day = date(2024, 1, 1) + timedelta(days=int(dice.integers(0, 640)))
        rate, typical = dice.gamma(3, 1 / 90), 10 + dice.gamma(5, 4)
        while day <= through:
            amount = float(round(typical * dice.gamma(6, 1 / 6), 2))
            rows.append({"segment": "all", "segment_value": "all", "buyer": buyer, "day": day, "amount": amount})
            if dice.random() < 0.125:
                break
            day += timedelta(days=1 + int(dice.exponential(1 / rate)))
    return pa.Table.from_pylist(rows, PURCHASES)


def test_what_buyers_bring_is_told_with_its_interval_and_tried_on_those_who_came_next() -> None:
    month = {
        "segment": "all",
        "segment_value": "all",
        "arppu": None,
        "subscribers": 0.0,
        "churned": 0.0,
        "opening": 0.0,
    }
    months = pa.Table.from_pylist([month | {"month": date(2025, 12, 1)}], MONTHS)
    empty = [schema.empty_table() for schema in (LIVES, COHORTS)]
    purchases = bought(800, 7, date(2025, 12, 31))
    predictions, _ = predict(*empty, months, "EUR", 0.5, purchases)
    told = {row["horizon_months"]: row for row in predictions.to_pylist() if row["method"] == "bg_nbd"}
    assert sorted(told) == [6, 12, 24]
    assert told[6]["value"] < told[12]["value"] < told[24]["value"]
    year = told[12]
    assert (year["status"], year["currency"], year["customers"], year["gross_margin"]) == ("ok", "EUR", 800, 0.5)
    assert year["ci_low"] < year["value"] < year["ci_high"]
    # What those brought within a year who had one by the end.
    frame = purchases.to_pandas()
    age = (pd.to_datetime(frame["day"]) - pd.to_datetime(frame.groupby("buyer")["day"].transform("min"))).dt.days
    old = pd.to_datetime(frame.groupby("buyer")["day"].transform("min")) <= pd.Timestamp(2024, 12, 31)
    came = frame[old & (age < 12 * DAYS_A_MONTH)]
    assert year["value"] == pytest.approx(0.5 * came["amount"].sum() / came["buyer"].nunique(), rel=0.1)
    assert year["backtest_months"] == 12
    assert abs(year["backtest_error"]) < 0.5

    few, _ = predict(*empty, months, "EUR", purchases=bought(20, 7, date(2025, 12, 31)))
    assert {row["status"] for row in few.to_pylist() if row["method"] == "bg_nbd"} == {
        "18 buyers bought again, where 30 say something"
    }
    unknown = purchases.set_column(4, "amount", pa.nulls(purchases.num_rows, pa.float64()))
    for none in (unknown, PURCHASES.empty_table()):
        predictions, _ = predict(*empty, months, "EUR", purchases=none)
        assert "bg_nbd" not in predictions["method"].to_pylist()
