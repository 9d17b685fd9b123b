"""A small published build for page tests: 70 days of 260 invented people, the same on every run.

7 March was not received from Mixpanel, so days and windows from there on are incomplete; Stripe and the app database
are known to the last day. Every number is counted from the same people, customers, payments and pets, so the identities
between metrics hold.
"""

from __future__ import annotations

import math
import shutil
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache, cached_property
from pathlib import Path
from random import Random
from statistics import mean, median

import duckdb
import pandas as pd
import pyarrow as pa

from tailtracker_bi.bundle.pointer import Bundle
from tailtracker_bi.sources import SOURCES as SOURCES_OF_THE_APP
from tests.worlds.sample_money import (
    dunning_curve,
    invent_customers,
    invent_payments,
    ltv_predictions,
    mrr_modes,
    mrr_movements,
    payment_outcomes,
    payment_values,
    revenue_cohorts,
    subscriber_survival,
    subscription_values,
    trials,
)

BUILD = "20250312T060000-5a3e10"
FIRST, COMPLETE, GAP, LAST = date(2025, 1, 1), date(2025, 3, 6), date(2025, 3, 7), date(2025, 3, 11)
DAYS = [FIRST + timedelta(days=n) for n in range((LAST - FIRST).days + 1)]
GRAINS = ("day", "week", "month")
COUNTRIES = ("Germany", "France", "United States", "Japan", "Brazil", "Canada", "(unknown)")
ONBOARDING = (
    "User Registration",
    "Pet Profile Created",
    "Location Services Enabled",
    "Subscription Conversion",
)
RECOVERY = ("Lost Pet Alert Created", "Alert Shared", "Search Initiated", "Pet Recovered")

STRIPE_TABLES = (
    "customers", "products", "prices", "subscriptions", "invoices", "charges", "payment_intents", "refunds",
    "disputes", "balance_transactions", "coupons", "events",
)  # fmt: skip
APP_TABLES = (
    "profiles", "pets", "lost_pet_alerts", "alert_recipients", "subscriptions", "health_records", "locations",
    "geofences", "devices", "family_members", "notifications", "support_tickets", "feedback", "app_versions",
    "referrals", "consents", "deletion_requests",
)  # fmt: skip
SOURCES = {
    "engagement": "mixpanel.events",
    "retention": "mixpanel.events",
    "funnels": "mixpanel.events",
    "pets": "app_db.profiles,app_db.pets,app_db.lost_pet_alerts",
    "subscriptions": "stripe.customers,stripe.subscriptions,stripe.prices",
    "health": "prometheus.service_levels",
    "voice": "app_db.support_tickets,app_db.feedback",
    "payments": "stripe.charges,stripe.refunds,stripe.disputes,stripe.balance_transactions",
}
# domain | metric | label | description | unit format direction | grains
CATALOG = """
engagement | dau | Daily active people | People active on the day. | people integer up | day
engagement | wau | Weekly active people | People active in the 7 days up to the day. | people integer up | day
engagement | mau | Monthly active people | People active in the 30 days up to the day. | people integer up | day
engagement | active_users | Active people | Active in the day, week or month. | people integer up | day,week,month
engagement | stickiness | Stickiness | Daily divided by monthly active people. | share percent up | day
engagement | users_new | New people | First activity ever. | people integer up | day,week,month
engagement | users_returning | Returning people | Active now and before. | people integer up | day,week,month
engagement | users_resurrecting | Resurrecting people | Active now, away before. | people integer up | day,week,month
engagement | users_dormant | Dormant people | Active before, not now. | people integer down | day,week,month
engagement | pulse | Pulse | New and resurrecting people divided by dormant ones. | ratio decimal up | day,week,month
engagement | events | Events | Events received. | events integer - | day,week,month
retention | retention_d1 | Day 1 retention | Back one day after signing up. | share percent up | day
retention | retention_d7 | Day 7 retention | Back seven days after signing up. | share percent up | day
retention | retention_d30 | Day 30 retention | Back 30 days after signing up. | share percent up | day
funnels | onboarding_conversion | Onboarding | Reached the last step within 7 days. | share percent up | day,week,month
funnels | lost_pet_recovery_conversion | Lost pet recovery | The pet was found. | share percent up | day,week,month
engagement | sign_ups | Sign-ups | Accounts made in the period. | people integer up | day,week,month
engagement | total_users | Accounts | Accounts at the end of the period. | people integer up | day,week,month
pets | pets_created | Pets created | Pets added in the period. | pets integer up | day,week,month
pets | total_pets | Pets | Pets at the end of the period. | pets integer up | day,week,month
pets | lost_pet_alerts | Lost pet alerts | Alerts raised in the period. | alerts integer down | day,week,month
pets | pets_recovered | Pets recovered | Alerts whose pet was found in the period. | alerts integer up | day,week,month
pets | recovery_rate_30d | Recovery rate | Alerts of the last 30 days found by now. | share percent up | day
pets | recovery_hours_avg | Hours to recovery, mean | From alert to found, mean. | hours decimal down | day,week,month
pets | recovery_hours_median | Hours to recovery, median | From alert to found. | hours decimal down | day,week,month
subscriptions | subscribers | Subscribers | Customers who pay. | customers integer up | day,week,month
subscriptions | subscribers_new | New subscribers | First ever to pay. | customers integer up | day,week,month
subscriptions | subscribers_churned | Churned subscribers | Paid, and stopped. | customers integer down | day,week,month
subscriptions | churn_voluntary | Voluntary churn | Left by will. | customers integer down | day,week,month
subscriptions | churn_involuntary | Involuntary churn | A payment failed. | customers integer down | day,week,month
subscriptions | churn_unknown | Churn of unknown reason | Nothing tells why. | customers integer down | day,week,month
subscriptions | mrr_at_risk | MRR at risk | To end or overdue. | currency money down | day,week,month
subscriptions | mrr_cancelling | MRR that is to end | Asked to leave. | currency money down | day,week,month
subscriptions | mrr_past_due | MRR past due | A payment is overdue. | currency money down | day,week,month
subscriptions | subscribers_at_risk | Subscribers at risk | To end or overdue. | customers integer down | day,week,month
subscriptions | trial_conversion_rate_30d | Trial conversion, 30 days | Paid after a trial. | share percent up | day
subscriptions | subscriber_churn_rate | Subscriber churn | Churned of those at the start. | share percent down | month
subscriptions | subscriber_churn_rate_30d | Subscriber churn, 30 days | Churned in 30 days. | share percent down | day
subscriptions | mrr | MRR | What subscriptions pay a month. | currency money up | day,week,month
subscriptions | arr | ARR | 12 times MRR. | currency money up | day,week,month
subscriptions | mrr_new | New MRR | From first subscriptions. | currency money up | day,week,month
subscriptions | mrr_expansion | Expansion MRR | Customers who pay more. | currency money up | day,week,month
subscriptions | mrr_contraction | Contraction MRR | Customers who pay less. | currency money down | day,week,month
subscriptions | mrr_churn | Churned MRR | Customers who stopped. | currency money down | day,week,month
subscriptions | mrr_reactivation | Reactivation MRR | Customers who came back. | currency money up | day,week,month
subscriptions | mrr_net_new | Net new MRR | What came less what went. | currency money up | day,week,month
subscriptions | arppu | ARPPU | MRR a paying customer. | currency_per_customer money up | day,week,month
subscriptions | nrr | Net revenue retention | What stays, and more. | share percent up | month
subscriptions | grr | Gross revenue retention | What stays. | share percent up | month
payments | payments | Payments | With at least one attempt. | payments integer up | day,week,month
payments | payment_success_rate | Payment success | Payments that succeeded. | share percent up | day,week,month
payments | first_attempt_success_rate | First attempt success | At once. | share percent up | day,week,month
payments | attempt_success_rate | Attempt success | Attempts that succeeded. | share percent up | day,week,month
payments | recovery_rate | Recovery rate | Failed first and paid later. | share percent up | day,week,month
payments | gross_volume | Gross volume | Captured amounts. | currency money up | day,week,month
payments | refunds | Refunds | Paid back. | currency money down | day,week,month
payments | disputes | Disputes | Withdrawn by the bank. | currency money down | day,week,month
payments | fees | Fees | What payments cost. | currency money down | day,week,month
payments | effective_fee_rate | Effective fee rate | Fees of charges. | share percent down | day,week,month
payments | net_volume | Net volume | Gross less refunds, disputes and fees. | currency money up | day,week,month
payments | refund_rate | Refund rate | Payments that were refunded. | share percent down | day,week,month
payments | dispute_rate | Dispute rate | Payments that were disputed. | share percent down | day,week,month
health | availability | Availability | Requests that were answered. | share percent up | day,week,month
health | error_budget_remaining | Error budget remaining | Of the month's minutes. | share percent up | day,week,month
voice | support_tickets | Support tickets | Tickets opened in the period. | tickets integer down | day,week,month
"""

HEADLINES = [
    *("dau", "mau", "users_new", "stickiness", "retention_d7"),
    *("mrr", "subscribers", "subscriber_churn_rate", "payment_success_rate"),
    *("total_pets", "lost_pet_alerts", "recovery_rate_30d"),
    *("availability", "error_budget_remaining"),
]


@dataclass
class Person:
    number: int
    first: date
    segments: dict[str, str]
    active: set[date] = field(default_factory=set)
    step_reached: int = 1

    @cached_property
    def days(self) -> list[date]:
        """Those on which they were active, in order."""
        return sorted(self.active)

    def is_active(self, first: date, last: date) -> bool:
        return bisect_left(self.days, first) < bisect_right(self.days, last)


def invent_people() -> list[Person]:
    random = Random(11)
    people = []
    for number in range(260):
        first = FIRST + timedelta(days=min(int(random.triangular(0, 69, 50)), 69))
        segments = {
            "platform": random.choices(["ios", "android"], [3, 2])[0],
            "country": random.choices(COUNTRIES, [8, 6, 5, 3, 2, 1, 1])[0],
            "app_version": "5.2.0" if first > date(2025, 2, 1) else "5.1.3",
            "plan": "premium" if number % 4 == 0 else "free",
        }
        person = Person(number, first, segments, {first} - {GAP})
        keen = random.uniform(0.05, 0.7)
        for day in DAYS:
            age = (day - first).days
            chance = keen * (0.3 + 0.7 * math.exp(-age / 12)) * (1.15 if day.weekday() < 5 else 0.7)
            if age > 0 and day != GAP and random.random() < chance:
                person.active.add(day)
        person.step_reached = random.choices([1, 2, 3, 4], [2, 3, 3, 2])[0]
        people.append(person)
    return [person for person in people if person.active]


def start(day: date, grain: str) -> date:
    return {"day": day, "week": day - timedelta(days=day.weekday()), "month": day.replace(day=1)}[grain]


def later(first: date, grain: str, periods: int) -> date:
    if grain == "month":
        months = first.year * 12 + first.month - 1 + periods
        return date(months // 12, months % 12 + 1, 1)
    return first + timedelta(days=periods * {"day": 1, "week": 7}[grain])


def is_complete(grain: str, first: date) -> bool:
    return first >= FIRST and later(first, grain, 1) - timedelta(days=1) <= COMPLETE


def segments_of(people: list[Person]) -> Iterator[tuple[str, str, list[Person]]]:
    yield "all", "all", people
    for segment in ("platform", "country", "plan", "app_version"):
        for value in sorted({person.segments[segment] for person in people}):
            yield segment, value, [person for person in people if person.segments[segment] == value]


Row = tuple[object, ...]


def metric_values(people: list[Person]) -> Iterator[Row]:
    for segment, value, group in segments_of(people):
        for row in (*_activity(group), *_lifecycle(group), *_retention_by_day(group), *_funnel_shares(group)):
            metric, grain, first, numerator, denominator, complete = row
            known = None if (grain, first) == ("day", GAP) else numerator
            result = known
            if denominator is not None and known is not None:
                result = known / denominator if denominator else None
            yield metric, grain, first, segment, value, known, denominator, result, complete


def _active_on(group: list[Person], first: date, last: date) -> set[int]:
    return {person.number for person in group if person.is_active(first, last)}


def _activity(group: list[Person]) -> Iterator[tuple[str, str, date, float, float | None, bool]]:
    for day in DAYS:
        dau, wau, mau = (len(_active_on(group, day - timedelta(days=n), day)) for n in (0, 6, 29))
        whole_week, whole_month = (day <= COMPLETE and day - timedelta(days=n) >= FIRST for n in (6, 29))
        yield "dau", "day", day, dau, None, is_complete("day", day)
        yield "wau", "day", day, wau, None, whole_week
        yield "mau", "day", day, mau, None, whole_month
        yield "stickiness", "day", day, dau, mau, whole_month
    for grain in GRAINS:
        for first in sorted({start(day, grain) for day in DAYS}):
            last = later(first, grain, 1) - timedelta(days=1)
            active, complete = _active_on(group, first, last), is_complete(grain, first)
            days = [day for person in group for day in person.active if first <= day <= last]
            yield "active_users", grain, first, len(active), None, complete
            yield "events", grain, first, sum(4 + day.day % 5 for day in days), None, complete


def _lifecycle(group: list[Person]) -> Iterator[tuple[str, str, date, float, float | None, bool]]:
    for grain in GRAINS:
        seen: set[int] = set()
        before: set[int] = set()
        for first in sorted({start(day, grain) for day in DAYS}):
            now = _active_on(group, first, later(first, grain, 1) - timedelta(days=1))
            new, returning, dormant = now - seen, now & before, before - now
            resurrecting = now - new - returning
            complete = is_complete(grain, first) and first > FIRST
            yield "users_new", grain, first, len(new), None, complete
            yield "users_returning", grain, first, len(returning), None, complete
            yield "users_resurrecting", grain, first, len(resurrecting), None, complete
            yield "users_dormant", grain, first, len(dormant), None, complete
            yield "pulse", grain, first, len(new) + len(resurrecting), len(dormant), complete
            seen, before = seen | now, now


def _retention_by_day(group: list[Person]) -> Iterator[tuple[str, str, date, float, float | None, bool]]:
    for row in _cohorts(group, "n_day", "day"):
        first, index, size, retained, complete = row
        if index in (1, 7, 30):
            yield f"retention_d{index}", "day", first, retained, size, complete


def _cohorts(group: list[Person], mode: str, grain: str) -> Iterator[tuple[date, int, int, int, bool]]:
    cohorts: dict[date, list[Person]] = defaultdict(list)
    for person in group:
        cohorts[start(person.first, grain)].append(person)
    for first, members in sorted(cohorts.items()):
        for index in range(60):
            cell = later(first, grain, index)
            if cell > LAST:
                break
            last = LAST if mode == "unbounded" else later(cell, grain, 1) - timedelta(days=1)
            back = len(_active_on(members, cell, last)) if index else len(members)
            yield first, index, len(members), back, first >= FIRST and is_complete(grain, cell)


def _steps(group: list[Person], grain: str) -> Iterator[tuple[str, date | None, int, str, int, bool]]:
    for funnel, steps, window, members in (
        ("onboarding", ONBOARDING, 7, group),
        ("lost_pet_recovery", RECOVERY, 30, group[::4]),
    ):
        entries: dict[date | None, list[Person]] = defaultdict(list)
        for person in members:
            entries[None if grain == "all" else start(person.first, grain)].append(person)
        for first in sorted(entries, key=str):
            closed = later(first, grain, 1) + timedelta(days=window - 1) <= COMPLETE if first else False
            for index, name in enumerate(steps, start=1):
                reached = sum(person.step_reached >= index for person in entries[first])
                yield funnel, first, index, name, reached, closed


def _funnel_shares(group: list[Person]) -> Iterator[tuple[str, str, date, float, float | None, bool]]:
    for grain in GRAINS:
        entered = 0
        for funnel, first, index, _, people, complete in _steps(group, grain):
            entered = people if index == 1 else entered
            if index == 4 and first:
                yield f"{funnel}_conversion", grain, first, people, entered, complete


def retention_cohorts(people: list[Person]) -> Iterator[Row]:
    for segment, value, group in segments_of(people):
        for mode in ("n_day", "unbounded"):
            for grain in GRAINS:
                for first, index, size, back, complete in _cohorts(group, mode, grain):
                    yield (
                        "sign_up",
                        mode,
                        grain,
                        first,
                        segment,
                        value,
                        index,
                        size,
                        back,
                        complete,
                        "People who signed up",
                    )


def stickiness(people: list[Person]) -> Iterator[Row]:
    for grain in ("week", "month"):
        for first in sorted({start(day, grain) for day in DAYS}):
            counts: dict[int, int] = defaultdict(int)
            for person in people:
                counts[sum(start(day, grain) == first for day in person.active)] += 1
            for days in sorted(counts.keys() - {0}):
                yield grain, first, days, counts[days], is_complete(grain, first)


def funnel_steps(people: list[Person]) -> Iterator[Row]:
    for segment, value, group in segments_of(people):
        for grain in ("all", *GRAINS):
            for funnel, first, index, name, reached, complete in _steps(group, grain):
                seconds = 3600.0 * index if index > 1 else None
                yield funnel, grain, first, segment, value, index, name, reached, seconds, seconds, complete


def pet_values(people: list[Person]) -> Iterator[Row]:
    """A person signs up on the first day and adds a pet; every fifth raises an alert, most of which end well."""
    pets = [(person.first, "dog" if person.number % 3 else "cat") for person in people if person.step_reached > 1]
    alerts = [(p.first + timedelta(days=p.number % 9), ("low", "high", "critical")[p.number % 3]) for p in people[::5]]
    found = [(raised, urgency, 5.5 + number % 40) for number, (raised, urgency) in enumerate(alerts) if number % 4]
    for grain in GRAINS:
        for first in sorted({start(day, grain) for day in DAYS}):
            last, complete = later(first, grain, 1) - timedelta(days=1), first >= FIRST
            complete = complete and last <= LAST
            counts: list[tuple[str, str, str, float]] = [
                ("sign_ups", "all", "all", sum(first <= person.first <= last for person in people)),
                ("total_users", "all", "all", sum(person.first <= last for person in people)),
            ]
            for value in ("all", "cat", "dog"):
                own = [day for day, species in pets if value in ("all", species)]
                of = ("all" if value == "all" else "species", value)
                counts.append(("pets_created", *of, sum(first <= day <= last for day in own)))
                counts.append(("total_pets", *of, sum(day <= last for day in own)))
            for value in ("all", "low", "high", "critical"):
                of = ("all" if value == "all" else "urgency", value)
                raised = [day for day, urgency in alerts if value in ("all", urgency)]
                ended = [(day, hours) for day, urgency, hours in found if value in ("all", urgency)]
                hours = [hours for day, hours in ended if first <= day + timedelta(hours=hours) <= last]
                counts.append(("lost_pet_alerts", *of, sum(first <= day <= last for day in raised)))
                counts.append(("pets_recovered", *of, len(hours)))
                if hours or value == "all":
                    typical = (mean(hours), median(hours)) if hours else (None, None)
                    yield "recovery_hours_avg", grain, first, *of, sum(hours), len(hours), typical[0], complete
                    yield "recovery_hours_median", grain, first, *of, None, None, typical[1], complete
                if grain == "day":
                    since = first - timedelta(days=29)
                    recent = sum(since <= day <= last for day in raised)
                    back = sum(since <= day <= last for day, _ in ended)
                    share = back / recent if recent else None
                    yield "recovery_rate_30d", grain, first, *of, back, recent, share, complete and since >= FIRST
            for metric, segment, value, number in counts:
                if number or value == "all":
                    yield metric, grain, first, segment, value, number, None, number, complete


def service_values() -> Iterator[Row]:
    """Ten thousand requests a day, of which one fails, and on the first of a month a hundred."""
    for grain in GRAINS:
        for first in sorted({start(day, grain) for day in DAYS}):
            own = [day for day in DAYS if start(day, grain) == first]
            asked, failed = 10_000 * len(own), sum(100 if day.day == 1 else 1 for day in own)
            complete = first >= FIRST and later(first, grain, 1) - timedelta(days=1) <= LAST
            whole = (grain, first, "all", "all")
            yield "availability", *whole, asked - failed, asked, 1 - failed / asked, complete
            yield "error_budget_remaining", *whole, None, None, 1 - failed / 500, complete


def ticket_values() -> Iterator[Row]:
    """As many tickets a day as its date has digits that are 1 or 2, all of one kind."""
    for grain in GRAINS:
        for first in sorted({start(day, grain) for day in DAYS}):
            opened = sum(
                str(day.day).count("1") + str(day.day).count("2") for day in DAYS if start(day, grain) == first
            )
            complete = first >= FIRST and later(first, grain, 1) - timedelta(days=1) <= LAST
            for of in (("all", "all"), ("category", "billing")):
                yield "support_tickets", grain, first, *of, opened, None, opened, complete


def slo_status() -> Iterator[Row]:
    """A promise that is kept and one that is not, in two months that are over and one that is not."""
    for month, complete in ((date(2025, 1, 1), True), (date(2025, 2, 1), True), (date(2025, 3, 1), False)):
        yield "all", "availability", month, 0.999, 0.99985, 44.64, 6.7, 0.85, 0.01, "normal", complete
        yield "api", "latency_p95_ms", month, 1000.0, 1240.0, 44.64, 50.0, -0.12, 1.5, "emergency", complete


def event_catalog(people: list[Person]) -> Iterator[Row]:
    """Everyone signs up; of the rest, as many as got to the step."""
    for index, name in enumerate(ONBOARDING, start=1):
        came = sum(person.step_reached >= index for person in people)
        yield name, FIRST, LAST, came * index, came, None, None, index == 4


def reconciliation(people: list[Person]) -> Iterator[Row]:
    """One event in a while does not arrive; one subscriber is in the app alone; one charge is not booked yet."""
    for day in DAYS:
        signed_up = sum(person.first == day for person in people)
        lost = 1 if signed_up and day.day % 8 == 0 else 0
        reason = "events that never arrived" if lost else None
        what = "sign_ups: app database against events"
        yield what, day, None, signed_up, signed_up - lost, lost, reason, "3f2c" if lost else None
        is_apart = day.day == 3
        yield "subscribers: app database against Stripe", day, None, 20, 20 - is_apart, int(is_apart), None, None
    for month in (date(2025, 1, 1), date(2025, 2, 1)):
        fewer = Decimal("9.90") if month.month == 2 else Decimal(0)
        what = "gross_volume: charges against balance transactions"
        reason = "a charge not booked yet" if fewer else None
        yield what, month, "EUR", Decimal(2000), Decimal(2000) - fewer, fewer, reason, "9b1e" if fewer else None


def metric_catalog(off: Collection[str]) -> Iterator[Row]:
    not_for, decision = "Comparing complete periods with incomplete ones.", "Where to put effort next."
    for line in CATALOG.strip().splitlines():
        domain, metric, label, description, shape, grains = line.split(" | ")
        unit, form, better = shape.split()
        is_up = {"up": True, "down": False}.get(better)
        target = 60.0 if metric == "dau" else None
        status = "no_data" if SOURCES[domain].split(".")[0] in off else "active"
        what = (metric, label, description, not_for, unit, form, is_up)
        exact = EXACT_SINCE.get(metric, (None, None))
        rank = HEADLINES.index(metric) + 1 if metric in HEADLINES else None
        is_of_money = form == "money" or metric in {"nrr", "grr", "effective_fee_rate"}
        yield (
            *what,
            domain,
            "Growth",
            decision,
            status,
            target,
            SOURCES[domain],
            grains,
            *exact,
            rank,
            None,
            is_of_money,
        )


def restatements(build: str) -> Iterator[Row]:
    """One event that came late, told of by this build, and one that an earlier build told of."""
    for day, told_by in ((date(2025, 3, 4), build), (date(2025, 2, 4), "20250305T060000-0a1b2c")):
        for segment, value, before, now in (("all", "all", 30, 31), ("platform", "ios", None, 1)):
            yield "dau", "day", day, segment, value, before, now, told_by, date(2025, 3, 12), "late events"


def not_counted(off: Collection[str]) -> Iterator[Row]:
    """Seven broken lines, which all that is counted from events lacks; three items that are paid by use."""
    of_events = ",".join(
        sorted(line.split(" | ")[1] for line in CATALOG.strip().splitlines() if line.startswith(("eng", "ret", "fun")))
    )
    yield (
        "mixpanel", "event", "not JSON", "They could not be used as they came, so they are in no number.",
        7, None, None, None, of_events, date(2025, 3, 1), date(2025, 3, 6),
    )  # fmt: skip
    if "stripe" not in off:
        yield (
            "stripe", "subscription_item", "metered price", "What is used is not known before it is billed.",
            3, Decimal(12), "EUR", "5a3e10aa77aa0101", "arr,mrr,mrr_new", date(2025, 2, 1), date(2025, 2, 1),
        )  # fmt: skip


EXACT_SINCE = {
    "total_pets": (date(2025, 1, 20), "Deletions are known from 2025-01-20 on."),
    "mrr": (date(2025, 2, 10), "Exact from 2025-02-10 on."),
    "nrr": (date(2025, 2, 10), "Exact from 2025-02-10 on."),
}
LATE = ("late", "7 March 2025 has not been received")
NO_CREDENTIALS = {"stripe": "STRIPE_API_KEY is not set", "app_db": "APP_DATABASE_URL is not set"}


METRIC = (
    "metric_id label description not_for unit format bigger_is_better domain owner decision status target "
    "sources grains exact_since caveat headline_rank quotient_of is_of_money"
)
TYPES = (
    dict.fromkeys(["numerator", "denominator", "value", "target", "old_value", "new_value"], "double")
    | dict.fromkeys(
        [
            "left_value",
            "right_value",
            "difference",
            "amount",
            "mrr",
            "net_revenue_cumulative",
            "gross_profit_cumulative",
        ],
        "decimal(38, 6)",
    )
    | dict.fromkeys(["avg_seconds_from_previous", "median_seconds_from_previous"], "double")
    | dict.fromkeys(
        [
            "period_start",
            "cohort_start",
            "cohort_month",
            "entry_start",
            "first_day",
            "last_day",
            "complete_through",
            "as_of",
            "restated_on",
            "exact_since",
            "cohort_month",
            "as_of_month",
        ],
        "date",
    )
    | dict.fromkeys(["period_index", "cohort_size", "retained", "days_active", "users", "step_index"], "bigint")
    | dict.fromkeys(["started", "running", "converted", "ended_unpaid", "cancelled"], "bigint")
    | dict.fromkeys(["recovered", "days_since_failure"], "bigint")
    | dict.fromkeys(["customers", "active_customers", "payments", "attempts", "days_missing", "rows"], "bigint")
    | dict.fromkeys(
        ["quarantined", "excluded", "objects", "month_index", "horizon_months", "at_risk", "backtest_months"], "bigint"
    )
    | dict.fromkeys(["ci_low", "ci_high", "share", "backtest_error", "gross_margin"], "double")
    | dict.fromkeys(["budget_minutes", "consumed_minutes", "remaining_share", "burn_per_hour"], "double")
    | {"headline_rank": "integer", "month": "date", "events": "bigint", "people": "bigint", "filled_share": "double"}
    | dict.fromkeys(["is_complete", "bigger_is_better", "is_new", "is_of_money"], "boolean")
    | dict.fromkeys(["loaded_at", "built_at"], "timestamp")
)
INFO = "build built_at as_of currency engine version run_id"
STATUS = (
    "source table_name last_day complete_through days_missing rows quarantined excluded loaded_at status reason "
    "source_title"
)
COLUMNS = {
    "metric_catalog": METRIC,
    "metric_values": "metric_id grain period_start segment segment_value numerator denominator value is_complete",
    "retention_cohorts": "retention_id mode cohort_grain cohort_start segment segment_value period_index cohort_size "
    "retained is_complete label",
    "stickiness": "grain period_start days_active users is_complete",
    "funnel_steps": "funnel_id entry_grain entry_start segment segment_value step_index step_name users "
    "avg_seconds_from_previous median_seconds_from_previous is_complete",
    "mrr_movements": "grain period_start currency movement segment segment_value customers amount is_complete",
    "payment_outcomes": "grain period_start currency outcome decline_code payments attempts amount is_complete "
    "decline_kind",
    "dunning_curve": "cohort_month segment segment_value days_since_failure payments recovered is_complete",
    "revenue_cohorts": "cohort_month month_index segment segment_value customers active_customers mrr "
    "net_revenue_cumulative is_complete gross_profit_cumulative",
    "ltv_predictions": "as_of_month segment segment_value method horizon_months currency value ci_low ci_high "
    "customers status backtest_months backtest_error gross_margin",
    "subscriber_survival": "as_of_month segment segment_value method month_index share ci_low ci_high at_risk",
    "trials": "cohort_month segment segment_value started running converted ended_unpaid cancelled is_complete",
    "mrr_modes": "period_start currency mode reason amount is_complete",
    "reconciliation": "what period_start currency left_value right_value difference reason example",
    "restatements": "metric_id grain period_start segment segment_value old_value new_value build restated_on reason",
    "not_counted": "source object_type what why objects amount currency example metric_ids first_day last_day "
    "source_title",
    "slo_status": "service slo month target value budget_minutes consumed_minutes remaining_share burn_per_hour policy "
    "is_complete",
    "event_catalog": "event first_day last_day events people property filled_share is_new",
    "data_status": STATUS,
    "bundle_info": INFO,
}


def data_status(mixpanel: tuple[str, str | None], off: Collection[str]) -> Iterator[Row]:
    received = datetime.fromisoformat("2025-03-12T05:50")
    yield "mixpanel", "events", LAST, COMPLETE, 1, 42_000, 7, 120, received, *mixpanel
    for source, tables in (("stripe", STRIPE_TABLES), ("app_db", APP_TABLES)):
        for number, table in enumerate(tables):
            if source in off:
                yield source, table, None, None, None, 0, 0, 0, None, "off", NO_CREDENTIALS[source]
            elif table == "referrals":
                yield source, table, None, None, None, 0, 0, 0, None, "empty", "the app has no such table"
            else:
                yield source, table, LAST, LAST, 0, 40 + 97 * number, 0, 0, received, "ok", None
    yield "prometheus", "service_levels", LAST, LAST, 0, 20_160, 0, 0, received, "ok", None


def titled(rows: Iterable[Row]) -> Iterator[Row]:
    """The rows, each with what people call the source that it begins with."""
    titles = {source.name: source.title for source in SOURCES_OF_THE_APP}
    yield from ((*row, titles[row[0]]) for row in rows)


@cache
def _invented(off: frozenset[str], is_rate_missing: bool) -> dict[str, pa.Table]:
    """The tables that are the same in each such build, by their names."""
    people, customers, payments = invent_people(), invent_customers(), invent_payments()
    movements = [] if "stripe" in off else mrr_movements(customers, is_rate_missing=is_rate_missing)
    payments = [] if "stripe" in off else payments
    values = [*metric_values(people), *subscription_values(movements), *service_values()]
    values += payment_values(payments, is_rate_missing=is_rate_missing)
    rows: dict[str, Iterable[Row]] = {
        "metric_catalog": metric_catalog(off),
        "metric_values": values + ([] if "app_db" in off else [*pet_values(people), *ticket_values()]),
        "retention_cohorts": retention_cohorts(people),
        "stickiness": stickiness(people),
        "funnel_steps": funnel_steps(people),
        "mrr_movements": movements,
        "payment_outcomes": payment_outcomes(payments),
        "dunning_curve": dunning_curve(payments),
        "revenue_cohorts": [] if "stripe" in off else revenue_cohorts(customers),
        "ltv_predictions": [] if "stripe" in off else ltv_predictions(),
        "subscriber_survival": [] if "stripe" in off else subscriber_survival(),
        "trials": [] if "stripe" in off else trials(customers),
        "mrr_modes": mrr_modes(movements),
        "slo_status": slo_status(),
        "event_catalog": event_catalog(people),
        "reconciliation": [] if off else reconciliation(people),
        "not_counted": titled(not_counted(off)),
    }
    return {name: _typed(name, found) for name, found in rows.items()}


def _typed(name: str, rows: Iterable[Row]) -> pa.Table:
    columns = COLUMNS[name].split()
    made = pd.DataFrame(list(rows), columns=columns, dtype=object)
    types = ", ".join(f"{column}::{TYPES.get(column, 'varchar')} as {column}" for column in columns)
    with duckdb.connect() as connection:
        connection.register("made", made)
        return connection.execute(f"select {types} from made").to_arrow_table()


def publish(
    home: Path,
    *,
    mixpanel: tuple[str, str | None] = LATE,
    off: Collection[str] = (),
    is_rate_missing: bool = False,
    without: Collection[str] = (),
    build: str = BUILD,
) -> Bundle:
    """Write the build and make it the current one.

    `mixpanel` is that source's status and reason, `off` the sources without credentials, `without` the tables that an
    older build has not got.
    """
    own: dict[str, Iterable[Row]] = {
        "restatements": restatements(build),
        "data_status": titled(data_status(mixpanel, off)),
        "bundle_info": [
            (build, datetime.fromisoformat("2025-03-12T06:00"), date(2025, 3, 12), "EUR", "duckdb", "0.1.0", "run-1")
        ],
    }
    tables = _invented(frozenset(off), is_rate_missing) | {name: _typed(name, rows) for name, rows in own.items()}
    folder = home / "published"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{build}.duckdb"
    with duckdb.connect(str(file)) as connection:
        for name in COLUMNS:
            if name not in without:
                connection.register("made", tables[name])
                connection.execute(f"create table {name} as from made")
    (folder / "current").write_text(build, encoding="utf-8")
    return Bundle(build, file)


def changed(original: Bundle, home: Path, *statements: str, **parameters: object) -> Bundle:
    """A copy of a build, current in another HOME, after some changes: much quicker than to publish one.

    Each statement takes the parameters that it names, as `$name`.
    """
    own = Bundle(original.build, home / "published" / original.path.name)
    own.path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(original.path, own.path)
    with duckdb.connect(str(own.path)) as connection:
        for statement in statements:
            connection.execute(statement, {name: it for name, it in parameters.items() if f"${name}" in statement})
    (own.path.parent / "current").write_text(own.build, encoding="utf-8")
    return own


def with_mixpanel(original: Bundle, home: Path, status: str, reason: str | None) -> Bundle:
    """A copy of a build with another state of this source."""
    change = "update data_status set status = $status, reason = $reason where source = 'mixpanel'"
    return changed(original, home, change, status=status, reason=reason)
