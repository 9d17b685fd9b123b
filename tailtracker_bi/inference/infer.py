"""All that is inferred of a build, keeping of the build before what rests on values that did not change."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from tailtracker_bi.inference import anomalies, forecasts
from tailtracker_bi.inference.series import Series, first_change, series_of

STATUS = pa.schema([(name, pa.string()) for name in ("metric_id", "what", "reason")])
SCHEMAS = {
    "anomalies": anomalies.SCHEMA,
    "forecasts": forecasts.SCHEMA,
    "past_forecasts": forecasts.PAST_SCHEMA,
    "inference_status": STATUS,
}
"""The tables that come of it. `inference_status` has a row for each metric and table that was tried; `reason` says why
nothing came of it, or is null."""


def infer(values: pa.Table, before: Mapping[str, pa.Table], as_of: date) -> dict[str, pa.Table]:
    """The tables of SCHEMAS for values of SERIES, as of the day after the last that could be complete.

    `before` has the values that the build before was made of, as `values`, and its tables of SCHEMAS; it is empty where
    there was none.
    """
    then = {series.metric_id: series for series in series_of(before["values"])} if before else {}
    found: dict[str, list[pa.Table]] = {name: [schema.empty_table()] for name, schema in SCHEMAS.items()}
    for series in series_of(values):
        changed = first_change(series, then.get(series.metric_id))
        judged, why_not = _judged(series, _kept(before, "anomalies", series.metric_id), changed)
        found["anomalies"].append(judged)
        found["inference_status"].append(_status(series, "anomalies", why_not))
        if series.metric_id in forecasts.FORECAST:
            ahead, past = (_kept(before, name, series.metric_id) for name in ("forecasts", "past_forecasts"))
            ahead, past, why_not = _forecast(series, ahead, past, changed, as_of)
            found["forecasts"].append(ahead)
            found["past_forecasts"].append(past)
            found["inference_status"].append(_status(series, "forecasts", why_not))
    return {name: pa.concat_tables(parts) for name, parts in found.items()}


def _kept(before: Mapping[str, pa.Table], name: str, metric_id: str) -> pa.Table:
    """The metric's rows of a table of the build before."""
    table = before[name] if before else SCHEMAS[name].empty_table()
    return table.filter(pc.equal(table["metric_id"], metric_id))


def _by(rows: pa.Table, method: str) -> pa.Table:
    return rows.filter(pc.equal(rows["method"], method))


def _status(series: Series, what: str, reason: str | None) -> pa.Table:
    return pa.Table.from_pylist([{"metric_id": series.metric_id, "what": what, "reason": reason}], STATUS)


def _judged(series: Series, kept: pa.Table, changed: date | None) -> tuple[pa.Table, str | None]:
    """Its anomalies, and why no day was judged, if none was."""
    rows = _by(kept, anomalies.METHODS[series.scale])
    if changed or not rows.num_rows:
        changed = changed or series.first
        rows = anomalies.judge(series, rows.filter(pc.less(rows["period_start"], changed)), changed)
    if rows["is_anomaly"].null_count < rows.num_rows:
        return rows, None
    if len(series.values) < anomalies.LEAST_DAYS:
        return rows, f"{len(series.values)} days, where {anomalies.LEAST_DAYS} say what is usual"
    return rows, "on most days it is as before, or unknown, so that nothing says how much change is usual"


def _forecast(
    series: Series, ahead: pa.Table, past: pa.Table, changed: date | None, as_of: date
) -> tuple[pa.Table, pa.Table, str | None]:
    """Its forecast, those of the past, and why there is none; `ahead` and `past` are those of the build before."""
    ahead, past = (_by(rows, forecasts.METHODS[forecasts.FORECAST[series.metric_id]]) for rows in (ahead, past))
    try:
        forecasts.check(series, as_of)
        if changed or not ahead.num_rows:
            ahead, past = forecasts.forecast(series, past, changed or series.end)
    except forecasts.NoForecastError as error:
        return SCHEMAS["forecasts"].empty_table(), SCHEMAS["past_forecasts"].empty_table(), str(error)
    return ahead, past, None
