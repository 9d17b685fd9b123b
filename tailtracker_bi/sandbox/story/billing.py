"""Invents the lives of subscriptions, one customer after the other, from the first price to the last payment."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import numpy as np

from tailtracker_bi.sandbox.story import chance
from tailtracker_bi.sandbox.story.money import (
    COUPONS,
    PRICES,
    Attempt,
    Coupon,
    Customer,
    Dispute,
    Invoice,
    Line,
    Payment,
    Price,
    Refund,
    Subscription,
    months_later,
)
from tailtracker_bi.sandbox.story.people import CHANNELS, COUNTRIES, Country, People, is_treated
from tailtracker_bi.sandbox.story.plot import DAY, HOUR, MINUTE, NEVER, PAYWALL, Plot

SOURCES = ("onboarding", "feature_limit", "lost_pet_alert")
TRIAL_DAYS = 14
_CARDS = (("visa", "debit"), ("visa", "credit"), ("mastercard", "debit"), ("mastercard", "credit"), ("amex", "credit"))
CODES = ("insufficient_funds", "generic_decline", "do_not_honor", "expired_card", "lost_card")
_RETRIES = ((3 * DAY, 0.35), (5 * DAY, 0.25), (7 * DAY, 0.2))
"""After how long a failed payment is tried again, and how likely it succeeds then."""
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def invent(people: People, plot: Plot, seed: int) -> list[Customer]:
    """Everyone who ever subscribes, by the time of that."""
    random = chance.generator(seed, "subscribers")
    accounts = people.accounts
    keenness = np.array([channel.keenness for channel in CHANNELS])[people.channel[:accounts]]
    likely = 0.075 * chance.of_rare_things(accounts) * np.sqrt(people.keenness[:accounts]) * keenness
    likely *= np.where(is_treated(people, PAYWALL)[:accounts], PAYWALL.lift, 1)
    is_at_once = random.random(accounts) < 0.3
    signed_up = people.signed_up[:accounts]
    later = signed_up - signed_up % DAY + (1 + random.exponential(9, accounts)).astype(np.int64) * DAY
    later += random.integers(6 * HOUR, 22 * HOUR, accounts)
    begins = np.where(is_at_once, signed_up + random.integers(11 * MINUTE, 25 * MINUTE, accounts), later)
    subscribes = (random.random(accounts) < likely) & (begins < np.minimum(plot.end, people.deleted[:accounts] - DAY))
    who = np.flatnonzero(subscribes)
    who = who[np.argsort(begins[who], kind="stable")]
    lives = Lives(plot, Random(seed), chance.of_rare_things(accounts))
    return [
        lives.customer(
            person,
            int(begins[person]),
            COUNTRIES[people.country[person]],
            int(people.deleted[person]),
            SOURCES[0] if is_at_once[person] else "",
        )
        for person in who.tolist()
    ]


class Lives:
    """Lets customers live, with the chances of one story."""

    def __init__(self, plot: Plot, random: Random, of_rare_things: float) -> None:
        self._plot = plot
        self._random = random
        self._of_rare_things = of_rare_things

    def customer(self, person: int, at: int, country: Country, deleted: int, source: str) -> Customer:
        """A customer with all subscriptions, one after the other; `source` led to the first, where it is known."""
        currency, card = country.currency, self._random.choice(_CARDS)
        customer = Customer(self._id("cus"), person, at - 2 * MINUTE, country.code, card)
        price = self._price(currency)
        while at < min(self._plot.end, deleted - DAY):
            has_trial = not customer.subscriptions and self._is(0.45)
            subscription = Subscription(
                self._id("sub"), customer, at, [(at, price)], source or self._random.choice(SOURCES[1:]),
                coupon=self._random.choice(COUPONS) if self._is(0.15) else None,
                trial_ends=at + TRIAL_DAYS * DAY if has_trial else 0,
            )  # fmt: skip
            customer.subscriptions.append(subscription)
            following = self._live(subscription, deleted)
            source = ""
            if following is not None:  # another plan, at once
                at, price = subscription.ended + MINUTE, following
            elif subscription.ended < NEVER and self._is_rare(0.2):
                comes_back = subscription.ended + self._random.randrange(8, 70) * DAY
                at, price = (
                    comes_back - comes_back % DAY + self._random.randrange(6 * HOUR, 22 * HOUR),
                    self._price(currency),
                )
            else:
                break
        return customer

    def _live(self, subscription: Subscription, deleted: int) -> Price | None:
        """Bill period after period until the end; the price of the subscription that follows at once, if one does."""
        anchor, periods, reason = subscription.created, 0, ""
        if subscription.trial_ends:
            self._spend_trial(subscription, deleted)
            anchor = subscription.trial_ends
        begins = anchor
        while begins < min(self._plot.end, subscription.ended, subscription.unpaid):
            price = subscription.price_at(begins)
            ends = price.after(anchor, periods + 1)
            self._bill(subscription, price, begins, ends, reason)
            if subscription.ended == NEVER:
                settled = max([begins + 2 * DAY, *(until + DAY for _, until in subscription.late)])
                following = self._decide(subscription, settled, ends, deleted)
                if following is not None:
                    return following
            others = (at for at, other in subscription.terms if begins < at <= ends and other.cycle != price.cycle)
            if switched_at := next(others, 0):  # another cycle begins at once
                anchor, periods, begins, reason = switched_at, 0, switched_at, "subscription_update"
            else:
                begins, periods, reason = ends, periods + 1, ""
        return None

    def _spend_trial(self, subscription: Subscription, deleted: int) -> None:
        """A bill of nothing; a third of the trials are cancelled before they end."""
        subscription.paid_first = subscription.created
        price = subscription.terms[0][1]
        period = (subscription.created, subscription.trial_ends)
        free = (Line(0, price, 1, 0),)
        subscription.invoices.append(Invoice(self._id("in"), subscription.created, "subscription_create", free, period))
        if self._is(0.35):
            self._ask_to_end(subscription, subscription.created + HOUR, subscription.trial_ends)
        elif deleted < subscription.trial_ends:
            self._end(subscription, deleted, "cancellation_requested")

    def _bill(self, subscription: Subscription, price: Price, begins: int, ends: int, reason: str = "") -> None:
        is_first = not subscription.invoices
        is_cycle = not (is_first or reason)
        invoice = Invoice(
            self._id("in"), begins, reason or ("subscription_create" if is_first else "subscription_cycle"),
            tuple(self._lines(subscription, begins)), (begins, ends),
            is_after_trial=begins == subscription.trial_ends, is_void=subscription.pause_at(begins) is not None,
        )  # fmt: skip
        subscription.invoices.append(invoice)
        if invoice.is_void:
            return
        # Stripe leaves an hour to change the bill of a renewal.
        at = begins + HOUR if is_cycle else begins
        payment = invoice.payment = Payment(self._id("pi"), at, invoice.cents, price.currency, [])
        if is_cycle:
            self._collect(subscription, invoice, payment)
        else:
            self._pay_first(subscription, invoice, payment)
        if payment.paid_at < NEVER:
            self._regret(subscription, payment)

    def _lines(self, subscription: Subscription, at: int) -> Iterator[Line]:
        """A line for each item; of what is metered, for what was used before."""
        lasts = self._has_discount(subscription, at)
        for place, price, quantity in subscription.items_at(at):
            if price.is_metered:
                yield Line(place, price, used := self._random.randrange(40), 7 * used)
            else:
                cents = price.cents_of(quantity)
                yield Line(place, price, quantity, cents, subscription.off(place, cents) if lasts else 0)

    def _has_discount(self, subscription: Subscription, at: int) -> bool:
        match subscription.coupon:
            case Coupon(duration="repeating", months=months):
                return at < months_later(subscription.created, months)
            case Coupon(duration="once"):
                return not any(invoice.subtotal for invoice in subscription.invoices)
        return subscription.coupon is not None

    def _pay_first(self, subscription: Subscription, invoice: Invoice, payment: Payment) -> None:
        """With the customer at hand: who fails tries again at once, or gives up."""
        at = payment.created
        while True:
            outcome, code = self._outcome(at, 0.93)
            payment.attempts.append(Attempt(self._id("ch"), at, outcome, code))
            if outcome == "succeeded":
                subscription.paid_first = min(subscription.paid_first, at)
                return
            if self._is(0.3) or len(payment.attempts) == 4:
                break
            at += self._random.randrange(MINUTE, 5 * MINUTE)
        if subscription.paid_first == NEVER:
            invoice.given_up = payment.created + 23 * HOUR
            self._end(subscription, payment.created + 23 * HOUR, None)
        else:
            self._give_up(subscription, invoice, payment.created, at + HOUR)

    def _collect(self, subscription: Subscription, invoice: Invoice, payment: Payment) -> None:
        """Without the customer: retries over two weeks, then the subscription ends."""
        at = payment.created
        outcome, code = self._outcome(at, 1 - 0.06 * self._of_rare_things)
        payment.attempts.append(Attempt(self._id("ch"), at, outcome, code))
        for wait, likely in _RETRIES:
            if outcome == "succeeded":
                break
            at += wait
            outcome, code = self._outcome(at, likely)
            payment.attempts.append(Attempt(self._id("ch"), at, outcome, code))
        if outcome != "succeeded":
            self._give_up(subscription, invoice, payment.created, at + HOUR)
        elif len(payment.attempts) > 1:
            subscription.late.append((payment.created, at))

    def _give_up(self, subscription: Subscription, invoice: Invoice, since: int, at: int) -> None:
        subscription.late.append((since, at))
        invoice.given_up = at
        self._end(subscription, at, "payment_failed")

    def _regret(self, subscription: Subscription, payment: Payment) -> None:
        """Some want their money back, or their bank takes it."""
        if self._is_rare(0.02):
            cents = payment.cents if self._is(0.6) else self._random.randrange(100, payment.cents)
            at = payment.paid_at + self._random.randrange(HOUR, 12 * DAY)
            payment.refund = Refund(self._id("re"), at, cents)
        elif self._is_rare(0.005):
            at = payment.paid_at + self._random.randrange(3 * DAY, 25 * DAY)
            closed = at + self._random.randrange(10 * DAY, 60 * DAY)
            payment.dispute = Dispute(self._id("du"), at, closed, self._is(0.4))
            if subscription.ended == NEVER and self._is(0.5):
                self._end(subscription, at, "payment_disputed")

    def _decide(self, subscription: Subscription, settled: int, ends: int, deleted: int) -> Price | None:
        """What the customer does in a period that is paid: leave, switch, pause or, mostly, nothing."""
        price = subscription.price_at(settled)
        if settled > ends - DAY:
            return None
        at = self._random.randrange(settled, ends - DAY + 1)
        # By day, so that what follows within minutes is on the same day.
        at += self._random.randrange(6 * HOUR, 22 * HOUR) - at % DAY
        chance_of = self._random.random() / (price.months**0.75)
        if deleted < ends:
            self._end(subscription, max(deleted, settled), "cancellation_requested")
        elif chance_of < 0.045:
            if self._is(0.8):
                self._ask_to_end(subscription, settled, ends)
            else:
                self._end(subscription, at, "cancellation_requested")
        elif chance_of < 0.065 and at < self._plot.switches_from:
            self._end(subscription, at, "cancellation_requested")
            return self._other_price(price)
        elif at >= self._plot.switches_from and self._is_rare(0.1):
            subscription.terms.append((at, self._other_price(price)))
            self._bill_upgrade(subscription, price, at, ends)
        elif at >= self._plot.switches_from and price.months == 1 and self._is(0.08):
            subscription.pauses.append((at, at + self._random.randrange(5 * DAY, 20 * DAY)))
        return None

    def _bill_upgrade(self, subscription: Subscription, before: Price, at: int, ends: int) -> None:
        """What the better plan costs more until the period ends is paid at once."""
        after = subscription.terms[-1][1]
        if after.months != before.months or after.cents <= before.cents:
            return
        begins = subscription.invoices[-1].period[0]
        cents = (after.cents - before.cents) * (ends - at) // (ends - begins)
        if cents < 50:  # less than Stripe charges
            return
        line = Line(0, after, 1, cents, is_proration=True)
        invoice = Invoice(self._id("in"), at, "subscription_update", (line,), (at, ends))
        attempts = [Attempt(self._id("ch"), at, "succeeded")]
        invoice.payment = Payment(self._id("pi"), at, cents, after.currency, attempts)
        subscription.invoices.append(invoice)

    def _ask_to_end(self, subscription: Subscription, earliest: int, ends: int) -> None:
        """Cancel to the end of the period."""
        subscription.asked_to_end = self._random.randrange(earliest, ends - HOUR)
        self._end(subscription, ends, "cancellation_requested")

    def _end(self, subscription: Subscription, at: int, reason: str | None) -> None:
        subscription.ended, subscription.end_reason = at, reason

    def _price(self, currency: str) -> Price:
        tier = "pro" if self._is(0.4) else "premium"
        return PRICES[currency, tier, "annual" if self._is(0.3) else "monthly"]

    def _other_price(self, price: Price) -> Price:
        """The other tier or, of a monthly one sometimes, the annual price."""
        if price.months == 1 and self._is(0.3):
            return PRICES[price.currency, price.tier, "annual"]
        return PRICES[price.currency, "premium" if price.tier == "pro" else "pro", price.cycle]

    def _outcome(self, at: int, likely: float) -> tuple[str, str | None]:
        if self._plot.incident[0] <= at < self._plot.incident[1]:
            likely *= 0.45
        if self._is(likely):
            return "succeeded", None
        if self._is(0.03):
            return "blocked", "highest_risk_level"
        return "failed", self._random.choice(CODES)

    def _is(self, likely: float) -> bool:
        return self._random.random() < likely

    def _is_rare(self, likely: float) -> bool:
        return self._is(likely * self._of_rare_things)

    def _id(self, prefix: str) -> str:
        return f"{prefix}_1{''.join(self._random.choices(_BASE62, k=22))}"
