"""What never landed, or stopped landing, is unknown: through the real lake and the project's SQL.

One world in which every table of every source holds something that counts, read twice. Each table is left out of it,
alone or with some that other metrics are made of, from the start or of the second reading: what is said to hang on it
has no complete value, and no other value moves.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import combinations
from pathlib import Path
from shutil import copytree
from typing import Any

import pyarrow as pa
import pytest

from tailtracker_bi.analytics.mistakes import load_analytics
from tailtracker_bi.lake.lake import Lake
from tailtracker_bi.settings.environment import load_settings
from tailtracker_bi.sources.app_db.reading import AppDb
from tailtracker_bi.sources.prometheus import SERVICE_LEVELS_SCHEMA
from tailtracker_bi.sources.records import QUARANTINE_SCHEMA, Counts, Days, each_day
from tailtracker_bi.sources.stripe.reading import Stripe
from tailtracker_bi.warehouse import DuckDb
from tailtracker_bi.warehouse.calendar import period_of
from tailtracker_bi.warehouse.dbt_runner import compiled_manifest
from tailtracker_bi.warehouse.lineage import lineage
from tailtracker_bi.warehouse.warehouse import Warehouse
from tests.worlds import random_worlds as worlds
from tests.worlds import stripe_worlds
from tests.worlds.stripe_story import NOW, PREMIUM, PRO, STORY, changed_once, invoice, price, seconds, subscription
from tests.worlds.stripe_worlds import Models, Tables, Version, needed_for

EARLIER = NOW - timedelta(days=20)
FIRST = date(2024, 2, 1)
"""The first day of events and of service levels."""
TIERS = {**PREMIUM, "id": "price_tiers", "billing_scheme": "tiered", "unit_amount": None, "unit_amount_decimal": None}
DOLLARS = price(700, currency="usd")
OBJECTS = [
    *STORY,
    # A price in tiers is one that nothing but the list of prices tells.
    Version(subscription("tiers", "02-01", TIERS)),
    Version({**TIERS, "tiers_mode": "volume", "tiers": [{"up_to": None, "unit_amount": 700}]}),
    Version(subscription("dollars", "02-01", DOLLARS)),
    Version(DOLLARS),
    *changed_once("less", "01-05", PRO, "03-05", to=PREMIUM),
    # Who signed up on 1 February, and pays four days later.
    Version({"id": "cus_anna", "object": "customer", "created": 1, "metadata": {"supabase_user_id": "anna"}}),
    Version(subscription("anna", "02-05", PREMIUM)),
    # A trial that was paid for.
    Version(subscription("tried", "03-01", PREMIUM, trial_start=seconds("03-01"), trial_end=seconds("03-08"))),
    Version(
        invoice("8", "tried", "03-08", "subscription_cycle")
        | {"status": "paid", "status_transitions": {"paid_at": seconds("03-08")}}
    ),
]
STARTED, CHANGED = (datetime.fromisoformat(f"2024-{day}T08:00") for day in ("02-01", "04-02"))  # UTC
APP = {
    "user_profiles": [{"id": "p1", "user_id": "anna", "created_at": STARTED}],
    "subscriptions": [{"id": "s1", "user_id": "anna", "tier": "pro", "status": "active", "created_at": STARTED}],
    "subscription_history": [
        {"id": "h1", "subscription_id": "s1", "user_id": "anna", "action": "upgrade", "from_tier": "free",
         "to_tier": "pro", "created_at": CHANGED},
    ],
    "pets": [{"id": "a1", "user_id": "anna", "species": "dog", "created_at": CHANGED}],
    "lost_pet_reports": [
        {"id": "l1", "user_id": "anna", "urgency": "high", "status": "found", "is_resolved": True,
         "found_date": CHANGED + timedelta(hours=5), "created_at": CHANGED},
    ],
    "nps_responses": [{"id": "n1", "user_id": "anna", "score": "9", "created_at": CHANGED}],
    "app_store_ratings": [{"id": "r1", "platform": "ios", "score": "4", "created_at": CHANGED}],
    "support_tickets": [{"id": "t1", "user_id": "anna", "category": "billing", "created_at": CHANGED}],
    "security_events": [{"id": "e1", "type": "brute_force_login", "occurred_at": CHANGED}],
    "marketing_metrics": [{"id": "m1", "channel": "search", "currency": "EUR", "spend": "50", "date": STARTED.date()}],
}  # fmt: skip
RATES = {
    (date(2024, 1, 1) + timedelta(days=number), currency): rate
    for number in range(100)
    for currency, rate in (("USD", "1.25"), ("JPY", "160"), ("KWD", "0.3333"))
}
EVENTS, RATES_TABLE, LEVELS = "mixpanel.events", "exchange_rates.daily_rates", "prometheus.service_levels"
TABLES = [
    *(f"stripe.{table.name}" for table in Stripe.tables),
    *(f"app_db.{name}" for name in APP),
    *(EVENTS, RATES_TABLE, LEVELS),
]
Group = tuple[str, ...]
TELLING: list[Group] = [("stripe.charges",), ("stripe.disputes",), ("app_db.user_profiles",), (RATES_TABLE,)]
STOPPING: list[Group] = [("stripe.charges",), (RATES_TABLE,)]
"""Those that `make test` takes out from the start, and later on; `make soak` takes out every one."""
NEVER: list[Group] = [
    *TELLING,
    ("stripe.customers", "app_db.pets"),
    ("stripe.products", "stripe.invoice_payments", "app_db.nps_responses"),
    ("stripe.prices", "stripe.payment_intents", "app_db.app_store_ratings"),
    ("stripe.subscriptions", "app_db.lost_pet_reports", "app_db.support_tickets"),
    ("stripe.invoices", "app_db.security_events"),
    ("stripe.events", LEVELS),
    ("stripe.balance_transactions", "app_db.subscriptions"),
    ("stripe.refunds", EVENTS),
    ("app_db.marketing_metrics", "app_db.subscription_history", "stripe.payouts"),
]
STOPPED: list[Group] = [
    *STOPPING,
    ("stripe.customers", LEVELS),
    ("stripe.products", "stripe.payment_intents", "app_db.security_events"),
    ("stripe.prices", "stripe.invoice_payments", "app_db.pets"),
    ("stripe.subscriptions", "app_db.nps_responses"),
    ("stripe.invoices", "app_db.lost_pet_reports", "app_db.app_store_ratings"),
    ("stripe.events", "app_db.support_tickets"),
    ("stripe.balance_transactions", EVENTS),
    ("stripe.refunds", "app_db.subscription_history"),
    ("app_db.marketing_metrics", "app_db.subscriptions"),
    ("stripe.disputes", "app_db.user_profiles", "stripe.payouts"),
]
"""Every table, some of them together: those on which no metric hangs at once. Which are together in one list are not in
the other: what moves with a table that it does not hang on is seen in one of them."""
Key = tuple[str, str, date, str, str]
Row = tuple[Any, ...]


def each_of(groups: list[Group], quick: list[Group]) -> list[Any]:
    return [
        pytest.param(group, id="+".join(group), marks=[] if group in quick else pytest.mark.slow) for group in groups
    ]


def land(lake: Lake, home: Path, first: date, now: datetime, out: Collection[str]) -> None:
    """One reading of all sources, but for the tables that are out; days from `first` on."""
    spool, last = home / "spool", now.date() - timedelta(days=1)
    stripe_worlds.land(lake, spool, OBJECTS, now, {name.removeprefix("stripe.") for name in out if "stripe." in name})
    worlds.land_objects(lake, AppDb, {name: APP[name] for name in APP if f"app_db.{name}" not in out}, now, spool)
    if EVENTS not in out:
        worlds.land(lake, spool, list(events(first, last)), first, last)
    if RATES_TABLE not in out:
        stripe_worlds.land_rates(lake, spool, {key: rate for key, rate in RATES.items() if key[0] <= last}, now)
    if LEVELS not in out:
        days = list(each_day(first, last))
        rows = pa.Table.from_pylist([row for day in days for row in service_levels(day)], SERVICE_LEVELS_SCHEMA)
        counts = {day: Counts(received=rows.num_rows // len(days), loaded=rows.num_rows // len(days)) for day in days}
        nothing = QUARANTINE_SCHEMA.empty_table().to_reader()
        days = Days(first, last, rows.to_reader(), nothing, counts)
        assert lake.land("prometheus", "service_levels", days).held == {}


def events(first: date, last: date) -> Iterator[dict[str, Any]]:
    """Each day somebody goes all of the way in, four come back, and Ben's pet is lost and found."""
    funnels = {funnel.id: [step.event for step in funnel.steps] for funnel in load_analytics().funnels}
    for day in each_day(first, last):
        number = (day - FIRST).days
        did = [("anna", "App Opened"), *(("ben", event) for event in funnels["lost_pet_recovery"])]
        did += [(f"new-{number}", event) for event in funnels["onboarding"]]
        did += [(f"new-{number - ago}", "App Opened") for ago in (1, 7, 30) if number >= ago]
        for hour, (user, name) in enumerate(did, start=6):
            properties: dict[str, Any] = {"distinct_id": user, "$user_id": user, "platform": "ios", "alert_id": number}
            properties["time"] = int(datetime.combine(day, time(hour), UTC).timestamp())
            yield {"event": name, "properties": {**properties, "$insert_id": f"{user}-{day}-{hour}"}}


def service_levels(day: date) -> Iterator[dict[str, Any]]:
    """A day in one interval: of 1,000 requests one fails, and 990 are answered within a second."""
    common = {"day": day, "starts_at": datetime.combine(day, time()), "seconds": 86_400, "denominator": 1000.0}
    for service in ("all", "api", "payments"):
        yield {**common, "slo": "availability", "service": service, "numerator": 999.0}
    yield {**common, "slo": "error_rate", "service": "all", "numerator": 1.0}
    for bound, within in ((None, None), (1.0, 990.0), (float("inf"), 1000.0)):
        yield {**common, "slo": "latency_p95_ms", "service": "all", "le": bound, "numerator": within}


def read_once(home: Path, never: Collection[str] = ()) -> Path:
    """A HOME after the first reading."""
    land(Lake(home), home, FIRST, EARLIER, never)
    return home


def told(models: Models, home: Path, out: Collection[str] = ()) -> Tables:
    """What is published after the second reading of a HOME that was read once."""
    lake = Lake(home)
    land(lake, home, EARLIER.date(), NOW, out)
    settings = load_settings(
        TAILTRACKER_HOME=home,
        TAILTRACKER_NOW=NOW,
        TAILTRACKER_HISTORY_START=date(2024, 1, 1),
        STRIPE_API_KEY="rk_live_key_of_the_tests",
        APP_DATABASE_URL="postgresql://reader@app-database.example/app",
        EXCHANGE_RATES_URL="https://www.ecb.europa.eu/eurofxref-hist.xml",
        PROMETHEUS_URL="https://prometheus.example",
        MIXPANEL_PROJECT_ID="1",
        MIXPANEL_USERNAME="reader",
        MIXPANEL_SECRET="secret-of-the-tests",
    )
    return worlds.tables_built(Warehouse(settings, load_analytics(), lake), models)


def values(tables: Tables) -> dict[Key, Row]:
    keys = ("metric_id", "grain", "period_start", "segment", "segment_value")
    measured = ("numerator", "denominator", "value", "is_complete")
    return worlds.by_key(tables["pub_metric_values"], keys, measured)


@pytest.fixture(scope="module")
def models(models: Models) -> Models:
    return needed_for(models, "pub_metric_values", "pub_metric_catalog")


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A HOME into which every table was read once, to be copied."""
    return read_once(tmp_path_factory.mktemp("once"))


@pytest.fixture(scope="module")
def whole(models: Models, once: Path, tmp_path_factory: pytest.TempPathFactory) -> Tables:
    return told(models, copytree(once, tmp_path_factory.mktemp("whole") / "home"))


@pytest.fixture(scope="module")
def needed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, set[str]]]:
    """Of each table the metrics that read it, with what for."""
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    manifest = compiled_manifest(DuckDb(tmp_path_factory.mktemp("manifest")))
    for metric, source, table, needed_for_what in lineage(manifest, [f.id for f in load_analytics().funnels], set())[1]:
        found[f"{source}.{table}"][metric].add(needed_for_what)
    return found


class Hanging:
    """What hangs on tables: all values of some metrics; of others a segment, or totals over currencies."""

    def __init__(self, needed: dict[str, dict[str, set[str]]], group: Group, whole: Tables) -> None:
        self._needed = {metric: what for table in group for metric, what in needed[table].items()}
        # Nothing stands in for the app's tables here.
        self.unknown = {metric for metric, what in self._needed.items() if what & {"all", "either"}}
        self._amounts = {row["metric_id"] for row in whole["pub_metric_catalog"] if row["is_of_money"]}
        rows = whole["pub_metric_values"]
        self._foreign = {
            row["metric_id"] for row in rows if row["segment"] == "currency" and row["segment_value"] != "EUR"
        }

    def may_be_known(self, key: Key) -> bool:
        """Of a total of which no other currency is published nobody can tell from outside whether there was one."""
        metric, _, _, segment, _ = key
        return self.in_part(key) and segment not in self._needed[metric] and metric not in self._foreign

    def in_part(self, key: Key) -> bool:
        metric, _, _, segment, _ = key
        what = self._needed.get(metric, set())
        return segment in what - {"all"} or ("conversion" in what and segment != "currency" and metric in self._amounts)

    def others(self, rows: dict[Key, Row]) -> dict[Key, Row]:
        return {key: row for key, row in rows.items() if key[0] not in self.unknown and not self.in_part(key)}


def complete(rows: dict[Key, Row], hanging: Hanging, since: date) -> set[Key]:
    """What is told as complete of periods that end on the day or later, and hangs on what is not known then."""
    return {
        key
        for key, row in rows.items()
        if row[3]
        and (key[0] in hanging.unknown or (hanging.in_part(key) and not hanging.may_be_known(key)))
        and period_of(key[2], key[1], "monday")[1] >= since
    }


def test_every_metric_of_the_world_has_a_complete_value_that_is_not_zero(whole: Tables) -> None:
    """Else there would be nothing that could go missing."""
    told_of = {key[0] for key, row in values(whole).items() if row[2] and row[3]}
    silent = {row["metric_id"] for row in whole["pub_metric_catalog"]} - told_of
    assert silent == {"retention_d90"}, "no cohort is that old"


def test_each_table_is_left_out_with_others_of_other_metrics(needed: dict[str, dict[str, set[str]]]) -> None:
    together = []
    for groups in (NEVER, STOPPED):
        assert sorted(table for group in groups for table in group) == sorted(TABLES)
        together.append({pair for group in groups for pair in combinations(sorted(group), 2)})
        assert [pair for pair in together[-1] if needed[pair[0]].keys() & needed[pair[1]].keys()] == []
    assert together[0] & together[1] == set()


@pytest.mark.parametrize("group", each_of(NEVER, TELLING))
def test_a_table_that_never_landed_leaves_what_reads_it_without_data_and_all_else_as_it_is(
    group: Group, models: Models, whole: Tables, needed: dict[str, dict[str, set[str]]], tmp_path: Path
) -> None:
    found = told(models, read_once(tmp_path, never=group), group)
    before, after = values(whole), values(found)
    hanging = Hanging(needed, group, whole)
    status = {row["metric_id"]: row["status"] for row in found["pub_metric_catalog"]}
    assert {metric for metric in status if status[metric] == "no_data"} == hanging.unknown
    assert {key[0] for key in after} & hanging.unknown == set(), "what is not known has no value, and no 0"
    # Whoever sold in euros alone needed no rate then.
    assert complete(after, hanging, EARLIER.date()) == set()
    assert {key for key, row in after.items() if hanging.in_part(key) and row[3] and row != before.get(key)} == set()
    assert worlds.differences(hanging.others(after), hanging.others(before)) == {}


@pytest.mark.parametrize("group", each_of(STOPPED, STOPPING))
def test_a_table_that_stops_landing_leaves_what_reads_it_incomplete_from_then_on(
    group: Group,
    models: Models,
    once: Path,
    whole: Tables,
    needed: dict[str, dict[str, set[str]]],
    tmp_path: Path,
) -> None:
    before, after = values(whole), values(told(models, copytree(once, tmp_path / "home"), group))
    hanging = Hanging(needed, group, whole)
    assert complete(after, hanging, EARLIER.date()) == set()
    assert worlds.differences(hanging.others(after), hanging.others(before)) == {}
