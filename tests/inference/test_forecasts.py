"""Where a metric goes: series whose next days are known, and how often bands hold."""

from __future__ import annotations

import warnings
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest

from tailtracker_bi.inference import forecasts
from tailtracker_bi.inference.forecasts import HORIZON, LEAST_DAYS, LEVEL, PAST_SCHEMA, NoForecastError, check, forecast
from tailtracker_bi.inference.series import Floats, Series

FIRST = date(2024, 1, 1)
SEASON = 5 * np.array([0, 1, 2, 3, 2, -4, -4])


def series(values: Floats, metric_id: str = "dau") -> Series:
    return Series(metric_id, "count", FIRST, values, np.full(len(values), np.nan))


def weekly(level: float, days: int) -> Floats:
    return level + SEASON[np.arange(days) % 7]


def noisy(days: int, seed: int = 0) -> Floats:
    return weekly(200, days) + np.random.default_rng(seed).normal(0, 5, days)


def forecast_of(one: Series) -> tuple[pa.Table, pa.Table]:
    check(one, one.end)
    return forecast(one, PAST_SCHEMA.empty_table(), one.first)


@pytest.fixture(scope="module")
def told() -> tuple[pa.Table, pa.Table]:
    return forecast_of(series(noisy(130)))


def test_four_weeks_are_told_from_the_first_unknown_day_on(told: tuple[pa.Table, pa.Table]) -> None:
    ahead, _ = told
    assert ahead["period_start"].to_pylist() == [FIRST + timedelta(days=130 + number) for number in range(HORIZON)]
    assert set(ahead["level"].to_pylist()) == {LEVEL}
    assert np.array(ahead["value"]) == pytest.approx(weekly(200, 130 + HORIZON)[130:], abs=12)


def test_bands_hold_as_often_as_they_say() -> None:
    held, coverages = [], []
    for seed in range(3):
        values = noisy(130 + HORIZON, seed)
        ahead, _ = forecast_of(series(values[:130]))
        held += list((np.array(ahead["low"]) <= values[130:]) & (values[130:] <= np.array(ahead["high"])))
        coverages.append(ahead["coverage_backtested"][0].as_py())
    assert np.mean(coverages) == pytest.approx(LEVEL, abs=0.1)
    assert np.mean(held) == pytest.approx(LEVEL, abs=0.12)


def test_bands_are_widened_by_what_past_ones_would_have_needed() -> None:
    """On the scale of the root errors of 1 to 28 half-widths: the 24th of them, as 0.8 of 29 is 23.2."""
    path = forecasts.Path(0, np.full(HORIZON, 10_000.0), np.full(HORIZON, 2.0))
    errors = np.random.default_rng(0).permutation(np.arange(1, HORIZON + 1))
    actual = (100 + 2 * errors * np.where(errors % 2, 1, -1)) ** 2.0
    assert forecasts._factor([path], actual, "root") == pytest.approx(24)
    assert forecasts._band(path, 24, "root") == (pytest.approx(np.full(HORIZON, 52.0**2)), pytest.approx(148.0**2))
    assert forecasts._factor([path], actual[:-1], "root") is None
    assert forecasts._factor([path], (100 + errors / 100) ** 2, "root") == 1, "luck narrows no band"


def test_coverage_is_counted_of_past_bands_and_days_that_are_known(told: tuple[pa.Table, pa.Table]) -> None:
    ahead, past = told
    values = noisy(130)
    held, origins = [], set()
    for row in past.to_pylist():
        place = (row["period_start"] - FIRST).days
        assert (row["made_on"] - FIRST).days >= forecasts.LEAST_FIT_DAYS
        assert row["made_on"].toordinal() % 7 == 0
        if row["low"] is not None and place < 130:
            origins.add(row["made_on"])
            held.append(row["low"] <= values[place] <= row["high"])
    assert ahead["coverage_backtested"][0].as_py() == pytest.approx(np.mean(held))
    assert ahead["origins_backtested"][0].as_py() == len(origins)


def test_a_past_forecast_knows_nothing_of_its_days(told: tuple[pa.Table, pa.Table]) -> None:
    _, past = told
    [day] = set(past["made_on"].to_pylist()[-2 * HORIZON : -HORIZON])
    values = noisy(130)
    values[(day - FIRST).days :] *= 3
    _, other = forecast_of(series(values))
    until = [made_on <= day for made_on in past["made_on"].to_pylist()]
    assert other.filter(pa.array(until)) == past.filter(pa.array(until))
    assert other != past


def test_what_is_counted_is_never_below_nothing() -> None:
    values = np.maximum(100.0 - np.arange(100), 0) + np.random.default_rng(0).integers(0, 3, 100)
    ahead, past = forecast_of(series(values))
    for table in (ahead, past):
        for row in table.to_pylist():
            if row["low"] is not None:
                assert 0 <= row["low"] <= row["value"] <= row["high"]


@pytest.mark.parametrize("unit", [1e-3, 1e7])
def test_the_unit_of_money_does_not_matter(unit: float) -> None:
    values = weekly(200, 90) + np.random.default_rng(7).normal(0, 5, 90)
    small, large = (np.array(forecast_of(series(values * factor, "mrr"))[0]["high"]) for factor in (1, unit))
    assert large == pytest.approx(small * unit, rel=0.02)


def test_missing_days_are_taken_as_their_weekday_was_and_no_reason_for_a_warning() -> None:
    values = noisy(130)
    values[[40, 41, 42, 100]] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ahead, _ = forecast_of(series(values))
    assert np.array(ahead["value"]) == pytest.approx(weekly(200, 130 + HORIZON)[130:], abs=15)


def test_a_series_without_noise_is_told_exactly() -> None:
    ahead, _ = forecast_of(series(weekly(200, 100)))
    assert np.array(ahead["value"]) == pytest.approx(weekly(200, 100 + HORIZON)[100:], rel=0.02)
    assert np.isfinite(np.array(ahead["high"])).all()


@pytest.mark.parametrize(
    ("values", "late", "reason"),
    [
        (noisy(LEAST_DAYS - 1), 0, f"{LEAST_DAYS - 1} days are complete, where {LEAST_DAYS} say how well forecasts do"),
        (np.where(np.arange(200) % 3 == 0, 5.0, np.nan), 0, "more days are unknown than known"),
        (np.append(noisy(100), np.full(HORIZON, 7.0)), 0, f"it was the same on each of the last {HORIZON} days"),
        (noisy(100), 8, "no day is complete since 2024-04-09"),
    ],
)
def test_where_there_is_too_little_there_is_no_forecast_and_a_reason(values: Floats, late: int, reason: str) -> None:
    one = series(values)
    with pytest.raises(NoForecastError) as error:
        check(one, one.end + timedelta(days=late))
    assert str(error.value) == reason


def test_the_fewest_days_that_are_enough_are_enough() -> None:
    for beginning in range(7):
        one = Series("dau", "count", FIRST + timedelta(days=beginning), noisy(LEAST_DAYS), np.full(LEAST_DAYS, np.nan))
        assert len(forecasts._origins(one)) >= forecasts.LEAST_TESTED + 3


def test_past_forecasts_are_kept_as_they_are_where_no_day_before_them_changed() -> None:
    values = noisy(100)
    _, then = forecast_of(series(values[:99]))
    values[80] += 50
    day = FIRST + timedelta(days=80)
    assert forecast(series(values), then, day) == forecast_of(series(values))
    made: list[int] = []
    fitted = forecasts._fitted
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forecasts, "_fitted", lambda one, scale, start: made.append(start) or fitted(one, scale, start))
        forecast(series(values), then, day)
    assert made == [start for start in forecasts._origins(series(values)) if start > 80] + [100]
