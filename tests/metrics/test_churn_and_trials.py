"""Why customers leave, and what becomes of trials: what others got wrong, and random lives by the slow version."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import chain, pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tailtracker_bi.sources.records import each_day
from tests.worlds.money_reference import at_risk, churn_by_reason, payment_conversion, trials_by_state
from tests.worlds.random_worlds import differences
from tests.worlds.stripe_story import (
    NOW,
    PREMIUM,
    PRO,
    PRO_ANNUAL,
    PRODUCTS,
    at,
    invoice,
    metric,
    price,
    seconds,
    subscription,
)
from tests.worlds.stripe_worlds import Models, Object, Tables, Version, needed_for, sql_tables

QUICK = {0, 5}
"""A few in Berlin, many in Auckland."""
WORLDS = [seed if seed in QUICK else pytest.param(seed, marks=pytest.mark.slow) for seed in (0, *range(1, 12, 2))]
"""But for the first those with many: what becomes of a few is seen among them, and a world costs the same."""
TIERS = [{**product, "metadata": {"tier": product["id"]}} for product in PRODUCTS]
REASONS = ["cancellation_requested", "payment_failed", "payment_disputed", None]
STATES = ("running", "converted", "ended_unpaid", "cancelled")
KINDS = ("voluntary", "involuntary", "unknown")


def ended(who: str, began: str, of: Object, when: str, reason: str | None, **fields: Any) -> Object:
    over = {"status": "canceled", "canceled_at": seconds(when), "ended_at": seconds(when)}
    return subscription(who, began, of, **over, cancellation_details={"reason": reason}, **fields)


def ended_at(moment: int, reason: str | None) -> Object:
    return {"status": "canceled", "ended_at": moment, "cancellation_details": {"reason": reason}}


def told(old: Object, *events: tuple[str, Object]) -> Iterator[Version]:
    """Each change as an event tells of it, and the last one as a list does."""
    for when, new in events:
        yield Version(old, "before", at(when))
        yield Version(new, "event", at(when))
        old = new
    yield Version(old)


# What other tools were reported to get wrong; each customer is one report.
LATE = subscription("late", "01-01", PREMIUM, status="past_due")
ASKED = {"cancel_at_period_end": True, "cancellation_details": {"reason": "cancellation_requested"}}
OTHERS_GOT_WRONG = [
    # Asked to cancel while a payment was due: that was the customer's own will.
    *told(LATE, ("02-03", ended("late", "01-01", PREMIUM, "02-03", "cancellation_requested"))),
    # Retries ran out: the account may be set to cancel then, or to leave the subscription unpaid.
    Version(ended("failed", "01-01", PREMIUM, "02-04", "payment_failed")),
    *told(
        subscription("unpaid", "01-01", PREMIUM),
        ("02-05", subscription("unpaid", "01-01", PREMIUM, status="unpaid")),
    ),
    # From before Stripe told reasons: one ended with a payment due, of the other nothing is known.
    *told(
        subscription("old_late", "01-01", PREMIUM, status="past_due"),
        ("02-06", ended("old_late", "01-01", PREMIUM, "02-06", None)),
    ),
    Version(ended("plain", "01-01", PREMIUM, "02-07", None)),
    # A reason that is not in Stripe's book.
    Version(ended("strange", "01-01", PREMIUM, "02-08", "moved_to_the_moon")),
    # The first payment never came: who never was there can't leave.
    Version(
        subscription("never", "01-01", PREMIUM, status="incomplete_expired", ended_at=seconds("01-02"))
        | {"cancellation_details": {"reason": "payment_failed"}}
    ),
    # Asked in February, and paid until March: it counts when it ended.
    *told(
        subscription("later", "01-01", PRO),
        ("02-09", subscription("later", "01-01", PRO, **ASKED)),
        ("03-09", ended("later", "01-01", PRO, "03-09", "cancellation_requested")),
    ),
    # One of two subscriptions went for want of money; the other was kept.
    Version(ended("kept_one", "01-01", PREMIUM, "02-10", "payment_failed")),
    Version(subscription("kept_two", "01-01", PRO)),
    # Asked to leave at the end of the period, and paused before.
    *told(
        subscription("paused", "01-01", PREMIUM, **ASKED),
        ("02-11", subscription("paused", "01-01", PREMIUM, **ASKED, pause_collection={"behavior": "void"})),
    ),
    # Came back, and left again for another reason.
    Version(ended("twice_1", "01-01", PREMIUM, "02-12", "cancellation_requested")),
    Version(ended("twice_2", "02-20", PREMIUM, "02-25", "payment_disputed")),
    # Paid late; and one more whose payment was due when it was first seen, since when nobody tells.
    *told(
        subscription("due", "01-01", PREMIUM),
        ("02-15", subscription("due", "01-01", PREMIUM, status="past_due")),
        ("02-18", subscription("due", "01-01", PREMIUM)),
    ),
    Version(subscription("still", "01-01", price(250), status="past_due")),
    # Asked in January, and ended before anything was read: when, it says itself.
    Version(
        ended("asked", "01-01", PRO, "02-20", "cancellation_requested", cancel_at=seconds("02-20"))
        | {"canceled_at": seconds("01-20")}
    ),
    # Asked to leave while a payment is due: counted once.
    *told(
        subscription("due_2", "01-01", PRO),
        ("02-16", subscription("due_2", "01-01", PRO, **ASKED, status="past_due")),
        ("02-18", subscription("due_2", "01-01", PRO)),
    ),
    # Of two subscriptions one was left in the morning, and one given up in the evening.
    Version(ended("both_1", "01-01", PREMIUM, "02-13 09:00", "cancellation_requested")),
    Version(ended("both_2", "01-01", PREMIUM, "02-13 19:00", "payment_failed")),
    *map(Version, PRODUCTS),
]  # fmt: skip


@pytest.fixture(scope="module")
def models(models: Models) -> Models:
    return needed_for(models, "pub_metric_values", "pub_trials")


@pytest.fixture(scope="module")
def others(models: Models, tmp_path_factory: pytest.TempPathFactory) -> Tables:
    return sql_tables([(NOW, OTHERS_GOT_WRONG)], models, tmp_path_factory.mktemp("others"))


def churns(tables: Tables, start: str, grain: str = "day") -> tuple[int, ...]:
    """Voluntary, involuntary and unknown."""
    return tuple(metric(tables, f"churn_{kind}", start, grain=grain) for kind in KINDS)


def test_what_other_tools_were_reported_to_get_wrong_about_why_customers_leave(others: Tables) -> None:
    assert churns(others, "02-03") == (1, 0, 0)
    assert churns(others, "02-04") == churns(others, "02-05") == churns(others, "02-06") == (0, 1, 0)
    assert churns(others, "02-07") == churns(others, "02-08") == (0, 0, 1)
    assert churns(others, "02-09") == (0, 0, 0)
    assert churns(others, "03-09") == (1, 0, 0)
    assert churns(others, "02-10") == (0, 0, 0)
    assert churns(others, "02-11") == (0, 0, 1)
    assert churns(others, "02-12") == (1, 0, 0)
    assert churns(others, "02-13") == churns(others, "02-25") == (0, 1, 0)
    assert churns(others, "01-01", "month") == (0, 0, 0)
    assert churns(others, "02-01", "month") == (3, 5, 3)
    assert metric(others, "subscribers_churned", "02-01") == 11
    assert metric(others, "churn_voluntary", "03-01", "plan", "pro") == 1


def test_what_is_to_end_or_overdue_is_at_risk_from_when_that_is_known(others: Tables) -> None:
    def at_risk(day: str) -> tuple[Any, ...]:
        """To end, past due, together, and of how many customers."""
        names = ("mrr_cancelling", "mrr_past_due", "mrr_at_risk", "subscribers_at_risk")
        return tuple(metric(others, name, day, grain="day") for name in names)

    assert at_risk("01-19") == (0, 0, 0, 0)
    assert at_risk("01-20") == at_risk("02-08") == (8.99, 0, 8.99, 1)
    assert at_risk("02-09") == (17.98, 0, 17.98, 2)
    assert at_risk("02-15") == (17.98, 5.99, 23.97, 3)
    # One customer with two at once; one of them for both reasons, and counted as to end.
    assert at_risk("02-16") == (26.97, 5.99, 32.96, 3)
    assert at_risk("02-18") == (17.98, 0, 17.98, 2)
    assert at_risk("02-20") == at_risk("03-08") == (8.99, 0, 8.99, 1)
    assert at_risk("03-09") == (0, 0, 0, 0)
    assert metric(others, "mrr_at_risk", "02-16", "plan", "pro", "day") == 26.97
    assert metric(others, "mrr_past_due", "02-16", "currency", "EUR", "day") == 5.99


def on_trial(who: str, **fields: Any) -> Object:
    """A trial from 1 to 15 January."""
    ends = {"trial_start": seconds("01-01"), "trial_end": seconds("01-15")}
    return subscription(who, "01-01", PREMIUM, **(ends | fields))


def bill(who: str, when: str, paid: str | None, total: int = 599, status: str = "open") -> Version:
    """An invoice, and when it was paid."""
    asked = invoice(f"{who}_{when}", who, when, "subscription_cycle")
    paid_at = {"status_transitions": {"paid_at": seconds(paid) if paid else None}}
    return Version(asked | paid_at | {"total": total, "status": "paid" if paid else status})


TRIALS_OTHERS_GOT_WRONG = [
    # Paid in the month after, and cancelled soon after that: it was a conversion.
    Version(on_trial("paid") | ended_at(seconds("02-20"), "cancellation_requested")),
    bill("paid", "01-01", "01-01", total=0),
    bill("paid", "01-15", "02-01"),
    # Active as a trial ends, and the payment fails: neither a conversion nor a cancellation, also once it is given up.
    Version(on_trial("owes", status="past_due")),
    bill("owes", "01-15", None),
    Version(on_trial("given") | ended_at(seconds("01-29"), "payment_failed")),
    bill("given", "01-15", None, status="uncollectible"),
    # Cancelled at once, and as it ended. Who then subscribes to something else has begun anew.
    Version(on_trial("soon") | ended_at(seconds("01-02"), "cancellation_requested")),
    Version(on_trial("asked") | ended_at(seconds("01-15"), "cancellation_requested")),
    Version(subscription("asked_anew", "02-10", PRO)),
    bill("asked_anew", "02-10", "02-10", total=899),
    # No card was given: paused as it ended.
    Version(on_trial("cardless", status="paused")),
    # It is said to end with the trial, which runs.
    Version(on_trial("runs", trial_end=seconds("04-20"), status="trialing", **ASKED)),
    # Free for the first month, and paid for the second.
    Version(on_trial("gift")),
    bill("gift", "01-15", "01-15", total=0),
    bill("gift", "02-15", "02-15"),
    # Given ten days more, and cancelled in them.
    *told(
        on_trial("longer", status="trialing"),
        ("01-10", on_trial("longer", status="trialing", trial_end=seconds("01-25"))),
        ("01-20", on_trial("longer", trial_end=seconds("01-25")) | ended_at(seconds("01-20"), None)),
    ),
    # Cancelled today, of which only the morning is known.
    Version(on_trial("today", trial_end=seconds("04-20")) | ended_at(seconds("04-10 08:00"), None)),
    # A trial of no time is none.
    Version(on_trial("none", trial_end=seconds("01-01"))),
    *map(Version, PRODUCTS),
]


def test_what_other_tools_were_reported_to_get_wrong_about_trials(models: Models, tmp_path: Path) -> None:
    tables = sql_tables([(NOW, TRIALS_OTHERS_GOT_WRONG)], models, tmp_path)
    [cohort] = [row for row in tables["pub_trials"] if row["segment"] == "all"]
    assert {key: cohort[key] for key in ("started", *STATES, "is_complete")} == {
        "started": 10, "running": 2, "converted": 2, "ended_unpaid": 3, "cancelled": 3, "is_complete": False,
    }  # fmt: skip

    def rate(day: str) -> Any:
        return metric(tables, "trial_conversion_rate_30d", day, grain="day")

    assert rate("01-01") == (0, 0)
    assert rate("01-14") == (0, 1)
    assert rate("01-15") == (0, 2)
    # The first one's end is 30 days ago; one was paid for. Nobody is waited for beyond 30 days.
    assert [rate("01-31"), rate("02-01"), rate("02-13"), rate("02-14")] == [(0, 3), (1, 3), (1, 3), (0, 1)]


@dataclass
class Lives:
    """Subscriptions and what became of them, as events and readings tell."""

    timezone: str
    changes: dict[str, list[tuple[datetime, Object, bool]]] = field(default_factory=dict)
    """By subscription: what it was from a moment on, and whether an event tells of it."""
    invoices: dict[str, list[Object]] = field(default_factory=dict)

    def reading(self, since: datetime, until: datetime) -> list[Version]:
        """The events of a while, and what a list shows at its end."""
        found = [*map(Version, TIERS), *map(Version, self.customers(until))]
        for changes in self.changes.values():
            for (_, old, _), (moment, new, is_told) in pairwise(changes):
                if is_told and since < moment <= until:
                    found += [Version(old, "before", moment), Version(new, "event", moment)]
            found += [Version(new) for moment, new, _ in changes if moment <= until][-1:]
        for bill in chain.from_iterable(self.invoices.values()):
            if bill["created"] <= until.timestamp():
                is_known = (bill["status_transitions"]["paid_at"] or 0) <= until.timestamp()
                found.append(Version(bill if is_known else bill | {"status_transitions": {"paid_at": None}}))
        return found

    def customers(self, until: datetime) -> list[Object]:
        """Two customers, of whom one has a card from some day on, and of whom older versions tell nothing of cards."""
        customer = {"object": "customer", "created": seconds("01-01")}
        card = "pm_1" if until >= at("01-20") else None
        settings = {"invoice_settings": {"default_payment_method": card}}
        return [{**customer, "id": "cus_0", **settings}, {**customer, "id": "cus_1", "invoice_settings": {}}]

    def readings(self, moments: list[datetime]) -> list[tuple[datetime, list[Version]]]:
        return [(until, self.reading(since, until)) for since, until in pairwise([at("01-01"), *moments])]


def random_lives(seed: int) -> Lives:
    """Customers over two months, in a time zone, with ends of all kinds: a few, or in every other world many."""
    dice = random.Random(seed)
    many = seed % 2 * 90
    lives = Lives(dice.choice(["UTC", "Europe/Berlin", "Pacific/Auckland"]))
    prices = [PREMIUM, PRO, PRO_ANNUAL, price(649, currency="usd")]
    for number in range(many + dice.randint(2, 8)):
        moment = at("01-02") + timedelta(hours=dice.randrange(700))
        began = int(moment.timestamp())
        item = subscription(f"{dice.randrange(3 + many // 2)}_{number}", "01-01", dice.choice(prices), created=began)
        if dice.random() < 0.4:
            item |= {"status": "trialing", "trial_start": began, "trial_end": began + dice.choice([3, 7, 14]) * 86_400}
            item |= ({}, {"default_payment_method": None}, {"default_payment_method": "pm_2"})[began // 3600 % 3]
        lives.changes[item["id"]] = list(life(dice, moment, item))
        lives.invoices[item["id"]] = list(bills(dice, lives.changes[item["id"]][-1][1]))
    return lives


def bills(dice: random.Random, of: Object) -> Iterator[Object]:
    """Of nothing as a trial begins, perhaps of something on the way, and from its end on once a month."""
    if not of.get("trial_end"):
        return
    moments = [of["created"], of["created"] + 7_200, *(of["trial_end"] + days * 86_400 for days in (0, 1, 31))]
    for number, created in enumerate(moments):
        if number and dice.random() < 0.4:
            continue
        name, status = of["id"].removeprefix("sub_"), dice.choice(["paid", "paid", "paid", "open", "void"])
        paid_at = created + dice.choice([0, 50, 400, 900]) * 3600 if status == "paid" else None
        bill = invoice(f"{name}_{number}", name, "01-01", "subscription_cycle" if number else "subscription_create")
        total = dice.choice([599, 599, 0]) if number else 0
        over = {"created": created, "status": status, "total": total, "status_transitions": {"paid_at": paid_at}}
        yield bill | over


def life(dice: random.Random, moment: datetime, item: Object) -> Iterator[tuple[datetime, Object, bool]]:
    """What a subscription is from which moment on, each with whether an event tells of it."""
    yield moment, item, False
    steps = dice.randrange(6)
    for step in range(steps + 1):
        moment = moment + timedelta(hours=dice.randrange(1, 200)) if step < steps else NOW
        now, trial_end = int(moment.timestamp()), item.get("trial_end") or 0
        if item["status"] == "trialing" and now >= trial_end:
            is_over = {"status": dice.choice(["active", "active", "past_due", "paused"])}
            asked = item["cancel_at_period_end"]
            item = item | (ended_at(trial_end, "cancellation_requested") if asked else is_over)
            yield datetime.fromtimestamp(trial_end, UTC), item, dice.random() < 0.7
        if item["ended_at"] or step == steps:
            return
        item = changed(dice, copy.deepcopy(item), now)
        yield moment, item, dice.random() < 0.7


def changed(dice: random.Random, item: Object, now: int) -> Object:
    """A subscription after one more change."""
    is_trial = item["status"] == "trialing"
    match dice.choice(["quantity", "status", "status", "pause", "ask", "end", "end", "trial"]):
        case "quantity":
            item["items"]["data"][0]["quantity"] = dice.randint(0, 2)
        case "status" if not is_trial:
            item["status"] = dice.choice(["active", "past_due", "unpaid"])
        case "pause":
            pause = {"behavior": "void", "resumes_at": dice.choice([None, now + dice.randrange(1, 200) * 3600])}
            item["pause_collection"] = None if item["pause_collection"] else pause
        case "ask":
            item |= {"cancel_at_period_end": True, "cancellation_details": {"reason": "cancellation_requested"}}
            item["canceled_at"] = (None, now, now - 100_000)[now // 3600 % 3]
        case "end":
            item |= ended_at(now - dice.choice([0, 0, 100_000]), dice.choice(REASONS))
        case "trial" if is_trial and dice.random() < 0.5:
            item |= {"trial_end": now, "status": "active"}
        case "trial" if is_trial:
            item["trial_end"] += 5 * 86_400
    return item


def versions_of(readings: list[tuple[datetime, list[Version]]]) -> dict[str, list[tuple[datetime, Version]]]:
    """By subscription what was told of it, and as of when."""
    found: dict[str, list[tuple[datetime, Version]]] = {}
    for moment, versions in readings:
        for version in versions:
            if version.item["object"] == "subscription":
                found.setdefault(version.item["id"], []).append((version.at or moment, version))
    return found


ONCE = [NOW]
AGAIN_AND_AGAIN = [at("01-10"), at("01-20"), at("02-01"), at("02-09"), at("02-20"), NOW]


@pytest.mark.parametrize("moments", [ONCE, AGAIN_AND_AGAIN], ids=["read once", "read again and again"])
@pytest.mark.parametrize("seed", WORLDS)
def test_random_lives_end_as_the_slow_version_says(
    seed: int, moments: list[datetime], models: Models, tmp_path: Path
) -> None:
    lives = random_lives(seed)
    readings = lives.readings(moments)
    tables = sql_tables(readings, models, tmp_path, TAILTRACKER_TIMEZONE=lives.timezone)
    last = NOW.astimezone(ZoneInfo(lives.timezone)).date() - timedelta(days=1)
    versions = versions_of(readings)
    keys = ("metric_id", "grain", "period_start", "segment", "segment_value")
    given = {
        tuple(row[key] for key in keys): row["value"]
        for row in tables["pub_metric_values"]
        if row["metric_id"].startswith("churn_") and row["value"] and row["segment"] != "country"
    }
    assert differences(given, churn_by_reason(versions, date(2024, 1, 1), last, lives.timezone)) == {}
    risks = {
        (row["metric_id"], row["period_start"], row["segment"], row["segment_value"]): row["value"]
        for row in tables["pub_metric_values"]
        if row["metric_id"] in {"mrr_cancelling", "mrr_past_due", "subscribers_at_risk"} and row["grain"] == "day"
        if row["value"] and (row["segment"] == "currency" or row["metric_id"] == "subscribers_at_risk")
        if row["segment"] in {"all", "currency"}
    }
    slow = at_risk(versions, date(2024, 1, 1), last, lives.timezone)
    assert differences(risks, {key: pytest.approx(float(value)) for key, value in slow.items()}) == {}

    cohorts = {
        (row["cohort_month"], row["segment"], row["segment_value"]): {
            state: row[state] for state in STATES if row[state]
        }
        for row in tables["pub_trials"]
        if row["segment"] != "country"
    }
    customers = {
        name: [(until, item) for until in moments for item in lives.customers(until) if item["id"] == name]
        for name in ("cus_0", "cus_1")
    }
    assert cohorts == trials_by_state(versions, lives.invoices, last, lives.timezone, customers=customers)
    assert all(row["started"] == sum(row[state] for state in STATES) for row in tables["pub_trials"])
    rates = {
        tuple(row[key] for key in keys[2:]): (row["numerator"], row["denominator"])
        for row in tables["pub_metric_values"]
        if row["metric_id"] == "trial_conversion_rate_30d" and row["denominator"] and row["segment"] != "country"
    }
    assert differences(rates, slow_rates(versions, lives, last, customers)) == {}


def slow_rates(
    versions: dict[str, list[tuple[datetime, Version]]],
    lives: Lives,
    last: date,
    customers: dict[str, list[tuple[datetime, Object]]],
) -> dict[Any, Any]:
    """Each day anew: of the trials that ended in the 30 days up to it, those paid for, and those or cancelled."""
    found: dict[Any, tuple[int, int]] = {}
    for day in each_day(date(2024, 1, 1), last):
        since = day - timedelta(days=29)
        of_day = trials_by_state(versions, lives.invoices, day, lives.timezone, since, customers)
        for (_, *of), states in of_day.items():
            before = found.get((day, *of), (0, 0))
            paid, cancelled = states.get("converted", 0), states.get("cancelled", 0)
            if paid + cancelled:
                found[day, *of] = (before[0] + paid, before[1] + paid + cancelled)
    return found


@pytest.mark.parametrize("seed", [*range(2), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(3, 12, 2))])
def test_who_signs_up_and_pays_is_who_the_slow_version_finds(seed: int, models: Models, tmp_path: Path) -> None:
    lives, dice = random_lives(seed), random.Random(seed)
    last = NOW.astimezone(ZoneInfo(lives.timezone)).date() - timedelta(days=1)
    moments = {
        f"cus_{number}": at("01-01") + timedelta(hours=dice.randrange(2000)) for number in range(5 + seed % 2 * 45)
    }
    # Those whose 30 days are just over, and just not.
    noon = datetime.combine(last, datetime.min.time(), ZoneInfo(lives.timezone)) + timedelta(hours=12)
    moments |= {f"cus_before_{days}": (noon - timedelta(days=days)).astimezone(UTC) for days in (29, 30, 31)}
    customer = {"object": "customer", "created": seconds("01-01")}
    customers = [{**customer, "id": name, "metadata": {"supabase_user_id": f"user_{name}"}} for name in moments]
    told_too = [version for version in lives.reading(at("01-01"), NOW) if version.item["object"] != "customer"]
    readings = [(NOW, [*told_too, *map(Version, customers)])]
    accounts = [
        {"id": f"{name} {again}", "user_id": f"user_{name}", "created_at": moment.replace(tzinfo=None) + again}
        for name, moment in moments.items()
        for again in (timedelta(), timedelta(days=9))
    ]
    tables = sql_tables(readings, models, tmp_path, accounts=accounts, TAILTRACKER_TIMEZONE=lives.timezone)
    given = {
        (row["grain"], row["period_start"]): (row["numerator"], row["denominator"], row["is_complete"])
        for row in tables["pub_metric_values"]
        if row["metric_id"] == "payment_conversion" and row["denominator"]
    }
    signed_up = {name: moment.astimezone(ZoneInfo(lives.timezone)).date() for name, moment in moments.items()}
    slow = payment_conversion(signed_up, versions_of(readings), date(2023, 12, 30), last, lives.timezone)
    assert {key: value[:2] for key, value in given.items()} == slow
    is_complete = {start: complete for (grain, start), (*_, complete) in given.items() if grain == "day"}
    assert is_complete == {start: start + timedelta(days=30) <= last for start in is_complete}
