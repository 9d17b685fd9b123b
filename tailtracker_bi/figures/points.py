"""A metric's values over time as frames, a row a period: whole or split, and which of its rows are asked for.

Pure: rows of `metric_values` in, rows out.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import numpy as np
import pandas as pd

from tailtracker_bi.figures.catalogue import Metric
from tailtracker_bi.figures.wording import currency_of

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
HIDDEN = "is_hidden"
"""The column that says which numbers are known and not shown to whom the frame is for; without it all are shown."""


def by_metric(values: pd.DataFrame) -> dict[tuple[str, str], pd.DataFrame]:
    """Each metric over time by each grain that it has values of: the columns of NO_SERIES, in order.

    In one go, as there are hundreds. What is infinite is not known.
    """
    known = ordered(finite(values), "period_start").groupby(["metric_id", "grain"])[[*NO_SERIES, *_hidden(values)]]
    return {(str(metric_id), str(grain)): own.reset_index(drop=True) for (metric_id, grain), own in known}


def is_hidden(frame: pd.DataFrame) -> pd.Series:
    """Which of its numbers are known and not shown."""
    return frame[HIDDEN].eq(True) if HIDDEN in frame else pd.Series(False, frame.index)


def _hidden(frame: pd.DataFrame) -> list[str]:
    return [HIDDEN] if HIDDEN in frame else []


def finite(values: pd.DataFrame) -> pd.DataFrame:
    """The rows, with what is infinite not known."""
    return values.assign(**{name: values[name].replace([np.inf, -np.inf], np.nan) for name in NUMBERS})


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
    own = found[["period_start", "segment_value", "numerator", "denominator", "value", "has_row", *_hidden(found)]]
    filled = grid.merge(own, on=["period_start", "segment_value"], how="left")
    if metric.is_sum:
        filled["value"] = filled["value"].mask(filled["has_row"].isna() & filled["is_known"], 0.0)
    filled["size"] = filled["denominator"].fillna(filled["value"])
    told = ["period_start", "segment_value", "numerator", "denominator", "value", "size", "is_complete"]
    return _told(filled, [*told, *_hidden(found)])


def of_part(metric: Metric, whole: pd.DataFrame, own: pd.DataFrame) -> pd.DataFrame:
    """The values of one segment value over time, a row for each of everyone's: the columns of NO_SERIES.

    `own` has the rows that there are, of a metric that is split by the segment. A count or money without one is 0 where
    everyone's is known; a share or an average is unknown.
    """
    filled = whole[["period_start", "is_complete"]].merge(
        own.drop(columns="is_complete"), on="period_start", how="left"
    )
    if metric.is_sum:
        has_none = ~filled["period_start"].isin(own["period_start"]) & whole["value"].notna().to_numpy()
        filled["value"] = filled["value"].mask(has_none, 0.0)
    return _told(filled, [*NO_SERIES, *_hidden(own)])


def _told(filled: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Where there was no row nothing is hidden."""
    return filled.assign(**{HIDDEN: is_hidden(filled)})[columns] if HIDDEN in columns else filled[columns]


def compared(points: pd.DataFrame, shown: pd.DataFrame, grain: str, against: str) -> pd.DataFrame:
    """An earlier time to draw beside the periods shown: period_start (where), before_start (when it was), value.

    `against` is `previous`, as many periods just before, or `year`. Only where both periods are complete.
    """
    starts = shown.loc[shown["is_complete"], "period_start"]
    back = a_year_back(grain) if against == "year" else LENGTHS[grain] * shown["period_start"].nunique()
    beside = pd.DataFrame({"period_start": starts, "before_start": starts - back}).drop_duplicates("period_start")
    earlier = points[points["is_complete"]].rename(columns={"period_start": "before_start"})
    return beside.merge(earlier[["before_start", "value"]], on="before_start", how="inner")


def a_year_back(grain: str) -> pd.DateOffset:
    """To the same month of the year before, or by 52 weeks, so that weekdays compare."""
    return pd.DateOffset(months=12) if grain == "month" else pd.DateOffset(days=364)


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


def up_to(points: pd.DataFrame, last: date) -> pd.DataFrame:
    """The periods that begin by a day."""
    return points[points["period_start"] <= pd.Timestamp(last)]


def within(rows: pd.DataFrame, column: str, dates: tuple[date, date], grain: str) -> pd.DataFrame:
    """The rows of periods that have a day between two dates, both included."""
    first, last = (pd.Timestamp(moment) for moment in dates)
    starts = pd.to_datetime(rows[column])
    return rows[(starts <= last) & (starts + LENGTHS[grain] > first)]
