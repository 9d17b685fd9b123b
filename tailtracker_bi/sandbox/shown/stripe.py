"""The story's money as Stripe shows it at a moment: objects in the newest shape, and the feed of what changed lately.

Every object is a function of the moment. So an event needs no book-keeping: it tells the object as it was a second
before one of its moments, and as it was at it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tailtracker_bi.sandbox.shown import payment_shapes, stripe_shapes
from tailtracker_bi.sandbox.shown.files import write_lines
from tailtracker_bi.sandbox.shown.stripe_shapes import Object
from tailtracker_bi.sandbox.story.money import (
    COUPONS,
    PRICE_LIST,
    BalanceChange,
    Customer,
    Invoice,
    Payment,
    balance_changes,
    payday,
)
from tailtracker_bi.sandbox.story.plot import DAY, NEVER
from tailtracker_bi.sandbox.story.story import Progress, Story

API_VERSION = "2026-10-28.endive"
FEED_DAYS = 30
"""So long Stripe keeps events."""


class _Thing(NamedTuple):
    """An object over time: the moments at which it changes, the first that of its creation, and what it is at one."""

    moments: list[int]
    shape: Callable[[int], Object]


def write(story: Story, directory: Path, now: int, progress: Progress) -> None:
    """All tables as they are at this moment, and the events of the 30 days before."""
    directory.mkdir(parents=True, exist_ok=True)
    events: list[Object] = []
    for done, (table, things_of) in enumerate(_TABLES.items()):
        progress(f"stripe: {table}", done, len(_TABLES) + 1)
        things = [thing for thing in things_of(story) if thing.moments[0] <= now]
        write_lines(directory / f"{table}.jsonl.gz", (thing.shape(now) for thing in things))
        if table != "balance_transactions":
            events += (event for thing in things for event in _events(thing, now))
    progress("stripe: events", len(_TABLES), len(_TABLES) + 1)
    events += _events_of_discounts(story, now)
    events.sort(key=lambda event: (event["created"], event["id"]))
    write_lines(directory / "events.jsonl.gz", events)


def _events(thing: _Thing, now: int) -> Iterator[Object]:
    for place, at in enumerate(thing.moments):
        if not now - FEED_DAYS * DAY < at <= now:
            continue
        item = _as_sent(thing.shape(at))
        previous = _previous(_as_sent(thing.shape(at - 1)), item) if place else None
        if previous != {}:
            told = {} if previous is None else {"previous_attributes": previous}
            yield _event(_event_type(item, previous), at, {"object": item} | told)


def _events_of_discounts(story: Story, now: int) -> Iterator[Object]:
    """No list has discounts: their events alone tell on what terms one was that is gone."""
    for customer in story.customers:
        for each in customer.subscriptions:
            if each.coupon:
                turns = {"created": each.created, "deleted": stripe_shapes.discount_ends(each)}
                for happened, at in turns.items():
                    if now - FEED_DAYS * DAY < at <= now:
                        item = _as_sent(stripe_shapes.discount(each, each.coupon, at))
                        yield _event(f"customer.discount.{happened}", at, {"object": item})


def _event(type_: str, at: int, data: Object) -> Object:
    return {
        "id": f"evt_{data['object']['id'].replace('_', '')}{at:x}",
        "object": "event",
        "type": type_,
        "created": at,
        "api_version": API_VERSION,
        "livemode": True,
        "pending_webhooks": 0,
        "request": {"id": None, "idempotency_key": None},
        "data": data,
    }


def _as_sent(item: Object) -> Object:
    """In events nothing is expanded, and no payout tells what it holds."""
    if item["object"] == "subscription":
        return item | {"discounts": [discount["id"] for discount in item["discounts"]]}
    if item["object"] == "discount":
        return item | {"source": item["source"] | {"coupon": item["source"]["coupon"]["id"]}}
    return {name: value for name, value in item.items() if name != "holds"}


def _previous(before: Object, after: Object) -> Object:
    """Of what differs, how it was; of an object inside only what differs in it."""
    found = {}
    for name, value in after.items():
        was = before[name]
        if was != value:
            found[name] = _previous(was, value) if isinstance(value, dict) and isinstance(was, dict) else was
    return found


def _event_type(item: Object, previous: Object | None) -> str:
    kind = {"subscription": "customer.subscription", "dispute": "charge.dispute"}.get(item["object"], item["object"])
    if item["object"] == "charge":
        happened = item["status"] if previous is None else "refunded" if "amount_refunded" in previous else "updated"
    elif previous is None:
        happened = "created"
    else:
        happened = {
            "canceled": "deleted" if item["object"] == "subscription" else "canceled",
            "paid": "paid",
            "succeeded": "succeeded",
            "uncollectible": "marked_uncollectible",
            "won": "closed",
            "lost": "closed",
            "released": "released",
            "requires_payment_method": "payment_failed",
        }.get(item["status"] if "status" in previous else "", "updated")
    return f"{kind}.{happened}"


def _products(story: Story) -> Iterator[_Thing]:
    for tier in dict.fromkeys(price.tier for price in PRICE_LIST):
        yield _Thing([story.plot.start], partial(stripe_shapes.product, tier, story.plot.start))


def _prices(story: Story) -> Iterator[_Thing]:
    for price in PRICE_LIST:
        yield _Thing([story.plot.start], partial(stripe_shapes.listed_price, price, story.plot.start))


def _coupons(_: Story) -> Iterator[_Thing]:
    for coupon in COUPONS:
        yield _Thing([stripe_shapes.COUPONS_MADE], partial(stripe_shapes.coupon, coupon))


def _customers(story: Story) -> Iterator[_Thing]:
    for customer in story.customers:
        turns = {at for each in customer.subscriptions for spell in each.late for at in spell}
        turns |= {each.created for each in customer.subscriptions}
        user = story.people.user_id[customer.person]
        yield _Thing(sorted({customer.created, *turns}), partial(stripe_shapes.customer, customer, user))


def _subscriptions(story: Story) -> Iterator[_Thing]:
    for customer in story.customers:
        user = story.people.user_id[customer.person]
        for subscription in customer.subscriptions:
            starts = [invoice.period[0] for invoice in subscription.invoices]
            turns = [at for spell in [*subscription.late, *subscription.pauses] for at in spell]
            terms = [at for at, _ in subscription.terms]
            terms += [at for extra in subscription.extras for at, _ in extra.quantities]
            single = [
                subscription.trial_ends,
                subscription.paid_first,
                subscription.asked_to_end,
                subscription.unpaid,
                subscription.released,
                stripe_shapes.discount_ends(subscription),
                subscription.ended,
            ]
            last = min(subscription.ended, NEVER - 1)
            moments = {at for at in [*starts, *turns, *terms, *single] if subscription.created <= at <= last}
            yield _Thing(sorted(moments), partial(stripe_shapes.subscription, subscription, user, story.plot.start))


def _schedules(story: Story) -> Iterator[_Thing]:
    for customer in story.customers:
        for each in customer.subscriptions:
            if plan := each.schedule:
                begun = {at for at, _ in plan.phases if at < each.released}
                yield _Thing(sorted({*begun, each.released}), partial(stripe_shapes.schedule, each, plan))


def _invoices(story: Story) -> Iterator[_Thing]:
    for customer in story.customers:
        user = story.people.user_id[customer.person]
        for subscription, invoice in customer.invoices():
            moments = {invoice.created, invoice.given_up}
            if invoice.payment:
                moments |= {invoice.payment.created, *(attempt.at for attempt in invoice.payment.attempts)}
            yield _Thing(sorted(moments - {NEVER}), partial(stripe_shapes.invoice, subscription, invoice, user))


def _payments(story: Story) -> Iterator[tuple[Customer, Invoice, Payment]]:
    for customer in story.customers:
        for _, invoice in customer.invoices():
            if invoice.payment:
                yield customer, invoice, invoice.payment


def _invoice_payments(story: Story) -> Iterator[_Thing]:
    for _, invoice, payment in _payments(story):
        moments = {payment.created, payment.paid_at, invoice.given_up} - {NEVER}
        yield _Thing(sorted(moments), partial(payment_shapes.invoice_payment, invoice, payment))


def _payment_intents(story: Story) -> Iterator[_Thing]:
    for customer, invoice, payment in _payments(story):
        moments = {payment.created, invoice.given_up, *(attempt.at for attempt in payment.attempts)} - {NEVER}
        yield _Thing(sorted(moments), partial(payment_shapes.payment_intent, customer, invoice, payment))


def _charges(story: Story) -> Iterator[_Thing]:
    for customer, _, payment in _payments(story):
        for attempt in payment.attempts:
            moments = {attempt.at}
            if attempt.outcome == "succeeded":
                moments |= {each.at for each in (payment.refund, payment.dispute) if each}
            yield _Thing(sorted(moments), partial(payment_shapes.charge, customer, payment, attempt))


def _refunds(story: Story) -> Iterator[_Thing]:
    for customer, _, payment in _payments(story):
        if refund := payment.refund:
            yield _Thing([refund.at], partial(payment_shapes.refund, customer, payment, refund))


def _disputes(story: Story) -> Iterator[_Thing]:
    for customer, _, payment in _payments(story):
        if dispute := payment.dispute:
            yield _Thing([dispute.at, dispute.closed], partial(payment_shapes.dispute, customer, payment, dispute))


def _balance_transactions(story: Story) -> Iterator[_Thing]:
    for change in balance_changes(story.customers, story.plot.end):
        yield _Thing([change.at], partial(payment_shapes.balance_transaction, change))


def _payouts(story: Story) -> Iterator[_Thing]:
    weeks: dict[tuple[str, int], list[BalanceChange]] = defaultdict(list)
    for change in balance_changes(story.customers, story.plot.end):
        if change.category == "payout":
            own = weeks.pop((change.currency, change.at), [])
            yield _Thing([change.at, change.at + 2 * DAY], partial(payment_shapes.payout, change, own))
        else:
            weeks[change.currency, payday(change.at)].append(change)


_TABLES: dict[str, Callable[[Story], Iterator[_Thing]]] = {
    "products": _products,
    "prices": _prices,
    "coupons": _coupons,
    "customers": _customers,
    "subscriptions": _subscriptions,
    "subscription_schedules": _schedules,
    "invoices": _invoices,
    "invoice_payments": _invoice_payments,
    "payment_intents": _payment_intents,
    "charges": _charges,
    "refunds": _refunds,
    "disputes": _disputes,
    "balance_transactions": _balance_transactions,
    "payouts": _payouts,
}
