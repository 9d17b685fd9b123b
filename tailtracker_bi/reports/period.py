"""Which day, week or month a report is about, and which values of a metric it compares in it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property

import pandas as pd

from tailtracker_bi import bundle
from tailtracker_bi.access import without_small
from tailtracker_bi.bundle import Bundle
from tailtracker_bi.errors import TailTrackerError
from tailtracker_bi.figures import catalogue
from tailtracker_bi.figures.catalogue import Metric
from tailtracker_bi.figures.explain import Explanation, explain
from tailtracker_bi.figures.points import GRAINS, LENGTHS, NO_SERIES, a_year_back, by_metric, within
from tailtracker_bi.figures.readings import (
    NOT_KNOWN,
    Figure,
    Reading,
    at,
    complete,
    judged,
    pooled,
    recent,
)
from tailtracker_bi.figures.wording import day, number, period

DAY = timedelta(days=1)
BEFORE = {"day": "the same weekday of the week before", "week": "the week before", "month": "the month before"}
"""What a period is compared with: a day with a day of the same kind."""


class NoPeriodError(TailTrackerError):
    """The build has no complete period by the day that was asked for."""


@dataclass(frozen=True)
class Period:
    """A day, week or month, by its first day."""

    grain: str
    start: date

    @property
    def end(self) -> date:
        """Its last day."""
        return self._moved(LENGTHS[self.grain]) - DAY

    @property
    def before(self) -> Period:
        """The one that it is compared with."""
        return Period(self.grain, self._moved(-LENGTHS["week" if self.grain == "day" else self.grain]))

    @property
    def previous(self) -> Period:
        """The one that it follows on."""
        return Period(self.grain, self._moved(-LENGTHS[self.grain]))

    @property
    def year_before(self) -> Period:
        return Period(self.grain, self._moved(-a_year_back(self.grain)))

    def _moved(self, by: pd.DateOffset) -> date:
        return (pd.Timestamp(self.start) + by).date()

    def __str__(self) -> str:
        return period(self.start, self.grain)


@dataclass(frozen=True)
class Kpi(Reading):
    """A metric in the period, the one before and a year before; `when` says of what it is, where that is not plain."""

    when: str = ""
    year_before: Figure = NOT_KNOWN
    line: tuple[float, ...] = ()

    @property
    def arrow(self) -> str:
        return ("▲" if self.has_risen else "▼") if self.change and not self.is_same else ""

    @property
    def verdict(self) -> str:
        """In words, whether the change is a good one; why there is none."""
        return self.not_compared or ("" if self.is_same else self.judged)

    @property
    def shown_year_before(self) -> str:
        """Of a complete one alone; empty where it is not known."""
        known = self.year_before.is_complete and self.year_before.value is not None
        return number(self.year_before.value, self.metric.format) if known else ""

    @property
    def beside(self) -> str:
        """What else there is to know of it: how it was a year ago, what it should be, who answers for it."""
        told = {"a year ago": self.shown_year_before, "target": self.target, "owner": self.metric.owner}
        return ", ".join(f"{name} {what}" for name, what in told.items() if what)


class Figures:
    """What the build says of these metrics, for everyone; totals are in this currency.

    Parts of fewer than `hidden_below` people have no say in why a metric changed.
    """

    def __init__(self, build: Bundle, metric_ids: Iterable[str], currency: str, hidden_below: int = 0) -> None:
        self._build, self._asked, self._hidden_below = build, sorted(set(metric_ids)), hidden_below
        self.metrics = catalogue.catalog(bundle.read(build, "metric_catalog"), currency)

    @cached_property
    def _series(self) -> dict[tuple[str, str], pd.DataFrame]:
        return by_metric(bundle.read(self._build, "metric_values", None, metric_id=self._asked, segment="all"))

    def series(self, metric_id: str, grain: str) -> pd.DataFrame:
        """A metric over time; no rows where it is not counted by this grain."""
        return self._series.get((metric_id, grain), NO_SERIES)

    def kpi(self, metric_id: str, of: Period) -> Kpi:
        """Of the period itself where there is such a value; else of its last day, or of the longer period that was over
        last; retention of all whose day came in it."""
        metric = self.metrics[metric_id]
        if metric.cohort_days is not None:
            return self._of_cohorts(metric, metric.cohort_days, of)
        own, by_day = self.series(metric_id, of.grain), self.series(metric_id, "day")
        line = tuple(recent(metric, own if len(own) else by_day, of.grain))
        if len(own):
            starts = of.start, of.before.start, of.year_before.start
            now, before, year = (at(own, start) for start in starts)
            return Kpi(metric, now, before, year_before=year, line=line)
        if len(by_day):
            now, before, year = (at(by_day, one.end) for one in (of, of.before, of.year_before))
            return Kpi(metric, now, before, f"on {day(of.end)}", year, line)
        for longer in GRAINS[GRAINS.index(of.grain) + 1 :]:
            known = self.series(metric_id, longer)["period_start"]
            over = known[known + LENGTHS[longer] - DAY <= pd.Timestamp(of.end)]
            if len(over):
                last = Period(longer, pd.Timestamp(over.max()).date())
                return replace(self.kpi(metric_id, last), when=str(last))
        return Kpi(metric)

    def _of_cohorts(self, metric: Metric, days: int, of: Period) -> Kpi:
        """Retention after so many days, of those whose such day lies in the period."""
        by_day = self.series(metric.metric_id, "day")
        back = timedelta(days=days)
        spans = [(one.start - back, one.end - back) for one in (of, of.before, of.year_before)]
        now, before, year = (pooled(within(by_day, "period_start", span, "day")) for span in spans)
        first, last = spans[0]
        when = f"who signed up {day(first)}" + ("" if first == last else f" to {day(last)}")
        return Kpi(metric, now, before, when, year, tuple(recent(metric, by_day, "day")))

    def explanation(self, metric_id: str, of: Period) -> Explanation:
        """Why a metric of the period differs from the one before."""
        both = {"grain": of.grain, "period_start": [of.start, of.before.start]}
        if self._hidden_below:
            # Of how few an amount is, another metric may say.
            values = bundle.read(self._build, "metric_values", None, **both)
            values = without_small(values, self.metrics, self._hidden_below)
            values = values[values["metric_id"] == metric_id]
        else:
            values = bundle.read(self._build, "metric_values", None, metric_id=metric_id, **both)
        return explain(self.metrics[metric_id], values, of.start, of.before.start)

    def periods_in_a_row(self, metric_id: str, of: Period) -> int:
        """For how many periods a metric has moved the same way, each time beyond chance; 0 where it did not."""
        metric, own = self.metrics[metric_id], self.series(metric_id, of.grain)
        way, runs, one = "", 0, of
        while True:
            now, before = at(own, one.start), at(own, one.previous.start)
            verdict = judged(metric, now, before) if now.is_complete and before.is_complete else ""
            if verdict not in ("better", "worse") or (way and verdict != way):
                return runs
            way, runs, one = verdict, runs + 1, one.previous

    def last_period(self, grain: str, as_of: date) -> Period:
        """The last one that was over by then and of which a figure is complete. Raises NoPeriodError."""
        own = [complete(points)["period_start"] for (_, of), points in self._series.items() if of == grain]
        starts = pd.concat([NO_SERIES["period_start"], *own])
        over = starts[starts + LENGTHS[grain] <= pd.Timestamp(as_of)]
        if over.empty:
            raise NoPeriodError(f"no {grain} was complete by {as_of}: there is nothing to report on")
        return Period(grain, pd.Timestamp(over.max()).date())
