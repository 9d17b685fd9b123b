"""A story of subscriptions and payments in Stripe's own objects, whose numbers can be worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from tests.worlds.stripe_worlds import Object, Tables, Version

NOW = datetime(2024, 4, 10, 12, tzinfo=UTC)


def at(moment: str) -> datetime:
    """A UTC time of 2024, such as `01-05` or `01-05 10:00`."""
    return datetime.fromisoformat(f"2024-{moment}").replace(tzinfo=UTC)


def seconds(moment: str) -> int:
    return int(at(moment).timestamp())


PRODUCTS = [
    {"id": "prod_premium", "object": "product", "created": seconds("01-01"), "metadata": {"tier": "premium"}},
    {"id": "prod_pro", "object": "product", "created": seconds("01-01"), "metadata": {}, "name": "Pro"},
]


def price(minor_units: int, product: str = "premium", interval: str = "month", currency: str = "eur") -> Object:
    return {
        "id": f"price_{currency}_{minor_units}_{interval}",
        "object": "price",
        "created": seconds("01-01"),
        "product": f"prod_{product}",
        "currency": currency,
        "unit_amount": minor_units,
        "unit_amount_decimal": str(minor_units),
        "recurring": {"interval": interval, "interval_count": 1, "usage_type": "licensed"},
    }


PREMIUM, PREMIUM_ANNUAL = price(599), price(5000, interval="year")
PRO, PRO_ANNUAL = price(899, "pro"), price(8000, "pro", "year")


def discount(id_: str, duration: str, **terms: Any) -> Object:
    coupon = {"id": f"coupon_{id_}", "object": "coupon", "duration": duration, **terms}
    return {"id": f"di_{id_}", "object": "discount", "source": {"type": "coupon", "coupon": coupon}}


def subscription(who: str, began: str, of: Object, **fields: Any) -> Object:
    return {
        "id": f"sub_{who}",
        "object": "subscription",
        "livemode": True,
        "created": seconds(began),
        "customer": f"cus_{who.split('_')[0]}",
        "currency": of["currency"],
        "status": "active",
        "trial_end": None,
        "cancel_at_period_end": False,
        "canceled_at": None,
        "ended_at": None,
        "pause_collection": None,
        "discounts": [],
        "items": {
            "object": "list",
            "has_more": False,
            "data": [
                {
                    "id": f"si_{who}",
                    "object": "subscription_item",
                    "quantity": fields.pop("quantity", 1),
                    "price": of,
                    "current_period_start": seconds(began),
                    "current_period_end": seconds(began) + 30 * 86_400,
                }
            ],
        },
        **fields,
    }


def changed(old: Object, new: Object, when: str) -> list[Version]:
    """An event that tells of a change: what was before it, and what it led to."""
    return [Version(old, "before", at(when)), Version(new, "event", at(when))]


def changed_once(who: str, began: str, of: Object, when: str, **fields: Any) -> list[Version]:
    old = subscription(who, began, of)
    new = subscription(who, began, fields.pop("to", of), **fields)
    return [*changed(old, new, when), Version(new)]


def subscriptions() -> list[Version]:
    """Nine customers in EUR, one in JPY, one in KWD."""
    asked = {"cancel_at_period_end": True, "cancellation_details": {"reason": "cancellation_requested"}}
    scheduled = subscription("cancel", "01-20", PREMIUM, **asked)
    ended = {**scheduled, "status": "canceled", "canceled_at": seconds("02-01"), "ended_at": seconds("02-20")}
    late = subscription("unpaid", "01-01", PREMIUM, status="past_due")
    unpaid = {**late, "status": "unpaid"}
    plain = subscription("pause", "01-01", PREMIUM)
    paused = {**plain, "pause_collection": {"behavior": "void"}}
    forever = discount("forever", "forever", percent_off=50.0)
    once = discount("once", "once", percent_off=100.0)
    return [
        Version(subscription("trial", "01-01", PREMIUM, trial_start=seconds("01-01"), trial_end=seconds("01-15"))),
        *changed_once("annual", "01-03", PREMIUM_ANNUAL, "02-10", quantity=3),
        *changed_once("price", "01-05", PREMIUM, "03-05", to=price(699)),
        Version(subscription("forever", "01-10", PRO, discounts=[forever])),
        Version(subscription("once", "01-10", PRO, discounts=[once])),
        *changed(subscription("cancel", "01-20", PREMIUM), scheduled, "02-01"),
        *changed(scheduled, ended, "02-20"),
        Version(ended),
        Version(subscription("cancel_again", "03-01", PREMIUM)),
        *changed(subscription("unpaid", "01-01", PREMIUM), late, "02-01"),
        *changed(late, unpaid, "02-15"),
        Version(unpaid),
        *changed(plain, paused, "03-01"),
        *changed(paused, plain, "03-20"),
        Version(plain),
        *changed_once("switch", "01-01", PREMIUM, "03-10", to=PRO_ANNUAL),
        Version(subscription("yen", "02-01", price(900, currency="jpy"))),
        Version(subscription("dinar", "02-01", price(1250, currency="kwd"))),
    ]


def charge(number: str, when: str, minor_units: int, currency: str = "eur", **fields: Any) -> Object:
    """A charge of the payment intent whose number it begins with."""
    return {
        "id": f"ch_{number}",
        "object": "charge",
        "livemode": True,
        "created": seconds(when),
        "payment_intent": f"pi_{number[0]}",
        "customer": "cus_price",
        "currency": currency,
        "amount": minor_units,
        "amount_captured": minor_units,
        "amount_refunded": 0,
        "captured": True,
        "status": "succeeded",
        "payment_method_details": {"type": "card", "card": {"brand": "visa", "country": "DE"}},
        **fields,
    }


def failed(reason: str, **outcome: str) -> Object:
    return {
        "status": "failed",
        "captured": False,
        "amount_captured": 0,
        "failure_code": "card_declined",
        "outcome": {"type": "issuer_declined", "reason": reason, **outcome},
    }


CHARGES = [
    charge("1a", "01-05 10:00", 599, **failed("insufficient_funds")),
    charge("1b", "01-06 10:00", 599),
    charge("2", "01-07", 899, amount_refunded=300),
    charge("3", "01-08", 599, **failed("highest_risk_level", type="blocked")),
    charge("4", "01-09", 1000, amount_captured=600, amount_refunded=400),
    charge("5", "01-10", 599, **failed("expired_card")),
    charge("6", "01-11", 599, payment_intent=None, status="pending", captured=False, amount_captured=0),
    charge("7", "01-15 01:00", 599, **failed("insufficient_funds")),
    charge("8", "02-01", 900, "jpy"),
    charge("9", "02-01", 1250, "kwd"),
]


def invoice(number: str, of: str, created: str, reason: str) -> Object:
    return {
        "id": f"in_{number}",
        "object": "invoice",
        "created": seconds(created),
        "customer": f"cus_{of}",
        "currency": "eur",
        "status": "open",
        "billing_reason": reason,
        "amount_due": 599,
        "amount_paid": 0,
        "total": 599,
        "parent": {"type": "subscription_details", "subscription_details": {"subscription": f"sub_{of}"}},
    }


def line(number: str, of: str, began: str, ended: str, price: Object, **fields: Any) -> Object:
    """A line of an invoice for a period of a subscription's item; one for a part of it with `proration`."""
    quantity, proration = fields.pop("quantity", 1), fields.pop("proration", False)
    amount = int(Decimal(price["unit_amount_decimal"]) * quantity)
    return {
        "id": f"il_{number}",
        "object": "line_item",
        "amount": amount,
        "subtotal": amount,
        "currency": price["currency"],
        "quantity": quantity,
        "period": {"start": seconds(began), "end": seconds(ended)},
        "parent": {
            "type": "subscription_item_details",
            "subscription_item_details": {
                "subscription": f"sub_{of}",
                "subscription_item": f"si_{fields.pop('item', of)}",
                "proration": proration,
            },
        },
        "pricing": {
            "type": "price_details",
            "price_details": {"price": price["id"], "product": price["product"]},
            "unit_amount_decimal": price["unit_amount_decimal"],
        },
        **fields,
    }


def single_line(of: str) -> Object:
    """A line of an invoice that is none of an item, for a subscription all the same."""
    details = {"subscription": f"sub_{of}", "proration": False}
    parent = {"type": "invoice_item_details", "invoice_item_details": details}
    return line("single", of, "01-10", "01-10", PRO) | {"parent": parent}


def billed(number: str, of: str, created: str, *lines: Object) -> Object:
    """A recurring invoice with these lines."""
    whole = {"lines": {"object": "list", "data": list(lines), "has_more": False}}
    return invoice(number, of, created, "subscription_cycle") | whole


# Payment 1 is a recurring invoice's, 5 a first one's, 7 the first one's after a trial.
INVOICES = [
    billed("1", "price", "01-05", line("1", "price", "01-05", "02-05", PREMIUM)),
    billed("5", "price", "01-10", line("5", "price", "01-10", "02-05", PRO, proration=True), single_line("price"))
    | {"billing_reason": "subscription_create"},
    billed("7", "trial", "01-15", line("7", "trial", "01-15", "02-15", PREMIUM)),
]
INVOICE_PAYMENTS = [
    {
        "id": f"inpay_{number}",
        "object": "invoice_payment",
        "created": seconds("01-05"),
        "invoice": f"in_{number}",
        "payment": {"type": "payment_intent", "payment_intent": f"pi_{number}"},
    }
    for number in "157"
]


def balance(number: str, when: str, category: str, source: str, amount: int, fee: int = 0) -> Object:
    return {
        "id": f"txn_{number}",
        "object": "balance_transaction",
        "created": seconds(when),
        "type": category,
        "reporting_category": category,
        "currency": "eur",
        "source": source,
        "amount": amount,
        "fee": fee,
        "net": amount - fee,
    }


BALANCE = [
    balance("1", "01-06", "charge", "ch_1b", 599, 40),
    balance("2", "01-07", "charge", "ch_2", 899, 50),
    balance("3", "01-09", "charge", "ch_4", 600, 40),
    balance("4", "01-20", "refund", "re_1", -300),
    balance("5", "01-31", "fee", "", -200),
    balance("6", "01-31", "payout", "po_1", -1000),
    balance("7", "02-02", "dispute", "dp_lost", -600, 1500),
    balance("8", "02-03", "dispute", "dp_won", -599, 1500),
    balance("9", "03-03", "dispute_reversal", "dp_won", 599),
]
AROUND = [
    {"id": "re_1", "object": "refund", "created": seconds("01-20"), "charge": "ch_2", "amount": 300, "currency": "eur"},
    *(
        {
            "id": f"dp_{status}",
            "object": "dispute",
            "created": seconds("02-02"),
            "charge": charge_id,
            "amount": 600,
            "currency": "eur",
            "status": status,
        }
        for status, charge_id in (("lost", "ch_4"), ("won", "ch_1b"))
    ),
    *(
        {
            "id": f"cus_{who}",
            "object": "customer",
            "created": seconds("01-01"),
            "metadata": {"supabase_user_id": f"user-{who}"},
            "address": {"country": "FR"} if who == "annual" else None,
        }
        for who in ["trial", "annual", "price", "forever", "once", "cancel", "unpaid", "pause", "switch", "yen"]
    ),
    *(
        {
            "id": f"pi_{number}",
            "object": "payment_intent",
            "created": seconds("01-05"),
            "currency": "eur",
            "amount": 599,
        }
        for number in "1234579"
    ),
]
STORY = [*subscriptions(), *map(Version, [*PRODUCTS, *CHARGES, *INVOICES, *INVOICE_PAYMENTS, *BALANCE, *AROUND])]
DOLLARS = {cents: price(cents, currency="usd") for cents in (600, 1100, 1300)}


def movements(
    tables: Tables,
    start: str,
    currency: str = "EUR",
    segment: str = "all",
    of: str = "all",
    grain: str = "month",
) -> dict[str, tuple[int, Decimal | None]]:
    """Customers and amount of each movement that is not nothing."""
    return {
        row["movement"]: (row["customers"], row["amount"])
        for row in tables["pub_mrr_movements"]
        if (row["grain"], row["period_start"], row["currency"], row["segment"], row["segment_value"])
        == (grain, at(start).date(), currency, segment, of)
        and (row["customers"] or row["amount"] is None)
    }


def metric(
    tables: Tables, metric_id: str, start: str, segment: str = "all", of: str = "all", grain: str = "month"
) -> Any:
    """Numerator and denominator; of a count or an amount the value."""
    [row] = [
        row
        for row in tables["pub_metric_values"]
        if (row["metric_id"], row["grain"], row["period_start"], row["segment"], row["segment_value"])
        == (metric_id, grain, at(start).date(), segment, of)
    ]
    return row["value"] if row["denominator"] is None else (row["numerator"], row["denominator"])
