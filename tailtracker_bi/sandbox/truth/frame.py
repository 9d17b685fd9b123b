"""What the counting of a story needs: its days and periods, and how counts become values."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import NamedTuple

from tailtracker_bi.sandbox.story.plot import DAY, NEVER
from tailtracker_bi.sandbox.story.story import Story

GRAINS = ("day", "week", "month")

Value = Decimal | float | None


class Truth(NamedTuple):
    """A true value. Counts and amounts are exact; None where there is nothing to divide by, or it is not known yet."""

    metric_id: str
    grain: str
    period_start: date
    value: Value


@dataclass
class Frame:
    """The whole days of a story up to a moment, as numbers from 0, and the periods that they lie in."""

    story: Story
    now: int
    days: int
    readings: Sequence[int]
    """When the app's database was read."""
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


def shares_of(frame: Frame, metric_id: str, part: Sequence[int], whole: Sequence[int]) -> Iterator[Truth]:
    """Of so many a day so many: over weeks and months sum by sum."""
    for grain, periods in frame.periods.items():
        for start, days in periods.items():
            yield Truth(
                metric_id, grain, start, ratio_of(sum(part[day] for day in days), sum(whole[day] for day in days))
            )
