"""What is true of money: subscriptions, MRR and its movements, payments, the balance."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal

from tailtracker_bi.sandbox.shown.app_extras import (
    marketing_spend,
)
from tailtracker_bi.sandbox.story.money import Payment, Price, Subscription, balance_changes
from tailtracker_bi.sandbox.story.plot import DAY
from tailtracker_bi.sandbox.truth.frame import Frame, Truth, ends_of, ratio_of, shares_of, sums_of

MOVEMENTS = ("new", "reactivation", "expansion", "contraction", "churn")


# Subscriptions


def of_subscriptions(frame: Frame) -> Iterator[Truth]:
    """MRR at the end of each day, and what moves it: each customer's change from one day's end to the next.

    New: the first ever above 0. Reactivation: above 0 again. Churn: down to 0. Expansion and contraction: in between.
    """
    mrr, here = [Decimal(0)] * frame.days, [0] * frame.days
    amounts = {movement: [Decimal(0)] * frame.days for movement in MOVEMENTS}
    counts = {movement: [0] * frame.days for movement in MOVEMENTS}
    for customer in frame.story.customers:
        before, has_paid = Decimal(0), False
        for day in range(min(frame.day_of(customer.created), frame.days), frame.days):
            end = frame.story.plot.start + (day + 1) * DAY
            after = sum((_mrr(each, end) for each in customer.subscriptions), Decimal(0))
            if movement := _movement(before, after, has_paid):
                amounts[movement][day] += abs(after - before)
                counts[movement][day] += 1
            mrr[day] += after
            here[day] += after > 0
            before, has_paid = after, has_paid or after > 0
    yield from ends_of(frame, "subscribers", here)
    yield from sums_of(frame, "subscribers_new", counts["new"])
    yield from sums_of(frame, "subscribers_churned", counts["churn"])
    yield from ends_of(frame, "mrr", mrr)
    yield from ends_of(frame, "arr", [12 * amount for amount in mrr])
    for movement, by_day in amounts.items():
        yield from sums_of(frame, f"mrr_{movement}", by_day)
    yield from sums_of(frame, "mrr_net_new", [now - was for was, now in zip([Decimal(0), *mrr], mrr, strict=False)])
    yield from _churn(frame, here, counts["new"], counts["churn"])
    yield from _acquisition(frame, counts["new"])


def _acquisition(frame: Frame, new: list[int]) -> Iterator[Truth]:
    """Marketing spend per customer who begins to pay."""
    cents = [0] * frame.days
    for day, _, spent in zip(
        *(each.tolist() for each in marketing_spend(frame.story.plot, frame.story.people)), strict=True
    ):
        if day < frame.days:
            cents[day] += spent
    yield from shares_of(frame, "cac", cents, [100 * customers for customers in new])


def _churn(frame: Frame, here: list[int], new: list[int], churned: list[int]) -> Iterator[Truth]:
    """Of a month: who left / who was there before it. Of 30 days: who left / who was there before them or came new."""
    for start, days in frame.periods["month"].items():
        opening = here[days[0] - 1] if days[0] else 0
        yield Truth("subscriber_churn_rate", "month", start, ratio_of(sum(churned[day] for day in days), opening))
    for start, day in frame.each_day():
        window = slice(max(0, day - 29), day + 1)
        at_risk = (here[day - 30] if day >= 30 else 0) + sum(new[window])
        yield Truth("subscriber_churn_rate_30d", "day", start, ratio_of(sum(churned[window]), at_risk))


def _movement(before: Decimal, after: Decimal, has_paid: bool) -> str | None:
    if before == after:
        return None
    if not before:
        return "reactivation" if has_paid else "new"
    if not after:
        return "churn"
    return "expansion" if after > before else "contraction"


def _mrr(subscription: Subscription, end: int) -> Decimal:
    """What a subscription brings a month just before this moment: nothing on trial, while paused, before and after."""
    if not subscription.begins_to_pay < end <= subscription.ended or subscription.pause_at(end - 1):
        return Decimal(0)
    return _monthly(subscription.price_at(end - 1), subscription)


def _monthly(price: Price, subscription: Subscription) -> Decimal:
    """The price less a discount that lasts forever, a month, in euros, rounded half up to 6 decimals."""
    cents = Decimal(price.cents)
    if subscription.coupon and subscription.coupon.duration == "forever":
        cents = cents * (100 - subscription.coupon.percent) / 100 - subscription.coupon.cents
    return (max(cents, Decimal(0)) / 100 / price.months).quantize(Decimal("0.000001"), ROUND_HALF_UP)


# Payments


def of_payments(frame: Frame) -> Iterator[Truth]:
    """What was to be paid, on the day of the first attempt at it, with all attempts made by now.

    Successful: one attempt was. Unsuccessful: none was, and one failed (to be blocked is not to fail). Recovered, of
    renewals but not the first bill after a trial: the first attempt failed, and a later one was successful. Charges are
    each on their own day, as refunded or disputed if they are by now.
    """
    keys = ("payments", "paid", "decided", "first paid", "first decided", "attempts paid", "attempts decided",
            "recovered", "recoverable", "charges", "refunded", "disputed", "cents")  # fmt: skip
    found = {key: [0] * frame.days for key in keys}
    for customer in frame.story.customers:
        for _, invoice in customer.invoices():
            outcomes = _outcomes(frame, invoice.payment) if invoice.payment else []
            if not (invoice.payment and outcomes):
                continue
            _count_charge(frame, invoice.payment, found)
            if not frame.has_been(invoice.payment.attempts[0].at):
                continue
            paid, failed = outcomes.count("succeeded"), outcomes.count("failed")
            day = frame.day_of(invoice.payment.attempts[0].at)
            found["payments"][day] += 1
            found["paid"][day] += paid > 0
            found["decided"][day] += paid + failed > 0
            found["first paid"][day] += outcomes[0] == "succeeded"
            found["first decided"][day] += outcomes[0] != "blocked"
            found["attempts paid"][day] += paid
            found["attempts decided"][day] += paid + failed
            if invoice.reason == "subscription_cycle" and not invoice.is_after_trial and outcomes[0] == "failed":
                found["recoverable"][day] += 1
                found["recovered"][day] += paid > 0
    yield from sums_of(frame, "payments", found["payments"])
    yield from sums_of(frame, "gross_volume", [Decimal(cents) / 100 for cents in found["cents"]])
    for metric_id, part, whole in (
        ("payment_success_rate", "paid", "decided"),
        ("first_attempt_success_rate", "first paid", "first decided"),
        ("attempt_success_rate", "attempts paid", "attempts decided"),
        ("recovery_rate", "recovered", "recoverable"),
        ("refund_rate", "refunded", "charges"),
        ("dispute_rate", "disputed", "charges"),
    ):
        yield from shares_of(frame, metric_id, found[part], found[whole])


def _outcomes(frame: Frame, payment: Payment) -> list[str]:
    return [attempt.outcome for attempt in payment.attempts if attempt.at <= frame.now]


def _count_charge(frame: Frame, payment: Payment, found: dict[str, list[int]]) -> None:
    if not frame.has_been(payment.paid_at):
        return
    day = frame.day_of(payment.paid_at)
    found["charges"][day] += 1
    found["cents"][day] += payment.cents
    found["refunded"][day] += payment.refund is not None and payment.refund.at <= frame.now
    found["disputed"][day] += payment.dispute is not None and payment.dispute.at <= frame.now


def of_balance(frame: Frame) -> Iterator[Truth]:
    """What moved the balance, each on its own day. Won disputes come back; payouts move what is counted already."""
    found = {metric_id: [0] * frame.days for metric_id in ("refunds", "disputes", "fees", "net_volume")}
    for change in balance_changes(frame.story.customers, frame.story.plot.end):
        if not frame.has_been(change.at) or change.category == "payout":
            continue
        day = frame.day_of(change.at)
        found["net_volume"][day] += change.cents - change.fee
        found["fees"][day] += change.fee
        match change.category:
            case "refund":
                found["refunds"][day] -= change.cents
            case "dispute" | "dispute_reversal":
                found["disputes"][day] -= change.cents
            case "fee":
                found["fees"][day] -= change.cents
    for metric_id, by_day in found.items():
        yield from sums_of(frame, metric_id, [Decimal(cents) / 100 for cents in by_day])
