"""What is sold, to whom, and the bills, as Stripe's objects at a moment, which comes last among the arguments.

They have the shape of the API version that `stripe.py` names.
"""

from __future__ import annotations

from typing import Any

from tailtracker_bi.sandbox.story.money import (
    CYCLES,
    TIERS,
    Coupon,
    Customer,
    Invoice,
    Line,
    Price,
    Schedule,
    Subscription,
    months_later,
)
from tailtracker_bi.sandbox.story.people import name_of
from tailtracker_bi.sandbox.story.plot import NEVER

Object = dict[str, Any]
"""As Stripe gives it in JSON."""
COUPONS_MADE = 1_577_836_800
"""2020: before any of them was given."""


def product(tier: str, created: int, at: int) -> Object:
    is_plan = tier in TIERS
    return {
        "id": _product_id(tier),
        "object": "product",
        "active": True,
        "created": created,
        "default_price": f"price_1TailTracker{tier.title()}MonthlyEur",
        "description": f"{tier.title()} plan" if is_plan else f"{tier.title()}, on top of a plan",
        "images": [],
        "livemode": True,
        "metadata": {"tier": tier} if is_plan else {},
        "name": tier.title(),
        "type": "service",
        "updated": created,
    }


def price(of: Price, created: int, at: int) -> Object:
    """As it stands in other objects."""
    interval, count = CYCLES[of.cycle]
    return {
        "id": of.price_id,
        "object": "price",
        "active": True,
        "billing_scheme": "tiered" if of.tiers else "per_unit",
        "created": created,
        "currency": of.currency,
        "livemode": True,
        "lookup_key": of.price_id.removeprefix("price_1TailTracker").lower(),
        "metadata": {},
        "nickname": f"{of.tier.title()} {of.cycle}",
        "product": _product_id(of.tier),
        "recurring": {
            "interval": interval,
            "interval_count": count,
            "meter": f"mtr_{of.tier}" if of.is_metered else None,
            "trial_period_days": None,
            "usage_type": "metered" if of.is_metered else "licensed",
        },
        "tax_behavior": "unspecified",
        "tiers_mode": "graduated" if of.tiers else None,
        "transform_quantity": None,
        "type": "recurring",
        "unit_amount": None if of.tiers else of.cents,
        "unit_amount_decimal": None if of.tiers else str(of.cents),
    }


def listed_price(of: Price, created: int, at: int) -> Object:
    """With its tiers, which it alone shows."""
    tiers = [
        {
            "flat_amount": flat or None,
            "flat_amount_decimal": str(flat) if flat else None,
            "unit_amount": each,
            "unit_amount_decimal": str(each),
            "up_to": up_to,
        }
        for up_to, each, flat in of.tiers
    ]
    return price(of, created, at) | ({"tiers": tiers} if tiers else {})


def customer(who: Customer, user_id: str, at: int) -> Object:
    # Of some the customer does not name the user; their subscriptions do.
    is_named = who.person % 40 > 0
    return {
        "id": who.customer_id,
        "object": "customer",
        "address": {"city": None, "country": who.country, "line1": None, "postal_code": None},
        "balance": 0,
        "created": who.created,
        "currency": next((each.currency for each in reversed(who.subscriptions) if each.created <= at), None),
        "delinquent": any(each.is_late(at) or each.unpaid <= at for each in who.subscriptions),
        "discount": next(
            (
                discount(each, each.coupon, at)
                for each in who.subscriptions
                if each.coupon and each.coupon_on == "customer"
            ),
            None,
        ),
        "default_source": None,
        "email": f"user{who.person}@example.com",
        "invoice_settings": {"custom_fields": None, "default_payment_method": None, "footer": None},
        "livemode": True,
        "metadata": {"supabase_user_id": user_id} if is_named else {},
        "name": name_of(who.person),
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
    }


def subscription(of: Subscription, user_id: str, products_created: int, at: int) -> Object:
    asks_to_end = at >= of.asked_to_end
    has_ended = at >= of.ended
    period = next(each.period for each in reversed(of.invoices) if each.created <= at)
    pause = of.pause_at(at)
    discounts = [discount(of, of.coupon, at)] if of.coupon and at < discount_ends(of) else []
    return {
        "id": of.subscription_id,
        "object": "subscription",
        "billing_cycle_anchor": of.trial_ends or of.created,
        "cancel_at": of.ended if asks_to_end else None,
        "cancel_at_period_end": asks_to_end,
        "canceled_at": min(at, of.asked_to_end, of.ended) if (asks_to_end or has_ended) and of.end_reason else None,
        "cancellation_details": {
            "comment": None,
            "feedback": None,
            "reason": of.end_reason if asks_to_end or has_ended else None,
        },
        "collection_method": "charge_automatically",
        "created": of.created,
        "currency": of.currency,
        "customer": of.customer.customer_id,
        "default_payment_method": _payment_method(of, at),
        "default_source": None,
        "description": None,
        "discounts": discounts if of.coupon_on == "subscription" else [],
        "ended_at": of.ended if has_ended else None,
        "items": {
            "object": "list",
            "data": [
                {
                    "id": _item_id(of, place),
                    "object": "subscription_item",
                    "created": of.created,
                    "current_period_end": period[1],
                    "current_period_start": period[0],
                    "discounts": discounts if of.coupon_on == "item" and place == 0 else [],
                    "metadata": {},
                    "price": price(of_item, products_created, at),
                    "subscription": of.subscription_id,
                }
                | ({} if of_item.is_metered else {"quantity": quantity})
                for place, of_item, quantity in of.items_at(at)
            ],
            "has_more": False,
            "url": f"/v1/subscription_items?subscription={of.subscription_id}",
        },
        "latest_invoice": next(each.invoice_id for each in reversed(of.invoices) if each.created <= at),
        "livemode": True,
        "metadata": {"supabase_user_id": user_id},
        "pause_collection": {"behavior": "void", "resumes_at": pause[1] if of.says_when_it_resumes else None}
        if pause
        else None,
        "schedule": of.schedule.schedule_id if of.schedule and at < of.released else None,
        "start_date": of.created,
        "status": subscription_status(of, at),
        "trial_end": of.trial_ends or None,
        "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}},
        "trial_start": of.created if of.trial_ends else None,
    }


def schedule(of: Subscription, plan: Schedule, at: int) -> Object:
    is_released = at >= of.released
    starts = [begins for begins, _ in plan.phases]
    phases: list[Object] = [
        {
            "currency": of.currency,
            "end_date": ends,
            "items": [{"price": each.price_id, "quantity": 1}],
            "proration_behavior": "none",
            "start_date": begins,
        }
        for (begins, each), ends in zip(plan.phases, [*starts[1:], plan.ends], strict=True)
    ]
    now = next(phase for phase in reversed(phases) if phase["start_date"] <= at)
    return {
        "id": plan.schedule_id,
        "object": "subscription_schedule",
        "canceled_at": None,
        "completed_at": None,
        "created": of.created,
        "current_phase": None if is_released else {name: now[name] for name in ("end_date", "start_date")},
        "customer": of.customer.customer_id,
        "end_behavior": "release",
        "livemode": True,
        "metadata": {},
        "phases": phases,
        "released_at": of.released if is_released else None,
        "released_subscription": of.subscription_id if is_released else None,
        "status": "released" if is_released else "active",
        "subscription": None if is_released else of.subscription_id,
    }


def _payment_method(of: Subscription, at: int) -> str | None:
    """Of some that begin with a trial none is known before it ends."""
    if at < of.trial_ends and ord(of.subscription_id[-1]) % 3 == 0:
        return None
    return f"pm_{of.customer.customer_id[4:]}"


def subscription_status(of: Subscription, at: int) -> str:
    if at >= of.ended:
        return "canceled" if of.paid_first < NEVER else "incomplete_expired"
    if at < of.paid_first:
        return "incomplete"
    if at < of.trial_ends:
        return "trialing"
    if at >= of.unpaid:
        return "unpaid"
    return "past_due" if of.is_late(at) else "active"


def discount_ends(of: Subscription) -> int:
    """When its coupon has been used up."""
    match of.coupon:
        case Coupon(duration="repeating", months=months):
            return months_later(of.created, months)
        case Coupon(duration="once"):
            return min((bill.created + 1 for bill in of.invoices if bill.subtotal), default=NEVER)
    return NEVER


def coupon(of: Coupon, at: int) -> Object:
    return {
        "id": of.coupon_id,
        "object": "coupon",
        "amount_off": of.cents or None,
        "created": COUPONS_MADE,
        "currency": "eur" if of.cents else None,
        "duration": of.duration,
        "duration_in_months": of.months or None,
        "livemode": True,
        "name": of.coupon_id.title(),
        "percent_off": float(of.percent) if of.percent else None,
        "valid": True,
    }


def discount(of: Subscription, given: Coupon, at: int) -> Object:
    return {
        "id": f"di_{of.subscription_id[5:]}",
        "object": "discount",
        "customer": of.customer.customer_id,
        "end": months_later(of.created, given.months) if given.months else None,
        "promotion_code": None,
        "source": {"coupon": coupon(given, at), "type": "coupon"},
        "start": of.created,
        "subscription": None if of.coupon_on == "customer" else of.subscription_id,
        "subscription_item": _item_id(of, 0) if of.coupon_on == "item" else None,
    }


def invoice(of: Subscription, bill: Invoice, user_id: str, at: int) -> Object:
    payment = bill.payment
    status = _invoice_status(of, bill, at)
    paid_at = None if status != "paid" else payment.paid_at if payment else bill.created
    finalized = payment.created if payment else bill.created
    return {
        "id": bill.invoice_id,
        "object": "invoice",
        "account_name": "TailTracker",
        "amount_due": bill.cents,
        "amount_overpaid": 0,
        "amount_paid": bill.cents if status == "paid" else 0,
        "amount_remaining": 0 if status == "paid" else bill.cents,
        "attempt_count": sum(attempt.at <= at for attempt in payment.attempts) if payment else 0,
        "attempted": payment is not None and payment.created <= at,
        "auto_advance": status in {"draft", "open"},
        "billing_reason": bill.reason,
        "collection_method": "charge_automatically",
        "created": bill.created,
        "currency": of.currency,
        "customer": of.customer.customer_id,
        "customer_address": {"country": of.customer.country},
        "customer_email": f"user{of.customer.person}@example.com",
        "customer_name": name_of(of.customer.person),
        "customer_tax_exempt": "none",
        "discounts": [],
        "effective_at": finalized if finalized <= at else None,
        "lines": {
            "object": "list",
            "data": [_invoice_line(of, bill, line) for line in bill.lines],
            "has_more": False,
            "url": f"/v1/invoices/{bill.invoice_id}/lines",
        },
        "livemode": True,
        "metadata": {},
        "parent": {
            "quote_details": None,
            "subscription_details": {
                "metadata": {"supabase_user_id": user_id},
                "subscription": of.subscription_id,
            },
            "type": "subscription_details",
        },
        "period_end": bill.period[1],
        "period_start": bill.period[0],
        "status": status,
        "status_transitions": {
            "finalized_at": finalized if finalized <= at else None,
            "marked_uncollectible_at": bill.given_up if status == "uncollectible" else None,
            "paid_at": paid_at,
            "voided_at": (bill.created if bill.is_void else bill.given_up) if status == "void" else None,
        },
        "subtotal": bill.subtotal,
        "subtotal_excluding_tax": bill.subtotal,
        "total": bill.cents,
        "total_discount_amounts": _taken_off(of, bill.subtotal - bill.cents),
        "total_excluding_tax": bill.cents,
        "total_taxes": [],
    }


def _invoice_status(of: Subscription, bill: Invoice, at: int) -> str:
    if bill.is_void:
        return "void"
    if not bill.payment or bill.payment.paid_at <= at:
        return "paid"
    if bill.given_up <= at:
        return "uncollectible" if of.paid_first < NEVER else "void"
    return "open" if bill.payment.created <= at else "draft"


def _taken_off(of: Subscription, off: int) -> list[Object]:
    return [{"amount": off, "discount": f"di_{of.subscription_id[5:]}"}] if off else []


def _invoice_line(of: Subscription, bill: Invoice, line: Line) -> Object:
    return {
        "id": f"il_{bill.invoice_id[3:]}{line.place or ''}",
        "object": "line_item",
        "amount": line.cents,
        "currency": of.currency,
        "description": f"{line.quantity} × {line.price.tier.title()}",  # noqa: RUF001 - as Stripe writes it
        "discount_amounts": _taken_off(of, line.off),
        "discountable": True,
        "discounts": [],
        "invoice": bill.invoice_id,
        "livemode": True,
        "parent": {
            "invoice_item_details": None,
            "subscription_item_details": {
                "invoice_item": None,
                "proration": line.is_proration,
                "subscription": of.subscription_id,
                "subscription_item": _item_id(of, line.place),
            },
            "type": "subscription_item_details",
        },
        "period": {"end": bill.period[1], "start": bill.period[0]},
        "pricing": {
            "price_details": {"price": line.price.price_id, "product": _product_id(line.price.tier)},
            "type": "price_details",
            "unit_amount_decimal": None if line.price.tiers else str(line.price.cents),
        },
        "quantity": line.quantity,
        "subtotal": line.cents,
        "taxes": [],
    }


def _item_id(of: Subscription, place: int) -> str:
    return f"si_{of.subscription_id[5:19]}{place or ''}"


def _product_id(tier: str) -> str:
    return f"prod_TailTracker{tier.title()}"
