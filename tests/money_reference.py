"""MRR and its movements once more, slowly and plainly, to test the SQL against: day by day, customer by customer.

Nothing here knows the warehouse, and nothing is fast. Each docstring says the definition that its function stands for.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from tests.stripe_worlds import Version

Object = dict[str, Any]
MovementKey = tuple[str, date, str, str, str, str]
"""Grain, period start, currency, segment, segment value, movement."""
MovementRow = tuple[int, Decimal | None]

MONTHS = {"month": Fraction(1), "year": Fraction(1, 12), "week": Fraction(52, 12), "day": Fraction(365, 12)}
CYCLES = {"month": "monthly", "year": "annual", "week": "weekly", "day": "daily"}
RANK = {"before": 0, "event": 1, "list": 2}
ADDED = ("new", "reactivation", "expansion", "contraction", "churn", "switched_in", "switched_out")


def rounded(amount: Fraction) -> Decimal:
    """Half up to 6 decimals."""
    return Decimal((2 * amount * 10**6 + 1) // 2).scaleb(-6)


def in_order(versions: list[tuple[datetime, Version]]) -> list[tuple[datetime, Version]]:
    """As they came into force; what was before an event is news only where nothing earlier is known."""
    ordered = sorted(versions, key=lambda each: (each[0], RANK[each[1].origin]))
    return [each for place, each in enumerate(ordered) if place == 0 or each[1].origin != "before"]


def counts(versions: list[tuple[datetime, Version]], end: datetime) -> Object | None:
    """The subscription whose items count just before this instant; None where none do."""
    ordered = in_order(versions)
    latest = ordered[-1][1].item
    if latest.get("ended_at") and moment(latest["ended_at"]) < end:
        return None
    begun = [
        place
        for place, (at, version) in enumerate(ordered)
        if (moment(version.item["created"]) if place == 0 else at) < end
    ]
    if not begun:
        return None
    place = begun[-1]
    at, version = ordered[place]
    item = version.item
    if item.get("trial_end") and moment(item["trial_end"]) >= end:
        return None
    paused = item.get("pause_collection")
    # A pause that has an end is over by then, whether a later version says so or not; what was paused when it was first
    # seen has that end, too, but counts anew only with its next version.
    is_paused = paused is not None and not (
        place > 0 and paused.get("resumes_at") and moment(paused["resumes_at"]) < end
    )
    # A state that was there when the subscription was first seen, and whose beginning nobody tells.
    if place == 0 and at >= end and (is_paused or item["status"] in {"unpaid", "canceled"}):
        return item
    if is_paused:
        return None
    if item["status"] == "trialing":
        following = ordered[place + 1][1].item["status"] if place + 1 < len(ordered) else "active"
        return item if following in {"active", "past_due", "unpaid", "canceled"} else None
    return item if item["status"] in {"active", "past_due"} else None


def moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def mrr_of_items(subscription: Object) -> list[tuple[Object, Decimal]]:
    """Unit amount times quantity a month, less coupons that last forever: shares first, then amounts by share."""
    forever = [
        discount["source"]["coupon"]
        for discount in subscription["discounts"]
        if discount["source"]["coupon"]["duration"] == "forever"
    ]
    items = [
        item
        for item in subscription["items"]["data"]
        if item["price"].get("recurring") and item["price"]["recurring"]["usage_type"] == "licensed"
    ]
    amounts = []
    for item in items:
        amount = Fraction(item["price"]["unit_amount"] * item["quantity"], 100)
        for coupon in forever:
            if coupon.get("percent_off"):
                amount *= 1 - Fraction(str(coupon["percent_off"])) / 100
        amounts.append(amount)
    off = sum((Fraction(coupon.get("amount_off") or 0, 100) for coupon in forever), Fraction(0))
    total = sum(amounts, Fraction(0))
    found = []
    for item, amount in zip(items, amounts, strict=True):
        share = Fraction(rounded(off * amount / total)) if off < total and total else amount
        recurring = item["price"]["recurring"]
        found.append((item, rounded((amount - share) * MONTHS[recurring["interval"]] / recurring["interval_count"])))
    return found


def mrr_at_end_of(
    day: date, subscriptions: dict[str, list[tuple[datetime, Version]]], timezone: str
) -> dict[tuple[str, str, str, str], Decimal]:
    """By currency, segment, segment value and customer, where it is not 0."""
    end = datetime.combine(day + timedelta(days=1), time.min, ZoneInfo(timezone)).astimezone(UTC)
    found: dict[tuple[str, str, str, str], Decimal] = defaultdict(Decimal)
    for versions in subscriptions.values():
        subscription = counts(versions, end)
        for item, mrr in mrr_of_items(subscription) if subscription else []:
            recurring = item["price"]["recurring"]
            cycle = CYCLES[recurring["interval"]]
            values = {"all": "all", "plan": item["price"]["product"], "billing_cycle": cycle}
            for currency in ("all", subscription["currency"].upper()):  # type: ignore[index]
                for segment, value in values.items():
                    found[currency, segment, value, subscription["customer"]] += mrr  # type: ignore[index]
    return {key: mrr for key, mrr in found.items() if mrr}


def movement_of(before: Decimal, after: Decimal, whole: tuple[Decimal, Decimal], paid_earlier: bool) -> str:
    """What a customer's change is, inside a segment value, given the customer as a whole."""
    if whole[0] == 0:
        return "reactivation" if paid_earlier else "new"
    if whole[1] == 0:
        return "churn"
    if before == 0:
        return "switched_in"
    if after == 0:
        return "switched_out"
    return "expansion" if after > before else "contraction"


def mrr_movements(
    subscriptions: dict[str, list[tuple[datetime, Version]]], first: date, last: date, timezone: str
) -> dict[MovementKey, MovementRow]:
    """Each customer's net change of a day; months sum their days. Rows of nothing are left out. One currency."""
    found: dict[MovementKey, tuple[int, Decimal]] = {}
    paid_earlier: set[tuple[str, str]] = set()
    before: dict[tuple[str, str, str, str], Decimal] = {}

    def add(day: date, grain: str, key: tuple[str, str, str], movement: str, customers: int, amount: Decimal) -> None:
        start = day if grain == "day" else day.replace(day=1)
        so_far = found.get((grain, start, *key, movement), (0, Decimal()))
        found[grain, start, *key, movement] = (so_far[0] + customers, so_far[1] + amount)

    day = first
    while day <= last:
        after = mrr_at_end_of(day, subscriptions, timezone)
        tomorrow = day + timedelta(days=1)
        for grain in ("day", "month"):
            if grain == "day" or day == first or day.day == 1:
                for (*key, _), mrr in before.items():
                    add(day, grain, tuple(key), "opening", 1, mrr)
            if grain == "day" or day == last or tomorrow.day == 1:
                for (*key, _), mrr in after.items():
                    add(day, grain, tuple(key), "closing", 1, mrr)
        for currency, segment, value, customer in before.keys() | after.keys():
            was, now = (state.get((currency, segment, value, customer), Decimal()) for state in (before, after))
            whole = (
                before.get((currency, "all", "all", customer), Decimal()),
                after.get((currency, "all", "all", customer), Decimal()),
            )
            if was != now:
                movement = movement_of(was, now, whole, (currency, customer) in paid_earlier)
                for grain in ("day", "month"):
                    add(day, grain, (currency, segment, value), movement, 1, abs(now - was))
        paid_earlier |= {(currency, customer) for currency, segment, _, customer in after if segment == "all"}
        before, day = after, tomorrow
    return dict(found)
