"""What is true of money: subscriptions, MRR and its movements, payments, the balance."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from itertools import islice

from tailtracker_bi.sandbox.shown.app_extras import marketing_spend
from tailtracker_bi.sandbox.story.money import (
    MINOR_UNITS,
    Coupon,
    Customer,
    Payment,
    Subscription,
    balance_changes,
    major_units,
    months_later,
)
from tailtracker_bi.sandbox.story.plot import DAY, NEVER
from tailtracker_bi.sandbox.truth.frame import EURO, Frame, Truth, ends_of, ratio_of, shares_of, sums_of

MOVEMENTS = ("new", "reactivation", "expansion", "contraction", "churn")
FX = "mrr_fx"
"""What rates did to MRR: no metric, but a movement in `mrr_movements`."""
KINDS = {"cancellation_requested": "voluntary", "payment_failed": "involuntary", "payment_disputed": "involuntary"}


# Subscriptions


@dataclass(frozen=True)
class _Life:
    """What a customer brings a month, in each currency they ever pay in: by day, at its end."""

    customer: Customer
    paid: Mapping[str, Sequence[Decimal]]

    def pays(self, day: int) -> bool:
        return any(by_day[day] for by_day in self.paid.values())

    @property
    def began(self) -> int | None:
        """The first day on which they pay."""
        days = [next((day for day, amount in enumerate(by_day) if amount), None) for by_day in self.paid.values()]
        return min((day for day in days if day is not None), default=None)


def of_subscriptions(frame: Frame) -> Iterator[Truth]:
    """MRR at the end of each day, and what moves it: each customer's change from one day's end to the next.

    New: the first ever above 0. Reactivation: above 0 again. Churn: down to 0. Expansion and contraction: in between.
    Each is converted at the rates of its day; what is left between two days is what rates alone did.
    """
    here = [0] * frame.days
    amounts = {movement: [Decimal(0)] * frame.days for movement in MOVEMENTS}
    reasons = {kind: [0] * frame.days for kind in (*KINDS.values(), "unknown")}
    counts = {movement: [0] * frame.days for movement in MOVEMENTS}
    lives = [_life(frame, customer) for customer in frame.story.customers]
    totals: dict[str, list[Decimal]] = defaultdict(lambda: [Decimal(0)] * frame.days)
    for life in lives:
        for day, movement, change in _moves(frame, life):
            amounts[movement][day] += abs(change)
            counts[movement][day] += 1
            if movement == "churn":
                start = frame.story.plot.start + day * DAY
                reasons[_why_left(life.customer, start, start + DAY)][day] += 1
        for currency, by_day in life.paid.items():
            total = totals[currency]
            for day, amount in enumerate(by_day):
                if amount:
                    total[day] += amount
        for day in range(frame.days):
            here[day] += life.pays(day)
    mrr = _together(frame, totals)
    net_new = [new + again + more - less - gone for new, again, more, less, gone in zip(*amounts.values(), strict=True)]
    yield from ends_of(frame, "subscribers", here)
    yield from sums_of(frame, "subscribers_new", counts["new"])
    yield from sums_of(frame, "subscribers_churned", counts["churn"])
    for kind, left in reasons.items():
        yield from sums_of(frame, f"churn_{kind}", left)
    yield from ends_of(frame, "mrr", mrr)
    yield from ends_of(frame, "arr", [12 * amount for amount in mrr])
    yield from ends_of(frame, "mrr_billed", _billed(frame, totals))
    for movement, by_day in amounts.items():
        yield from sums_of(frame, f"mrr_{movement}", by_day)
    yield from sums_of(frame, "mrr_net_new", net_new)
    yield from _at_risk(frame)
    yield from _churn(frame, here, counts["new"], counts["churn"])
    yield from _retained(frame, lives, mrr, amounts)
    yield from _received(frame, lives)
    yield from _worth(frame, mrr, here, counts)
    if not frame.is_part:
        risen = [now - was for was, now in zip([Decimal(0), *mrr], mrr, strict=False)]
        yield from sums_of(frame, FX, [both - moved for both, moved in zip(risen, net_new, strict=True)])
        yield from _converted(frame, lives)


def _life(frame: Frame, customer: Customer) -> _Life:
    born = min(frame.day_of(customer.created), frame.days)
    ends = [frame.story.plot.start + (day + 1) * DAY for day in range(born, frame.days)]
    paid: dict[str, list[Decimal]] = {}
    for each in customer.subscriptions:
        by_day = paid.setdefault(each.currency, [Decimal(0)] * frame.days)
        for day, end in enumerate(ends, born):
            by_day[day] += _mrr(each, end)
    return _Life(customer, paid)


def _together(frame: Frame, by_currency: Mapping[str, Sequence[Decimal]]) -> list[Decimal]:
    """Amounts of each day in several currencies, each at the rate of the day."""
    together = [Decimal(0)] * frame.days
    for currency, by_day in by_currency.items():
        for day, amount in enumerate(by_day):
            together[day] += frame.converted(amount, currency, day)
    return together


def _billed(frame: Frame, totals: Mapping[str, Sequence[Decimal]]) -> list[Decimal]:
    """MRR by day, less coupons that end, too.

    Of one that the first reading does not show any more, events tell if it or its subscription ended within 30 days.
    """
    left, first = {currency: list(by_day) for currency, by_day in totals.items()}, min(frame.readings)
    for customer in frame.story.customers:
        for each in customer.subscriptions:
            ends = _coupon_ends(each)
            is_told = first < ends or first - 30 * DAY <= min(ends, each.ended)
            if each.coupon and ends < NEVER and is_told:
                for day in range(frame.day_of(each.created), min(frame.day_of(ends), frame.days)):
                    end = frame.story.plot.start + (day + 1) * DAY
                    if listed := _mrr(each, end):
                        left[each.currency][day] -= listed - _monthly(each, end - 1, each.coupon)
    return _together(frame, left)


def _coupon_ends(subscription: Subscription) -> int:
    """When a coupon is used up: after its months, or with the first bill of more than nothing."""
    match subscription.coupon:
        case Coupon(duration="repeating", months=months):
            return months_later(subscription.created, months)
        case Coupon(duration="once"):
            return min((bill.created for bill in subscription.invoices if bill.subtotal), default=NEVER - 1)
    return NEVER


def _moves(frame: Frame, life: _Life) -> Iterator[tuple[int, str, Decimal]]:
    """A customer's movements, each with its day and what it changes."""
    before, has_paid = tuple(Decimal(0) for _ in life.paid), False
    for day, after in enumerate(zip(*life.paid.values(), strict=True)):
        if after != before:
            changes = zip(life.paid, before, after, strict=True)
            change = sum((frame.converted(now - was, currency, day) for currency, was, now in changes), Decimal(0))
            yield day, _movement(any(before), any(after), has_paid, change), change
        before, has_paid = after, has_paid or any(after)


def _at_risk(frame: Frame) -> Iterator[Truth]:
    """What subscriptions pay that are to end, and those that are not but have a payment overdue, and whose they are.

    Since when a payment is overdue Stripe's events alone tell, which it keeps for 30 days: of earlier nobody knows.
    """
    told_from = min(frame.readings) - 30 * DAY
    totals: dict[str, dict[str, list[Decimal]]] = {
        metric_id: defaultdict(lambda: [Decimal(0)] * frame.days) for metric_id in ("mrr_cancelling", "mrr_past_due")
    }
    customers = [0] * frame.days
    for customer in frame.story.customers:
        for day in range(min(frame.day_of(customer.created), frame.days), frame.days):
            end = frame.story.plot.start + (day + 1) * DAY
            is_at_risk = False
            for each in customer.subscriptions:
                is_late = any(told_from <= begins < end <= ends for begins, ends in each.late)
                if (each.asked_to_end < end or is_late) and (amount := _mrr(each, end)):
                    metric_id = "mrr_cancelling" if each.asked_to_end < end else "mrr_past_due"
                    totals[metric_id][each.currency][day] += amount
                    is_at_risk = True
            customers[day] += is_at_risk
    amounts = {metric_id: _together(frame, by_currency) for metric_id, by_currency in totals.items()}
    for metric_id, by_day in amounts.items():
        yield from ends_of(frame, metric_id, by_day)
    yield from ends_of(frame, "mrr_at_risk", [sum(each, Decimal(0)) for each in zip(*amounts.values(), strict=True)])
    yield from ends_of(frame, "subscribers_at_risk", customers)


def _retained(
    frame: Frame, lives: Sequence[_Life], mrr: Sequence[Decimal], amounts: Mapping[str, Sequence[Decimal]]
) -> Iterator[Truth]:
    """Of a month's opening MRR: what its customers kept and added, and what they kept; what came for what went."""
    for start, days in frame.periods["month"].items():
        opening, kept, lost = mrr[days[0] - 1] if days[0] else Decimal(0), Decimal(0), Decimal(0)
        for life in lives:
            if days[0] and life.pays(days[0] - 1):
                own = [(movement, change) for day, movement, change in _moves(frame, life) if day in days]
                kept += sum(change for movement, change in own if movement in {"expansion", "contraction", "churn"})
                lost -= sum(change for movement, change in own if movement in {"contraction", "churn"})
        moved = {movement: sum(by_day[day] for day in days) for movement, by_day in amounts.items()}
        came, went = moved["new"] + moved["expansion"], float(moved["contraction"] + moved["churn"])
        yield Truth("nrr", "month", start, ratio_of(float(opening + kept), float(opening)))
        yield Truth("grr", "month", start, ratio_of(float(opening - lost), float(opening)))
        yield Truth("quick_ratio", "month", start, ratio_of(float(came), went))
        yield Truth(
            "quick_ratio_with_reactivation", "month", start, ratio_of(float(came + moved["reactivation"]), went)
        )


def _received(frame: Frame, lives: Iterable[_Life]) -> Iterator[Truth]:
    """Charges less refunds and lost disputes, of all who ever began to pay by the month's end, for each of them."""
    begun, received = [0] * frame.days, [Decimal(0)] * frame.days
    for life in lives:
        if (began := life.began) is not None:
            begun[began] += 1
            of_days: Counter[tuple[str, int]] = Counter()
            for change in balance_changes([life.customer], frame.story.plot.end):
                if change.category not in {"fee", "payout"} and frame.has_been(change.at):
                    of_days[change.currency, frame.day_of(change.at)] += change.cents
            for (currency, day), cents in of_days.items():
                received[max(began, day)] += frame.converted(major_units(cents, currency), currency, day)
    for start, days in frame.periods["month"].items():
        whole = sum(begun[: days[-1] + 1])
        yield Truth("ltv_realised", "month", start, ratio_of(float(sum(received[: days[-1] + 1])), whole))


def _worth(
    frame: Frame, mrr: Sequence[Decimal], here: Sequence[int], counts: Mapping[str, Sequence[int]]
) -> Iterator[Truth]:
    """By month, MRR a customer over the share who left; marketing spend per customer who begins to pay, and both."""
    spent = [Decimal(0)] * frame.days
    for day, _, cents in zip(
        *(each.tolist() for each in marketing_spend(frame.story.plot, frame.story.people)), strict=True
    ):
        if day < frame.days:
            spent[day] += frame.converted(major_units(cents, EURO), EURO, day)
    if not frame.is_part:  # it is spent on all
        yield from shares_of(frame, "cac", spent, counts["new"])
    for start, days in frame.periods["month"].items():
        each = ratio_of(float(mrr[days[-1]]), here[days[-1]])
        opening = here[days[0] - 1] if days[0] else 0
        left = ratio_of(sum(counts["churn"][day] for day in days), opening)
        predicted = None if each is None or not left else each / left
        yield Truth("ltv_predicted", "month", start, predicted)
        if not frame.is_part:
            cost = ratio_of(float(sum(spent[day] for day in days)), sum(counts["new"][day] for day in days))
            yield Truth("ltv_to_cac", "month", start, ratio_of(predicted, cost or 0))
            yield Truth("cac_payback_months", "month", start, ratio_of(cost, each or 0))


def _converted(frame: Frame, lives: Iterable[_Life]) -> Iterator[Truth]:
    """Of those who sign up, by the day of that, who pays by the end of the 30th day after it."""
    people = frame.story.people
    began: dict[int, int] = {}
    for life in lives:
        day, person = frame.days if life.began is None else life.began, life.customer.person
        began[person] = min(day, began.get(person, day))
    signed_up, converted = [0] * frame.days, [0] * frame.days
    accounts = zip(people.signed_up.tolist(), people.deleted.tolist(), strict=True)
    for person, (at, deleted) in enumerate(islice(accounts, people.accounts)):
        if frame.has_been(at) and frame.seen_and_missed(at, deleted)[0]:
            day = frame.day_of(at)
            signed_up[day] += 1
            converted[day] += began.get(person, frame.days) <= min(day + 30, frame.days - 1)
    yield from shares_of(frame, "payment_conversion", converted, signed_up)


def _churn(frame: Frame, here: list[int], new: list[int], churned: list[int]) -> Iterator[Truth]:
    """Of a month: who left / who was there before it. Of 30 days: who left / who was there before them or came new."""
    for start, days in frame.periods["month"].items():
        opening = here[days[0] - 1] if days[0] else 0
        yield Truth("subscriber_churn_rate", "month", start, ratio_of(sum(churned[day] for day in days), opening))
    for start, day in frame.each_day():
        window = slice(max(0, day - 29), day + 1)
        at_risk = (here[day - 30] if day >= 30 else 0) + sum(new[window])
        yield Truth("subscriber_churn_rate_30d", "day", start, ratio_of(sum(churned[window]), at_risk))


def of_trials(frame: Frame) -> Iterator[Truth]:
    """Of the trials that ended in 30 days and were paid for or cancelled by their end, the share paid for."""
    paid: list[tuple[int, int]] = []
    cancelled: list[int] = []
    for customer in frame.story.customers:
        for each in customer.subscriptions:
            if each.trial_ends and each.ended <= each.trial_ends:
                cancelled.append(frame.day_of(each.ended))
            elif each.trial_ends:
                after = (bill.payment for bill in each.invoices if bill.created >= each.trial_ends and not bill.is_void)
                first = next((payment for payment in after if payment), None)
                if first and frame.has_been(first.paid_at):
                    paid.append((frame.day_of(each.trial_ends), frame.day_of(first.paid_at)))
    for start, day in frame.each_day():
        converted = sum(day - 30 < ended <= day and by <= day for ended, by in paid)
        lost = sum(day - 30 < ended <= day for ended in cancelled)
        yield Truth("trial_conversion_rate_30d", "day", start, ratio_of(converted, converted + lost))


def _why_left(customer: Customer, begins: int, ends: int) -> str:
    """Why the subscription that stopped last within a day did: asked for, not paid for, or paused without a word."""
    stops = [
        (at, kind)
        for each in customer.subscriptions
        for at, kind in [
            (each.ended, KINDS.get(each.end_reason or "", "unknown")),
            (each.unpaid, "involuntary"),
            *((since, "unknown") for since, _ in each.pauses),
        ]
        if begins <= at < ends and _mrr(each, begins) and _mrr(each, at)
    ]
    return max(stops)[1]


def _movement(paid_before: bool, pays: bool, has_ever_paid: bool, change: Decimal) -> str:
    if not paid_before:
        return "reactivation" if has_ever_paid else "new"
    if not pays:
        return "churn"
    return "expansion" if change > 0 else "contraction"


def _mrr(subscription: Subscription, end: int) -> Decimal:
    """What a subscription brings a month just before this moment: nothing on trial, while paused, before and after."""
    if not subscription.begins_to_pay < end <= min(subscription.ended, subscription.unpaid):
        return Decimal(0)
    if subscription.pause_at(end - 1):
        return Decimal(0)
    coupon = subscription.coupon
    return _monthly(subscription, end - 1, coupon if coupon and coupon.duration == "forever" else None)


def _monthly(subscription: Subscription, at: int, coupon: Coupon | None) -> Decimal:
    """What its items cost less a discount, a month, in its currency, each rounded half up to 6 decimals."""
    found = Decimal(0)
    for place, price, quantity in subscription.items_at(at):
        cents = Decimal(price.cents_of(quantity))
        if coupon and (place == 0 or subscription.coupon_on != "item"):
            cents = max(cents * (100 - coupon.percent) / 100 - coupon.cents, Decimal(0))
        months = Decimal(price.months.numerator), Decimal(price.months.denominator)
        amount = cents * months[1] / MINOR_UNITS[price.currency] / months[0]
        found += amount.quantize(Decimal("0.000001"), ROUND_HALF_UP)
    return found


# Payments


def of_payments(frame: Frame) -> Iterator[Truth]:
    """What was to be paid, on the day of the first attempt at it, with all attempts made by now.

    Successful: one attempt was. Unsuccessful: none was, and one failed (to be blocked is not to fail). Recovered, of
    renewals but not the first bill after a trial: the first attempt failed, and a later one was successful. Charges are
    each on their own day, as refunded or disputed if they are by now.
    """
    keys = ("payments", "paid", "decided", "first paid", "first decided", "attempts paid", "attempts decided",
            "recovered", "recoverable", "charges", "refunded", "disputed")  # fmt: skip
    found = {key: [0] * frame.days for key in keys}
    volume = _Volume(frame)
    for customer in frame.story.customers:
        for _, invoice in customer.invoices():
            outcomes = _outcomes(frame, invoice.payment) if invoice.payment else []
            if not (invoice.payment and outcomes):
                continue
            _count_charge(frame, invoice.payment, found)
            volume.add(invoice.payment.paid_at, invoice.payment.currency, customer, invoice.payment.cents)
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
    yield from sums_of(frame, "gross_volume", volume.by_day)
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
    found["refunded"][day] += payment.refund is not None and payment.refund.at <= frame.now
    found["disputed"][day] += payment.dispute is not None and payment.dispute.at <= frame.now


def of_balance(frame: Frame) -> Iterator[Truth]:
    """What moved the balance, each on its own day. Won disputes come back; payouts move what is counted already.

    The fee rate is of all fees of the days, over their charges.
    """
    found = {metric_id: _Volume(frame) for metric_id in ("refunds", "disputes", "fees", "net_volume", "charges")}
    for customer in frame.story.customers:
        for change in balance_changes([customer], frame.story.plot.end):
            if change.category == "payout":
                continue
            payer = None if change.category == "fee" else customer
            added = {"net_volume": change.cents - change.fee, "fees": change.fee}
            match change.category:
                case "charge":
                    added["charges"] = change.cents
                case "refund":
                    added["refunds"] = -change.cents
                case "dispute" | "dispute_reversal":
                    added["disputes"] = -change.cents
                case "fee":
                    added["fees"] -= change.cents
            for metric_id, cents in added.items():
                found[metric_id].add(change.at, change.currency, payer, cents)
    charged = found.pop("charges").by_day
    for metric_id, volume in found.items():
        yield from sums_of(frame, metric_id, volume.by_day)
    yield from shares_of(frame, "effective_fee_rate", found["fees"].by_day, charged)


class _Volume:
    """Amounts of days. What is converted at once is what one kind of card brought in one country: so that all ways to
    tell a volume apart add up to the same."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._cents: Counter[tuple[int, str, str, str]] = Counter()

    def add(self, at: int, currency: str, payer: Customer | None, cents: int) -> None:
        if self._frame.has_been(at):
            of_card = (payer.card[0], payer.country) if payer else ("", "")
            self._cents[self._frame.day_of(at), currency, *of_card] += cents

    @property
    def by_day(self) -> list[Decimal]:
        found = [Decimal(0)] * self._frame.days
        for (day, currency, *_), cents in self._cents.items():
            found[day] += self._frame.converted(major_units(cents, currency), currency, day)
        return found
