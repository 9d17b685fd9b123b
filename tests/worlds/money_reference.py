"""MRR and its movements once more, slowly and plainly, to test the SQL against: day by day, customer by customer.

Nothing here knows the warehouse, and nothing is fast. Each docstring says the definition that its function stands for.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
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
KINDS = {"cancellation_requested": "voluntary", "payment_failed": "involuntary", "payment_disputed": "involuntary"}
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
    own = [each for each in versions if each[1].item["object"] == "subscription"]
    ordered = sorted(own, key=lambda each: (each[0], RANK[each[1].origin]))
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
    """The subscription whose items count just before this instant, with what they cost then; None where none do."""
    item = in_force(versions, end)
    return item and as_billed(item, versions, end)


def as_billed(subscription: Object, versions: list[tuple[datetime, Version]], end: datetime) -> Object:
    """A subscription with the items that were billed for just before an instant of which its versions do not tell.

    That is before the first of them, and 30 days before it was read first. By the bills of whole periods: since the
    last period began, of each item the last bill that covers that moment; nothing where that period is over, or the
    price of one is not known.
    """
    ordered = in_order(versions)
    read_first = min((at for at, version in ordered if version.origin == "list"), default=ordered[0][0])
    first_told = min(ordered[0][0], read_first - timedelta(days=30))
    lines = [
        (moment(line["period"]["start"]), version.item["created"], line)
        for _, version in versions
        if version.item["object"] == "invoice"
        for line in version.item["lines"]["data"]
        if not line["parent"]["subscription_item_details"]["proration"]
        and (line["price"].get("recurring") or {}).get("usage_type") != "metered"
    ]
    began = max((start for start, _, _ in lines if start < end), default=None)
    if end > first_told or began is None:
        return subscription
    last: dict[str, Object] = {}
    for start, _, line in sorted(lines, key=lambda each: each[:2]):
        if start <= began < moment(line["period"]["end"]):
            last[line["parent"]["subscription_item_details"]["subscription_item"]] = line
    is_over = all(moment(line["period"]["end"]) < end for line in last.values())
    if is_over or not all(line["price"].get("recurring") for line in last.values()):
        return subscription
    items = [{"price": line["price"], "quantity": line["quantity"]} for line in last.values()]
    return {**subscription, "items": {"data": items}}


def in_force(versions: list[tuple[datetime, Version]], end: datetime) -> Object | None:
    """What is known of the subscription whose items count just before this instant; None where none do."""
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


def midnight(day: date, timezone: str) -> datetime:
    """When a day begins."""
    return datetime.combine(day, time.min, ZoneInfo(timezone)).astimezone(UTC)


def moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def lasts(discount: Object) -> bool:
    return bool(discount["source"]["coupon"]["duration"] == "forever")


def mrr_of_items(subscription: Object, counts: Callable[[Object], bool] = lasts) -> list[tuple[Object, Decimal]]:
    """Unit amount times quantity a month, less the discounts that count, each of what the one before left."""
    currency = subscription["currency"]
    items = [
        item
        for item in subscription["items"]["data"]
        if item["price"].get("recurring") and item["price"]["recurring"]["usage_type"] == "licensed"
    ]
    amounts = [Fraction(item["price"]["unit_amount"] * item["quantity"], 100) for item in items]
    for discount in subscription["discounts"]:
        coupon = discount["source"]["coupon"]
        if not counts(discount):
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
    end = midnight(day + timedelta(days=1), timezone)
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
    for (*of, _), movement, change in moves_of_a_day(before, after, day, paid_earlier, rates):
        key, segment, value = of
        found[key, segment, value, movement].append(None if change is None else abs(change))
    return found


def moves_of_a_day(
    before: States, after: States, day: date, paid_earlier: Payers, rates: Rates
) -> Iterator[tuple[tuple[str, str, str, str], str, Decimal | None]]:
    """Each customer's movements on a day: of whom by currency or `all`, segment and value; which; and by how much."""
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
            yield (key, segment, value, customer), movement, change


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


def months_of_retained_revenue(
    subscriptions: dict[str, list[tuple[datetime, Version]]], first: date, last: date, timezone: str, rates: Rates
) -> dict[tuple[str, date, str, str], tuple[Decimal | None, Decimal | None]]:
    """NRR and GRR as what is left over what there was when the month began, of the customers of then alone."""
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    states = {day: mrr_at_end_of(day, subscriptions, timezone) for day in days} | {first - timedelta(days=1): {}}
    paid_earlier: Payers = set()
    found: dict[tuple[str, date, str, str], tuple[Decimal | None, Decimal | None]] = {}
    for start in sorted({day.replace(day=1) for day in days}):
        eve = max(start, first) - timedelta(days=1)
        moved: dict[tuple[str, str, str], list[tuple[str, Decimal | None]]] = defaultdict(list)
        here = {(key, *of) for currency, *of in states[eve] for key in (currency, "all")}
        for day in (day for day in days if day.replace(day=1) == start):
            before = states[day - timedelta(days=1)]
            for of, movement, change in moves_of_a_day(before, states[day], day, paid_earlier, rates):
                if of in here and movement in {"expansion", "contraction", "churn"}:
                    moved[of[:3]].append((movement, change))
            paid_earlier |= {(key, customer) for currency, *_, customer in states[day] for key in (currency, "all")}
        for of, (_, _, opening) in balances(states[eve], eve, rates).items():
            changes = moved[of]
            whole = [opening, *(change for _, change in changes)]
            lost = [
                opening,
                *(change if movement != "expansion" else change and Decimal() for movement, change in changes),
            ]
            segment, value = ("currency", of[0]) if of[0] != "all" else of[1:]
            if of[0] == "all" or of[1] == "all":
                found["nrr", start, segment, value] = (total(whole), opening)
                found["grr", start, segment, value] = (total(lost), opening)
    return found


def lives_of_subscribers(
    subscriptions: dict[str, list[tuple[datetime, Version]]], first: date, last: date, timezone: str
) -> Counter[tuple[str, str, date, date | None]]:
    """How many first paid in a month, in all and by currency, and paid nothing any more in another, or have not."""
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    paid: dict[tuple[str, str], list[date]] = defaultdict(list)
    for day in days:
        here = {(key, one[3]) for one in mrr_at_end_of(day, subscriptions, timezone) for key in (one[0], "all")}
        for one in here:
            paid[one].append(day)
    found: Counter[tuple[str, str, date, date | None]] = Counter()
    for (key, _), own in paid.items():
        gone = next((day for day in days if day > own[0] and day not in own), None)
        of = ("all", "all") if key == "all" else ("currency", key)
        found[*of, own[0].replace(day=1), gone and gone.replace(day=1)] += 1
    return found


def cohorts_of_subscribers(
    subscriptions: dict[str, list[tuple[datetime, Version]]], first: date, last: date, timezone: str, rates: Rates
) -> dict[tuple[date, date, str, str], tuple[int, int, Decimal | None]]:
    """By the month in which customers first paid, each month since, and where they began: how many they are, how many
    pay at the month's end, and what."""
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    states = {day: mrr_at_end_of(day, subscriptions, timezone) for day in days}
    first_paid: dict[tuple[str, str], date] = {}
    for day in days:
        for currency, *_, customer in states[day]:
            first_paid.setdefault(("all", customer), day)
            first_paid.setdefault((currency, customer), day)
    began: dict[tuple[str, str, str], date] = {}
    for (key, customer), day in first_paid.items():
        parts = {("currency", key)} if key != "all" else {(own[1], own[2]) for own in states[day] if own[3] == customer}
        began |= {(*part, customer): day for part in parts}
    found: dict[tuple[date, date, str, str], tuple[int, int, Decimal | None]] = {}
    for segment, value, month in {(*one[:2], day.replace(day=1)) for one, day in began.items()}:
        members = {one[2] for one, day in began.items() if one[:2] == (segment, value) and day.replace(day=1) == month}
        for now in sorted({day.replace(day=1) for day in days if day.replace(day=1) >= month}):
            end = max(day for day in days if day.replace(day=1) == now)
            paid: dict[str, Decimal] = defaultdict(Decimal)
            paying = set()
            for (currency, whole, _, customer), mrr in states[end].items():
                if whole == "all" and customer in members and (segment != "currency" or currency == value):
                    paid[currency] += mrr
                    paying.add(customer)
            amounts = [
                mrr if segment == "currency" else in_euros(mrr, currency, end, rates) for currency, mrr in paid.items()
            ]
            found[month, now, segment, value] = (len(members), len(paying), total(amounts))
    return found


def stop(versions: list[tuple[datetime, Version]], start: datetime, end: datetime) -> tuple[datetime, str]:
    """The last moment of a day at which a subscription that counted stopped to, and what that was.

    `involuntary`: it became unpaid, or ended for a payment that failed or was disputed or, where no reason is told,
    while one was due. `voluntary`: it ended as requested. All else is `unknown`.
    """
    ordered = in_order(versions)
    latest = ordered[-1][1].item
    ends = moment(latest["ended_at"]) if latest.get("ended_at") else None
    moments = {at for at, _ in ordered} | {each for each in [ends] if each}
    at = max(each for each in moments if start <= each < end and counts(versions, each))
    after = latest if at == ends else [version.item for since, version in ordered if since <= at][-1]
    reason = (after.get("cancellation_details") or {}).get("reason")
    was_due = counts(versions, at)["status"] == "past_due"  # type: ignore[index]
    if after["status"] == "unpaid":
        return at, "involuntary"
    if after["status"] != "canceled":
        return at, "unknown"
    if reason is None and was_due:
        return at, "involuntary"
    return at, KINDS.get(reason, "unknown")


def at_risk(
    subscriptions: dict[str, list[tuple[datetime, Version]]], first: date, last: date, timezone: str
) -> dict[tuple[str, date, str, str], Decimal]:
    """What each currency's subscriptions that are to end, or else have a payment overdue, pay at the end of each day.

    Since when they are to end they may say themselves; all else is so since it was seen. By metric, day, segment and
    segment value, where it is not 0; customers over all currencies, too.
    """
    found: dict[tuple[str, date, str, str], Decimal] = defaultdict(Decimal)
    for day in (first + timedelta(days=number) for number in range((last - first).days + 1)):
        end = midnight(day + timedelta(days=1), timezone)
        customers: set[tuple[str, str, str]] = set()
        for versions in subscriptions.values():
            item, ordered = counts(versions, end), in_order(versions)
            if item is None or not sum(mrr for _, mrr in mrr_of_items(item)):
                continue
            since = max((at for at, _ in ordered if at < end), default=ordered[0][0])
            metric, currency = "mrr_past_due", item["currency"].upper()
            if item["cancel_at_period_end"] or item.get("cancel_at"):
                metric, since = "mrr_cancelling", moment(item["canceled_at"]) if item.get("canceled_at") else since
            elif item["status"] != "past_due":
                continue
            if since < end:
                found[metric, day, "currency", currency] += sum(mrr for _, mrr in mrr_of_items(item))
                customers |= {("currency", currency, item["customer"]), ("all", "all", item["customer"])}
        for segment, value, _ in customers:
            found["subscribers_at_risk", day, segment, value] += 1
    return dict(found)


def idle(versions: list[tuple[datetime, Version]], end: datetime) -> tuple[str, Object] | None:
    """What a subscription that does not count is just before this instant, where other tools may count it."""
    ordered = in_order(versions)
    latest = ordered[-1][1].item
    if latest.get("ended_at") and moment(latest["ended_at"]) < end:
        period_end = moment(latest["items"]["data"][0]["current_period_end"])
        return ("ended_early", latest) if period_end >= end else None
    known = [version.item for at, version in ordered if at < end]
    first = ordered[0][1].item
    item = known[-1] if known else first
    if moment(first["created"]) < end and item.get("trial_end") and moment(item["trial_end"]) >= end:
        return "trials", item
    if not known and (moment(first["created"]) >= end or first["status"] != "incomplete"):
        return None
    if item["status"] in {"unpaid", "incomplete", "paused"}:
        return "unpaid", item
    paused = item.get("pause_collection")
    if item["status"] in {"active", "past_due"} and paused:
        return ("paused", item) if not paused.get("resumes_at") or moment(paused["resumes_at"]) >= end else None
    return None


def mrr_by_mode(
    subscriptions: dict[str, list[tuple[datetime, Version]]], first: date, last: date, timezone: str, rates: Rates
) -> dict[tuple[date, str, str, str], Decimal | None]:
    """At the end of each month, or so far: our MRR, by what each tool differs from it, and what it would say.

    By the month's first day, currency or `all`, tool and reason, where it is not 0.
    """
    found: dict[tuple[date, str, str, str], Decimal | None] = {}
    for start in sorted({day.replace(day=1) for day in (first, last)} | {date(2024, 2, 1), date(2024, 3, 1)}):
        day = min((start + timedelta(days=31)).replace(day=1) - timedelta(days=1), last)
        parts: dict[str, dict[tuple[str, str], Decimal]] = defaultdict(lambda: defaultdict(Decimal))
        for versions in subscriptions.values():
            for mode, reason, currency, amount in _said(versions, midnight(day + timedelta(days=1), timezone)):
                parts[currency][mode, reason] += amount
        keys = {key for own in parts.values() for key in own}
        whole = {
            key: total([in_euros(own.get(key, Decimal()), currency, day, rates) for currency, own in parts.items()])
            for key in keys
        }
        for currency, own in {**parts, "all": whole}.items():
            for mode in {mode for mode, _ in own}:
                apart = {reason: amount for (of, reason), amount in own.items() if of == mode}
                said = {**apart, "total": total(list(apart.values()))}
                found |= {(start, currency, mode, reason): amount for reason, amount in said.items() if amount != 0}
    return found


def _said(versions: list[tuple[datetime, Version]], end: datetime) -> Iterator[tuple[str, str, str, Decimal]]:
    """Tool, reason, currency and amount of each item just before an instant."""
    item, other = counts(versions, end), idle(versions, end)
    if item:
        listed, billed = (
            [mrr for _, mrr in mrr_of_items(item, of)]
            for of in (lambda _: False, lambda each: lasts(each) or moment(each.get("end") or 2**33) >= end)
        )
        for (each, mrr), price, now in zip(mrr_of_items(item), listed, billed, strict=True):
            of = item["currency"].upper()
            yield from ((mode, "ours", of, mrr) for mode in ("billed", "stripe_billing", "chartmogul", "fivetran_dbt"))
            yield "billed", "coupons_that_end", of, now - mrr
            yield "fivetran_dbt", "coupons_kept", of, price - mrr
            if each["price"]["recurring"]["interval"] == "day":
                yield "fivetran_dbt", "daily_prices", of, -price
    if other:
        standing, item = other
        for (each, mrr), (_, price) in zip(mrr_of_items(item), mrr_of_items(item, lambda _: False), strict=True):
            if standing == "paused":
                yield "chartmogul", standing, item["currency"].upper(), mrr
            if each["price"]["recurring"]["interval"] != "day":
                yield "fivetran_dbt", standing, item["currency"].upper(), price


def churn_by_reason(
    subscriptions: dict[str, list[tuple[datetime, Version]]], first: date, last: date, timezone: str
) -> dict[tuple[str, str, date, str, str], int]:
    """Who has left, by why the subscription of theirs that stopped last did; of several at once the will of theirs.

    By metric, grain, period, segment and segment value.
    """
    found: dict[tuple[str, str, date, str, str], int] = defaultdict(int)
    order = ["unknown", "involuntary", "voluntary"]
    before = mrr_at_end_of(first - timedelta(days=1), subscriptions, timezone)
    paid: list[list[tuple[datetime, Version]]] = []
    for day in (first + timedelta(days=number) for number in range((last - first).days + 1)):
        after = mrr_at_end_of(day, subscriptions, timezone)
        start, end = (midnight(day + timedelta(days=ahead), timezone) for ahead in (0, 1))
        for scope in {"all", *(key[0] for key in before)}:
            were, are = ({key[3] for key in state if scope in ("all", key[0])} for state in (before, after))
            for customer in were - are:
                stops = [
                    stop(versions, start, end)
                    for versions in paid
                    for item in [versions[0][1].item]
                    if item["customer"] == customer and scope in ("all", item["currency"].upper())
                ]
                _, kind = max(stops, key=lambda each: (each[0], order.index(each[1])))
                of = {
                    (segment, value) if scope == "all" else ("currency", scope)
                    for currency, segment, value, who in before
                    if who == customer and scope in ("all", currency)
                }
                week = day - timedelta(days=day.weekday())
                for grain, period in (("day", day), ("week", week), ("month", day.replace(day=1))):
                    for segment, value in of:
                        found[f"churn_{kind}", grain, period, segment, value] += 1
        before, paid = after, [each for each in subscriptions.values() if mrr_at_end_of(day, {"": each}, timezone)]
    return dict(found)


def payment_conversion(
    signed_up: dict[str, date],
    subscriptions: dict[str, list[tuple[datetime, Version]]],
    first: date,
    last: date,
    timezone: str,
) -> dict[tuple[str, date], tuple[int, int]]:
    """Of the customers who signed up in a period, those who paid by the 30th day after the day they did; and all.

    By grain and period start; customers by the day on which they signed up.
    """
    paying: dict[str, date] = {}
    for day in (first + timedelta(days=number) for number in range((last - first).days + 1)):
        for _, _, _, customer in mrr_at_end_of(day, subscriptions, timezone):
            paying.setdefault(customer, day)
    found: dict[tuple[str, date], list[bool]] = defaultdict(list)
    for customer, day in signed_up.items():
        week = day - timedelta(days=day.weekday())
        for grain, start in (("day", day), ("week", week), ("month", day.replace(day=1))):
            found[grain, start].append((paying.get(customer, date.max) - day).days <= 30)
    return {key: (sum(converted), len(converted)) for key, converted in found.items()}


def trial_of(versions: list[tuple[datetime, Version]]) -> tuple[Object, datetime, datetime] | None:
    """A subscription as its first trial began, and when that began and ends, as was said of it last."""
    items = [version.item for _, version in in_order(versions) if version.item.get("trial_end")]
    if not items:
        return None
    start = min(item["trial_start"] for item in items)
    own = [item for item in items if item["trial_start"] == start]
    return (own[0], moment(start), moment(own[-1]["trial_end"])) if start < own[-1]["trial_end"] else None


def card_of_trial(versions: list[tuple[datetime, Version]], customers: list[tuple[datetime, Object]]) -> str:
    """Whether there was something to pay by within a day of a trial's beginning, if that was told by then.

    The subscription has it or its customer, whose states come with when they were told, in order.
    """
    started = trial_of(versions)[1]  # type: ignore[index]
    own = [(at, v.item) for at, v in in_order(versions) if v.item.get("trial_end")]
    first_at, first = next(each for each in own if each[1]["trial_start"] == int(started.timestamp()))
    told = [first] if first_at <= started + timedelta(days=1) else []
    told += [item["invoice_settings"] for at, item in customers if at <= started + timedelta(days=1)][-1:]
    if any(each.get("default_payment_method") for each in told):
        return "with"
    return "without" if sum("default_payment_method" in each for each in told) == 2 else "(unknown)"


def state_of_trial(versions: list[tuple[datetime, Version]], invoices: list[Object], now: datetime) -> str:
    """`running`; `cancelled`, where the subscription ended by the trial's end; else, by the first invoice after it on
    which there was something to pay and which was not voided, `converted` or `ended_unpaid`."""
    _, _, trial_end = trial_of(versions)  # type: ignore[misc]
    ended_at = in_order(versions)[-1][1].item["ended_at"]
    is_cancelled = ended_at is not None and moment(ended_at) <= trial_end
    if (moment(ended_at) if is_cancelled else trial_end) >= now:
        return "running"
    if is_cancelled:
        return "cancelled"
    asked = [each for each in invoices if moment(each["created"]) >= trial_end and each["total"]]
    first = min((each for each in asked if each["status"] != "void"), key=lambda each: each["created"], default=None)
    paid_at = first and first["status_transitions"]["paid_at"]
    return "converted" if paid_at and moment(paid_at) < now else "ended_unpaid"


def trials_by_state(
    subscriptions: dict[str, list[tuple[datetime, Version]]],
    invoices: dict[str, list[Object]],
    now: date,
    timezone: str,
    ended_since: date | None = None,
    customers: Mapping[str, list[tuple[datetime, Object]]] | None = None,
) -> dict[tuple[date, str, str], dict[str, int]]:
    """How many trials stand how at the end of a day, by the month in which they began, segment and segment value.

    Given a day, of those that have ended on it or since. Customers as they were told, in order, by id.
    """
    found: dict[tuple[date, str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for name, versions in subscriptions.items():
        trial = trial_of(versions)
        if trial is None:
            continue
        item, start, trial_end = trial
        began = start.astimezone(ZoneInfo(timezone)).date()
        state = state_of_trial(versions, invoices.get(name, []), midnight(now + timedelta(days=1), timezone))
        ended_at = in_order(versions)[-1][1].item["ended_at"]
        over = min(trial_end, moment(ended_at)) if ended_at else trial_end
        if began > now or (ended_since and over < midnight(ended_since, timezone)):
            continue
        card = card_of_trial(versions, (customers or {}).get(item["customer"], []))
        of = {("all", "all"), ("currency", item["currency"].upper()), ("card", card)}
        for each in item["items"]["data"]:
            cycle = CYCLES[each["price"]["recurring"]["interval"]]
            of |= {("plan", each["price"]["product"]), ("billing_cycle", cycle)}
        for segment, value in of:
            found[began.replace(day=1), segment, value][state] += 1
    return {key: dict(states) for key, states in found.items()}


def dunning_curve(
    charges: list[Object], recurring: set[str], kinds: dict[str, str], last: date, timezone: str
) -> dict[tuple[date, str, str, int], tuple[int, int]]:
    """Of recurring payments whose first attempt failed, those that have had so many days, and those paid by then.

    By the month of the first attempt, segment, segment value and days since it; attempts are those of an intent.
    """
    found: dict[tuple[date, str, str, int], list[bool]] = defaultdict(list)

    def day_of(attempt: Object) -> date:
        return moment(attempt["created"]).astimezone(ZoneInfo(timezone)).date()

    for intent in recurring:
        attempts = [each for each in charges if each["payment_intent"] == intent]
        attempts.sort(key=lambda each: (each["created"], each["status"] == "succeeded", each["id"]))
        if not attempts or attempts[0]["status"] != "failed":
            continue
        began, kind = day_of(attempts[0]), kinds.get(attempts[0]["outcome"]["reason"], "unknown")
        paid = next((day_of(each) for each in attempts if each["status"] == "succeeded"), None)
        for days in range(31):
            until = began + timedelta(days=days)
            for segment, value in (("all", "all"), ("decline_kind", kind)):
                if until <= last:
                    is_paid = paid is not None and paid <= until
                    found[began.replace(day=1), segment, value, days].append(is_paid)
    return {key: (len(paid), sum(paid)) for key, paid in found.items()}
