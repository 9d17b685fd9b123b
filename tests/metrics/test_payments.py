"""What becomes of payments that fail, and what they cost: random small worlds against the slow version, and by hand."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tailtracker_bi.sandbox.story import billing
from tailtracker_bi.warehouse.config_tables import decline_codes
from tests.worlds.money_reference import dunning_curve
from tests.worlds.random_worlds import differences
from tests.worlds.stripe_story import NOW, PRODUCTS, at, charge, failed, invoice, seconds
from tests.worlds.stripe_worlds import Models, Object, Version, needed_for, sql_tables

WORLDS = [*range(3), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(3, 50))]
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
    """Payments with their attempts over a few weeks, up to now; those of invoices that recur; a time zone."""
    dice = random.Random(seed)
    charges, recurring = [], set()
    for number in range(dice.randint(5, 40)):
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
