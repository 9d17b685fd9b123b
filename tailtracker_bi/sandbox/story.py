"""A believable TailTracker whose truth is known, and what its three sources show of it at any moment.

    Scenario --tell--> Story --write--> mixpanel/<day>.jsonl.gz, stripe/<table>.jsonl.gz, app_db/<table>.csv
                         |
                         +--truth.truth--> what is true of it

A story is told once, to its end. What a source shows at a moment is what had happened, and arrived, by then: so what is
written for a later moment goes on from what was written for an earlier one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from tailtracker_bi.sandbox import app_db, behaviour, billing, mixpanel, money, people, pets, stripe
from tailtracker_bi.sandbox.plot import Plot

Progress = Callable[[str, int, int], None]
"""Called with what is being done, and how many steps of how many are behind."""


def _say_nothing(_: str, __: int, ___: int) -> None: ...


@dataclass(frozen=True)
class Scenario:
    """What is told. The same scenario always gives the same story."""

    people: int
    """Who sign up for the app by `until`; devices that never sign up come on top."""
    days: int
    """Days of history, up to and including `until`."""
    until: date
    """The last whole day of the history."""
    seed: int = 1
    ahead: int = 0
    """Further days for which the story can go on."""

    def __post_init__(self) -> None:
        if self.people < 1 or self.days < 1 or self.ahead < 0:
            raise ValueError("a story needs at least one person and one day, and goes on for no less than 0 days")


class Story:
    """A company from its first day to its last: all that happens, and when. Made by `tell`."""

    def __init__(self, scenario: Scenario, progress: Progress = _say_nothing) -> None:
        self.scenario = scenario
        seed = scenario.seed
        self.plot = plot = Plot(scenario.until, scenario.days, scenario.ahead)
        progress("people", 0, 4)
        self.people = people.invent(scenario.people, plot, seed)
        progress("subscriptions", 1, 4)
        self.customers = billing.invent(self.people, plot, seed)
        self.plans = money.Plans(self.customers)
        progress("pets", 2, 4)
        self.pets = pets.invent_pets(self.people, self.plans, plot, seed)
        owners = money.spells_on("pro", self.customers)
        self.alerts = pets.invent_alerts(self.people, self.pets, owners, plot, seed)
        progress("events", 3, 4)
        self.events = behaviour.invent(self.people, self.pets, self.alerts, self.customers, self.plans, plot, seed)
        progress("told", 4, 4)

    def write(
        self, directory: Path, as_of: datetime, since: datetime | None = None, progress: Progress = _say_nothing
    ) -> None:
        """Record what the three sources show at `as_of` (UTC), in files below the directory.

        Where the directory holds what they showed at `since`, only what changed is written: of Mixpanel the days into
        which something arrived, of the others everything. A file that is read meanwhile is the old one or the new one.
        """
        now, before = int(as_of.timestamp()), None if since is None else int(since.timestamp())
        mixpanel.write(self, directory / "mixpanel", now, before, progress)
        stripe.write(self, directory / "stripe", now, progress)
        app_db.write(self, directory / "app_db", now, progress)


def tell(scenario: Scenario, progress: Progress = _say_nothing) -> Story:
    """The story of a scenario."""
    return Story(scenario, progress)
