"""What becomes of payments that fail, and what they cost: random small worlds against the slow version, and by hand."""

from __future__ import annotations

import random
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tailtracker_bi.analytics.mistakes import load_analytics
from tailtracker_bi.lake.lake import Lake
from tailtracker_bi.sandbox.story import billing
from tailtracker_bi.settings.environment import load_settings
from tailtracker_bi.warehouse.config_tables import decline_codes
from tailtracker_bi.warehouse.warehouse import Warehouse
from tests.worlds import random_worlds, stripe_worlds
from tests.worlds.money_reference import dunning_curve
from tests.worlds.random_worlds import differences
from tests.worlds.stripe_story import (
    NOW,
    PREMIUM,
    PRODUCTS,
    at,
    balance,
    charge,
    failed,
    invoice,
    seconds,
    subscription,
)
from tests.worlds.stripe_worlds import Models, Object, Version, needed_for, sql_tables

QUICK = {1, 5}
"""Many payments, in two time zones."""
WORLDS = [seed if seed in QUICK else pytest.param(seed, marks=pytest.mark.slow) for seed in range(10)]
CODES = ["insufficient_funds", "expired_card", "lost_card", "stolen_card", "a_code_of_tomorrow"]


def test_each_decline_code_is_hard_or_soft_and_known_once() -> None:
    kinds = dict(decline_codes())
    assert len(kinds) == len(decline_codes())
    assert {*kinds.values()} == {"hard", "soft"}
    assert {kind: [code for code in CODES if kinds.get(code) == kind] for kind in ("hard", "soft")} == {
        "hard": ["lost_card", "stolen_card"],
        "soft": ["insufficient_funds", "expired_card"],
    }
    assert kinds.keys() >= {*billing.CODES}


def random_retries(seed: int) -> tuple[list[Object], set[str], str]:
    """Payments with their attempts over a few weeks, up to now; those of invoices that recur; a time zone.

    There are a few of them, or in every other world many.
    """
    dice = random.Random(seed)
    charges, recurring = [], set()
    for number in range(seed % 2 * 200 + dice.randint(5, 40)):
        moment = at("02-10") + timedelta(minutes=dice.randrange(58 * 24 * 60))
        if dice.random() < 0.8:
            recurring.add(f"pi_{number}")
        for attempt in range(dice.randint(1, 5)):
            outcome = failed(dice.choice(CODES)) if dice.random() < 0.7 else {}
            if moment < NOW:
                charges.append(
                    charge(f"{number}_{attempt}", "01-01", 599, **outcome)
                    | {"payment_intent": f"pi_{number}", "created": int(moment.timestamp())}
                )
            moment += timedelta(minutes=dice.choice([0, 1, dice.randrange(20 * 24 * 60)]))
    return charges, recurring, dice.choice(["UTC", "Europe/Berlin", "Pacific/Auckland"])


def attached(intent: str, reason: str) -> list[Version]:
    """An invoice that is to be paid by an intent."""
    number = intent.removeprefix("pi_")
    link = {
        "id": f"inpay_{number}",
        "object": "invoice_payment",
        "created": seconds("01-05"),
        "invoice": f"in_{number}",
        "payment": {"type": "payment_intent", "payment_intent": intent},
    }
    return [Version(invoice(number, "anna", "01-05", reason)), Version(link)]


@pytest.mark.parametrize("seed", WORLDS)
def test_the_dunning_curve_is_that_of_the_slow_version(seed: int, models: Models, tmp_path: Path) -> None:
    charges, recurring, timezone = random_retries(seed)
    intents = {each["payment_intent"] for each in charges}
    reasons = {intent: "subscription_cycle" if intent in recurring else "manual" for intent in sorted(intents)}
    told = [version for intent, reason in reasons.items() for version in attached(intent, reason)]
    tables = sql_tables(
        [(NOW, [*map(Version, [*charges, *PRODUCTS]), *told])],
        needed_for(models, "pub_dunning_curve"),
        tmp_path,
        TAILTRACKER_TIMEZONE=timezone,
    )
    last = NOW.astimezone(ZoneInfo(timezone)).date() - timedelta(days=1)
    given = {
        tuple(row[key] for key in ("cohort_month", "segment", "segment_value", "days_since_failure")): (
            row["payments"],
            row["recovered"],
        )
        for row in tables["pub_dunning_curve"]
    }
    assert given
    assert differences(given, dunning_curve(charges, recurring, dict(decline_codes()), last, timezone)) == {}


def test_wallets_and_3d_secure_are_those_of_the_first_attempt(models: Models, tmp_path: Path) -> None:
    def by_card(number: str, card: Object, **outcome: Any) -> Version:
        return Version(charge(number, "01-05", 599, payment_method_details={"type": "card", "card": card}, **outcome))

    apple = {"wallet": {"type": "apple_pay"}}
    told = [
        by_card("1a", apple, **failed("insufficient_funds")),
        by_card("1b", {"wallet": None, "three_d_secure": {"result": "authenticated", "version": "2.2.0"}}),
        by_card("2", apple | {"three_d_secure": {"result": "authenticated", "version": "2.2.0"}}),
        # Before 2020 nothing told the result.
        by_card("3", {"three_d_secure": {"version": "1.0.2"}}, **failed("lost_card")),
        # Nothing told how it was paid, and what was paid by direct debit.
        Version(charge("4", "01-05", 599, payment_method_details=None)),
        Version(charge("5", "01-05", 599, payment_method_details={"type": "sepa_debit", "sepa_debit": {}})),
    ]
    tables = sql_tables([(NOW, told)], needed_for(models, "metric_payments"), tmp_path)
    rates = {
        (row["segment"], row["segment_value"]): (row["numerator"], row["denominator"])
        for row in tables["metric_payments"]
        if (row["metric_id"], row["grain"]) == ("first_attempt_success_rate", "month")
    }
    assert {key: rate for key, rate in rates.items() if key[0] in {"all", "wallet", "three_d_secure"}} == {
        ("all", "all"): (3, 5),
        ("wallet", "apple_pay"): (1, 2),
        ("wallet", "none"): (1, 2),
        ("wallet", "(unknown)"): (1, 1),
        ("three_d_secure", "authenticated"): (1, 1),
        ("three_d_secure", "none"): (1, 2),
        ("three_d_secure", "(unknown)"): (1, 2),
    }


def test_paid_invoices_and_the_balance_are_compared_with_what_is_counted(models: Models, tmp_path: Path) -> None:
    def paid(number: str, minor_units: int, **fields: Any) -> Version:
        at_noon = {"status": "paid", "status_transitions": {"paid_at": seconds("01-20 12:00")}}
        own = invoice(number, "anna", "01-05", "subscription_cycle") | at_noon | {"amount_paid": minor_units}
        return Version(own | fields)

    record = {"type": "payment_record", "payment_record": "pr_2"}
    told = [
        # Paid by a charge of the evening before; in cash, as it is told now and until 2025; nobody knows how.
        paid("1", 599),
        Version(charge("1", "01-19 22:00", 599)),
        paid("2", 1000),
        paid("3", 2000, paid_out_of_band=True),
        paid("4", 4000),
        # Dollars are paid by dollars.
        paid("5", 800, currency="usd"),
        Version(charge("5", "01-20", 700, "eur")),
        *(attached(f"pi_{number}", "subscription_cycle")[1] for number in "15"),
        Version(attached("pi_2", "subscription_cycle")[1].item | {"payment": record}),
        Version(balance("1", "01-20", "charge", "ch_1", 599, 40)),
        Version(balance("2", "01-20", "obligation_of_a_new_kind", "ob_1", -99)),
        Version(balance("3", "01-20", "payout", "po_1", -500)),
    ]
    needed = needed_for(models, "fct_invoices_compared", "fct_volumes_compared")
    tables = sql_tables([(NOW, told)], needed, tmp_path)
    found = [*tables["fct_invoices_compared"], *tables["fct_volumes_compared"]]
    assert {
        (row["what"].split(":")[1].strip(), row["currency"]): (row["left_value"], row["right_value"], row["reason"])
        for row in found
        if (row["period_start"], row["what"].startswith("gross_volume: captured")) == (at("01-20").date(), False)
    } == {
        ("paid invoices, what their charges captured", "EUR"): (
            Decimal("75.99"),
            Decimal("5.99"),
            "invoices paid outside of Stripe: 2; invoices without a charge that is known in their currency: 1",
        ),
        ("paid invoices, what their charges captured", "USD"): (
            Decimal("8"),
            Decimal("0"),
            "invoices without a charge that is known in their currency: 1",
        ),
        ("what is counted, what moved the balance", "EUR"): (
            Decimal("5.59"),
            Decimal("4.60"),
            "movements of a kind that is not known: 1",
        ),
    }


def test_conversions_are_compared_with_the_subscriptions_that_began(models: Models, tmp_path: Path) -> None:
    lake, day = Lake(tmp_path), at("01-20").date()
    users = {"id": "cus_anna", "object": "customer", "created": seconds("01-01")}
    begun = [
        subscription("anna", "01-20 10:00", PREMIUM, metadata={"supabase_user_id": "anna"}),
        subscription("ben", "01-20 11:00", PREMIUM, metadata={"supabase_user_id": "ben"}, trial_end=seconds("02-20")),
        subscription(
            "dora", "01-20 12:00", PREMIUM, metadata={"supabase_user_id": "dora"}, status="incomplete_expired"
        ),
        subscription("late", "01-21 00:30", PREMIUM, metadata={"supabase_user_id": "late"}),
    ]
    stripe_worlds.land(lake, tmp_path / "spool", map(Version, [users, *begun]), NOW)
    events = [
        {"event": "Subscription Conversion", "properties": {"time": seconds(when), "distinct_id": who, "$user_id": who}}
        for who, when in (
            ("anna", "01-20 10:00"),
            ("ben", "01-20 11:00"),
            ("cleo", "01-20 12:00"),
            ("late", "01-20 23:30"),
        )
    ]
    random_worlds.land(lake, tmp_path / "spool", events, day, day)
    settings = load_settings(
        TAILTRACKER_HOME=tmp_path,
        TAILTRACKER_NOW=NOW,
        TAILTRACKER_HISTORY_START=at("01-01").date(),
        STRIPE_API_KEY="rk_live_key_of_the_tests",
        MIXPANEL_PROJECT_ID="1",
        MIXPANEL_USERNAME="reader",
        MIXPANEL_SECRET="secret-of-the-tests",
    )
    warehouse = Warehouse(settings, load_analytics(), lake)
    [found] = random_worlds.tables_built(warehouse, needed_for(models, "fct_conversions_compared"))[
        "fct_conversions_compared"
    ]
    assert (found["period_start"], found["left_value"], found["right_value"], found["reason"]) == (
        day,
        4,
        2,
        "events of people who have no subscription in Stripe: 1; "
        "of people who are in both, on another day or more often: 1",
    )
