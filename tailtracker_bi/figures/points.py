"""A metric's values over time as frames, a row a period: whole or split, and which of its rows are asked for.

Pure: rows of `metric_values` in, rows out.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import numpy as np
import pandas as pd

from tailtracker_bi.figures.catalogue import Metric
from tailtracker_bi.figures.wording import currency_of, is_money

GRAINS = ("day", "week", "month")
LENGTHS = {"day": pd.DateOffset(days=1), "week": pd.DateOffset(days=7), "month": pd.DateOffset(months=1)}
NUMBERS = ["numerator", "denominator", "value"]
NO_SERIES = pd.DataFrame(
    {
        "period_start": pd.Series(dtype="datetime64[us]"),
        **{name: pd.Series(dtype="float64") for name in NUMBERS},
        "is_complete": pd.Series(dtype="bool"),
    }
)
"""A metric over time that has no values in a grain."""


def by_metric(values: pd.DataFrame) -> dict[tuple[str, str], pd.DataFrame]:
    """Each metric over time by each grain that it has values of: the columns of NO_SERIES, in order.

    In one go, as there are hundreds. What is infinite is not known.
    """
    finite = {name: values[name].replace([np.inf, -np.inf], np.nan) for name in NUMBERS}
    known = ordered(values.assign(**finite), "period_start").groupby(["metric_id", "grain"])[[*NO_SERIES]]
    return {(str(metric_id), str(grain)): own.reset_index(drop=True) for (metric_id, grain), own in known}


def ordered(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    """The rows by a column of dates, as timestamps."""
    dated = frame.assign(**{column: pd.to_datetime(frame[column])})
    return dated.sort_values(column).reset_index(drop=True)


def by_segment(metric: Metric, whole: pd.DataFrame, parts: pd.DataFrame) -> pd.DataFrame:
    """The values of one segment over time, beside everyone's: as that, with segment_value and size.

    Where a value has no row, a count and money are 0, and a share or an average is unknown. In a period of which
    nothing is known, all are unknown. `size` is how much a value stands for, to rank it by.
    """
    if parts.empty or whole.empty:
        return parts.assign(size=parts["value"])
    found = ordered(parts, "period_start").assign(has_row=True)
    is_known = whole["value"].notna() | whole["period_start"].isin(found.dropna(subset=["value"])["period_start"])
    values = pd.DataFrame({"segment_value": found["segment_value"].unique()})
    grid = whole[["period_start", "is_complete"]].assign(is_known=is_known).merge(values, how="cross")
    own = found[["period_start", "segment_value", "numerator", "denominator", "value", "has_row"]]
    filled = grid.merge(own, on=["period_start", "segment_value"], how="left")
    if metric.format == "integer" or is_money(metric.format):
        filled["value"] = filled["value"].mask(filled["has_row"].isna() & filled["is_known"], 0.0)
    filled["size"] = filled["denominator"].fillna(filled["value"])
    return filled[["period_start", "segment_value", "numerator", "denominator", "value", "size", "is_complete"]]


def without_total(metric: Metric, whole: pd.DataFrame, parts: pd.DataFrame) -> pd.DataFrame:
    """Amounts in foreign currencies of the periods that have no total in `whole`, as a rate was missing, in order.

    `parts` are the metric's values by currency.
    """
    untold = whole[whole["value"].isna()]["period_start"]
    found = ordered(parts.dropna(subset=["value"]), "period_start")
    return found[found["period_start"].isin(untold) & (found["segment_value"] != currency_of(metric.format))]


def longest_complete_grain(by_grain: Mapping[str, pd.DataFrame]) -> str:
    """The longest grain of which a period is complete, a day where none is."""
    complete = {grain for grain, own in by_grain.items() if own["is_complete"].any()}
    return next((grain for grain in reversed(GRAINS) if grain in complete), "day")


def within(rows: pd.DataFrame, column: str, dates: tuple[date, date], grain: str) -> pd.DataFrame:
    """The rows of periods that have a day between two dates, both included."""
    first, last = (pd.Timestamp(moment) for moment in dates)
    starts = pd.to_datetime(rows[column])
    return rows[(starts <= last) & (starts + LENGTHS[grain] > first)]
