"""Which week a report is about, and which values of a metric it compares in it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

import pandas as pd

from tailtracker_bi import bundle
from tailtracker_bi.bundle import Bundle
from tailtracker_bi.errors import TailTrackerError
from tailtracker_bi.figures import catalogue
from tailtracker_bi.figures.explain import Explanation, explain
from tailtracker_bi.figures.points import NO_SERIES, by_metric, within
from tailtracker_bi.figures.readings import Reading, at, complete, pooled
from tailtracker_bi.figures.wording import day

WEEK, DAY = timedelta(days=7), timedelta(days=1)


class NoWeekError(TailTrackerError):
    """The build has no complete week by the day that was asked for."""


@dataclass(frozen=True)
class Kpi(Reading):
    """A metric in the week and in the week before; `when` says of what in the week it is, where that is not plain."""

    when: str = ""

    @property
    def arrow(self) -> str:
        return ("▲" if self.has_risen else "▼") if self.change and not self.is_same else ""

    @property
    def verdict(self) -> str:
        """In words, whether the change is a good one; why there is none."""
        return self.not_compared or ("" if self.is_same else self.judged)


class Figures:
    """What the build says of these metrics, for everyone; totals are in this currency."""

    def __init__(self, build: Bundle, metric_ids: Iterable[str], currency: str) -> None:
        self._build = build
        self.metrics = catalogue.catalog(bundle.read(build, "metric_catalog"), currency)
        values = bundle.read(build, "metric_values", None, metric_id=sorted(set(metric_ids)), segment="all")
        self._series = by_metric(values)

    def series(self, metric_id: str, grain: str) -> pd.DataFrame:
        """A metric over time; no rows where it is not counted by this grain."""
        return self._series.get((metric_id, grain), NO_SERIES)

    def kpi(self, metric_id: str, week: date) -> Kpi:
        """By week where there is such a value; else of the week's last day; retention of all whose day came in it."""
        metric = self.metrics[metric_id]
        by_week, by_day = self.series(metric_id, "week"), self.series(metric_id, "day")
        if not by_week.empty:
            return Kpi(metric, at(by_week, week), at(by_week, week - WEEK))
        if metric.cohort_days is None:
            last = week + WEEK - DAY
            return Kpi(metric, at(by_day, last), at(by_day, last - WEEK), when=f"on {day(last)}")
        first = week - timedelta(days=metric.cohort_days)
        weeks = [(start, start + WEEK - DAY) for start in (first, first - WEEK)]
        now, before = (pooled(within(by_day, "period_start", days, "day")) for days in weeks)
        return Kpi(metric, now, before, when=f"who signed up {' to '.join(map(day, weeks[0]))}")

    def explanation(self, metric_id: str, week: date) -> Explanation:
        """Why a metric by week differs from the week before."""
        both = {"grain": "week", "period_start": [week, week - WEEK]}
        values = bundle.read(self._build, "metric_values", None, metric_id=metric_id, **both)
        return explain(self.metrics[metric_id], values, week, week - WEEK)

    def last_week(self, as_of: date) -> date:
        """The last week that was over by then and of which a figure is complete. Raises NoWeekError."""
        by_week = [complete(own)["period_start"] for (_, grain), own in self._series.items() if grain == "week"]
        starts = pd.concat([NO_SERIES["period_start"], *by_week])
        over = starts[starts + WEEK <= pd.Timestamp(as_of)]
        if over.empty:
            raise NoWeekError(f"no week was complete by {as_of}: there is nothing to report on")
        return pd.Timestamp(over.max()).date()
