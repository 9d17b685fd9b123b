"""What happens when: the days of the story, its seasons, releases, campaigns, experiments, and the incident.

Times are whole seconds since 1970 in UTC, days count from the first day of the story.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property

import numpy as np
import polars as pl

from tailtracker_bi.sandbox.story.chance import Flags, Floats, Ints

MINUTE, HOUR, DAY = 60, 3600, 86_400
NEVER = 2**40
"""Later than any time."""
SWITCHES_BEFORE_UNTIL = 25
"""How many days before the last day of the history people may switch plans and pause; Stripe's events, which alone tell
of it, are kept for 30 days."""

# Monday to Sunday.
_SIGN_UP_WEEK = np.array([0.95, 0.92, 0.92, 0.95, 1.0, 1.18, 1.22])
_ACTIVITY_WEEK = np.array([1.0, 0.97, 0.96, 0.97, 1.0, 1.08, 1.12])
_HOURS = np.array([1, 1, 1, 1, 2, 4, 8, 12, 11, 9, 8, 8, 10, 9, 8, 8, 9, 11, 14, 16, 15, 11, 6, 3], float)


@dataclass(frozen=True)
class Experiment:
    """A test of two variants that is shown at sign-up, and what it truly does."""

    name: str
    description: str
    starts: float
    """As a share of the history, as is the end."""
    ends: float
    lift: float
    """What the treatment multiplies the outcome's probability by."""


CHECKLIST = Experiment("onboarding_checklist", "A checklist after sign-up; more people add a pet", 0.1, 0.55, 1.15)
PAYWALL = Experiment("annual_first_paywall", "Annual plans first; more people subscribe", 0.5, 0.95, 1.3)
VARIANTS = ("control", "treatment")


@dataclass(frozen=True)
class Plot:
    """The frame of a story of so many days up to `until`, which may go on for some days `ahead`."""

    until: date
    days: int
    ahead: int

    @cached_property
    def releases(self) -> list[tuple[str, int]]:
        """App versions, and the days on which they came, counted from the first: one every three weeks.

        The very first is a bad one and is repaired soon; 4.0.0 brings the switching and pausing of plans.
        """
        turn = max(self.days - SWITCHES_BEFORE_UNTIL, 3)
        regular = range(21, self.days + self.ahead, 21)
        before, after = ([day for day in regular if day < turn], [day for day in regular if day > turn])
        return [
            ("3.0.0", 0),
            ("3.0.1", 2),
            *((f"3.{number}.0", day) for number, day in enumerate(before, 1)),
            ("4.0.0", turn),
            *((f"4.{number}.0", day) for number, day in enumerate(after, 1)),
        ]

    @property
    def first(self) -> date:
        return self.until - timedelta(days=self.days - 1)

    @cached_property
    def start(self) -> int:
        """The first second."""
        return seconds_of(self.first)

    @cached_property
    def end(self) -> int:
        """The second after the last, days ahead included."""
        return self.start + (self.days + self.ahead) * DAY

    @cached_property
    def switches_from(self) -> int:
        """When the app began to let people switch plans and pause."""
        return max(self.start, seconds_of(self.until) + DAY - SWITCHES_BEFORE_UNTIL * DAY)

    @cached_property
    def incident(self) -> tuple[int, int]:
        """Two bad days, from and until when: the app crashes, and cards are declined."""
        begins = self.start + int(self.days * 0.7) * DAY
        return begins, begins + 2 * DAY

    @cached_property
    def release_times(self) -> Ints:
        return self.start + np.array([day for _, day in self.releases]) * DAY

    def span(self, experiment: Experiment) -> tuple[int, int]:
        """From and until when an experiment runs."""
        begins, ends = (self.start + int(self.days * share) * DAY for share in (experiment.starts, experiment.ends))
        return begins, ends

    def is_incident(self, times: Ints) -> Flags:
        return (times >= self.incident[0]) & (times < self.incident[1])

    def sign_up_weights(self) -> Floats:
        """How many sign up on each day, days ahead included, on no scale: growth, seasons and two campaigns."""
        age = np.arange(self.days + self.ahead)
        growth = 0.35 + 0.65 * np.minimum(age / self.days, 1.3)
        campaigns = 1 + 0.8 * sum(np.exp(-0.5 * ((age - self.days * share) / 3) ** 2) for share in (0.3, 0.8))
        return np.asarray(growth * campaigns * _SIGN_UP_WEEK[self._weekdays] * self._year(0.1, 0.55))

    def activity_weights(self) -> Floats:
        """How active people are on each day, around 1."""
        return np.asarray(_ACTIVITY_WEEK[self._weekdays] * self._year(0.08, 0.5))

    def losses(self) -> Floats:
        """How likely pets get lost on each day, around 1: more in summer, many in the fireworks of New Year."""
        days = [self.first + timedelta(days=age) for age in range(self.days + self.ahead)]
        fireworks = np.array([6.0 if (day.month, day.day) in {(12, 31), (1, 1)} else 1.0 for day in days])
        return np.asarray(self._year(0.35, 0.55) * fireworks)

    @cached_property
    def _weekdays(self) -> Ints:
        return (self.first.weekday() + np.arange(self.days + self.ahead)) % 7

    def _year(self, height: float, peak: float) -> Floats:
        """A yearly wave around 1 that is highest at this share of the year."""
        share = (self.first.timetuple().tm_yday + np.arange(self.days + self.ahead)) / 365.25
        return np.asarray(1 + height * np.cos(2 * np.pi * (share - peak)))


def seconds_of(day: date) -> int:
    """The first second of a day."""
    return int(datetime.combine(day, time.min, UTC).timestamp())


def dates_of(times: Ints) -> pl.Series:
    """The days on which these times are."""
    return pl.from_epoch(pl.Series(times, dtype=pl.Int64)).dt.date()


def times_of_day(random: np.random.Generator, size: int, last_hour: int = 23) -> Ints:
    """Seconds into a day, by the hours at which people use the app, up to the end of the last hour."""
    hours = _HOURS[: last_hour + 1] / _HOURS[: last_hour + 1].sum()
    return random.choice(len(hours), size=size, p=hours) * HOUR + random.integers(0, HOUR, size)
