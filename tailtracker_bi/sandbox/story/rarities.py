"""People whose subscriptions are of the kinds that few have, a few of each: so that a small company has them, too.

They pay at once and have one life, which is all that they share with the others: what these do is not moved by them.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from random import Random

import numpy as np

from tailtracker_bi.sandbox.story import chance
from tailtracker_bi.sandbox.story.billing import SOURCES, Lives
from tailtracker_bi.sandbox.story.money import (
    COUPONS,
    LAUNCH,
    PRICES,
    Customer,
    Extra,
    Invoice,
    Payment,
    Price,
    Schedule,
    Subscription,
)
from tailtracker_bi.sandbox.story.people import COUNTRIES, People
from tailtracker_bi.sandbox.story.plot import DAY, HOUR, MINUTE, NEVER, Plot

SHARE = 0.08
"""Of the people who subscribe, so many more are of these kinds."""


@dataclass(frozen=True)
class Kind:
    """How a subscription is unlike most."""

    cycle: str = "monthly"
    extras: tuple[tuple[str, int], ...] = ()
    """What comes on top of the plan, and how many."""
    has_coupon: bool = False
    """For ever."""
    coupon_on: str = "subscription"
    subscriptions: int = 1
    """Side by side, days apart."""
    change: str = ""
    """What happens once, when plans can be switched: `quantity` of what comes on top, `pause` without saying until
    when, or `unpaid`: all payments fail and it stays."""
    phases: tuple[tuple[int, Price], ...] = ()
    """For how many cycles each price was agreed on beforehand."""
    currencies: tuple[str, ...] = ()
    """Of one subscription after the other, where that is not the country's: cards fail, and some want money back."""
    days_between: int = 0


_premium = PRICES["eur", "premium", "monthly"]
KINDS = (
    Kind("weekly"),
    Kind("every 4 weeks", change="unpaid"),
    Kind("quarterly"),
    Kind(extras=(("tracker", 3),), change="quantity"),
    Kind(extras=(("storage", 5), ("messages", 1)), has_coupon=True, change="quantity"),
    Kind(extras=(("badge", 1), ("tracker", 2)), has_coupon=True, coupon_on="item"),
    Kind(has_coupon=True, coupon_on="customer"),
    Kind(change="pause"),
    Kind(subscriptions=2),
    Kind("annual", extras=(("tracker", 2),), has_coupon=True),
    Kind(phases=((1, LAUNCH), (2, _premium))),
    Kind(phases=((1, _premium), (2, PRICES["eur", "pro", "monthly"]), (1, PRICES["eur", "premium", "annual"]))),
    Kind(phases=((2, PRICES["usd", "premium", "monthly"]), (1, PRICES["usd", "pro", "monthly"])), currencies=("usd",)),
    Kind(currencies=("jpy",)),
    Kind(currencies=("eur", "usd")),
    Kind(currencies=("usd", "eur"), days_between=20),
)


def invent(people: People, plot: Plot, seed: int, taken: Collection[int]) -> list[Customer]:
    """A few of each kind, of those who are not `taken`, with an account that stays and time for what is rare."""
    random = chance.generator(seed, "rarities")
    begins_in_time = people.signed_up[: people.accounts] < plot.start + plot.days * DAY * 2 // 3
    there = np.flatnonzero((people.deleted[: people.accounts] == NEVER) & begins_in_time)
    free = np.setdiff1d(there, np.array(sorted(taken), np.int64))
    count = min(len(free), max(len(KINDS), round(SHARE * len(taken))))
    who = random.choice(free, count, replace=False) if count else free[:0]
    lives = _RareLives(plot, Random(f"{seed} rarities"), 1)
    return [lives.of(int(person), people, KINDS[number % len(KINDS)]) for number, person in enumerate(who)]


class _RareLives(Lives):
    """Lets them live."""

    _kind = KINDS[0]

    def of(self, person: int, people: People, kind: Kind) -> Customer:
        """A customer of a kind, who begins within days of signing up."""
        self._kind = kind
        country = COUNTRIES[people.country[person]]
        signed_up = int(people.signed_up[person])
        at = (
            signed_up
            - signed_up % DAY
            + self._random.randrange(1, 7) * DAY
            + self._random.randrange(6 * HOUR, 22 * HOUR)
        )
        customer = Customer(self._id("cus"), person, at - 2 * MINUTE, country.code, ("visa", "credit"))
        for currency in kind.currencies or (country.currency,) * kind.subscriptions:
            if at < self._plot.end:
                subscription = self._begun(customer, at, currency)
                customer.subscriptions.append(subscription)
                self._live(subscription, NEVER)
                # What was agreed on for later than it lasted never came.
                subscription.terms = [term for term in subscription.terms if term[0] < subscription.ended]
                at = subscription.ended + MINUTE + kind.days_between * DAY if kind.currencies else at + 9 * DAY
        return customer

    def _begun(self, customer: Customer, at: int, currency: str) -> Subscription:
        schedule = self._agreed(at)
        price = PRICES[currency, "premium", self._kind.cycle]
        return Subscription(
            self._id("sub"), customer, at, [*schedule.phases] if schedule else [(at, price)],
            self._random.choice(SOURCES[1:]),
            coupon=COUPONS[0] if self._kind.has_coupon else None, coupon_on=self._kind.coupon_on,
            extras=[Extra(tier, [(at, quantity)]) for tier, quantity in self._kind.extras],
            says_when_it_resumes=self._kind.change != "pause", schedule=schedule,
        )  # fmt: skip

    def _agreed(self, at: int) -> Schedule | None:
        """The phases of the kind, if it has any, from now on: another cycle begins with its phase."""
        phases: list[tuple[int, Price]] = []
        anchor, passed = at, 0
        for cycles, price in self._kind.phases:
            if phases and price.cycle != phases[-1][1].cycle:
                anchor, passed = at, 0
            phases.append((at, price))
            passed += cycles
            at = price.after(anchor, passed)
        return Schedule(self._id("sub_sched"), tuple(phases), at) if phases else None

    def _decide(self, subscription: Subscription, settled: int, ends: int, deleted: int) -> Price | None:
        """Nothing, the one change of the kind, or to leave."""
        at = self._random.randrange(settled, max(ends - DAY, settled) + 1)
        is_to_change = len(subscription.customer.subscriptions) < len(self._kind.currencies)
        if is_to_change and len(subscription.invoices) == 2:
            self._ask_to_end(subscription, settled, ends)
        elif at < self._plot.switches_from:
            if self._is(0.02):
                self._ask_to_end(subscription, settled, ends)
        elif self._kind.change == "quantity" and len(subscription.extras[0].quantities) == 1:
            subscription.extras[0].quantities.append((at, self._random.choice((1, 4, 9))))
        elif self._kind.change == "pause" and not subscription.pauses:
            subscription.pauses.append((at, at + self._random.randrange(3 * DAY, 9 * DAY)))
        return None

    def _outcome(self, at: int, likely: float) -> tuple[str, str | None]:
        if self._kind.currencies:
            return super()._outcome(at, likely)
        # From so early on that it is known before the story is over.
        if self._kind.change == "unpaid" and at >= self._plot.switches_from - 12 * DAY:
            return "failed", "insufficient_funds"
        return "succeeded", None

    def _give_up(self, subscription: Subscription, invoice: Invoice, since: int, at: int) -> None:
        if self._kind.currencies:
            super()._give_up(subscription, invoice, since, at)
            return
        subscription.late.append((since, at))
        subscription.unpaid = at

    def _regret(self, subscription: Subscription, payment: Payment) -> None:
        if self._kind.currencies:
            super()._regret(subscription, payment)

    def _is_rare(self, likely: float) -> bool:
        return self._is(6 * likely)
