"""Rows as they are handed out: each says of which metric it is, in which unit, and how exact.

How they become a file, `csv_output` says.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from tailtracker_bi.figures.catalogue import Metric
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
        },
        index=points.index,
    )


def each_as_data(named: Mapping[str, Metric], points: pd.DataFrame, grain: str) -> pd.DataFrame:
    """Values of several metrics; `segment_value` of the points is the name of each."""
    return pd.concat(as_data(metric, points[points["segment_value"] == name], grain) for name, metric in named.items())


def of_metric(metric: Metric, rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of another table than the metrics' values, which begin with the metric that they break down."""
    about = {"metric_id": metric.metric_id, "unit": metric.unit}
    return rows.assign(**about)[[*about, *rows.columns]]
