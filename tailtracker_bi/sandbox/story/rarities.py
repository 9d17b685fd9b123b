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
from tailtracker_bi.sandbox.story.money import COUPONS, PRICES, Customer, Extra, Invoice, Payment, Price, Subscription
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
    """Side by side."""
    change: str = ""
    """What happens once, when plans can be switched: `quantity` of what comes on top, `pause` without saying until
    when, or `unpaid`: all payments fail and it stays."""


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
)


def invent(people: People, plot: Plot, seed: int, taken: Collection[int]) -> list[Customer]:
    """A few of each kind, of those with an account that stays, and who are not `taken`."""
    random = chance.generator(seed, "rarities")
    there = np.flatnonzero(
        (people.deleted[: people.accounts] == NEVER) & (people.signed_up[: people.accounts] < plot.end - 8 * DAY)
    )
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
        customer = Customer(
            self._id("cus"), person, at - 2 * MINUTE, country.code, country.currency, ("visa", "credit")
        )
        for number in range(kind.subscriptions):
            begins = at + number * 9 * DAY
            if begins < self._plot.end:
                customer.subscriptions.append(self._begun(customer, begins))
                self._live(customer.subscriptions[-1], NEVER)
        return customer

    def _begun(self, customer: Customer, at: int) -> Subscription:
        price = PRICES[customer.currency, "premium", self._kind.cycle]
        return Subscription(
            self._id("sub"), customer, at, [(at, price)], self._random.choice(SOURCES[1:]),
            coupon=COUPONS[0] if self._kind.has_coupon else None, coupon_on=self._kind.coupon_on,
            extras=[Extra(tier, [(at, quantity)]) for tier, quantity in self._kind.extras],
            says_when_it_resumes=self._kind.change != "pause",
        )  # fmt: skip

    def _decide(self, subscription: Subscription, settled: int, ends: int, deleted: int) -> Price | None:
        """Nothing, the one change of the kind, or to leave."""
        at = self._random.randrange(settled, max(ends - DAY, settled) + 1)
        if at < self._plot.switches_from:
            if self._is(0.02):
                self._ask_to_end(subscription, settled, ends)
        elif self._kind.change == "quantity" and len(subscription.extras[0].quantities) == 1:
            subscription.extras[0].quantities.append((at, self._random.choice((1, 4, 9))))
        elif self._kind.change == "pause" and not subscription.pauses:
            subscription.pauses.append((at, at + self._random.randrange(3 * DAY, 9 * DAY)))
        return None

    def _outcome(self, at: int, likely: float) -> tuple[str, str | None]:
        # From so early on that it is known before the story is over.
        if self._kind.change == "unpaid" and at >= self._plot.switches_from - 12 * DAY:
            return "failed", "insufficient_funds"
        return "succeeded", None

    def _give_up(self, subscription: Subscription, invoice: Invoice, since: int, at: int) -> None:
        subscription.late.append((since, at))
        subscription.unpaid = at

    def _regret(self, subscription: Subscription, payment: Payment) -> None:
        pass
