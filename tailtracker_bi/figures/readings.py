"""How a metric is read: its latest complete value or that of a period, pooled, compared with an earlier one, judged.

Pure: frames as `points.by_metric` gives them in, plain values out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import date
from statistics import NormalDist

import pandas as pd

from tailtracker_bi.figures.catalogue import Metric
from tailtracker_bi.figures.points import a_year_back
from tailtracker_bi.figures.wording import NO_CHANGE, change, number, sample

ENOUGH = 30
"""Of whatever is counted: a change of fewer is shown, and not judged."""
CHANCE = 0.05
"""How many of all chance differences are taken for more than that."""
COHORTS = 28
"""Daily cohorts of retention that are taken together: one alone is too small to compare."""
RECENT = {"day": 60, "week": 13, "month": 13}
"""Periods of a small line."""
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
        return "" if not self.metric.is_of_a_sample else sample(self.now.denominator, self.before.denominator)

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
    two proportions. An average or median of nobody knows how many is not judged, nor is a share of money, which may
    rest on a few customers. Money is: it is no sample.
    """
    if metric.bigger_is_better is None or now.value is None or before.value is None or now.value == before.value:
        return ""
    if not metric.is_of_a_sample:
        return ""
    if may_be_chance(metric.format, now, before):
        return "may be chance"
    return "better" if (now.value > before.value) == metric.bigger_is_better else "worse"


def may_be_chance(form: str, now: Figure, before: Figure, looks: int = 1) -> bool:
    """Whether chance alone makes such a difference between two known figures, by the rules of `judged`.

    Who looks at many of them sees large ones by chance: of all that are looked at together, 5 of 100 times one passes.
    """
    sure = NormalDist().inv_cdf(1 - CHANCE / (2 * looks))
    size, size_before = now.size(form), before.size(form)
    if size is None or size_before is None:
        return not form.startswith("money")
    if now.denominator is None:
        return max(size, size_before) < ENOUGH or abs(size - size_before) <= sure * math.sqrt(
            abs(size) + abs(size_before)
        )
    if min(size, size_before) < ENOUGH:
        return True
    part, part_before = now.numerator or 0.0, before.numerator or 0.0
    if form != "percent" or not (0 <= part <= size and 0 <= part_before <= size_before):
        return False
    share = (part + part_before) / (size + size_before)
    chance = math.sqrt(share * (1 - share) * (1 / size + 1 / size_before))
    return abs(part / size - part_before / size_before) <= sure * chance


def at(points: pd.DataFrame, start: date) -> Figure:
    """The figure of the period that starts on a day; not known where there is no such period."""
    found = points[points["period_start"] == pd.Timestamp(start)]
    return figures(found.iloc[:1])[0] if len(found) else NOT_KNOWN


def figures(points: pd.DataFrame) -> list[Figure]:
    """The figure of each row."""
    value, over, under = (
        [None if pd.isna(one) else float(one) for one in points[name].tolist()]
        for name in ("value", "numerator", "denominator")
    )
    told = zip(value, over, under, points["period_start"], map(bool, points["is_complete"]), strict=True)
    return [Figure(*one) for one in told]


def complete(points: pd.DataFrame) -> pd.DataFrame:
    """The rows whose value is known and stays: others are compared with nothing."""
    return points[points["is_complete"] & points["value"].notna()]


def latest(metric: Metric, points: pd.DataFrame, days_back: int = 0) -> Reading:
    """The latest complete value, and the last complete one at least `days_back` days before it.

    Of retention: over the last COHORTS complete days, and over as many before them where there are.
    """
    if metric.cohort_days:
        found = points[points["is_complete"] & points["denominator"].notna()]
        earlier_ones = found.iloc[-2 * COHORTS : -COHORTS]
        is_whole = len(earlier_ones) == COHORTS
        return Reading(metric, pooled(found.iloc[-COHORTS:]), pooled(earlier_ones) if is_whole else NOT_KNOWN)
    found = complete(points)
    if found.empty:
        return Reading(metric)
    starts = found["period_start"]
    earlier = int(starts.searchsorted(starts.iloc[-1] - pd.Timedelta(days=max(days_back, 1)), side="right"))
    before = figures(found.iloc[earlier - 1 : earlier])[0] if earlier else NOT_KNOWN
    return Reading(metric, figures(found.iloc[-1:])[0], before)


def read(metric: Metric, points: pd.DataFrame, grain: str, against: str = "previous") -> Reading:
    """The latest complete value, and what it compares with.

    `against` is `previous`, the last complete one that shares no day with it; `year`, the one of a year before, where
    it is complete; or `none`.
    """
    found = latest(metric, points, days_apart(metric, grain))
    if against == "previous" or found.now.period_start is None:
        return found
    before = NOT_KNOWN
    if against == "year":
        earlier = complete(points.assign(period_start=points["period_start"] + a_year_back(grain)))
        if metric.cohort_days:
            now = complete(points).iloc[-COHORTS:]["period_start"]
            own = earlier[earlier["period_start"].isin(now)]
            before = pooled(own) if len(own) == COHORTS else NOT_KNOWN
        else:
            before = at(earlier, found.now.period_start)
        if before.period_start is not None:
            before = replace(before, period_start=before.period_start - a_year_back(grain))
    return Reading(metric, found.now, before)


def recent(metric: Metric, points: pd.DataFrame, grain: str) -> list[float]:
    """The latest complete values, oldest first, for a small line; of retention, over COHORTS days each."""
    if metric.cohort_days:
        found = points[points["is_complete"] & points["denominator"].notna()]
        rolled = found["numerator"].rolling(COHORTS).sum() / found["denominator"].rolling(COHORTS).sum()
        return [float(value) for value in rolled.dropna().iloc[-RECENT[grain] :]]
    return [float(value) for value in complete(points)["value"].iloc[-RECENT[grain] :]]


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
