"""Stripe's objects, each as it is at a moment, in the shape of the newest API version. The moment `at` comes last."""

from __future__ import annotations

from typing import Any

from tailtracker_bi.sandbox.money import (
    Attempt,
    BalanceChange,
    Coupon,
    Customer,
    Dispute,
    Invoice,
    Payment,
    Price,
    Refund,
    Subscription,
    months_later,
)
from tailtracker_bi.sandbox.people import name_of
from tailtracker_bi.sandbox.plot import DAY, NEVER

Object = dict[str, Any]
"""As Stripe gives it in JSON."""

_TYPES = {
    "charge": "charge",
    "refund": "refund",
    "dispute": "adjustment",
    "dispute_reversal": "adjustment",
    "fee": "stripe_fee",
    "payout": "payout",
}
"""What a balance transaction is called, by its reporting category."""
_MESSAGES = {"expired_card": "Your card has expired.", "insufficient_funds": "Your card has insufficient funds."}


def product(tier: str, created: int, at: int) -> Object:
    return {
        "id": _product_id(tier),
        "object": "product",
        "active": True,
        "created": created,
        "default_price": f"price_1TailTracker{tier.title()}MonthlyEur",
        "description": f"{tier.title()} plan",
        "images": [],
        "livemode": True,
        "metadata": {"tier": tier},
        "name": tier.title(),
        "type": "service",
        "updated": created,
    }


def price(of: Price, created: int, at: int) -> Object:
    return {
        "id": of.price_id,
        "object": "price",
        "active": True,
        "billing_scheme": "per_unit",
        "created": created,
        "currency": of.currency,
        "livemode": True,
        "lookup_key": f"{of.tier}_{of.cycle}",
        "metadata": {},
        "nickname": f"{of.tier.title()} {of.cycle}",
        "product": _product_id(of.tier),
        "recurring": {
            "interval": "year" if of.cycle == "annual" else "month",
            "interval_count": 1,
            "meter": None,
            "trial_period_days": None,
            "usage_type": "licensed",
        },
        "tax_behavior": "inclusive",
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "recurring",
        "unit_amount": of.cents,
        "unit_amount_decimal": str(of.cents),
    }


def customer(who: Customer, user_id: str, at: int) -> Object:
    # Of some the customer does not name the user; their subscriptions do.
    is_named = who.person % 40 > 0
    return {
        "id": who.customer_id,
        "object": "customer",
        "address": {"city": None, "country": who.country, "line1": None, "postal_code": None},
        "balance": 0,
        "created": who.created,
        "currency": who.currency,
        "delinquent": any(each.is_late(at) for each in who.subscriptions),
        "discount": None,
        "email": f"user{who.person}@example.com",
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
    item_id = f"si_{of.subscription_id[5:19]}"
    pause = of.pause_at(at)
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
        "currency": of.customer.currency,
        "customer": of.customer.customer_id,
        "description": None,
        "discounts": [_discount(of, of.coupon)] if of.coupon and _is_discounted(of, of.coupon, at) else [],
        "ended_at": of.ended if has_ended else None,
        "items": {
            "object": "list",
            "data": [
                {
                    "id": item_id,
                    "object": "subscription_item",
                    "created": of.created,
                    "current_period_end": period[1],
                    "current_period_start": period[0],
                    "discounts": [],
                    "metadata": {},
                    "price": price(of.price_at(at), products_created, at),
                    "quantity": 1,
                    "subscription": of.subscription_id,
                }
            ],
            "has_more": False,
            "url": f"/v1/subscription_items?subscription={of.subscription_id}",
        },
        "latest_invoice": next(each.invoice_id for each in reversed(of.invoices) if each.created <= at),
        "livemode": True,
        "metadata": {"supabase_user_id": user_id},
        "pause_collection": {"behavior": "void", "resumes_at": pause[1]} if pause else None,
        "schedule": None,
        "start_date": of.created,
        "status": subscription_status(of, at),
        "trial_end": of.trial_ends or None,
        "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}},
        "trial_start": of.created if of.trial_ends else None,
    }


def subscription_status(of: Subscription, at: int) -> str:
    if at >= of.ended:
        return "canceled" if of.paid_first < NEVER else "incomplete_expired"
    if at < of.paid_first:
        return "incomplete"
    if at < of.trial_ends:
        return "trialing"
    return "past_due" if of.is_late(at) else "active"


def _is_discounted(of: Subscription, coupon: Coupon, at: int) -> bool:
    """A discount is gone once it has been used up."""
    match coupon.duration:
        case "repeating":
            return at < months_later(of.created, coupon.months)
        case "once":
            return not any(invoice.subtotal and invoice.created < at for invoice in of.invoices)
    return True


def _discount(of: Subscription, coupon: Coupon) -> Object:
    is_repeating = coupon.duration == "repeating"
    return {
        "id": f"di_{of.subscription_id[5:]}",
        "object": "discount",
        "customer": of.customer.customer_id,
        "end": months_later(of.created, coupon.months) if is_repeating else None,
        "promotion_code": None,
        "source": {
            "coupon": {
                "id": coupon.coupon_id,
                "object": "coupon",
                "amount_off": coupon.cents or None,
                "currency": of.customer.currency if coupon.cents else None,
                "duration": coupon.duration,
                "duration_in_months": coupon.months or None,
                "livemode": True,
                "name": coupon.coupon_id.title(),
                "percent_off": float(coupon.percent) if coupon.percent else None,
                "valid": True,
            },
            "type": "coupon",
        },
        "start": of.created,
        "subscription": of.subscription_id,
        "subscription_item": None,
    }


def invoice(of: Subscription, bill: Invoice, user_id: str, at: int) -> Object:
    payment = bill.payment
    status = _invoice_status(of, bill, at)
    paid_at = None if status != "paid" else payment.paid_at if payment else bill.created
    finalized = payment.created if payment else bill.created
    off = bill.subtotal - bill.cents
    return {
        "id": bill.invoice_id,
        "object": "invoice",
        "account_name": "TailTracker",
        "amount_due": bill.cents,
        "amount_overpaid": 0,
        "amount_paid": bill.cents if status == "paid" else 0,
        "amount_remaining": 0 if status == "paid" else bill.cents,
        "attempt_count": sum(attempt.at <= at for attempt in payment.attempts) if payment else 0,
        "attempted": bool(payment) and payment.created <= at,
        "auto_advance": status in {"draft", "open"},
        "billing_reason": bill.reason,
        "collection_method": "charge_automatically",
        "created": bill.created,
        "currency": of.customer.currency,
        "customer": of.customer.customer_id,
        "customer_address": {"country": of.customer.country},
        "customer_email": f"user{of.customer.person}@example.com",
        "customer_name": name_of(of.customer.person),
        "customer_tax_exempt": "none",
        "discounts": [],
        "effective_at": finalized if finalized <= at else None,
        "lines": {
            "object": "list",
            "data": [_invoice_line(of, bill)],
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
        "total_discount_amounts": [{"amount": off, "discount": f"di_{of.subscription_id[5:]}"}] if off else [],
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


def _invoice_line(of: Subscription, bill: Invoice) -> Object:
    return {
        "id": f"il_{bill.invoice_id[3:]}",
        "object": "line_item",
        "amount": bill.subtotal,
        "currency": of.customer.currency,
        "description": f"1 × {bill.price.tier.title()}",  # noqa: RUF001 - as Stripe writes it
        "discountable": True,
        "discounts": [],
        "invoice": bill.invoice_id,
        "livemode": True,
        "parent": {
            "invoice_item_details": None,
            "subscription_item_details": {
                "invoice_item": None,
                "proration": bill.subtotal not in {0, bill.price.cents},
                "subscription": of.subscription_id,
                "subscription_item": f"si_{of.subscription_id[5:19]}",
            },
            "type": "subscription_item_details",
        },
        "period": {"end": bill.period[1], "start": bill.period[0]},
        "pricing": {
            "price_details": {"price": bill.price.price_id, "product": _product_id(bill.price.tier)},
            "type": "price_details",
            "unit_amount_decimal": str(bill.price.cents),
        },
        "quantity": 1,
        "subtotal": bill.subtotal,
        "taxes": [],
    }


def invoice_payment(bill: Invoice, payment: Payment, at: int) -> Object:
    is_paid = payment.paid_at <= at
    return {
        "id": f"inpay_{payment.payment_id[3:]}",
        "object": "invoice_payment",
        "amount_paid": payment.cents if is_paid else None,
        "amount_requested": payment.cents,
        "created": payment.created,
        "currency": bill.price.currency,
        "invoice": bill.invoice_id,
        "is_default": True,
        "livemode": True,
        "payment": {"payment_intent": payment.payment_id, "type": "payment_intent"},
        "status": "paid" if is_paid else "canceled" if bill.given_up <= at else "open",
        "status_transitions": {
            "canceled_at": bill.given_up if bill.given_up <= at else None,
            "paid_at": payment.paid_at if is_paid else None,
        },
    }


def payment_intent(who: Customer, bill: Invoice, payment: Payment, at: int) -> Object:
    tried = [attempt for attempt in payment.attempts if attempt.at <= at]
    is_paid = payment.paid_at <= at
    is_canceled = bill.given_up <= at
    last = tried[-1] if tried else payment.attempts[0]
    return {
        "id": payment.payment_id,
        "object": "payment_intent",
        "amount": payment.cents,
        "amount_capturable": 0,
        "amount_received": payment.cents if is_paid else 0,
        "canceled_at": bill.given_up if is_canceled else None,
        "cancellation_reason": "void_invoice" if is_canceled else None,
        "capture_method": "automatic",
        "confirmation_method": "automatic",
        "created": payment.created,
        "currency": who.currency,
        "customer": who.customer_id,
        "last_payment_error": None if last.outcome == "succeeded" else _error(last),
        "latest_charge": last.charge_id,
        "livemode": True,
        "metadata": {},
        "payment_method": _payment_method(who),
        "payment_method_types": ["card"],
        "receipt_email": None,
        "setup_future_usage": "off_session",
        "status": "succeeded" if is_paid else "canceled" if is_canceled else "requires_payment_method",
    }


def _error(attempt: Attempt) -> Object:
    return {
        "charge": attempt.charge_id,
        "code": "card_declined",
        "decline_code": attempt.code,
        "message": _MESSAGES.get(attempt.code or "", "Your card was declined."),
        "type": "card_error",
    }


def charge(who: Customer, payment: Payment, attempt: Attempt, at: int) -> Object:
    is_paid = attempt.outcome == "succeeded"
    refund = payment.refund if is_paid and payment.refund and payment.refund.at <= at else None
    refunded = refund.cents if refund else 0
    brand, funding = who.card
    return {
        "id": attempt.charge_id,
        "object": "charge",
        "amount": payment.cents,
        "amount_captured": payment.cents if is_paid else 0,
        "amount_refunded": refunded,
        "balance_transaction": f"txn_{attempt.charge_id[3:]}" if is_paid else None,
        "billing_details": {
            "address": {"city": None, "country": who.country, "line1": None, "postal_code": None},
            "email": f"user{who.person}@example.com",
            "name": name_of(who.person),
            "phone": None,
        },
        "captured": is_paid,
        "created": attempt.at,
        "currency": who.currency,
        "customer": who.customer_id,
        "description": "Subscription update",
        "disputed": is_paid and payment.dispute is not None and payment.dispute.at <= at,
        "failure_code": None if is_paid else "card_declined",
        "failure_message": None if is_paid else _MESSAGES.get(attempt.code or "", "Your card was declined."),
        "livemode": True,
        "metadata": {},
        "outcome": _outcome(attempt),
        "paid": is_paid,
        "payment_intent": payment.payment_id,
        "payment_method": _payment_method(who),
        "payment_method_details": {
            "card": {
                "brand": brand,
                "checks": {"cvc_check": "pass"},
                "country": who.country,
                "exp_month": 1 + who.person % 12,
                "exp_year": 2030,
                "funding": funding,
                "last4": f"{who.person % 10_000:04}",
                "network": brand,
                "three_d_secure": None,
                "wallet": None,
            },
            "type": "card",
        },
        "receipt_email": None,
        "refunded": refunded == payment.cents,
        "status": "succeeded" if is_paid else "failed",
    }


def _outcome(attempt: Attempt) -> Object:
    is_paid, is_blocked = attempt.outcome == "succeeded", attempt.outcome == "blocked"
    return {
        "advice_code": None,
        "network_status": "approved_by_network" if is_paid else "not_sent" if is_blocked else "declined_by_network",
        "reason": attempt.code,
        "risk_level": "highest" if is_blocked else "normal",
        "type": "authorized" if is_paid else "blocked" if is_blocked else "issuer_declined",
    }


def refund(payment: Payment, given_back: Refund, at: int) -> Object:
    return {
        "id": given_back.refund_id,
        "object": "refund",
        "amount": given_back.cents,
        "balance_transaction": f"txn_{given_back.refund_id[3:]}",
        "charge": payment.attempts[-1].charge_id,
        "created": given_back.at,
        "currency": "eur",
        "destination_details": {"card": {"type": "refund"}, "type": "card"},
        "metadata": {},
        "payment_intent": payment.payment_id,
        "reason": "requested_by_customer",
        "status": "succeeded",
    }


def dispute(who: Customer, payment: Payment, taken: Dispute, at: int) -> Object:
    status = "needs_response" if at < taken.closed else "won" if taken.is_won else "lost"
    return {
        "id": taken.dispute_id,
        "object": "dispute",
        "amount": payment.cents,
        "balance_transactions": [],
        "charge": payment.attempts[-1].charge_id,
        "created": taken.at,
        "currency": who.currency,
        "evidence": {"customer_email_address": f"user{who.person}@example.com", "customer_name": name_of(who.person)},
        "evidence_details": {
            "due_by": taken.at + 10 * DAY,
            "has_evidence": taken.is_won,
            "past_due": False,
            "submission_count": int(taken.is_won),
        },
        "is_charge_refundable": False,
        "livemode": True,
        "metadata": {},
        "payment_intent": payment.payment_id,
        "payment_method_details": {
            "card": {"brand": who.card[0], "case_type": "chargeback", "network": who.card[0]},
            "type": "card",
        },
        "reason": "fraudulent",
        "status": status,
    }


def balance_transaction(change: BalanceChange, at: int) -> Object:
    available = change.at - change.at % DAY + 7 * DAY
    source = change.source[3:] if change.source else f"{change.category}{change.at}"
    return {
        "id": f"txn_{source}{'won' if change.category == 'dispute_reversal' else ''}",
        "object": "balance_transaction",
        "amount": change.cents,
        "available_on": available,
        "balance_type": "payments",
        "created": change.at,
        "currency": "eur",
        "description": None,
        "exchange_rate": None,
        "fee": change.fee,
        "fee_details": [{"amount": change.fee, "application": None, "currency": "eur", "type": "stripe_fee"}]
        if change.fee
        else [],
        "net": change.cents - change.fee,
        "reporting_category": change.category,
        "source": change.source,
        "status": "available" if available <= at else "pending",
        "type": _TYPES[change.category],
    }


def _payment_method(who: Customer) -> str:
    return f"pm_{who.customer_id[4:]}"


def _product_id(tier: str) -> str:
    return f"prod_TailTracker{tier.title()}"
