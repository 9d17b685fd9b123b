"""Days out of the ordinary: further from what the days before let one expect than such expectations usually are.

Each day is forecast from the days before it alone: the trend of a robust STL, with half of its last slope, and the
weekday's season (Cleveland et al. 1990). The errors of such forecasts, not the residuals of a fit that knew the day,
say how far is usual: 1.4826 times their median absolute size, and never less than chance alone makes of a count or a
share. Beyond 3.5 of these is an anomaly (Iglewicz and Hoaglin 1993). A level that lasts is flagged for about a week,
until most of what the trend is drawn through has it.
"""

from __future__ import annotations

from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tailtracker_bi.inference.series import WEEK, Floats, Series, as_values, chance, filled, spread_alike
from tailtracker_bi.settings import keep_algebra_on_one_thread

SCHEMA = pa.schema(
    [
        ("metric_id", pa.string()),
        ("grain", pa.string()),
        ("period_start", pa.date32()),
        ("value", pa.float64()),
        ("expected", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("is_anomaly", pa.bool_()),
        ("method", pa.string()),
        ("false_alarms_backtested", pa.float64()),
    ]
)
METHODS = {"count": "stl_root", "share": "stl_arcsine", "amount": "stl_square_root"}
FIT_DAYS, LEAST_FIT_DAYS = 13 * WEEK, 4 * WEEK
SEASONAL = 27
"""Weeks over which a weekday's season is smoothed: twice those of a fit, in which it then hardly moves."""
DAMPED = 0.5
"""Of the trend's last slope: with all of it a fall is expected to go on, with nothing growth is expected to end."""
ERROR_DAYS, LEAST_ERRORS = 8 * WEEK, 4 * WEEK
LEAST_DAYS = LEAST_FIT_DAYS + LEAST_ERRORS + 1
"""Fewer days give no band."""
WIDTH = 3.5
NO_SPREAD = 1e-6
"""Of the largest value: less than this is what computing leaves of nothing."""
LASTING = 3
"""So many days in a row beyond the same bound are a new level. Fewer have no say in what is expected later."""


def judge(series: Series, kept: pa.Table, changed: date) -> pa.Table:
    """A row of SCHEMA for each day with a value that four weeks came before, ordered.

    Without a band, and not judged, are the first days, and those before which most errors were nothing. `kept` has the
    rows of an earlier build of days before `changed`, until which the values are the same: they are what they were.
    """
    judged = spread_alike(series.values, series.scale)
    least = chance(series)
    expected, low, high = bands = _remembered(series, kept)
    errors = judged - spread_alike(expected, series.scale)
    usual = judged.copy()
    for place in range(LEAST_FIT_DAYS, len(judged)):
        before, day = slice(max(place - FIT_DAYS, 0), place), slice(place, place + 1)
        if place >= series.place(changed) and _is_enough(judged[before]) and not np.isnan(judged[place]):
            # To the metric's unit and back, as an earlier build's.
            expected[day] = as_values(_next(usual[before]), series.scale)
            middle = spread_alike(expected[day], series.scale)
            errors[day] = judged[day] - middle
            spread = _spread(errors[max(place - ERROR_DAYS, 0) : place], least[place])
            if spread > NO_SPREAD * np.nanmax(np.abs(judged[: place + 1])):
                low[day] = as_values(middle - WIDTH * spread, series.scale)
                high[day] = as_values(middle + WIDTH * spread, series.scale)
        if series.values[place] < low[place] or series.values[place] > high[place]:
            usual[day] = np.nan
        days = slice(place + 1 - LASTING, place + 1)
        if (series.values[days] < low[days]).all() or (series.values[days] > high[days]).all():
            usual[days] = judged[days]
    told = np.flatnonzero(~np.isnan(expected))
    return _rows(series, told, bands, _false_alarms(errors, least, np.flatnonzero(~np.isnan(low))))


def _is_enough(window: Floats) -> bool:
    return 2 * int(np.count_nonzero(~np.isnan(window))) >= len(window)


def _next(window: Floats) -> Floats:
    """What is expected of the one day after a window, on the scale of its values."""
    # A second of processor time, which a build without a new day need not spend.
    keep_algebra_on_one_thread()
    from statsmodels.tsa.seasonal import STL

    model = STL(filled(window), period=WEEK, seasonal=SEASONAL, seasonal_deg=0, robust=True)
    fit = model.fit(inner_iter=1, outer_iter=5)
    slope = (fit.trend[-1:] - fit.trend[-1 - WEEK]) / WEEK
    expected: Floats = fit.trend[-1:] + DAMPED * slope + fit.seasonal[-WEEK]
    return expected


def _spread(errors: Floats, least: float) -> float:
    """Of errors, as a standard deviation; 0 where too few are known."""
    known = errors[~np.isnan(errors)]
    return max(1.4826 * float(np.median(np.abs(known))), least) if len(known) >= LEAST_ERRORS else 0.0


def _false_alarms(errors: Floats, least: Floats, judged: npt.NDArray[np.intp]) -> float | None:
    """How many days would be flagged if the errors of each eight weeks had come in any other order, as a share.

    The errors of days on which something did happen are among them: for nothing there are as many alarms at most.
    """
    shares = []
    for place in judged:
        pool = errors[max(place - ERROR_DAYS, 0) : place + 1]
        sizes = np.abs(pool[~np.isnan(pool)])
        shares.append(np.mean(sizes > WIDTH * max(1.4826 * float(np.median(sizes)), least[place])))
    return float(np.mean(shares)) if shares else None


def _remembered(series: Series, kept: pa.Table) -> tuple[Floats, Floats, Floats]:
    """By day, what an earlier build expected and the bounds of its band, in the metric's unit; else NaN."""
    days = kept["period_start"].to_numpy().astype("datetime64[D]")
    columns = np.full((3, len(series.values)), np.nan)
    for column, name in zip(columns, ("expected", "low", "high"), strict=True):
        column[(days - np.datetime64(series.first, "D")).astype(int)] = kept[name].to_numpy(zero_copy_only=False)
    return columns[0], columns[1], columns[2]


def _rows(
    series: Series, told: npt.NDArray[np.intp], bands: tuple[Floats, ...], false_alarms: float | None
) -> pa.Table:
    values = series.values[told]
    expected, low, high = (bound[told] for bound in bands)
    return pa.table(
        {
            "metric_id": [series.metric_id] * len(told),
            "grain": ["day"] * len(told),
            "period_start": [series.day(place) for place in told.tolist()],
            "value": values,
            "expected": expected,
            "low": pa.array(low, from_pandas=True),
            "high": pa.array(high, from_pandas=True),
            "is_anomaly": pa.array((values < low) | (values > high), mask=np.isnan(low)),
            "method": [METHODS[series.scale]] * len(told),
            "false_alarms_backtested": [false_alarms] * len(told),
        },
        SCHEMA,
    )
