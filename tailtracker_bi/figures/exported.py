"""Rows as they are handed out: each says of which metric it is, in which unit, and how exact.

How they become a file, `csv_output` says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd

from tailtracker_bi.figures.catalogue import Metric
from tailtracker_bi.figures.points import HIDDEN
from tailtracker_bi.figures.readings import Reading
from tailtracker_bi.figures.wording import currency_of, is_money


def as_data(metric: Metric, points: pd.DataFrame, grain: str, segment: str = "all") -> pd.DataFrame:
    """Values of a metric; those of the segment `currency` are each in its own."""
    value_of = points["segment_value"] if segment != "all" else pd.Series("all", index=points.index)
    total = pd.Series(currency_of(metric.format), index=points.index)
    return pd.DataFrame(
        {
            "metric_id": metric.metric_id,
            "unit": metric.unit,
            "currency": (value_of if segment == "currency" else total) if is_money(metric.format) else None,
            "grain": grain,
            "period_start": points["period_start"],
            "segment": segment,
            "segment_value": value_of,
            **{name: points[name] for name in ("numerator", "denominator", "value", "is_complete")},
            "exact_since": metric.exact_since,
            "caveat": metric.caveat,
            **({HIDDEN: points[HIDDEN]} if HIDDEN in points else {}),
        },
        index=points.index,
    )


def each_as_data(named: Mapping[str, Metric], points: pd.DataFrame, grain: str) -> pd.DataFrame:
    """Values of several metrics; `segment_value` of the points is the name of each."""
    return pd.concat(as_data(metric, points[points["segment_value"] == name], grain) for name, metric in named.items())


def readings_as_data(readings: Iterable[tuple[Reading, str]]) -> pd.DataFrame:
    """Readings, each with the grain that it is of: the columns of `as_data`, and what it compares with."""
    return pd.DataFrame(
        [
            {
                "metric_id": reading.metric.metric_id,
                "unit": reading.metric.unit,
                "currency": currency_of(reading.metric.format) if is_money(reading.metric.format) else None,
                "grain": grain,
                "period_start": reading.now.period_start,
                "segment": "all",
                "segment_value": "all",
                "numerator": reading.now.numerator,
                "denominator": reading.now.denominator,
                "value": reading.now.value,
                "is_complete": reading.now.is_complete,
                "exact_since": reading.metric.exact_since,
                "caveat": reading.metric.caveat,
                "before_start": reading.before.period_start,
                "before": reading.before.value,
                "target": reading.metric.target,
            }
            for reading, grain in readings
        ]
    )


def of_metric(metric: Metric, rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of another table than the metrics' values, which begin with the metric that they break down."""
    about = {"metric_id": metric.metric_id, "unit": metric.unit}
    return rows.assign(**about)[[*about, *rows.columns]]
