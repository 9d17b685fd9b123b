"""Money that lands bit by bit is, after each build, what a build in full makes of it."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tailtracker_bi.analytics.mistakes import load_analytics
from tailtracker_bi.lake.lake import Lake
from tailtracker_bi.settings.environment import load_settings
from tailtracker_bi.settings.model import Settings
from tailtracker_bi.sources.app_db.reading import AppDb
from tailtracker_bi.warehouse import Engine
from tailtracker_bi.warehouse.warehouse import LAYERS, Warehouse
from tests.worlds.both_engines import Both
from tests.worlds.random_worlds import InMemory, land_objects
from tests.worlds.stripe_story import NOW, PREMIUM, PRO, PRO_ANNUAL, STORY, discount, line, price, seconds
from tests.worlds.stripe_worlds import Object, Version, land, land_rates

WORLDS = [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 5))]
BROKEN_OFF = 2
"""Of the landings the one whose build does not come to its end."""
PEOPLE = ["trial", "annual", "price", "forever", "cancel", "switch", "yen", "stray"]


def changed(dice: random.Random, item: Object) -> Object:
    """An object as it may be found later, also as Stripe would not let it change: what it says of itself, or whose it
    is."""
    item = copy.deepcopy(item)
    customer, when = f"cus_{dice.choice(PEOPLE)}", seconds(dice.choice(["01-20", "02-20", "03-20", "04-15"]))
    changes: dict[str, list[Object]] = {
        "subscription": [
            {"customer": customer},
            {"status": "canceled", "ended_at": when, "cancellation_details": {"reason": "payment_failed"}},
            {"status": "past_due"},
            {"status": "trialing", "trial_start": seconds("01-05"), "trial_end": when},
            {"cancel_at_period_end": True, "canceled_at": when},
            {"pause_collection": {"behavior": "void", "resumes_at": when}},
            {"discounts": [discount("late", "repeating", percent_off=20.0) | {"end": when}]},
            {"items": {**item.get("items", {}), "data": [
                {**each, "price": dice.choice([PREMIUM, PRO, PRO_ANNUAL])}
                for each in item.get("items", {}).get("data", [])
            ]}},
        ],
        "charge": [
            {"customer": customer},
            {"amount_refunded": item.get("amount", 0)},
            {"status": "succeeded", "captured": True, "amount_captured": item.get("amount")},
            {"status": "failed", "failure_code": "expired_card"},
            {"payment_intent": f"pi_{dice.randint(1, 7)}"},
            {"payment_intent": None},
            {"payment_method_details": {"type": "card", "card": {"brand": "mastercard", "country": "FR"}}},
        ],
        "invoice": [
            {"customer": customer},
            {"status": "paid", "amount_paid": 599, "status_transitions": {"paid_at": when}},
            {"status": "void"},
            {"billing_reason": dice.choice(["manual", "subscription_cycle"])},
            {"parent": {"type": "subscription_details", "subscription_details": {
                "subscription": f"sub_{dice.choice(PEOPLE)}"}}},
            {"lines": {"object": "list", "has_more": False, "data": [
                line(f"{item['id']}_{n}", dice.choice(PEOPLE), "01-05", "02-05", dice.choice([PREMIUM, PRO]))
                for n in range(2)
            ]}},
        ],
        "customer": [
            {"metadata": {"supabase_user_id": f"user-{dice.choice(PEOPLE)}"}},
            {"address": {"country": dice.choice(["IT", "ES"])}},
            {"discount": discount("whole", "forever", percent_off=10.0) | {"start": when}},
        ],
        "balance_transaction": [
            {"source": dice.choice(["ch_1b", "ch_2", "re_1"])},
            {"amount": 123, "net": 123},
            {"reporting_category": "fee"},
        ],
        "refund": [{"charge": dice.choice(["ch_1b", "ch_4"])}, {"amount": 100}],
        "dispute": [{"charge": dice.choice(["ch_2", "ch_7"])}, {"status": "warning_closed"}],
        "invoice_payment": [{"invoice": f"in_{dice.choice('157')}"}, {"payment": {"payment_intent": "pi_2"}}],
        "payment_intent": [{"customer": customer}, {"invoice": f"in_{dice.choice('157')}"}],
        "product": [{"metadata": {"tier": dice.choice(["plus", "premium"])}}],
        "price": [{"recurring": {**item.get("recurring", {}), "interval": dice.choice(["month", "week"])}}],
    }  # fmt: skip
    return item | dice.choice(changes[item["object"]])


def landings(seed: int, lake: Lake, spool: Path) -> Iterator[datetime]:
    """Half of the story, then what is late of it and what changed: a little at a time, then much. Accounts and rates
    come and change between."""
    dice = random.Random(seed)
    told = [*STORY, *map(Version, [PREMIUM, PRO, PRO_ANNUAL, price(1250, currency="kwd")])]
    dice.shuffle(told)
    now = NOW - timedelta(days=dice.choice([20, 50]))
    lists = {version.item["id"]: version.item for version in told}
    middle = len(told) // 2
    land(lake, spool, told[:middle], now)
    rates = {(now.date() - timedelta(days=days), "JPY"): f"{150 + days % 7}.5" for days in range(0, 100, 3)}
    land_rates(lake, spool, rates, now)
    yield now
    for late, changes in [(told[middle : middle + 3], 1), (told[middle + 3 :], 4), ([], 1), ([], 12)]:
        now += timedelta(days=dice.choice([1, 1, 6, 30]))
        versions = [*late]
        for id_ in dice.sample(sorted(lists), changes):
            lists[id_] = changed(dice, lists[id_])
            is_deleted = lists[id_]["object"] in {"customer", "invoice"} and dice.random() < 0.3
            versions.append(Version(lists[id_], is_deleted=is_deleted))
        land(lake, spool, versions, now)
        if dice.random() < 0.4:
            rates |= {(now.date() - timedelta(days=dice.randrange(60)), "JPY"): "171.25"}
            land_rates(lake, spool, rates, now)
        if dice.random() < 0.4:
            profiles = [
                {"id": f"profile-{who}", "user_id": f"user-{who}", "created_at": now.replace(tzinfo=None)}
                for who in dice.sample(PEOPLE, 3)
            ]
            land_objects(lake, AppDb, {"user_profiles": profiles, "subscriptions": []}, now, spool)
        yield now


class BrokenOffError(Exception):
    """A build that does not come to its end."""


def break_off(_: str, done: int, total: int) -> None:
    if done > total / 2:
        raise BrokenOffError


def settings_of(home: Path, now: datetime, timezone: str) -> Settings:
    return load_settings(
        TAILTRACKER_HOME=home,
        TAILTRACKER_NOW=now,
        TAILTRACKER_TIMEZONE=timezone,
        TAILTRACKER_HISTORY_START="2023-12-01",
        STRIPE_API_KEY="rk_live_key_of_the_tests",
        EXCHANGE_RATES_URL="https://www.ecb.europa.eu/eurofxref-hist.xml",
        APP_DATABASE_URL="postgresql://reader@app-database.example/app",
    )


def built(
    engine: Engine, settings: Settings, lake: Lake, progress: Callable[[str, int, int], None] = lambda *_: None
) -> dict[str, list[str]]:
    """The rows of each table that a build leaves."""
    warehouse = Warehouse(settings, load_analytics(settings.analytics_path), lake)
    warehouse.engine = engine
    warehouse.prepare()
    warehouse.build(progress)
    with engine.session() as session:
        return {
            f"{schema}.{name}": sorted(map(repr, session.rows(f"select * from {schema}.{name}")))
            for schema, name in session.tables(LAYERS)
        }


@pytest.mark.parametrize("seed", WORLDS)
def test_each_build_gives_what_one_in_full_does(seed: int, tmp_path: Path) -> None:
    lake, kept = Lake(tmp_path), InMemory(tmp_path)
    timezone = ["UTC", "Europe/Berlin", "Pacific/Auckland"][seed % 3]
    for number, now in enumerate(landings(seed, lake, tmp_path / "spool")):
        settings = settings_of(tmp_path, now, timezone)
        if number == BROKEN_OFF:
            with pytest.raises(BrokenOffError):
                built(kept, settings, lake, break_off)
            continue
        in_part = built(kept, settings, lake)
        if number == 0:  # which is one in full
            continue
        in_full = built(InMemory(tmp_path), settings, lake)
        assert in_part.keys() == in_full.keys()
        assert [name for name in in_full if in_part[name] != in_full[name]] == [], f"landing {number}"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_both_engines_publish_the_same_after_each_build(seed: int, tmp_path: Path, warehouse_url: str) -> None:
    lake = Lake(tmp_path)
    for number, now in enumerate(landings(seed, lake, tmp_path / "spool")):
        settings = settings_of(tmp_path, now, "Europe/Berlin")
        both = Both.of(settings, load_analytics(settings.analytics_path), lake, warehouse_url)
        both.build()
        assert both.differences() == [], f"landing {number}"
