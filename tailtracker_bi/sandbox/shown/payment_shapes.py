"""What is paid, given back and taken back, as Stripe's objects at a moment, which comes last among the arguments."""

from __future__ import annotations

from collections.abc import Sequence

from tailtracker_bi.sandbox.shown.stripe_shapes import Object
from tailtracker_bi.sandbox.story.money import Attempt, BalanceChange, Customer, Dispute, Invoice, Payment, Refund
from tailtracker_bi.sandbox.story.people import name_of
from tailtracker_bi.sandbox.story.plot import DAY

_TYPES = {
    "charge": "charge",
    "refund": "refund",
    "dispute": "adjustment",
    "dispute_reversal": "adjustment",
    "fee": "stripe_fee",
    "payout": "payout",
}
"""What a balance transaction is called, by its reporting category."""
_THREE_D_SECURE = {
    "authentication_flow": "challenge", "result": "authenticated", "result_reason": None, "version": "2.2.0",
}  # fmt: skip
_MESSAGES = {"expired_card": "Your card has expired.", "insufficient_funds": "Your card has insufficient funds."}


def invoice_payment(bill: Invoice, payment: Payment, at: int) -> Object:
    is_paid = payment.paid_at <= at
    return {
        "id": f"inpay_{payment.payment_id[3:]}",
        "object": "invoice_payment",
        "amount_paid": payment.cents if is_paid else None,
        "amount_requested": payment.cents,
        "created": payment.created,
        "currency": payment.currency,
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
        "currency": payment.currency,
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
        "currency": payment.currency,
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
                "three_d_secure": _THREE_D_SECURE if who.person % 3 == 0 else None,
                "wallet": {"dynamic_last4": None, "type": wallet} if (wallet := _wallet(who)) else None,
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


def refund(who: Customer, payment: Payment, given_back: Refund, at: int) -> Object:
    return {
        "id": given_back.refund_id,
        "object": "refund",
        "amount": given_back.cents,
        "balance_transaction": f"txn_{given_back.refund_id[3:]}",
        "charge": payment.attempts[-1].charge_id,
        "created": given_back.at,
        "currency": payment.currency,
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
        "currency": payment.currency,
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
    source = change.source[3:] if change.source else f"{change.category}{change.currency}{change.at}"
    return {
        "id": f"txn_{source}{'won' if change.category == 'dispute_reversal' else ''}",
        "object": "balance_transaction",
        "amount": change.cents,
        "available_on": available,
        "balance_type": "payments",
        "created": change.at,
        "currency": change.currency,
        "description": None,
        "exchange_rate": None,
        "fee": change.fee,
        "fee_details": [{"amount": change.fee, "application": None, "currency": change.currency, "type": "stripe_fee"}]
        if change.fee
        else [],
        "net": change.cents - change.fee,
        "reporting_category": change.category,
        "source": change.source,
        "status": "available" if available <= at else "pending",
        "type": _TYPES[change.category],
    }


def payout(paid_out: BalanceChange, changes: Sequence[BalanceChange], at: int) -> Object:
    """`holds` are the ids of what it paid out, itself among them: the server lists them where they are asked for."""
    arrival = paid_out.at + 2 * DAY
    return {
        "id": paid_out.source,
        "object": "payout",
        "amount": -paid_out.cents,
        "arrival_date": arrival - arrival % DAY,
        "automatic": True,
        "balance_transaction": balance_transaction(paid_out, at)["id"],
        "created": paid_out.at,
        "currency": paid_out.currency,
        "description": "STRIPE PAYOUT",
        "destination": "ba_1TailTracker",
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "livemode": True,
        "metadata": {},
        "method": "standard",
        "original_payout": None,
        "reconciliation_status": "completed",
        "reversed_by": None,
        "source_type": "card",
        "statement_descriptor": None,
        "status": "paid" if arrival <= at else "in_transit",
        "type": "bank_account",
        "holds": [balance_transaction(change, at)["id"] for change in (paid_out, *changes)],
    }


def _wallet(who: Customer) -> str | None:
    return (None, None, "apple_pay", None, "google_pay")[who.person % 5]


def _payment_method(who: Customer) -> str:
    return f"pm_{who.customer_id[4:]}"
