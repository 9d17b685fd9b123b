"""Which days are flagged: hand-made series with known answers, and what must not matter."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailtracker_bi.inference.anomalies import ERROR_DAYS, LEAST_DAYS, LEAST_FIT_DAYS, SCHEMA, judge
from tailtracker_bi.inference.series import Floats, Scale, Series, as_values, spread_alike

FIRST = date(2024, 1, 1)
DAYS = 120
WEEKLY = np.array([10.0, 12, 14, 15, 13, 4, 5])


def series(values: Sequence[float] | Floats, scale: Scale = "count", of: Floats | None = None) -> Series:
    known = np.asarray(values, dtype=float)
    return Series("metric", scale, FIRST, known, np.full(len(known), np.nan) if of is None else of)


def judged(one: Series) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = judge(one, SCHEMA.empty_table(), one.first).to_pylist()
    return rows


def flagged(one: Series) -> list[int]:
    return [(row["period_start"] - FIRST).days for row in judged(one) if row["is_anomaly"]]


def weekly(level: float, days: int = DAYS) -> Floats:
    return level * WEEKLY[np.arange(days) % 7]


def noisy(level: float, days: int = DAYS, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).poisson(weekly(level, days)).astype(float)


def test_a_day_is_expected_to_be_as_its_weekday_was() -> None:
    rows = judged(series(weekly(10)))
    assert [row["expected"] for row in rows] == pytest.approx(list(weekly(10)[LEAST_FIT_DAYS:]), rel=1e-6)
    assert rows[0]["period_start"] == FIRST + timedelta(days=LEAST_FIT_DAYS)


def test_a_weekly_pattern_is_nothing_out_of_the_ordinary() -> None:
    assert flagged(series(weekly(10))) == []
    assert flagged(series(noisy(10))) == []


@pytest.mark.parametrize("is_up", [True, False])
def test_a_spike_is_flagged_and_no_day_after_it(is_up: bool) -> None:
    values = noisy(10)
    values[80] = 2 * values[80] if is_up else 0.3 * values[80]
    assert flagged(series(values)) == [80]


def test_the_day_after_a_spike_is_expected_as_if_there_had_been_none() -> None:
    calm, spiked = noisy(10), noisy(10)
    spiked[[80, 81]] = 1000
    after = [[row["expected"] for row in judged(series(values))][82 - LEAST_FIT_DAYS] for values in (calm, spiked)]
    assert after[1] == pytest.approx(after[0], rel=0.1)


def test_a_level_that_lasts_is_flagged_for_its_first_days_and_then_is_usual() -> None:
    values = 1000 + weekly(10) + np.random.default_rng(1).normal(0, 10, DAYS)
    values[70:] += 150
    found = flagged(series(values, "amount"))
    assert found[:3] == [70, 71, 72]
    assert set(found) <= set(range(70, 80))
    last = judged(series(values, "amount"))[-1]
    assert last["expected"] == pytest.approx(values[-1], abs=50)


def test_growth_is_nothing_out_of_the_ordinary() -> None:
    values = np.random.default_rng(2).poisson(weekly(4) * 1.015 ** np.arange(DAYS)).astype(float)
    assert flagged(series(values)) == []


@pytest.mark.parametrize("mean", [0.05, 0.4, 2.0])
def test_of_few_a_day_not_each_is_flagged(mean: float) -> None:
    values = np.random.default_rng(3).poisson(mean, 365).astype(float)
    rows = judged(series(values))
    assert sum(row["is_anomaly"] or False for row in rows) <= 1
    # The bound is what chance alone makes of a count: 3.5 standard deviations of it, on the scale of its root.
    least = [row["high"] for row in rows if row["high"] is not None]
    assert min(least) >= as_values(spread_alike(np.zeros(1), "count") + 3.5, "count")[0]
    values[300] = 12 + 6 * mean
    assert flagged(series(values))[-1] == 300


def test_a_share_of_few_varies_by_chance() -> None:
    for people, out in ((8, []), (8000, [80])):
        values = np.random.default_rng(4).binomial(people, 0.95, DAYS) / people
        values[80] = 0.75
        assert flagged(series(values, "share", np.full(DAYS, float(people)))) == out
    # One of eight is 3.7 of what chance makes of 0.95 on that scale: sure enough to be told.
    values = np.random.default_rng(4).binomial(8, 0.95, DAYS) / 8
    values[90] = 0.125
    assert flagged(series(values, "share", np.full(DAYS, 8.0))) == [90]


def test_what_hardly_ever_changes_is_not_judged() -> None:
    values = np.full(DAYS, 100.0)
    values[100] = 500
    assert {row["is_anomaly"] for row in judged(series(values, "amount"))} == {None}
    assert {row["low"] for row in judged(series(weekly(1), "amount"))} == {None}
    # Of counts, chance says how much they vary.
    assert flagged(series(values)) == [100]
    mostly_nothing = np.where(np.arange(DAYS) % 3 == 0, 20.0, 0.0)[np.random.default_rng(0).permutation(DAYS)]
    assert set(flagged(series(np.where(np.arange(DAYS) < 100, 0, mostly_nothing), "amount"))) == set()


def test_a_day_without_a_value_is_not_judged_and_leaves_the_others_as_they_are() -> None:
    values = noisy(10)
    values[[60, 61, 90]] = np.nan
    days = {(row["period_start"] - FIRST).days for row in judged(series(values))}
    assert days == set(range(LEAST_FIT_DAYS, DAYS)) - {60, 61, 90}
    assert flagged(series(values)) == []
    values[91] = 400
    assert flagged(series(values)) == [91]


def test_nothing_is_told_of_days_of_which_most_before_are_missing() -> None:
    values = noisy(10)
    values[20:80] = np.nan
    assert {(row["period_start"] - FIRST).days for row in judged(series(values))} <= set(range(80, DAYS))
    assert judged(series(np.where(np.arange(DAYS) % 7 == 0, 5.0, np.nan))) == []


def test_bands_begin_after_eight_weeks() -> None:
    rows = judged(series(noisy(10, LEAST_DAYS)))
    assert [row["is_anomaly"] for row in rows] == [None] * (len(rows) - 1) + [False]
    assert judged(series(noisy(10, LEAST_FIT_DAYS))) == []


@pytest.mark.parametrize(("has_heavy_tails", "most"), [(False, 0.01), (True, 0.03)])
def test_false_alarms_of_clean_series_are_as_rare_as_is_told(has_heavy_tails: bool, most: float) -> None:
    told, found = [], []
    for seed in range(8):
        clean = noisy(3, 200, seed)
        if has_heavy_tails:
            clean = 1000 + 20 * np.random.default_rng(seed).standard_t(3, 200)
        rows = judged(series(clean, "amount" if has_heavy_tails else "count"))
        told.append(rows[0]["false_alarms_backtested"])
        found += [row["is_anomaly"] for row in rows if row["is_anomaly"] is not None]
    assert np.mean(found) < most
    assert np.mean(told) == pytest.approx(np.mean(found), abs=0.004)


def test_false_alarms_are_the_share_flagged_in_any_order() -> None:
    values = noisy(10)
    values[80] = 1000
    [alarms] = {row["false_alarms_backtested"] for row in judged(series(values))}
    # Of the days from 56 on each looks back on 56, and the one spike is among those of the last 40.
    bands = [row for row in judged(series(values)) if row["is_anomaly"] is not None]
    pools = [min(place - LEAST_FIT_DAYS, ERROR_DAYS) + 1 for place in range(56, DAYS)]
    share = sum(1 / pool for place, pool in zip(range(56, DAYS), pools, strict=True) if place >= 80) / len(bands)
    assert alarms == pytest.approx(share)


def test_rows_are_ordered_and_bands_hold_what_is_expected() -> None:
    rows = judged(series(noisy(3)))
    assert rows == sorted(rows, key=lambda row: row["period_start"])
    for row in rows:
        if row["low"] is not None:
            assert 0 <= row["low"] <= row["expected"] <= row["high"]
            assert row["is_anomaly"] == (not row["low"] <= row["value"] <= row["high"])


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.floats(1e-6, 1e9))
def test_the_unit_of_an_amount_does_not_matter(seed: int, unit: float) -> None:
    dice = np.random.default_rng(seed)
    values = 5 + weekly(1, 80) + dice.normal(0, 1, 80)
    values[dice.integers(60, 80)] += 40
    assert flagged(series(values, "amount")) == flagged(series(values * unit, "amount"))


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000), st.integers(LEAST_FIT_DAYS + 1, 79))
def test_later_days_have_no_say(seed: int, until: int) -> None:
    values = noisy(2, 80, seed)
    values[np.random.default_rng(seed).integers(0, 80, 4)] = np.nan
    values[np.random.default_rng(seed + 1).integers(0, 80, 3)] *= 4
    columns = ("period_start", "expected", "low", "high", "is_anomaly")
    told, told_before = (
        [tuple(row[name] for name in columns) for row in judged(series(known))] for known in (values, values[:until])
    )
    assert told[: len(told_before)] == told_before


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000), st.integers(0, 79))
def test_what_is_kept_of_an_earlier_build_is_what_would_come_of_it(seed: int, changed: int) -> None:
    dice = np.random.default_rng(seed)
    then = noisy(2, 79, seed)
    then[dice.integers(30, 79)] = 200
    now = np.append(then, 30)
    now[changed:] = dice.poisson(20, 80 - changed)
    earlier = judge(series(then), SCHEMA.empty_table(), FIRST)
    day = FIRST + timedelta(days=changed)
    kept = earlier.slice(0, sum(start < day for start in earlier["period_start"].to_pylist()))
    assert judge(series(now), kept, day) == judge(series(now), SCHEMA.empty_table(), FIRST)


@pytest.mark.parametrize("scale", ["count", "share", "amount"])
def test_scales_have_a_way_back(scale: Scale) -> None:
    values = np.array([0.0, 0.2, 1.0]) if scale == "share" else np.array([0.0, 1, 7, 1e6])
    assert as_values(spread_alike(values, scale), scale) == pytest.approx(values)
    if scale == "amount":
        assert as_values(spread_alike(-values, scale), scale) == pytest.approx(-values)
