"""A metric day by day, and the scale on which its days vary alike.

Chance makes larger counts vary more, and shares near a half more than those near 0 or 1. A root and an arcsine take
that away (Anscombe 1948): on their scale the variance of a Poisson count is 1, that of a share of n people 1 / n. So
one band fits quiet days and busy ones, and says what chance alone does where days are few.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Floats: TypeAlias = npt.NDArray[np.float64]
Scale: TypeAlias = Literal["count", "share", "amount"]

WEEK = 7
SERIES = pa.schema(
    [
        ("metric_id", pa.string()),
        ("unit", pa.string()),
        ("format", pa.string()),
        ("period_start", pa.date32()),
        ("value", pa.float64()),
        ("denominator", pa.float64()),
    ]
)
"""Complete values of a day each, of everyone, ordered by metric and day; of some metrics no day or not every day."""
MEASURED = {"milliseconds"}
"""Units of whole numbers that count nothing."""


@dataclass(frozen=True)
class Series:
    """A metric from its first complete day to its last: one value a day, NaN where the day has no complete one.

    `of` is what each value is a share of, NaN for what is no share.
    """

    metric_id: str
    scale: Scale
    first: date
    values: Floats
    of: Floats

    @property
    def end(self) -> date:
        """The day after the last."""
        return self.day(len(self.values))

    def day(self, place: int) -> date:
        """That many days after the first."""
        return self.first + timedelta(days=place)

    def place(self, day: date) -> int:
        """How many days it is after the first."""
        return (day - self.first).days


def series_of(values: pa.Table) -> Iterator[Series]:
    """Each metric of a table of SERIES."""
    if not values.num_rows:
        return
    names = values["metric_id"].to_numpy(zero_copy_only=False)
    starts = [0, *(np.flatnonzero(names[1:] != names[:-1]) + 1), len(names)]
    for start, stop in pairwise(starts):
        own = values.slice(start, stop - start)
        days = own["period_start"].to_numpy().astype("datetime64[D]")
        place = (days - days[0]).astype(int)
        full = np.full((2, place[-1] + 1), np.nan)
        full[0, place] = own["value"].to_numpy(zero_copy_only=False)
        full[1, place] = own["denominator"].to_numpy(zero_copy_only=False)
        full[~np.isfinite(full)] = np.nan
        scale = _scale(own["unit"][0].as_py(), own["format"][0].as_py())
        yield Series(str(names[start]), scale, days[0].item(), full[0], full[1])


def _scale(unit: str, form: str) -> Scale:
    if form == "percent":
        return "share"
    return "count" if form == "integer" and unit not in MEASURED else "amount"


def first_change(now: Series, then: Series | None) -> date | None:
    """The first day of which two builds tell something else, or one of them nothing; None where there is no such day.

    Without `then`, and where it begins on another day, that is the first of all.
    """
    if then is None or then.first != now.first or then.scale != now.scale:
        return now.first
    shared = min(len(now.values), len(then.values))
    is_other = np.zeros(shared, dtype=bool)
    for one, other in ((now.values[:shared], then.values[:shared]), (now.of[:shared], then.of[:shared])):
        is_other |= (one != other) & ~(np.isnan(one) & np.isnan(other))
    if not is_other.any() and len(now.values) == len(then.values):
        return None
    return now.day(int(np.argmax(is_other)) if is_other.any() else shared)


def spread_alike(values: Floats, scale: Scale) -> Floats:
    """Values on the scale on which chance makes all of them vary alike."""
    if scale == "count":
        return 2 * np.sqrt(np.maximum(values, 0) + 3 / 8)
    if scale == "share":
        return 2 * np.arcsin(np.sqrt(np.clip(values, 0, 1)))
    return np.sign(values) * np.sqrt(np.abs(values))


def as_values(spread: Floats, scale: Scale) -> Floats:
    """From that scale back; what lies beyond any value becomes the last that there can be."""
    if scale == "count":
        return np.maximum(np.maximum(spread, 0) ** 2 / 4 - 3 / 8, 0)
    if scale == "share":
        return np.sin(np.clip(spread, 0, np.pi) / 2) ** 2
    return np.sign(spread) * spread**2


def chance(series: Series) -> Floats:
    """By day, how far chance alone spreads a value on that scale, as a standard deviation; 0 where it can't be told."""
    if series.scale == "count":
        return np.ones_like(series.values)
    if series.scale == "share":
        return np.nan_to_num(1 / np.sqrt(np.maximum(series.of, 1)))
    return np.zeros_like(series.values)


def filled(values: Floats) -> Floats:
    """With what the same weekday had nearest in time, the week before first, in place of NaN; else the median."""
    gaps = np.flatnonzero(np.isnan(values))
    if not len(gaps):
        return values
    whole = values.copy()
    for gap in gaps:
        same = np.arange(gap % WEEK, len(values), WEEK)
        known = same[~np.isnan(values[same])]
        nearest = known[np.argmin(np.abs(known - gap))] if len(known) else None
        whole[gap] = np.nanmedian(values) if nearest is None else values[nearest]
    return whole
