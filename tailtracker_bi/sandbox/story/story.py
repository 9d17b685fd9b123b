"""A believable TailTracker: all that happens there, told once, to its end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from tailtracker_bi.sandbox.story import behaviour, billing, money, people, pets, rarities, rates
from tailtracker_bi.sandbox.story.plot import Plot

Progress = Callable[[str, int, int], None]
"""Called with what is being done, and how many steps of how many are behind."""


def say_nothing(_: str, __: int, ___: int) -> None: ...


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

    def __init__(self, scenario: Scenario, progress: Progress = say_nothing) -> None:
        self.scenario = scenario
        seed = scenario.seed
        self.plot = plot = Plot(scenario.until, scenario.days, scenario.ahead)
        progress("people", 0, 4)
        self.people = people.invent(scenario.people, plot, seed)
        progress("subscriptions", 1, 4)
        customers = billing.invent(self.people, plot, seed)
        customers += rarities.invent(self.people, plot, seed, {customer.person for customer in customers})
        self.customers = sorted(customers, key=lambda customer: customer.created)
        self.plans = money.Plans(self.customers)
        self.rates = rates.invent(plot, seed)
        progress("pets", 2, 4)
        self.pets = pets.invent_pets(self.people, self.plans, plot, seed)
        owners = money.spells_on("pro", self.customers)
        self.alerts = pets.invent_alerts(self.people, self.pets, owners, plot, seed)
        progress("events", 3, 4)
        self.events = behaviour.invent(self.people, self.pets, self.alerts, self.customers, self.plans, plot, seed)
        progress("told", 4, 4)


def tell(scenario: Scenario, progress: Progress = say_nothing) -> Story:
    """The story of a scenario."""
    return Story(scenario, progress)
