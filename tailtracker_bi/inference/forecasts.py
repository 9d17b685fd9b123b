"""Where a metric is going in the next four weeks, and how often such bands held so far.

Exponential smoothing with a damped trend and a season by weekday, ETS(A,Ad,A), of the values' logarithm or root
(Hyndman et al. 2008). Its own bands take the model for the truth, and are too narrow where a product grows. So they are
widened by what its past forecasts would have needed: once a week of history a forecast is made of the days before
alone; of the errors known by some day, each over the width of the band that it had, the level's finite-sample quantile
is the factor (split conformal prediction, Vovk et al. 2005). The coverage that is told is of these past bands, each
widened by what was known on the day it was made on.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal, TypeAlias

import numpy as np
import pyarrow as pa

from tailtracker_bi.inference.series import WEEK, Floats, Series, filled
from tailtracker_bi.settings import keep_algebra_on_one_thread

Scale: TypeAlias = Literal["log", "root"]
FORECAST: Mapping[str, Scale] = {"active_users": "log", "dau": "log", "wau": "log", "mau": "log", "mrr": "root"}
"""Metrics of which the next days are told, each on the scale on which the past ones of a growing product did best."""
METHODS = {"log": "ets_log_conformal", "root": "ets_root_conformal"}
LEVEL = 0.8
HORIZON = 28
FIT_DAYS, LEAST_FIT_DAYS = 26 * WEEK, 5 * WEEK
ORIGINS = 16
"""Past forecasts that are looked at, one a week."""
LEAST_KNOWN = 28
"""Errors that have to be known before bands are widened by them."""
LEAST_TESTED = 4
"""Past forecasts with such bands, without which no coverage and no forecast is told."""
LEAST_DAYS = LEAST_FIT_DAYS + (LEAST_TESTED + 3) * WEEK
"""By then there are so many."""
LEAST_WIDTH = 1e-9
"""Of the usual size of a value: a model that fits exactly has no width, by which errors could be divided."""
STALE_DAYS = 7
"""A metric that had no complete day for longer is not forecast."""
_IDS = [("metric_id", pa.string()), ("grain", pa.string())]
_BAND = [("period_start", pa.date32()), ("value", pa.float64()), ("low", pa.float64()), ("high", pa.float64())]
_HOW = [("level", pa.float64()), ("method", pa.string())]
_TESTED = [("coverage_backtested", pa.float64()), ("origins_backtested", pa.int32())]
SCHEMA = pa.schema([*_IDS, *_BAND, *_HOW, *_TESTED])
PAST_SCHEMA = pa.schema([*_IDS, ("made_on", pa.date32()), *_BAND, *_HOW, ("half_width", pa.float64())])
"""`made_on` is the first day that is told, `half_width` the model's own, on its scale. `low` and `high` are null while
too few errors were known."""


class NoForecastError(Exception):
    """Why there is none, in some words."""


@dataclass(frozen=True)
class Path:
    """The days from a place on, as a model told them from those before: values, and half the width of its own band."""

    start: int
    values: Floats
    half_widths: Floats


def check(series: Series, as_of: date) -> None:
    """Raise NoForecastError where a forecast is not worth a try."""
    recent = series.values[-FIT_DAYS:]
    known = recent[~np.isnan(recent)]
    if as_of - series.end > timedelta(days=STALE_DAYS):
        raise NoForecastError(f"no day is complete since {series.end - timedelta(days=1)}")
    if 2 * len(known) < len(recent):
        raise NoForecastError("more days are unknown than known")
    if len(known) < LEAST_DAYS:
        raise NoForecastError(f"{len(known)} days are complete, where {LEAST_DAYS} say how well forecasts do")
    if len(set(known[-HORIZON:])) == 1:
        raise NoForecastError(f"it was the same on each of the last {HORIZON} days")


def forecast(series: Series, kept: pa.Table, changed: date) -> tuple[pa.Table, pa.Table]:
    """A row of SCHEMA for each of the next days, and one of PAST_SCHEMA for each day of each past forecast.

    `kept` has the past forecasts of an earlier build; those made until `changed`, before which no value is another, are
    what they were. Raises NoForecastError.
    """
    scale = FORECAST[series.metric_id]
    remembered = _remembered(series, kept, changed)
    past = [remembered.get(start) or _fitted(series, scale, start) for start in _origins(series)]
    factors = [_factor(past, series.values[: path.start], scale) for path in past]
    held = [
        _held(path, factor, series.values, scale)
        for path, factor in zip(past, factors, strict=True)
        if factor is not None
    ]
    factor = _factor(past, series.values, scale)
    if factor is None or len(held) < LEAST_TESTED:
        raise NoForecastError("too few days are known to say how well forecasts do")
    ahead = _fitted(series, scale, len(series.values))
    tested = {"coverage_backtested": float(np.concatenate(held).mean()), "origins_backtested": len(held)}
    return (
        pa.Table.from_pylist([row | tested for row in _rows(series, ahead, factor, scale)], SCHEMA),
        pa.Table.from_pylist(
            [row for path, own in zip(past, factors, strict=True) for row in _rows(series, path, own, scale)],
            PAST_SCHEMA,
        ),
    )


def _origins(series: Series) -> Sequence[int]:
    """Places of the days that past forecasts begin with: the same weekday each, whatever day it is now."""
    first = -series.first.toordinal() % WEEK
    return [place for place in range(first, len(series.values), WEEK) if place >= LEAST_FIT_DAYS][-ORIGINS:]


def _fitted(series: Series, scale: Scale, start: int) -> Path:
    """What the days before `start` let one expect of those from there on."""
    # A second of processor time, which a build without a new day need not spend.
    keep_algebra_on_one_thread()
    import pandas as pd
    from statsmodels.tools.sm_exceptions import ModelWarning
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

    before = _scaled(filled(series.values[max(start - FIT_DAYS, 0) : start]), scale)
    # Near 1 a fit converges, whatever the unit.
    size = float(np.mean(np.abs(before))) or 1.0
    model = ETSModel(
        pd.Series(before / size),
        error="add",
        trend="add",
        damped_trend=True,
        seasonal="add",
        seasonal_periods=WEEK,
        # From the first weeks, and not by likelihood: a tenth of the time, and forecasts are as good.
        initialization_method="heuristic",
    )
    with warnings.catch_warnings():
        # How good a fit is that did not converge, past forecasts tell.
        warnings.simplefilter("ignore", ModelWarning)
        fit = model.fit(disp=False)
        told = fit.get_prediction(len(before), len(before) + HORIZON - 1).summary_frame(alpha=1 - LEVEL) * size
    values = _unscaled(told["mean"].to_numpy(), scale)
    half_widths = np.maximum((told["pi_upper"] - told["mean"]).to_numpy(), LEAST_WIDTH * size)
    if not np.isfinite(values + half_widths).all():
        raise NoForecastError("no model fits it")
    return Path(start, values, half_widths)


def _factor(past: Sequence[Path], known: Floats, scale: Scale) -> float | None:
    """By what bands are widened when these values are known, never below 1: a few weeks of luck narrow no band."""
    needed = [np.empty(0)]
    for path in past:
        actual = known[path.start : path.start + HORIZON]
        errors = np.abs(_scaled(actual, scale) - _scaled(path.values[: len(actual)], scale))
        needed.append(errors[~np.isnan(errors)] / path.half_widths[: len(actual)][~np.isnan(errors)])
    ordered = np.sort(np.concatenate(needed))
    if len(ordered) < LEAST_KNOWN:
        return None
    return max(1.0, float(ordered[math.ceil(LEVEL * (len(ordered) + 1)) - 1]))


def _band(path: Path, factor: float, scale: Scale) -> tuple[Floats, Floats]:
    middle, reach = _scaled(path.values, scale), factor * path.half_widths
    return _unscaled(middle - reach, scale), _unscaled(middle + reach, scale)


def _held(path: Path, factor: float, values: Floats, scale: Scale) -> Floats:
    """1 for each known day within the band, 0 for those beyond it."""
    actual = values[path.start : path.start + HORIZON]
    low, high = (bound[: len(actual)] for bound in _band(path, factor, scale))
    return ((low <= actual) & (actual <= high))[~np.isnan(actual)].astype(float)


def _scaled(values: Floats, scale: Scale) -> Floats:
    """What is counted or paid in all is never below 0."""
    return _SCALES[scale][0](np.maximum(values, 0))


def _unscaled(scaled: Floats, scale: Scale) -> Floats:
    return _SCALES[scale][1](np.maximum(scaled, 0))


_SCALES: Mapping[Scale, tuple[Callable[[Floats], Floats], Callable[[Floats], Floats]]] = {
    "log": (np.log1p, np.expm1),
    "root": (np.sqrt, np.square),
}


def _rows(series: Series, path: Path, factor: float | None, scale: Scale) -> list[dict[str, object]]:
    """A row for each of its days; without bounds where there is no factor."""
    low, high = ([None] * HORIZON, [None] * HORIZON) if factor is None else _band(path, factor, scale)
    return [
        {
            "metric_id": series.metric_id,
            "grain": "day",
            "made_on": series.day(path.start),
            "period_start": series.day(path.start + number),
            "value": path.values[number],
            "low": low[number],
            "high": high[number],
            "level": LEVEL,
            "method": METHODS[scale],
            "half_width": path.half_widths[number],
        }
        for number in range(HORIZON)
    ]


def _remembered(series: Series, kept: pa.Table, changed: date) -> dict[int, Path]:
    """The past forecasts that days before `changed` alone went into, by the place they begin at."""
    found: dict[int, list[dict[str, float]]] = {}
    for row in kept.to_pylist():
        if row["made_on"] <= changed:
            found.setdefault(series.place(row["made_on"]), []).append(row)
    return {
        start: Path(start, *(np.array([row[name] for row in rows]) for name in ("value", "half_width")))
        for start, rows in found.items()
    }
