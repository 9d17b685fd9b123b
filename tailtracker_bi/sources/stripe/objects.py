"""What is kept of Stripe's objects: an allow-list of fields, by type. All else is withheld, and named.

Objects come in the shape of the API version they were written for: lists in the one that is asked for, events in the
one that was the account's when they happened. So the declarations hold a field in its old and its new place.

    only("id amount", card=only("brand"))    these fields: plain values, and of an object or list of objects these
    by_currency(only("amount"))              an object whose fields are currencies, each of them such an object

A plain field is a value, the id of an object (which Stripe may have expanded), or a list of such.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tailtracker_bi.privacy import holds_card_number, is_personal_id, mask_text

Object = dict[str, Any]
"""A decoded JSON object."""

PLAIN, TEXT, OUR_ID = "plain", "text", "our id"
"""How a value is kept: a number or code as it is, a text with what looks like personal data masked, an id of ours."""

_CODE = re.compile(r"[\w.:/+-]{0,255}", re.ASCII)
"""Ids, enums, decimals and the like. Any other text in a plain field is no code, and not kept."""
_CURRENCY = re.compile(r"[a-z]{3}")
EACH_CURRENCY = "<currency>"
"""Stands in Fields for the name of any currency."""
_LIKE_A_NUMBER = re.compile(r"^[+0-9]|[0-9][0-9-]{11}|:.*:")
"""What a phone or card number or an IP address has; a look at every id would be slow."""

WHOLE_NUMBERS = re.compile(
    r"amount(_.*)?|.*_amount|fee|net|tax|(sub)?total(_.*)?|(starting_|ending_)?balance|amount_off|quantity|up_to|divide_by"
    r"|.*_count|duration_in_months|created|start|end|.*_(start|at|on)|trial_end|(current_)?period_end|start_date|due_date"
    r"|billing_cycle_anchor"
    r"|next_payment_attempt"
)
DECIMALS = re.compile(r".*_decimal|percent_off")
"""The names of the plain fields that models compute with; whatever else stands there would fail a whole build."""
_DECIMAL = re.compile(r"-?\d{1,24}(\.\d{1,24})?", re.ASCII)

Fields = dict[str, Any]
"""What is kept of an object: by field PLAIN, TEXT or, of an object or a list of objects, its own Fields."""


def only(plain: str = "", **others: Any) -> Fields:
    return dict.fromkeys(plain.split(), PLAIN) | others


def by_currency(fields: Fields) -> Fields:
    return {EACH_CURRENCY: fields}


def pages_of(fields: Fields) -> Fields:
    """A list inside an object; `has_more` where it is only the list's beginning, as in events."""
    return only("has_more", data=fields)


_USER = only(supabase_user_id=OUR_ID)
_TIER = only(tier=TEXT)

COUPON = only(
    "id object created livemode deleted amount_off percent_off currency duration duration_in_months",
    applies_to=only("products"),
    currency_options=by_currency(only("amount_off")),
)
DISCOUNT = only(
    "id object start end deleted customer subscription subscription_item invoice invoice_item promotion_code",
    source=only("type", coupon=COUPON),
    coupon=COUPON,  # until 2025-08
)
CUSTOMER = only(
    "id object created livemode deleted currency balance delinquent tax_exempt test_clock default_source",
    address=only("country"),
    invoice_settings=only("default_payment_method"),
    metadata=_USER,
    discount=DISCOUNT,
)
PRODUCT = only("id object created livemode deleted active type default_price", name=TEXT, metadata=_TIER)
_PRICE_TIERS = only("up_to flat_amount flat_amount_decimal unit_amount unit_amount_decimal")
PRICE = only(
    "id object created livemode deleted active currency product type billing_scheme tax_behavior tiers_mode"
    " unit_amount unit_amount_decimal",
    lookup_key=TEXT,
    recurring=only("interval interval_count usage_type aggregate_usage meter trial_period_days"),
    transform_quantity=only("divide_by round"),
    tiers=_PRICE_TIERS,
    currency_options=by_currency(only("unit_amount unit_amount_decimal tax_behavior", tiers=_PRICE_TIERS)),
    metadata=_TIER,
)
PLAN = only(  # what a price was called
    "id object created livemode active currency product billing_scheme tiers_mode amount amount_decimal"
    " interval interval_count usage_type aggregate_usage meter trial_period_days",
    transform_usage=only("divide_by round"),
    tiers=_PRICE_TIERS,
    metadata=_TIER,
)
SUBSCRIPTION_ITEM = only(
    "id object created deleted subscription quantity current_period_start current_period_end billed_until",
    price=PRICE,
    plan=PLAN,
    discounts=DISCOUNT,
)
SUBSCRIPTION = only(
    "id object created livemode status customer currency collection_method start_date billing_cycle_anchor"
    " trial_start trial_end cancel_at cancel_at_period_end canceled_at ended_at latest_invoice schedule test_clock"
    " default_payment_method default_source"
    " current_period_start current_period_end quantity",  # the last three: until 2025-03
    cancellation_details=only("reason feedback"),
    pause_collection=only("behavior resumes_at"),
    trial_settings=only(end_behavior=only("missing_payment_method")),
    items=pages_of(SUBSCRIPTION_ITEM),
    discounts=DISCOUNT,
    discount=DISCOUNT,  # until 2025-03, as is `plan`
    plan=PLAN,
    metadata=_USER,
)
INVOICE_PAYMENT = only(
    "id object created livemode status invoice amount_paid amount_requested currency is_default",
    payment=only("type payment_intent charge payment_record"),
    status_transitions=only("canceled_at paid_at"),
)
INVOICE_LINE = only(
    "id object livemode invoice amount subtotal currency quantity quantity_decimal discountable"
    " type subscription subscription_item invoice_item proration amount_excluding_tax",  # until 2025-03
    period=only("start end"),
    parent=only(
        "type",
        subscription_item_details=only("subscription subscription_item invoice_item proration"),
        invoice_item_details=only("subscription invoice_item proration"),
    ),
    pricing=only("type unit_amount_decimal", price_details=only("price product")),
    price=PRICE,  # until 2025-03, as is `plan`
    plan=PLAN,
    discounts=DISCOUNT,
    discount_amounts=only("amount discount"),
    taxes=only("amount tax_behavior taxability_reason taxable_amount type"),
    tax_amounts=only("amount inclusive tax_rate taxability_reason taxable_amount"),
)
INVOICE = only(
    "id object created livemode deleted status customer currency billing_reason collection_method auto_advance"
    " attempted attempt_count next_payment_attempt due_date effective_at period_start period_end"
    " latest_revision customer_tax_exempt amount_due amount_paid amount_remaining amount_overpaid"
    " amount_paid_off_stripe amount_shipping starting_balance ending_balance subtotal subtotal_excluding_tax total"
    " total_excluding_tax pre_payment_credit_notes_amount post_payment_credit_notes_amount"
    " subscription charge payment_intent paid paid_out_of_band tax",  # until 2025-03
    customer_address=only("country"),
    status_transitions=only("finalized_at marked_uncollectible_at paid_at voided_at"),
    last_finalization_error=only("code type"),
    parent=only("type", subscription_details=only("subscription", metadata=_USER)),
    subscription_details=only(metadata=_USER),  # until 2025-03
    from_invoice=only("action invoice"),
    lines=pages_of(INVOICE_LINE),
    payments=pages_of(INVOICE_PAYMENT),
    discounts=DISCOUNT,
    discount=DISCOUNT,  # until 2025-03
    total_discount_amounts=only("amount discount"),
    total_taxes=only("amount tax_behavior taxability_reason taxable_amount type"),
    total_tax_amounts=only("amount inclusive tax_rate taxability_reason taxable_amount"),  # until 2025-03
)
PAYMENT_INTENT = only(
    "id object created livemode status customer currency amount amount_capturable amount_received"
    " application_fee_amount canceled_at cancellation_reason capture_method confirmation_method latest_charge"
    " payment_method payment_method_types setup_future_usage review"
    " invoice",  # until 2025-03
    last_payment_error=only("charge type code decline_code advice_code network_advice_code network_decline_code"),
    charges=only("has_more data"),  # until 2022-11
)
CHARGE = only(
    "id object created livemode status customer currency amount amount_captured amount_refunded"
    " application_fee_amount balance_transaction failure_balance_transaction captured paid refunded disputed"
    " failure_code payment_intent payment_method review"
    " invoice dispute",  # until 2025-03
    outcome=only(
        "type reason network_status network_decline_code network_advice_code advice_code risk_level risk_score rule"
    ),
    payment_method_details=only(
        "type",
        card=only(
            "brand country funding network amount_authorized",
            wallet=only("type"),
            checks=only("cvc_check"),
            three_d_secure=only("authentication_flow result result_reason version"),
        ),
        sepa_debit=only("country"),
    ),
    source=only("id object brand country funding"),  # a card, until 2018
    presentment_details=only("presentment_amount presentment_currency"),
    refunds=only("has_more data"),  # until 2022-11
)
REFUND = only(
    "id object created status customer currency amount charge payment_intent balance_transaction"
    " failure_balance_transaction failure_reason pending_reason reason",
    destination_details=only("type"),
)
DISPUTE = only(
    "id object created livemode status currency amount charge payment_intent reason network_reason_code"
    " is_charge_refundable balance_transactions",
    evidence_details=only("due_by has_evidence past_due submission_count"),
    payment_method_details=only("type", card=only("brand case_type network network_reason_code")),
)
BALANCE_TRANSACTION = only(
    "id object created available_on status type reporting_category balance_type currency amount fee net"
    " exchange_rate source",
    fee_details=only("type amount currency application"),
)
PAYOUT = only(
    "id object created livemode status amount currency arrival_date automatic reconciliation_status original_payout"
    " reversed_by balance_transaction failure_balance_transaction failure_code method source_type type"
    " balance_transactions",  # what it paid out, which Stripe tells of the payout alone
)
EVENT = only("id type created api_version livemode object_id object_type", discount=DISCOUNT)

TYPES: dict[str, Fields] = {
    "customer": CUSTOMER,
    "product": PRODUCT,
    "price": PRICE,
    "subscription": SUBSCRIPTION,
    "invoice": INVOICE,
    "invoice_payment": INVOICE_PAYMENT,
    "payment_intent": PAYMENT_INTENT,
    "charge": CHARGE,
    "refund": REFUND,
    "dispute": DISPUTE,
    "balance_transaction": BALANCE_TRANSACTION,
    "payout": PAYOUT,
    "event": EVENT,
}
"""By Stripe's name of the type, which is that of its list without the s."""


@dataclass(frozen=True)
class Statuses:
    """The statuses of a type that the models know: those that pass, and those that last until somebody acts."""

    passing: frozenset[str]
    lasting: frozenset[str]


def _statuses(passing: str, lasting: str) -> Statuses:
    return Statuses(frozenset(passing.split()), frozenset(lasting.split()))


STATUSES: dict[str, Statuses] = {
    "subscription": _statuses("trialing active past_due unpaid paused incomplete", "canceled incomplete_expired"),
    "invoice": _statuses("draft open", "paid uncollectible void"),
    "invoice_payment": _statuses("open", "paid canceled"),
    # An intent that waits for its customer may wait for ever; how it ends, its charges tell, which are new objects.
    "payment_intent": _statuses(
        "processing requires_capture",
        "requires_payment_method requires_confirmation requires_action succeeded canceled",
    ),
    "charge": _statuses("pending", "succeeded failed"),
    "refund": _statuses("pending requires_action", "succeeded failed canceled"),
    "dispute": _statuses(
        "warning_needs_response warning_under_review needs_response under_review",
        "warning_closed won lost prevented charge_refunded",
    ),
    "payout": _statuses("pending in_transit", "paid canceled failed"),
}
"""By type. An object whose status passes, or is not known, is open: it will change, with or without an event."""


@dataclass
class AllowList:
    """Takes out of objects what `fields` allow, and remembers what it left out.

    An id of ours that is itself an e-mail address or the like goes through `hash_id`, as it does in other sources.
    """

    fields: Fields
    hash_id: Callable[[str], str] = str
    withheld: set[str] = field(default_factory=set)
    """The names of the fields whose values are not, or not as they are, among what is kept."""
    wrong: list[str] = field(default_factory=list)
    """The fields of the object at hand that are none of the numbers that they should be."""
    card_numbers: int = 0
    """How many values of fields that are kept held a card number, which is gone from them."""

    def kept(self, item: Object) -> Object:
        """The part of a decoded JSON object that is allowed."""
        self.wrong.clear()
        allowed = {}
        for name, value in item.items():
            if name in self.fields:
                allowed[name] = self._kept(value, self.fields[name], name)
            else:
                self._name(value, name)
        return allowed

    def _kept(self, value: Any, fields: Any, path: str) -> Any:
        if fields == PLAIN and value is not None and not is_number(path.rpartition(".")[2], value):
            self.wrong.append(path)
        if isinstance(value, list):
            return [self._kept(item, fields, path) for item in value]
        if isinstance(value, dict):
            if not isinstance(fields, dict):
                self._name(value, path)
                return value["id"] if isinstance(value.get("id"), str) else None
            allowed = {}
            for name, item in value.items():
                inner = f"{path}.{name}"
                kept = fields.get(name, fields.get(EACH_CURRENCY) if _CURRENCY.fullmatch(name) else None)
                if kept is not None:
                    allowed[name] = self._kept(item, kept, inner)
                else:
                    self._name(item, inner)
            return allowed
        if isinstance(value, str):
            return self._kept_text(value, fields, path)
        return value

    def _kept_text(self, value: str, fields: Any, path: str) -> str | None:
        # An object that has an id may stand there by its id alone.
        is_code = (fields == PLAIN or (isinstance(fields, dict) and "id" in fields)) and _CODE.fullmatch(value)
        if is_code and not (_LIKE_A_NUMBER.search(value) and is_personal_id(value)):
            return value
        self.card_numbers += holds_card_number(value)
        if fields == TEXT:
            return mask_text(value)
        if fields == OUR_ID:
            return self.hash_id(value) if is_personal_id(value) else value
        self.withheld.add(path)
        return None

    def _name(self, value: Any, path: str) -> None:
        """Name what is not kept, down to the innermost fields."""
        for name, item in value.items() if isinstance(value, dict) else ():
            self._name(item, f"{path}.{name}")
        for item in value if isinstance(value, list) else ():
            self._name(item, path)
        if not isinstance(value, dict | list) or not value:
            self.withheld.add(path)


def is_number(name: str, value: Any) -> bool:
    """Whether a plain value is the whole number or decimal that a field of this name holds; true for other names."""
    if DECIMALS.fullmatch(name):
        is_text = isinstance(value, str) and _DECIMAL.fullmatch(value)
        return bool(is_text) or (type(value) in (int, float) and abs(value) < 1e24)
    if WHOLE_NUMBERS.fullmatch(name):
        return type(value) is int and abs(value) < 2**63
    return True


def before(current: Object, previous_attributes: Object) -> Object:
    """An object as it was before an event: what changed has its earlier value, as in a JSON merge patch."""
    merged = dict(current)
    for name, value in previous_attributes.items():
        inner = merged.get(name)
        merged[name] = before(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return merged
