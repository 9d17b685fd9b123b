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

from tests.worlds.stripe_worlds import Rates, Version

Object = dict[str, Any]
MovementKey = tuple[str, date, str, str, str, str]
"""Grain, period start, currency, segment, segment value, movement."""
MovementRow = tuple[int, Decimal | None]

MONTHS = {"month": Fraction(1), "year": Fraction(1, 12), "week": Fraction(52, 12), "day": Fraction(365, 12)}
CYCLES = {"month": "monthly", "year": "annual", "week": "weekly", "day": "daily"}
RANK = {"before": 0, "event": 1, "list": 2}
WENT = ("contraction", "churn", "switched_out")

States = dict[tuple[str, str, str, str], Decimal]
"""MRR by currency, segment, segment value and customer, where it is not 0."""
Payers = set[tuple[str, str]]
"""Currency and customer."""
Found = dict[tuple[str, str, str, str], list[Decimal | None]]
"""Amounts by currency, segment, segment value and movement."""


def rounded(amount: Fraction) -> Decimal:
    """Half up to 6 decimals."""
    return Decimal((2 * amount * 10**6 + 1) // 2).scaleb(-6)


def in_order(versions: list[tuple[datetime, Version]]) -> list[tuple[datetime, Version]]:
    """As they came into force; what was before an event is news only where nothing earlier is known."""
    ordered = sorted(versions, key=lambda each: (each[0], RANK[each[1].origin]))
    return [each for place, each in enumerate(ordered) if place == 0 or each[1].origin != "before"]


def in_euros(amount: Decimal, currency: str, day: date, rates: Rates) -> Decimal | None:
    """At the last rate published in the 8 days that end on this day, half away from zero to 6 decimals."""
    if currency == "EUR" or not amount:
        return amount
    for age in range(8):
        rate = rates.get((day - timedelta(days=age), currency))
        if rate:
            return rounded(Fraction(abs(amount)) / Fraction(rate)).copy_sign(amount)
    return None


def total(amounts: list[Decimal | None]) -> Decimal | None:
    """Their sum, which nobody knows where one of them is not known."""
    known = [amount for amount in amounts if amount is not None]
    return sum(known, Decimal()) if len(known) == len(amounts) else None


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
    # A pause that has an end is over by then, whether a later version says so or not.
    is_paused = paused is not None and not (paused.get("resumes_at") and moment(paused["resumes_at"]) < end)
    # A state that was there when the subscription was first seen, and whose beginning nobody tells.
    if place == 0 and at >= end and (paused is not None or item["status"] in {"unpaid", "canceled"}):
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
    """Unit amount times quantity a month, less coupons that last forever, each of what the one before left."""
    currency = subscription["currency"]
    items = [
        item
        for item in subscription["items"]["data"]
        if item["price"].get("recurring") and item["price"]["recurring"]["usage_type"] == "licensed"
    ]
    amounts = [Fraction(item["price"]["unit_amount"] * item["quantity"], 100) for item in items]
    for discount in subscription["discounts"]:
        coupon = discount["source"]["coupon"]
        if coupon["duration"] != "forever":
            continue
        products = (coupon.get("applies_to") or {}).get("products")
        meant = [products is None or item["price"]["product"] in products for item in items]
        whole = sum((amount for amount, is_meant in zip(amounts, meant, strict=True) if is_meant), Fraction(0))
        options = {coupon.get("currency"): coupon, **coupon.get("currency_options", {})}
        off = Fraction(options.get(currency, {}).get("amount_off") or 0, 100)
        left = 1 - Fraction(str(coupon.get("percent_off") or 0)) / 100
        if off:
            left = max(1 - off / whole, Fraction(0)) if whole else Fraction(1)
        amounts = [amount * left if is_meant else amount for amount, is_meant in zip(amounts, meant, strict=True)]
    found = []
    for item, amount in zip(items, amounts, strict=True):
        recurring = item["price"]["recurring"]
        found.append((item, rounded(amount * MONTHS[recurring["interval"]] / recurring["interval_count"])))
    return found


def mrr_at_end_of(day: date, subscriptions: dict[str, list[tuple[datetime, Version]]], timezone: str) -> States:
    """By currency, segment, segment value and customer, where it is not 0."""
    end = datetime.combine(day + timedelta(days=1), time.min, ZoneInfo(timezone)).astimezone(UTC)
    found: dict[tuple[str, str, str, str], Decimal] = defaultdict(Decimal)
    for versions in subscriptions.values():
        subscription = counts(versions, end)
        for item, mrr in mrr_of_items(subscription) if subscription else []:
            recurring = item["price"]["recurring"]
            cycle = CYCLES[recurring["interval"]]
            values = {"all": "all", "plan": item["price"]["product"], "billing_cycle": cycle}
            currency = subscription["currency"].upper()  # type: ignore[index]
            for segment, value in values.items():
                found[currency, segment, value, subscription["customer"]] += mrr  # type: ignore[index]
    return {key: mrr for key, mrr in found.items() if mrr}


def movement_of(before: Decimal, after: Decimal, whole: tuple[Decimal, Decimal], paid_earlier: bool, grew: bool) -> str:
    """What a customer's change is, inside a segment value, given the customer as a whole."""
    if whole[0] == 0:
        return "reactivation" if paid_earlier else "new"
    if whole[1] == 0:
        return "churn"
    if before == 0:
        return "switched_in"
    if after == 0:
        return "switched_out"
    return "expansion" if grew else "contraction"


def movements_of_a_day(before: States, after: States, day: date, paid_earlier: Payers, rates: Rates) -> Found:
    """What moved on a day: by currency in its own units, and in euros at the day's rates."""
    found: Found = defaultdict(list)
    of_customers: dict[tuple[str, str, str, str], dict[str, tuple[Decimal, Decimal]]] = defaultdict(dict)
    for currency, segment, value, customer in before.keys() | after.keys():
        pair = tuple(state.get((currency, segment, value, customer), Decimal()) for state in (before, after))
        for key in (currency, "all"):
            of_customers[key, segment, value, customer][currency] = pair  # type: ignore[assignment]
    for (key, segment, value, customer), pairs in of_customers.items():
        whole = of_customers[key, "all", "all", customer]
        # Whether anything is paid does not depend on units.
        was, now = (sum(pair[place] for pair in pairs.values()) for place in (0, 1))
        change = total(
            [
                new - old if key != "all" else in_euros(new - old, currency, day, rates)
                for currency, (old, new) in pairs.items()
            ]
        )
        if change or change is None or (not was) != (not now):
            bounds = tuple(sum(pair[place] for pair in whole.values()) for place in (0, 1))
            grew = change if change is not None else now - was
            movement = movement_of(Decimal(was), Decimal(now), bounds, (key, customer) in paid_earlier, grew > 0)  # type: ignore[arg-type]
            found[key, segment, value, movement].append(None if change is None else abs(change))
    return found


def balances(state: States, day: date, rates: Rates) -> dict[tuple[str, str, str], tuple[int, int, Decimal | None]]:
    """Customers, customers in another currency than the euro, and MRR; in the total each currency is converted once."""
    customers: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    amounts: dict[tuple[str, str, str], dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    foreign: dict[tuple[str, str, str], int] = defaultdict(int)
    for (currency, segment, value, customer), mrr in state.items():
        for key in (currency, "all"):
            customers[key, segment, value].add(customer)
            amounts[key, segment, value][currency] += mrr
        foreign["all", segment, value] += currency != "EUR"
    return {
        key: (
            len(customers[key]),
            foreign[key],
            total([in_euros(mrr, currency, day, rates) if key[0] == "all" else mrr for currency, mrr in own.items()]),
        )
        for key, own in amounts.items()
    }


def mrr_movements(
    subscriptions: dict[str, list[tuple[datetime, Version]]], first: date, last: date, timezone: str, rates: Rates
) -> dict[MovementKey, MovementRow]:
    """Each customer's net change of a day; months sum their days; in the total, fx is the rest. No rows of nothing."""
    found: dict[MovementKey, MovementRow] = {}
    paid_earlier: Payers = set()
    states: dict[date, States] = {first - timedelta(days=1): {}}
    moved: dict[date, Found] = {}
    for day in (first + timedelta(days=number) for number in range((last - first).days + 1)):
        states[day] = mrr_at_end_of(day, subscriptions, timezone)
        moved[day] = movements_of_a_day(states[day - timedelta(days=1)], states[day], day, paid_earlier, rates)
        paid_earlier |= {(key, customer) for currency, *_, customer in states[day] for key in (currency, "all")}
    for grain in ("day", "month"):
        starts = sorted({day if grain == "day" else day.replace(day=1) for day in moved})
        for start in starts:
            days = [day for day in moved if start == (day if grain == "day" else day.replace(day=1))]
            opening = balances(states[days[0] - timedelta(days=1)], days[0] - timedelta(days=1), rates)
            closing = balances(states[days[-1]], days[-1], rates)
            amounts: Found = defaultdict(list)
            for day in days:
                for key, own in moved[day].items():
                    amounts[key] += own
            rows = {key: (len(own), total(own)) for key, own in amounts.items()}
            for key in opening.keys() | closing.keys() | {key[:3] for key in amounts}:
                began, ended = (state.get(key, (0, 0, Decimal())) for state in (opening, closing))
                rows |= {(*key, "opening"): (began[0], began[2]), (*key, "closing"): (ended[0], ended[2])}
                if key[0] == "all":
                    signed = [
                        amount if amount is None or movement not in WENT else -amount
                        for (*of, movement), own in amounts.items()
                        if tuple(of) == key
                        for amount in own
                    ]
                    parts = [ended[2], None if began[2] is None else -began[2]]
                    rows[*key, "fx"] = (ended[1], total([*parts, *(None if a is None else -a for a in signed)]))
            found |= {(grain, start, *key): row for key, row in rows.items() if row[0] or row[1] != 0}
    return found
