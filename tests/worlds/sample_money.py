"""Invented subscribers and payments for the sample build: 48 customers in three currencies, the same on every run.

Every number is counted from the same customers and payments, at one exchange rate a day, so opening and movements add
up to closing for every day, month, segment and currency. Everything has landed up to the last day.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from random import Random

FIRST, LAST = date(2025, 1, 1), date(2025, 3, 11)
DAYS = [FIRST + timedelta(days=n) for n in range((LAST - FIRST).days + 1)]
GRAINS = ("day", "week", "month")
TOTALS = "EUR"
PLANS = {"basic": Decimal(5), "family": Decimal(12), "premium": Decimal(20)}
PRICES = {"EUR": Decimal(1), "USD": Decimal("1.1"), "JPY": Decimal(150)}
NO_RATE_FROM = date(2025, 3, 9)
"""From here on a rate is missing where a test asks for it."""
CODES = ("insufficient_funds", "expired_card", "do_not_honor", "incorrect_cvc", "card_velocity_exceeded")
HARD = {"incorrect_cvc": "hard", "card_velocity_exceeded": "unknown"}
"""Of what kind their declines are said to be, where not soft."""
MONEY = ("gross_volume", "refunds", "disputes", "fees", "effective_fee_rate", "net_volume")
MOVED = ("new", "reactivation", "expansion", "contraction", "churn")
NOTHING = (0, Decimal(0))
OUTCOMES = ("first_attempt", "recovered", "failed", "pending", "blocked")
MICRO = Decimal("0.000001")

Row = tuple[object, ...]
Movement = tuple[str, Decimal]
Amounts = dict[str, list[Decimal]]
Found = dict[str, tuple[int, Decimal | None]]


def rate(currency: str, day: date) -> Decimal:
    """To the currency of totals; the dollar rises once, so that there is a movement by rates alone."""
    dollar = Decimal("0.92") if day < date(2025, 2, 10) else Decimal("0.95")
    return {"EUR": Decimal(1), "USD": dollar, "JPY": Decimal("0.0062")}[currency]


def start(day: date, grain: str) -> date:
    return {"day": day, "week": day - timedelta(days=day.weekday()), "month": day.replace(day=1)}[grain]


def end(first: date, grain: str) -> date:
    """The period's last day."""
    after = {"day": first + timedelta(days=1), "week": first + timedelta(days=7)}
    return after.get(grain, (first + timedelta(days=32)).replace(day=1)) - timedelta(days=1)


def periods(grain: str) -> list[date]:
    return sorted({start(day, grain) for day in DAYS})


def is_complete(grain: str, first: date) -> bool:
    return first >= FIRST and end(first, grain) <= LAST


@dataclass
class Customer:
    """`plans` holds the plan from a day on, none where nothing is paid."""

    currency: str
    country: str
    billing_cycle: str
    plans: list[tuple[date, str | None]]

    def plan(self, day: date) -> str | None:
        return next((plan for since, plan in reversed(self.plans) if since <= day), None)

    def mrr(self, day: date) -> Decimal:
        plan = self.plan(day)
        if plan is None:
            return Decimal(0)
        monthly = PLANS[plan] * PRICES[self.currency]
        return (monthly * 10 / 12).quantize(MICRO) if self.billing_cycle == "year" else monthly


def invent_customers() -> list[Customer]:
    random = Random(5)
    customers = []
    for number in range(48):
        currency = ("EUR", "EUR", "USD", "EUR", "JPY", "USD")[number % 6]
        country = {"EUR": random.choice(["Germany", "France"]), "USD": "United States", "JPY": "Japan"}[currency]
        since = FIRST - timedelta(days=3) if number < 14 else FIRST + timedelta(days=random.randrange(68))
        plans: list[tuple[date, str | None]] = [(since, random.choice(list(PLANS)))]
        if number % 5 == 1:
            plans.append((since + timedelta(days=random.randrange(20, 45)), random.choice(list(PLANS))))
        if number % 4 == 2:
            left = plans[-1][0] + timedelta(days=random.randrange(12, 40))
            plans.append((left, None))
            if number % 8 == 2:
                plans.append((left + timedelta(days=9), "premium"))
        customers.append(Customer(currency, country, "year" if number % 3 == 2 else "month", plans))
    return customers


def _value_on(customer: Customer, segment: str, day: date) -> str:
    return str(customer.plan(day) if segment == "plan" else getattr(customer, segment))


def _movements_of(customer: Customer, day: date, segment: str, value: str) -> Iterator[Movement]:
    """Of the day, inside the segment value, in the customer's own currency."""
    yesterday = day - timedelta(days=1)
    before, now = customer.mrr(yesterday), customer.mrr(day)
    was_in = segment == "all" or (before and _value_on(customer, segment, yesterday) == value)
    is_in = segment == "all" or (now and _value_on(customer, segment, day) == value)
    if was_in and before:
        yield "opening", before
    if is_in and now:
        yield "closing", now
    if before and now and was_in and not is_in:
        yield "switched_out", before
    elif before and now and is_in and not was_in:
        yield "switched_in", now
    elif now > before and is_in:
        is_first = customer.plans[0][0] == day
        yield ("expansion" if before else "new" if is_first else "reactivation"), now - before
    elif now < before and was_in:
        yield ("contraction" if now else "churn"), before - now


def _values(customers: list[Customer], segment: str) -> Sequence[str]:
    if segment == "all":
        return ["all"]
    return list(PLANS) if segment == "plan" else sorted({str(getattr(customer, segment)) for customer in customers})


def mrr_movements(customers: list[Customer], *, is_rate_missing: bool) -> list[Row]:
    """grain, period_start, currency, movement, segment, segment_value, customers, amount, is_complete."""
    rows: list[Row] = []
    for segment in ("all", "plan", "billing_cycle", "country"):
        for value in _values(customers, segment):
            for currency in ("all", *PRICES):
                own = [customer for customer in customers if currency in ("all", customer.currency)]
                by_day = {day: _movements_on(own, day, segment, value, is_total=currency == "all") for day in DAYS}
                for grain in ("day", "month"):
                    for first in periods(grain):
                        last = min(end(first, grain), LAST)
                        is_unknown = is_rate_missing and currency == "all" and last >= NO_RATE_FROM
                        for movement, amounts in _over(by_day, first, last).items():
                            amount = None if is_unknown else sum(amounts, Decimal(0)).quantize(MICRO)
                            what = (grain, first, currency, movement, segment, value)
                            rows.append((*what, len(amounts), amount, is_complete(grain, first)))
    return rows


def _movements_on(customers: list[Customer], day: date, segment: str, value: str, *, is_total: bool) -> Amounts:
    """Amounts by movement; in a total, what customers paid yesterday moves with the rate."""
    found: Amounts = defaultdict(list)
    for customer in customers:
        now, before = (rate(customer.currency, moment) for moment in (day, day - timedelta(days=1)))
        for movement, amount in _movements_of(customer, day, segment, value):
            used = before if movement == "opening" else now
            found[movement].append(amount * used if is_total else amount)
            if is_total and movement == "opening" and now != before:
                found["fx"].append(amount * (now - before))
    return found


def _over(by_day: dict[date, Amounts], first: date, last: date) -> Amounts:
    """The movements of all days, the opening of the first and the closing of the last."""
    days = [day for day in DAYS if first <= day <= last]
    found: Amounts = defaultdict(list)
    for day in days:
        for movement, amounts in by_day[day].items():
            if movement not in ("opening", "closing"):
                found[movement] += amounts
    for day, movement in ((days[0], "opening"), (days[-1], "closing")):
        if movement in by_day[day]:
            found[movement] = by_day[day][movement]
    return found


def subscription_values(movements: list[Row]) -> Iterator[Row]:
    """metric_id, grain, period_start, segment, segment_value, numerator, denominator, value, is_complete."""
    by_period: dict[tuple[str, date, str, str], Found] = defaultdict(dict)
    for grain, first, currency, movement, segment, value, count, amount, _ in movements:
        if currency == "all" or segment == "all":
            of = (segment, value) if currency == "all" else ("currency", currency)
            by_period[grain, first, *of][movement] = (count, amount)
    for (grain, first, *of), found in list(by_period.items()):
        yield from _subscriptions(grain, first, *of, found)
    for first in periods("week"):
        days = [day for day in DAYS if start(day, "week") == first]
        for of in sorted({key[2:] for key in by_period}):
            daily = [by_period["day", day, *of] for day in days]
            found = {movement: _summed([day.get(movement, NOTHING) for day in daily]) for movement in MOVED}
            found["opening"], found["closing"] = (
                daily[n].get(movement, NOTHING) for n, movement in ((0, "opening"), (-1, "closing"))
            )
            yield from _subscriptions("week", first, *of, found)


def _summed(parts: list[tuple[int, Decimal | None]]) -> tuple[int, Decimal | None]:
    known = [amount for _, amount in parts if amount is not None]
    return sum(count for count, _ in parts), sum(known, Decimal(0)) if len(known) == len(parts) else None


def _subscriptions(grain: str, first: date, segment: str, value: str, found: Found) -> Iterator[Row]:
    is_unknown = any(amount is None for _, amount in found.values())

    def of(movement: str) -> Decimal:
        return found.get(movement, NOTHING)[1] or Decimal(0)

    def row(metric: str, number: float, of_how_many: float | None = None, *, is_money: bool = False) -> Row:
        known = None if is_money and is_unknown else float(number)
        result = known
        if of_how_many is not None:
            result = float(number) / of_how_many if of_how_many else None
        return metric, grain, first, segment, value, known, of_how_many, result, is_complete(grain, first)

    here, gone, came = (found.get(movement, NOTHING)[0] for movement in ("closing", "churn", "new"))
    yield row("subscribers", here)
    yield row("subscribers_new", came)
    yield row("subscribers_churned", gone)
    yield row("churn_voluntary", gone - gone // 3)
    yield row("churn_involuntary", gone // 3)
    yield row("churn_unknown", 0)
    yield row("subscribers_at_risk", here // 10)
    for metric, share in {"mrr_at_risk": 0.1, "mrr_cancelling": 0.06, "mrr_past_due": 0.04}.items():
        yield row(metric, share * float(of("closing")), is_money=True)
    if grain == "month":
        yield row("subscriber_churn_rate", gone, found.get("opening", NOTHING)[0])
    if grain == "day":
        yield row("subscriber_churn_rate_30d", gone, here + gone)
        yield row("trial_conversion_rate_30d", here, here + gone + 3)
    yield row("mrr", float(of("closing")), is_money=True)
    yield row("arr", float(12 * of("closing")), is_money=True)
    for movement in MOVED:
        yield row(f"mrr_{movement}", float(of(movement)), is_money=True)
    net = of("new") + of("expansion") + of("reactivation") - of("contraction") - of("churn")
    yield row("mrr_net_new", float(net), is_money=True)
    yield row("arppu", float(of("closing")), here, is_money=True)
    if grain == "month":
        kept = of("opening") - of("contraction") - of("churn")
        yield row("nrr", float(kept + of("expansion")), float(of("opening")), is_money=True)
        yield row("grr", float(kept), float(of("opening")), is_money=True)


def mrr_modes(movements: list[Row]) -> Iterator[Row]:
    """period_start, currency, mode, reason, amount, is_complete: a tenth less as billed, a fifth more elsewhere."""
    apart = {
        "billed": {"coupons_that_end": Decimal("-0.1")},
        "stripe_billing": {},
        "chartmogul": {},
        "fivetran_dbt": {"coupons_kept": Decimal("0.05"), "trials": Decimal("0.15")},
    }
    for grain, first, currency, movement, segment, _, _, mrr, known in movements:
        if (grain, movement, segment) == ("month", "closing", "all"):
            for mode, reasons in apart.items():
                parts = {"ours": Decimal(1)} | reasons
                for reason, share in {**parts, "total": sum(parts.values())}.items():
                    yield first, currency, mode, reason, None if mrr is None else Decimal(str(mrr)) * share, known


def revenue_cohorts(customers: list[Customer]) -> Iterator[Row]:
    """cohort_month, month_index, segment, segment_value, customers, active_customers, mrr, net_revenue_cumulative,
    is_complete, gross_profit_cumulative; who pays for a year has paid it at once."""
    for segment in ("all", "billing_cycle"):
        for value in _values(customers, segment):
            own = [one for one in customers if value == "all" or getattr(one, segment) == value]
            for began in periods("month"):
                members = [one for one in own if start(max(one.plans[0][0], FIRST), "month") == began]
                received = Decimal(0)
                for index, first in enumerate(month for month in periods("month") if month >= began):
                    last = min(end(first, "month"), LAST)
                    paid = [one.mrr(last) * rate(one.currency, last) for one in members]
                    received += sum(paid, Decimal(0))
                    if members:
                        active = sum(amount > 0 for amount in paid)
                        mrr = sum(paid, Decimal(0)).quantize(MICRO)
                        known = is_complete("month", first)
                        of = (began, index, segment, value, len(members), active, mrr)
                        yield *of, received.quantize(MICRO), known, (received * 4 / 5).quantize(MICRO)


def ltv_predictions() -> Iterator[Row]:
    """as_of_month, segment, segment_value, method, horizon_months, currency, value, ci_low, ci_high, customers, status,
    backtest_months, backtest_error, gross_margin: of everyone, and of who pays for a year, where little is known."""
    of = (date(2025, 2, 1), "all", "all")
    yield *of, "realised", 6, TOTALS, 61.5, None, None, 120, "ok", None, None, 0.8
    yield *of, "arppu_over_churn", None, TOTALS, 140.0, 88.0, 231.0, 41, "ok", 6, 0.18, 0.8
    yield *of, "survival", 12, TOTALS, 96.25, 90.0, 102.5, 160, "ok", 6, -0.04, 0.8
    yield (
        *of,
        "sbg",
        60,
        TOTALS,
        None,
        None,
        None,
        None,
        "29 subscribers ended, where 30 say something",
        None,
        None,
        0.8,
    )
    of = (date(2025, 2, 1), "billing_cycle", "year")
    why = "2 subscribers ended, where 30 say something"
    yield *of, "survival", 12, TOTALS, None, None, None, None, why, None, None, 0.8


def subscriber_survival() -> Iterator[Row]:
    """as_of_month, segment, segment_value, method, month_index, share, ci_low, ci_high, at_risk."""
    of = (date(2025, 2, 1), "all", "all")
    for index, share in enumerate((0.97, 0.9, 0.84, 0.8)):
        yield *of, "survival", index, share, share - 0.02 * index, min(share + 0.02 * index, 1.0), 160 - 20 * index
    for index in range(8):
        yield *of, "sbg", index, 0.96 * 0.94**index, 0.94 * 0.93**index, 0.97 * 0.95**index, None


def trials(customers: list[Customer]) -> Iterator[Row]:
    """cohort_month, segment, segment_value, started, running, converted, ended_unpaid, cancelled, is_complete."""
    for segment in ("all", "plan", "billing_cycle", "currency", "country"):
        states: dict[tuple[date, str], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        for number, customer in enumerate(customers):
            since, plan = customer.plans[0]
            value = {"all": "all", "plan": plan}.get(segment) or str(getattr(customer, segment))
            is_running = since > LAST - timedelta(days=7)
            states[max(since, FIRST).replace(day=1), value][0 if is_running else 1 + number % 7 // 3] += 1
        for (month, value), own in states.items():
            yield month, segment, value, sum(own), *own, is_complete("month", month) and not own[0]


@dataclass
class Payment:
    day: date
    currency: str
    country: str
    card_brand: str
    outcome: str
    decline_code: str | None
    attempts: int
    amount: Decimal
    refund: Decimal
    dispute: Decimal

    @property
    def is_paid(self) -> bool:
        return self.outcome in ("first_attempt", "recovered")


def invent_payments() -> list[Payment]:
    random = Random(23)
    payments = []
    for day in DAYS:
        for _ in range(random.randrange(6, 13)):
            currency = random.choices(list(PRICES), [6, 3, 1])[0]
            outcome = random.choices(OUTCOMES, [86, 6, 6, 1, 1])[0]
            amount = random.choice(list(PLANS.values())) * PRICES[currency]
            is_paid = outcome in ("first_attempt", "recovered")
            payments.append(
                Payment(
                    day,
                    currency,
                    {"EUR": random.choice(["Germany", "France"]), "USD": "United States", "JPY": "Japan"}[currency],
                    random.choices(["visa", "mastercard", "amex", "(unknown)"], [6, 4, 1, 1])[0],
                    outcome,
                    random.choices(CODES, [5, 3, 3, 1, 1])[0] if outcome in ("recovered", "failed") else None,
                    {"recovered": 2, "failed": 3, "blocked": 1}.get(outcome, 1),
                    amount,
                    amount if is_paid and random.random() < 0.03 else Decimal(0),
                    amount if is_paid and random.random() < 0.008 else Decimal(0),
                )
            )
    return payments


def payment_outcomes(payments: list[Payment]) -> Iterator[Row]:
    """grain, period_start, currency, outcome, decline_code, payments, attempts, amount, is_complete, decline_kind."""
    for grain in GRAINS:
        groups: dict[tuple[date, str, str, str | None], list[Payment]] = defaultdict(list)
        for payment in payments:
            for currency in ("all", payment.currency):
                groups[start(payment.day, grain), currency, payment.outcome, payment.decline_code].append(payment)
        for (first, currency, outcome, code), own in groups.items():
            amounts = [p.amount * (rate(p.currency, p.day) if currency == "all" else 1) for p in own]
            total = sum(amounts, Decimal(0))
            counted = (len(own), sum(payment.attempts for payment in own))
            kind = code and HARD.get(code, "soft")
            yield grain, first, currency, outcome, code, *counted, total, is_complete(grain, first), kind


def dunning_curve(payments: list[Payment]) -> Iterator[Row]:
    """cohort_month, segment, segment_value, days_since_failure, payments, recovered, is_complete.

    Those that are recovered are so within nine days.
    """
    found: dict[tuple[date, str, str, int], list[bool]] = defaultdict(list)
    for number, payment in enumerate(payment for payment in payments if payment.outcome in ("recovered", "failed")):
        kind = HARD.get(payment.decline_code or "", "soft")
        for days in range(min(30, (LAST - payment.day).days) + 1):
            for segment, value in (("all", "all"), ("decline_kind", kind)):
                is_recovered = payment.outcome == "recovered" and days > number % 9
                found[start(payment.day, "month"), segment, value, days].append(is_recovered)
    for (first, segment, value, days), own in found.items():
        is_over = end(first, "month") + timedelta(days=days) <= LAST
        yield first, segment, value, days, len(own), sum(own), is_over


def payment_values(payments: list[Payment], *, is_rate_missing: bool) -> Iterator[Row]:
    """metric_id, grain, period_start, segment, segment_value, numerator, denominator, value, is_complete."""
    for segment in ("all", "currency", "card_brand", "country"):
        for grain in GRAINS:
            groups: dict[tuple[date, str], list[Payment]] = defaultdict(list)
            for payment in payments:
                value = "all" if segment == "all" else str(getattr(payment, segment))
                groups[start(payment.day, grain), value].append(payment)
            for (first, value), own in groups.items():
                is_unknown = is_rate_missing and segment != "currency" and end(first, grain) >= NO_RATE_FROM
                for metric, number, of in _counted(own, in_own_currency=segment == "currency"):
                    is_money = metric in MONEY
                    known = None if is_money and is_unknown else float(number)
                    result = known if of is None else known / of if of and known is not None else None
                    yield metric, grain, first, segment, value, known, of, result, is_complete(grain, first)


def _counted(payments: list[Payment], *, in_own_currency: bool) -> Iterator[tuple[str, float, float | None]]:
    counts = {outcome: sum(payment.outcome == outcome for payment in payments) for outcome in OUTCOMES}
    paid, decided = counts["first_attempt"] + counts["recovered"], len(payments) - counts["pending"] - counts["blocked"]
    attempts = sum(p.attempts for p in payments if p.outcome in ("first_attempt", "recovered", "failed"))

    def total(amounts: Iterator[tuple[Payment, Decimal]]) -> float:
        return float(sum(amount * (1 if in_own_currency else rate(p.currency, p.day)) for p, amount in amounts))

    gross = total((p, p.amount) for p in payments if p.is_paid)
    refunds, disputes = total((p, p.refund) for p in payments), total((p, p.dispute) for p in payments)
    fees = total((p, (p.amount * Decimal("0.03")).quantize(Decimal("0.01"))) for p in payments if p.is_paid)
    yield "payments", len(payments), None
    yield "payment_success_rate", paid, decided
    yield "first_attempt_success_rate", counts["first_attempt"], decided
    yield "attempt_success_rate", paid, attempts
    yield "recovery_rate", counts["recovered"], counts["recovered"] + counts["failed"]
    yield "gross_volume", gross, None
    yield "refunds", refunds, None
    yield "disputes", disputes, None
    yield "fees", fees, None
    yield "effective_fee_rate", fees, gross
    yield "net_volume", gross - refunds - disputes - fees, None
    yield "refund_rate", sum(bool(p.refund) for p in payments), paid
    yield "dispute_rate", sum(bool(p.dispute) for p in payments), paid
