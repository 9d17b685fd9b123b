"""What the counting of a story needs: its days and periods, and how counts become values."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import NamedTuple

from tailtracker_bi.sandbox.story.plot import DAY, NEVER
from tailtracker_bi.sandbox.story.story import Story

GRAINS = ("day", "week", "month")
EURO = "eur"
RATE_DAYS = 8
"""For which a rate holds, unless another one is set."""

Value = Decimal | float | None


class Truth(NamedTuple):
    """A true value. Counts and amounts are exact; None where there is nothing to divide by, or it is not known yet."""

    metric_id: str
    grain: str
    period_start: date
    value: Value
    currency: str = "all"
    """Of which it is, in its own units; `all`: of all of them, in the reporting currency."""


@dataclass
class Frame:
    """The whole days of a story up to a moment, as numbers from 0, and the periods that they lie in."""

    story: Story
    now: int
    days: int
    readings: Sequence[int]
    """When the app's database was read."""
    currency: str = EURO
    """What amounts are told in; all others are converted."""
    is_part: bool = False
    """Whether it is of what is paid in one currency alone."""
    periods: dict[str, dict[date, range]] = field(default_factory=dict)
    """By grain: the first day of each period, and which days of the story lie in it."""

    def __post_init__(self) -> None:
        first = self.story.plot.first
        for grain in GRAINS:
            found: dict[date, list[int]] = defaultdict(list)
            for day in range(self.days):
                found[period_of(grain, first + timedelta(days=day))].append(day)
            self.periods[grain] = {start: range(own[0], own[-1] + 1) for start, own in found.items()}

    def each_day(self) -> Iterator[tuple[date, int]]:
        return ((self.story.plot.first + timedelta(days=day), day) for day in range(self.days))

    def day_of(self, at: int) -> int:
        return (at - self.story.plot.start) // DAY

    def seen_and_missed(self, created: int, deleted: int) -> tuple[bool, int]:
        """Whether a reading shows something, and when the first one after it is gone was: NEVER, if none was."""
        is_seen = any(created <= at < deleted for at in self.readings)
        return is_seen, min((at for at in self.readings if at >= deleted), default=NEVER)

    def of_currencies(self) -> Iterator[Frame]:
        """Of each currency in which somebody pays, what is paid in it."""
        customers = self.story.customers
        for currency in sorted({each.currency for customer in customers for each in customer.subscriptions}):
            story = copy(self.story)
            story.customers = [
                replace(customer, subscriptions=own)
                for customer in customers
                if (own := [each for each in customer.subscriptions if each.currency == currency])
            ]
            yield Frame(story, self.now, self.days, self.readings, currency, is_part=True)

    def converted(self, amount: Decimal, currency: str, day: int) -> Decimal:
        """What an amount of another currency is at the rates of a day: rounded once, to millionths."""
        if currency == self.currency or not amount:
            return amount
        with localcontext(prec=60):
            exact = amount * self._euro_rate(self.currency, day) / self._euro_rate(currency, day)
            return exact.quantize(Decimal("0.000001"), ROUND_HALF_UP)

    def _euro_rate(self, currency: str, day: int) -> Decimal:
        """The rate that was set last, on the day or shortly before it."""
        if currency == EURO:
            return Decimal(1)
        dates = (self.story.plot.first + timedelta(days=day - age) for age in range(RATE_DAYS))
        return next(self.story.rates[each][currency] for each in dates if each in self.story.rates)

    def has_been(self, at: int) -> bool:
        """Whether something is among the whole days."""
        return self.day_of(at) < self.days


def period_of(grain: str, day: date) -> date:
    if grain == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if grain == "month" else day


def ratio_of(numerator: float | None, denominator: float) -> float | None:
    return numerator / denominator if denominator and numerator is not None else None


def sums_of(frame: Frame, metric_id: str, by_day: Sequence[Decimal | int]) -> Iterator[Truth]:
    """What is counted a day, and the sums of weeks and months."""
    for grain, periods in frame.periods.items():
        for start, days in periods.items():
            yield Truth(metric_id, grain, start, Decimal(sum(by_day[day] for day in days)))


def ends_of(frame: Frame, metric_id: str, by_day: Sequence[Decimal | int]) -> Iterator[Truth]:
    """What there is at the end of a day, and at the end of the last day of a week or month."""
    for grain, periods in frame.periods.items():
        for start, days in periods.items():
            yield Truth(metric_id, grain, start, Decimal(by_day[days[-1]]))


def shares_of(
    frame: Frame, metric_id: str, part: Sequence[Decimal | int], whole: Sequence[Decimal | int]
) -> Iterator[Truth]:
    """Of so many a day so many: over weeks and months sum by sum."""
    for grain, periods in frame.periods.items():
        for start, days in periods.items():
            share = ratio_of(float(sum(part[day] for day in days)), float(sum(whole[day] for day in days)))
            yield Truth(metric_id, grain, start, share)
