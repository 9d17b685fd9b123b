"""The lives of subscriptions: who begins when and on what, what is billed, what fails, who switches, pauses and leaves.

Only facts stand here, each with its time (seconds, NEVER for what does not happen) and amounts in cents. How Stripe and
the app show them at some moment is the business of other modules.
"""

from __future__ import annotations

from calendar import monthrange
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from itertools import pairwise

import numpy as np

from tailtracker_bi.sandbox.story.chance import Ints
from tailtracker_bi.sandbox.story.plot import DAY, HOUR, NEVER

CYCLES = {
    "weekly": ("week", 1), "every 4 weeks": ("week", 4), "monthly": ("month", 1), "quarterly": ("month", 3),
    "annual": ("year", 1),
}  # fmt: skip
"""How often is billed: Stripe's interval, and how many of them."""
_MONTHS = {"week": Fraction(12, 52), "month": Fraction(1), "year": Fraction(12)}


@dataclass(frozen=True)
class Price:
    """What a plan, or what comes on top of one, costs each cycle: cents a piece or, in tiers, by how many there are.

    `tiers` are graduated: up to so many pieces (None: without end), cents a piece, and cents for having reached the
    tier. What is metered is paid for as it was used.
    """

    price_id: str
    tier: str
    """The plan, or what comes on top."""
    cycle: str
    cents: int
    currency: str
    tiers: tuple[tuple[int | None, int, int], ...] = ()
    is_metered: bool = False

    @property
    def months(self) -> Fraction:
        """How long a cycle is, as Stripe reckons."""
        interval, count = CYCLES[self.cycle]
        return _MONTHS[interval] * count

    @property
    def cycle_in_app(self) -> str:
        """The app, which knows of two, takes the others for months."""
        return "annual" if self.cycle == "annual" else "monthly"

    def after(self, anchor: int, cycles: int) -> int:
        """The moment so many cycles after another."""
        interval, count = CYCLES[self.cycle]
        if interval == "week":
            return anchor + cycles * count * 7 * DAY
        return months_later(anchor, int(cycles * self.months))

    def cents_of(self, quantity: int) -> int:
        """What so many cost a cycle; what is metered costs nothing before it is used."""
        if self.is_metered:
            return 0
        if not self.tiers:
            return self.cents * quantity
        cents = reached = 0
        for up_to, each, flat in self.tiers:
            if quantity > reached:
                cents += flat + each * (min(quantity, up_to or quantity) - reached)
            reached = up_to or quantity
        return cents


@dataclass(frozen=True)
class Coupon:
    """A discount: a share in percent or cents, `forever`, `once`, or `repeating` for some months."""

    coupon_id: str
    duration: str
    percent: int = 0
    cents: int = 0
    months: int = 0

    def off(self, cents: int) -> int:
        """How many of these cents it takes off."""
        share = (Decimal(cents) * self.percent / 100).quantize(Decimal(1), ROUND_HALF_UP)
        return min(cents, int(share) + self.cents)


TIERS = ("free", "premium", "pro")
_PRICE_LIST = {
    "eur": {
        ("premium", "monthly"): 599, ("premium", "annual"): 5000, ("pro", "monthly"): 899, ("pro", "annual"): 8000,
        ("premium", "weekly"): 179, ("premium", "every 4 weeks"): 569, ("premium", "quarterly"): 1599,
        ("tracker", "monthly"): 149, ("tracker", "annual"): 1490, ("badge", "monthly"): 0,
        ("storage", "monthly"): 0, ("messages", "monthly"): 0,
    },
    "usd": {("premium", "monthly"): 649, ("pro", "monthly"): 949},
    "jpy": {("premium", "monthly"): 980},
}  # fmt: skip
"""Cents, or yen, by currency."""
MINOR_UNITS = {"eur": 100, "usd": 100, "jpy": 1}
"""How many of them the currency's unit has."""
_STORAGE = ((2, 50, 30), (None, 35, 0))
PRICES = {
    (currency, tier, cycle): Price(
        f"price_1TailTracker{tier.title()}{cycle.title().replace(' ', '')}{currency.title()}", tier, cycle, cents,
        currency, _STORAGE if tier == "storage" else (), is_metered=tier == "messages",
    )
    for currency, prices in _PRICE_LIST.items()
    for (tier, cycle), cents in prices.items()
}  # fmt: skip
LAUNCH = Price("price_1TailTrackerPremiumLaunchEur", "premium", "monthly", 399, "eur")
"""What the plan costs at first those who were promised so."""
PRICE_LIST = (*PRICES.values(), LAUNCH)
COUPONS = (
    Coupon("FOUNDERS20", "forever", percent=20),
    Coupon("SUMMER50", "repeating", percent=50, months=3),
    Coupon("HELLO3", "once", cents=300),
)
DISPUTE_FEE = 1500


@dataclass(slots=True)
class Attempt:
    """One try at a payment: `succeeded`, `failed` or `blocked`, and why it did not succeed."""

    charge_id: str
    at: int
    outcome: str
    code: str | None = None


@dataclass(slots=True)
class Refund:
    refund_id: str
    at: int
    cents: int


@dataclass(slots=True)
class Dispute:
    """The bank takes the whole payment back; what is won comes back when it is closed."""

    dispute_id: str
    at: int
    closed: int
    is_won: bool


@dataclass(slots=True)
class Payment:
    """What was to be paid for an invoice, and all tries at it, in order."""

    payment_id: str
    created: int
    cents: int
    currency: str
    attempts: list[Attempt]
    refund: Refund | None = None
    dispute: Dispute | None = None

    @property
    def paid_at(self) -> int:
        last = self.attempts[-1]
        return last.at if last.outcome == "succeeded" else NEVER


@dataclass(frozen=True, slots=True)
class Line:
    """What a bill says of an item, and what coupons take off; a proration is for a part of the period."""

    place: int
    """Of the item in its subscription: 0 is the plan."""
    price: Price
    quantity: int
    cents: int
    off: int = 0
    is_proration: bool = False


@dataclass(slots=True)
class Invoice:
    """A bill: `payment` is None where nothing is to pay, or where it is voided at once."""

    invoice_id: str
    created: int
    reason: str
    lines: tuple[Line, ...]
    period: tuple[int, int]
    is_after_trial: bool = False
    is_void: bool = False
    payment: Payment | None = None
    given_up: int = NEVER

    @property
    def subtotal(self) -> int:
        return sum(line.cents for line in self.lines)

    @property
    def cents(self) -> int:
        return sum(line.cents - line.off for line in self.lines)


@dataclass(slots=True)
class Extra:
    """What comes on top of a plan, as an item of its own: from when on how many."""

    tier: str
    quantities: list[tuple[int, int]]

    def quantity_at(self, at: int) -> int:
        return next((quantity for since, quantity in reversed(self.quantities) if since <= at), self.quantities[0][1])


@dataclass(frozen=True, slots=True)
class Schedule:
    """What is known beforehand of a subscription: from when on it is to have which price, and when that is all."""

    schedule_id: str
    phases: tuple[tuple[int, Price], ...]
    ends: int


@dataclass(slots=True)
class Subscription:
    """One subscription from its beginning to its end."""

    subscription_id: str
    customer: Customer
    created: int
    terms: list[tuple[int, Price]]
    """From when on it has which price."""
    source: str
    coupon: Coupon | None = None
    trial_ends: int = 0
    """0: no trial."""
    paid_first: int = NEVER
    """When it stopped being incomplete; NEVER for one whose first payment never came."""
    invoices: list[Invoice] = field(default_factory=list)
    late: list[tuple[int, int]] = field(default_factory=list)
    """From and until when a payment was overdue."""
    pauses: list[tuple[int, int]] = field(default_factory=list)
    asked_to_end: int = NEVER
    """When the customer cancelled to the end of the period."""
    ended: int = NEVER
    end_reason: str | None = None
    unpaid: int = NEVER
    """From when on it stays without being paid for."""
    extras: list[Extra] = field(default_factory=list)
    coupon_on: str = "subscription"
    """Or the `customer`, or the `item` that is the plan, so that it takes nothing off the others."""
    says_when_it_resumes: bool = True
    """Of a pause."""
    schedule: Schedule | None = None

    @property
    def currency(self) -> str:
        return self.terms[0][1].currency

    @property
    def released(self) -> int:
        """When its schedule lets go of it: as that ends, or as somebody cancels; 0 where it has none."""
        return min(self.schedule.ends, self.asked_to_end, self.ended) if self.schedule else 0

    @property
    def begins_to_pay(self) -> int:
        """From when on it brings in money, while it lasts."""
        return max(self.created, self.trial_ends) if self.paid_first < NEVER else NEVER

    def price_at(self, at: int) -> Price:
        return next((price for begins, price in reversed(self.terms) if begins <= at), self.terms[0][1])

    def items_at(self, at: int) -> Iterator[tuple[int, Price, int]]:
        """Place, price and quantity of each item: the plan, and what comes on top of it, in the same cycle."""
        plan = self.price_at(at)
        yield 0, plan, 1
        for place, extra in enumerate(self.extras, 1):
            yield place, PRICES[plan.currency, extra.tier, plan.cycle], extra.quantity_at(at)

    def off(self, place: int, cents: int) -> int:
        """What the coupon, while it lasts, takes off these cents of an item."""
        takes_off = self.coupon and (place == 0 or self.coupon_on != "item")
        return self.coupon.off(cents) if self.coupon and takes_off else 0

    def is_late(self, at: int) -> bool:
        return any(begins <= at < ends for begins, ends in self.late)

    def pause_at(self, at: int) -> tuple[int, int] | None:
        return next((pause for pause in self.pauses if pause[0] <= at < pause[1]), None)


@dataclass(slots=True)
class Customer:
    """Someone who pays, or meant to."""

    customer_id: str
    person: int
    created: int
    country: str
    card: tuple[str, str]
    """Brand and funding."""
    subscriptions: list[Subscription] = field(default_factory=list)

    def invoices(self) -> Iterator[tuple[Subscription, Invoice]]:
        for subscription in self.subscriptions:
            for invoice in subscription.invoices:
                yield subscription, invoice


@dataclass(frozen=True, slots=True)
class BalanceChange:
    """What moved Stripe's balance: cents, less the fee in cents, by what it is called and what it comes from."""

    at: int
    category: str
    source: str | None
    currency: str
    cents: int
    fee: int = 0


class Plans:
    """Which plan people have when: position in TIERS."""

    def __init__(self, customers: Sequence[Customer]) -> None:
        changes = sorted(change for customer in customers for change in _plan_changes(customer))
        self._keys = np.array([person * NEVER + at for person, at, _ in changes], np.int64)
        self._tiers = np.array([0, *(tier for _, _, tier in changes)], np.int64)
        self._owners = np.array([-1, *(person for person, _, _ in changes)], np.int64)

    def at(self, person: Ints, times: Ints) -> Ints:
        """The plan of each person at each time."""
        place = np.searchsorted(self._keys, person * NEVER + times, side="right")
        return np.where(self._owners[place] == person, self._tiers[place], 0)


def spells_on(tier: str, customers: Sequence[Customer]) -> dict[int, list[tuple[int, int]]]:
    """By person: from and until when someone has this plan."""
    found: dict[int, list[tuple[int, int]]] = {}
    for customer in customers:
        changes = [*sorted(_plan_changes(customer)), (customer.person, NEVER, 0)]
        spells = [(at, end) for (_, at, now), (_, end, _) in pairwise(changes) if TIERS[now] == tier]
        if spells:
            found[customer.person] = spells
    return found


def _plan_changes(customer: Customer) -> Iterator[tuple[int, int, int]]:
    """(person, time, tier): the paid tier from the beginning of a trial or payment on, free from the end."""
    for subscription in customer.subscriptions:
        if subscription.paid_first < NEVER:
            for begins, price in subscription.terms:
                yield customer.person, max(begins, subscription.paid_first), TIERS.index(price.tier)
            if subscription.ended < NEVER:
                yield customer.person, subscription.ended, 0


def failed_attempts(customers: Sequence[Customer]) -> list[tuple[Customer, Payment, int]]:
    """All that did not succeed: whose, at which payment, and which attempt at it, from 0."""
    return [
        (customer, invoice.payment, number)
        for customer in customers
        for _, invoice in customer.invoices()
        if invoice.payment
        for number, attempt in enumerate(invoice.payment.attempts)
        if attempt.outcome != "succeeded"
    ]


def balance_changes(customers: Sequence[Customer], until: int) -> list[BalanceChange]:
    """All that moves the balance until then, by time: what is charged, given back and taken back, fees and payouts."""
    found = [
        change
        for customer in customers
        for _, invoice in customer.invoices()
        if invoice.payment
        for change in _changes_of(invoice.payment)
        if change.at < until
    ]
    found.sort(key=lambda change: (change.at, change.source or ""))
    found += _monthly_fees(found, until)
    return sorted([*found, *_payouts(found, until)], key=lambda change: change.at)


def _changes_of(payment: Payment) -> Iterator[BalanceChange]:
    currency = payment.currency
    for attempt in payment.attempts:
        if attempt.outcome == "succeeded":
            fee = payment.cents * 15 // 1000 + 25
            yield BalanceChange(attempt.at, "charge", attempt.charge_id, currency, payment.cents, fee)
    if refund := payment.refund:
        yield BalanceChange(refund.at, "refund", refund.refund_id, currency, -refund.cents)
    if dispute := payment.dispute:
        yield BalanceChange(dispute.at, "dispute", dispute.dispute_id, currency, -payment.cents, DISPUTE_FEE)
        if dispute.is_won:
            yield BalanceChange(dispute.closed, "dispute_reversal", dispute.dispute_id, currency, payment.cents)


def _monthly_fees(changes: Sequence[BalanceChange], until: int) -> Iterator[BalanceChange]:
    """Two cents for each charge, taken on the first of the month after."""
    charges: Counter[tuple[str, int, int]] = Counter()
    for change in changes:
        if change.category == "charge":
            moment = datetime.fromtimestamp(change.at, UTC)
            charges[change.currency, moment.year, moment.month] += 1
    for (currency, year, month), count in charges.items():
        taken = int(datetime(year + month // 12, month % 12 + 1, 1, 0, 10, tzinfo=UTC).timestamp())
        if taken < until:
            yield BalanceChange(taken, "fee", None, currency, -2 * count)


def _payouts(changes: Sequence[BalanceChange], until: int) -> Iterator[BalanceChange]:
    """Each Monday at 6 what came in until then goes to the bank."""
    weeks: Counter[tuple[str, int]] = Counter()
    for change in changes:
        weeks[change.currency, payday(change.at)] += change.cents - change.fee
    for (currency, monday), cents in weeks.items():
        if cents > 0 and monday < until:
            yield BalanceChange(monday, "payout", f"po_{currency}{monday:x}", currency, -cents)


def major_units(cents: int, currency: str) -> Decimal:
    """What so many of its smallest unit are in a currency."""
    return Decimal(cents) / MINOR_UNITS[currency]


def payday(at: int) -> int:
    """The next Monday at 6 after a moment."""
    week, first_monday = 7 * DAY, 4 * DAY + 6 * HOUR
    return at - (at - first_monday) % week + week


def months_later(at: int, months: int) -> int:
    """The same day and time so many months later; in a shorter month its last day."""
    moment = datetime.fromtimestamp(at, UTC)
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    day = min(moment.day, monthrange(year, month + 1)[1])
    return int(moment.replace(year=year, month=month + 1, day=day).timestamp())
