"""How a metric is read: its latest complete value or that of a period, pooled, compared with an earlier one, judged.

Pure: frames as `points.by_metric` gives them in, plain values out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from typing import Any

import pandas as pd

from tailtracker_bi.figures.catalogue import Metric
from tailtracker_bi.figures.wording import NO_CHANGE, change, number, sample

ENOUGH = 30
"""Of whatever is counted: a change of fewer is shown, and not judged."""
SURE = 1.96
"""Standard deviations that 95 of 100 chance differences stay within."""
COHORTS = 28
"""Daily cohorts of retention that are taken together: one alone is too small to compare."""
DAYS_APART, DAYS_APART_OF = 30, {"dau": 7, "wau": 7}
"""No metric looks back further than 30 days. `dau` compares with the same weekday."""


@dataclass(frozen=True)
class Figure:
    """A metric's value of a period, and what it was counted from. A count is its own numerator, without a denominator.

    One over several periods has the start of the first, and is complete where all are.
    """

    value: float | None = None
    numerator: float | None = None
    denominator: float | None = None
    period_start: pd.Timestamp | None = None
    is_complete: bool = False

    def size(self, form: str) -> float | None:
        """Of how many it is: n. None where nobody knows, as of an amount of money."""
        if self.denominator is not None:
            return self.denominator
        return self.value if form == "integer" else None


NOT_KNOWN = Figure()


@dataclass(frozen=True)
class Reading:
    """A figure of a metric and an earlier one that it compares with."""

    metric: Metric
    now: Figure = NOT_KNOWN
    before: Figure = NOT_KNOWN

    @property
    def shown(self) -> str:
        return number(self.now.value, self.metric.format)

    @property
    def shown_before(self) -> str:
        return number(self.before.value, self.metric.format)

    @property
    def target(self) -> str:
        return "" if self.metric.target is None else number(self.metric.target, self.metric.format)

    @property
    def sample(self) -> str:
        """Of how many a ratio is: a share of a few people says little."""
        return sample(self.now.denominator, self.before.denominator)

    @property
    def is_unfinished(self) -> bool:
        """Whether there is a value that may still change."""
        return self.now.value is not None and not self.now.is_complete

    @property
    def change(self) -> str:
        """Of complete values only; empty where they can't be compared."""
        if not (self.now.is_complete and self.before.is_complete):
            return ""
        return change(self.now.value, self.before.value, self.metric.format)

    @property
    def is_same(self) -> bool:
        """Whether the two are shown alike."""
        return self.change == NO_CHANGE

    @property
    def has_risen(self) -> bool:
        return (self.now.value or 0) > (self.before.value or 0)

    @property
    def judged(self) -> str:
        """`better`, `worse`, or `may be chance`; empty where nothing is compared."""
        return judged(self.metric, self.now, self.before) if self.change else ""

    @property
    def not_compared(self) -> str:
        """Why there is no change; empty where there is one, or no value."""
        if self.change or self.now.value is None:
            return ""
        return "not complete yet" if self.is_unfinished else "nothing to compare with"


def judged(metric: Metric, now: Figure, before: Figure) -> str:
    """`better`, `worse`, or `may be chance`; empty where there is no change, or neither is better.

    A count is judged where one of the two is 30 or more, a ratio where both are of 30 or more. They have to be further
    apart than 95 of 100 chance differences: two counts by 1.96 times the root of their sum, two shares by the test of
    two proportions. An average or median of nobody knows how many is not judged. Money is: it is no sample.
    """
    if metric.bigger_is_better is None or now.value is None or before.value is None or now.value == before.value:
        return ""
    if _may_be_chance(metric.format, now, before):
        return "may be chance"
    return "better" if (now.value > before.value) == metric.bigger_is_better else "worse"


def _may_be_chance(form: str, now: Figure, before: Figure) -> bool:
    size, size_before = now.size(form), before.size(form)
    if size is None or size_before is None:
        return not form.startswith("money")
    if now.denominator is None:
        return max(size, size_before) < ENOUGH or abs(size - size_before) <= SURE * math.sqrt(
            abs(size) + abs(size_before)
        )
    if min(size, size_before) < ENOUGH:
        return True
    part, part_before = now.numerator or 0.0, before.numerator or 0.0
    if form != "percent" or not (0 <= part <= size and 0 <= part_before <= size_before):
        return False
    share = (part + part_before) / (size + size_before)
    chance = math.sqrt(share * (1 - share) * (1 / size + 1 / size_before))
    return abs(part / size - part_before / size_before) <= SURE * chance


def at(points: pd.DataFrame, start: date) -> Figure:
    """The figure of the period that starts on a day; not known where there is no such period."""
    found = points[points["period_start"] == pd.Timestamp(start)]
    return _figure(found, 0) if len(found) else NOT_KNOWN


def _figure(points: pd.DataFrame, row: int) -> Figure:
    numbers: list[Any] = [points[name].iloc[row] for name in ("value", "numerator", "denominator")]
    value, numerator, denominator = (None if pd.isna(one) else float(one) for one in numbers)
    return Figure(
        value, numerator, denominator, points["period_start"].iloc[row], bool(points["is_complete"].iloc[row])
    )


def complete(points: pd.DataFrame) -> pd.DataFrame:
    """The rows whose value is known and stays: others are compared with nothing."""
    return points[points["is_complete"] & points["value"].notna()]


def latest(metric: Metric, points: pd.DataFrame, days_back: int = 0) -> Reading:
    """The latest complete value, and the last complete one at least `days_back` days before it.

    Of retention: over the last COHORTS complete days, and over as many before them where there are.
    """
    if metric.cohort_days:
        found = points[points["is_complete"] & points["denominator"].notna()]
        before = found.iloc[-2 * COHORTS : -COHORTS]
        return Reading(metric, pooled(found.iloc[-COHORTS:]), pooled(before) if len(before) == COHORTS else NOT_KNOWN)
    found = complete(points)
    if found.empty:
        return Reading(metric)
    starts = found["period_start"]
    earlier = int(starts.searchsorted(starts.iloc[-1] - pd.Timedelta(days=max(days_back, 1)), side="right"))
    return Reading(metric, _figure(found, -1), _figure(found, earlier - 1) if earlier else NOT_KNOWN)


def days_apart(metric: Metric, grain: str) -> int:
    """How many days before a figure the one that it compares with is at least, so that no day is counted in both."""
    return DAYS_APART_OF.get(metric.metric_id, DAYS_APART) if grain == "day" else 0


def pooled(points: pd.DataFrame) -> Figure:
    """A ratio over several periods: sum over sum, never a mean of ratios; none where nothing is to divide by."""
    if points.empty:
        return NOT_KNOWN
    start, is_complete = points["period_start"].iloc[0], bool(points["is_complete"].all())
    over, under = float(points["numerator"].sum()), float(points["denominator"].sum())
    if not under:
        return Figure(period_start=start, is_complete=is_complete)
    return Figure(over / under, over, under, start, is_complete)


def retention_curve(cohorts: pd.DataFrame) -> pd.DataFrame:
    """Share of people back by period, over complete cells: sum of retained / sum of cohort sizes."""
    found = cohorts[cohorts["is_complete"] & cohorts["retained"].notna()]
    curve = found.groupby("period_index", as_index=False).agg(
        cohorts=("cohort_start", "nunique"), people=("cohort_size", "sum"), back=("retained", "sum")
    )
    curve["share"] = curve["back"] / curve["people"].where(curve["people"] > 0)
    return curve
