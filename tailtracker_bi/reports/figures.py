"""The figures of a report: what a build says of its metrics, in a week and in the one before."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

import pandas as pd

from tailtracker_bi import bundle
from tailtracker_bi.bundle import Bundle
from tailtracker_bi.errors import TailTrackerError
from tailtracker_bi.figures import catalogue, readings
from tailtracker_bi.figures.catalogue import Metric
from tailtracker_bi.figures.readings import NOT_KNOWN, Figure
from tailtracker_bi.figures.wording import change, day, number, sample

WEEK = timedelta(days=7)
ARROWS = {True: "▲", False: "▼"}
NOTHING = pd.DataFrame(
    {
        "period_start": pd.Series(dtype="datetime64[us]"),
        "numerator": pd.Series(dtype=float),
        "denominator": pd.Series(dtype=float),
        "value": pd.Series(dtype=float),
        "is_complete": pd.Series(dtype=bool),
    }
)


class NoWeekError(TailTrackerError):
    """The build has no complete week by the day that was asked for."""


@dataclass(frozen=True)
class Value:
    """A metric's value in a week: none where nothing is known."""

    figure: Figure = NOT_KNOWN
    is_complete: bool = False

    @property
    def number(self) -> float | None:
        return self.figure.value


@dataclass(frozen=True)
class Kpi:
    """A metric in the week and in the week before, as the table shows it."""

    metric: Metric
    now: Value
    before: Value
    when: str

    @property
    def shown(self) -> str:
        return number(self.now.number, self.metric.format)

    @property
    def shown_before(self) -> str:
        return number(self.before.number, self.metric.format)

    @property
    def target(self) -> str:
        return "" if self.metric.target is None else number(self.metric.target, self.metric.format)

    @property
    def is_unfinished(self) -> bool:
        """Whether there is a value that may still change."""
        return self.now.number is not None and not self.now.is_complete

    @property
    def change(self) -> str:
        """Of complete values only; empty where they can't be compared."""
        if not (self.now.is_complete and self.before.is_complete):
            return ""
        return change(self.now.number, self.before.number, self.metric.format)

    @property
    def sample(self) -> str:
        """Of how many a ratio is: a share of a few people says little."""
        return sample(self.now.figure.denominator, self.before.figure.denominator)

    @property
    def arrow(self) -> str:
        return ARROWS[self._has_risen] if self.change and not self._is_same else ""

    @property
    def verdict(self) -> str:
        """In words, whether the change is a good one; why there is none."""
        if self.change:
            return "" if self._is_same else readings.verdict(self.metric, self.now.figure, self.before.figure)
        if self.now.number is None:
            return ""
        return "not complete yet" if self.is_unfinished else "nothing to compare with"

    @property
    def _is_same(self) -> bool:
        return self.shown == self.shown_before

    @property
    def _has_risen(self) -> bool:
        return (self.now.number or 0) > (self.before.number or 0)


class Figures:
    """What the build says of these metrics, for everyone; totals are in this currency."""

    def __init__(self, build: Bundle, metric_ids: Iterable[str], currency: str) -> None:
        self.metrics = catalogue.catalog(bundle.read(build, "metric_catalog"), currency)
        values = bundle.read(build, "metric_values", None, metric_id=sorted(set(metric_ids)), segment="all")
        self._series = {key: readings.series(own) for key, own in values.groupby(["metric_id", "grain"])}

    def series(self, metric_id: str, grain: str) -> pd.DataFrame:
        """A metric over time; no rows where it is not counted by this grain."""
        return self._series.get((metric_id, grain), NOTHING)

    def at(self, metric_id: str, grain: str, start: date) -> Value:
        """The value of one period."""
        points = self.series(metric_id, grain)
        found = points[points["period_start"] == pd.Timestamp(start)]
        return Value(readings.figure(found.iloc[0]), bool(found["is_complete"].iloc[0])) if len(found) else Value()

    def pooled(self, metric_id: str, first: date) -> Value:
        """A ratio over the seven days from the first on, of those that have one: sum over sum."""
        points = self.series(metric_id, "day")
        own = points[points["period_start"].isin(pd.date_range(first, periods=7))]
        return Value(readings.pooled(own), bool(own["is_complete"].all())) if len(own) else Value()

    def kpi(self, metric_id: str, week: date) -> Kpi:
        """By week where there is such a value; else of the week's last day; retention of all whose day came in it."""
        metric = self.metrics[metric_id]
        if not self.series(metric_id, "week").empty:
            now, before = self.at(metric_id, "week", week), self.at(metric_id, "week", week - WEEK)
            return Kpi(metric, now, before, when="")
        if metric.cohort_days is None:
            last = week + WEEK - timedelta(days=1)
            now, before = self.at(metric_id, "day", last), self.at(metric_id, "day", last - WEEK)
            return Kpi(metric, now, before, when=f"on {day(last)}")
        first = week - timedelta(days=metric.cohort_days)
        now, before = self.pooled(metric_id, first), self.pooled(metric_id, first - WEEK)
        return Kpi(metric, now, before, when=f"who signed up {day(first)} to {day(first + timedelta(days=6))}")

    def last_week(self, as_of: date) -> date:
        """The last week that was over by then and of which a figure is complete. Raises NoWeekError."""
        by_week = [points for (_, grain), points in self._series.items() if grain == "week"]
        points = pd.concat(by_week) if by_week else NOTHING
        starts = points[points["is_complete"] & points["value"].notna()]["period_start"]
        over = starts[starts + WEEK <= pd.Timestamp(as_of)]
        if over.empty:
            raise NoWeekError(f"no week was complete by {as_of}: there is nothing to report on")
        return pd.Timestamp(over.max()).date()
