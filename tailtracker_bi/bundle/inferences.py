"""What is inferred of a build's own numbers, and written beside them: of complete days, by the room `inference`."""

from __future__ import annotations

from datetime import date

import duckdb
import pyarrow as pa

from tailtracker_bi.inference import COHORTS, FORECAST, LIVES, MONTHS, PURCHASES, SCHEMAS, SERIES, infer, predict

READ = ("metrics.metric_definitions", "metrics.agg_subscriber_lives", "marts.fct_purchases", "config.run_context")
"""Of the warehouse."""

_DAYS = """
    select metric_id, unit, format, period_start, value, denominator
    from {build}.metric_values
    inner join warehouse.metrics.metric_definitions using (metric_id)
    where
        grain = 'day'
        and segment = 'all'
        and is_complete
        and value is not null
        -- What has a tile, and what tells of the app's health; what begins anew with each month jumps as it does.
        and (headline_rank is not null or domain = 'health' or list_contains($forecast, metric_id))
        and reads_since is distinct from 'month'
    order by metric_id, period_start
"""

_LIVES = "from warehouse.metrics.agg_subscriber_lives"
_PURCHASES = """
    select *, dense_rank() over (order by customer_id) as buyer, purchase_date as day from warehouse.marts.fct_purchases
"""
_COHORTS = "from main.revenue_cohorts where is_complete"

_MONTHS = """
    select
        value.segment,
        value.segment_value,
        value.period_start as month,
        value.value as arppu,
        value.denominator as subscribers,
        rate.numerator as churned,
        rate.denominator as opening
    from main.metric_values as value
    inner join main.metric_values as rate using (grain, period_start, segment, segment_value)
    where
        value.metric_id = 'arppu'
        and rate.metric_id = 'subscriber_churn_rate'
        and value.grain = 'month'
        and value.is_complete
        and rate.is_complete
"""

_BAND = {"low": "Lower end of the band.", "high": "Upper end of the band."}
_METHOD = {"method": "By what it was told; what another method told is told anew."}
INFERRED = {
    "anomalies": (
        "One row per headline metric and complete day: whether it is out of the ordinary, by the days before it.",
        {
            "expected": "What the days before let one expect.",
            "low": "Lower end of the band; null, as high and is_anomaly are, where nothing says what change is usual.",
            "high": _BAND["high"],
            "is_anomaly": "Whether the value lies beyond the band.",
            "false_alarms_backtested": "At most this share of the metric's days is flagged for nothing.",
        }
        | _METHOD,
    ),
    "forecasts": (
        "One row per metric and day of the four weeks after its last complete day: where it is going.",
        {
            "level": "Share of days that the bands are meant to hold.",
            "coverage_backtested": "Share of known days that the bands of past forecasts held.",
            "origins_backtested": "How many past forecasts that is of, one a week.",
        }
        | _BAND
        | _METHOD,
    ),
    "past_forecasts": (
        "One row per metric, past forecast and day: what the days before it alone would have told.",
        {
            "made_on": "The first day that is told; the days before it are those that it was told by.",
            "low": "Lower end of the band; null while too few forecasts had been tried.",
            "high": _BAND["high"],
            "half_width": "Half of the model's own band, on the scale of its method.",
        }
        | _METHOD,
    ),
    "ltv_predictions": (
        "One row per segment, segment value, method and months ahead: what a customer brings, by a month's end.",
        {
            "method": "realised: receipts of cohorts. arppu_over_churn: as if each month lost what the last did. "
            "survival: by how long subscribers stayed. sbg: by a shifted beta-geometric fitted to that, or, where all "
            "leave alike, by its limit, a geometric. bg_nbd: of who buys beside subscriptions, how often (BG/NBD) and "
            "for how much (Gamma-Gamma).",
            "horizon_months": "Months from the one in which a customer begins, which is the first; null: for ever.",
            "currency": "That of value.",
            "value": "Of survival and sbg ARPPU times the months that are paid for; null where status says why.",
            "ci_low": "Lower end of the interval for 95 %, which takes ARPPU as given; null where there is none.",
            "ci_high": "Upper end of the interval.",
            "customers": "How many it is told by.",
            "status": "ok, or why there is no value.",
            "backtest_months": "So many months ago it was tried, on those who began next; null where it can't be.",
            "backtest_error": "How much more it said then than they brought in MRR since, as a share of that.",
            "gross_margin": "The share of revenue that value is; 1 where no cost share is set in analytics.yml.",
        },
    ),
    "subscriber_survival": (
        "One row per segment, segment value, method and month: the share of subscribers still there at its end.",
        {
            "month_index": "0: the month in which they began.",
            "method": "survival: as seen (Kaplan and Meier). sbg: the shifted beta-geometric fitted to that.",
            "ci_low": "Lower end of the interval for 95 %.",
            "ci_high": "Upper end of the interval.",
            "at_risk": "Subscribers behind the month; null of what is fitted.",
        },
    ),
    "inference_status": (
        "One row per metric and table that was tried.",
        {"what": "anomalies or forecasts.", "reason": "Why nothing came of it; null where something did."},
    ),
}
"""What each of these tables is, and its columns."""


def add_inferences(connection: duckdb.DuckDBPyConnection, as_of: date) -> None:
    """Fill the tables of `inference` in the build that `connection` writes.

    Attached is, if readers have a build, that one as `readers`: what it has of unchanged days is taken over.
    """
    try:
        before = {"values": _days(connection, "readers")}
        before |= {name: connection.table(f"readers.{name}").to_arrow_table() for name in SCHEMAS}
    except (duckdb.CatalogException, duckdb.BinderException, duckdb.IOException):
        # There is none, or one from before there were such tables, or one that can't be read to its end.
        before = {}
    for name, table in infer(_days(connection, "main"), before, as_of).items():
        _keep(connection, name, table)
    (currency,) = connection.sql("select currency from bundle_info").fetchall()[0]
    lives, cohorts, months, purchases = (
        connection.sql(f"select {', '.join(schema.names)} from ({rows})").to_arrow_table().cast(schema)
        for rows, schema in ((_LIVES, LIVES), (_COHORTS, COHORTS), (_MONTHS, MONTHS), (_PURCHASES, PURCHASES))
    )
    (margin,) = connection.sql("select coalesce(gross_margin, 1) from warehouse.config.run_context").fetchall()[0]
    predictions, curves = predict(lives, cohorts, months, currency, float(margin), purchases)
    _keep(connection, "ltv_predictions", predictions)
    _keep(connection, "subscriber_survival", curves)


def _keep(connection: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> None:
    connection.register("inferred", table)
    connection.execute(f"create table {name} as from inferred")
    connection.unregister("inferred")


def _days(connection: duckdb.DuckDBPyConnection, build: str) -> pa.Table:
    return connection.execute(_DAYS.format(build=build), {"forecast": list(FORECAST)}).to_arrow_table().cast(SERIES)
