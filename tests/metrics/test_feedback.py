"""What people say and ask, and what it costs to win them, through the real lake and the project's SQL, by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tailtracker_bi.lake.lake import Lake
from tailtracker_bi.lake.objects import landing_objects
from tailtracker_bi.sources.app_db.reading import AppDb
from tailtracker_bi.sources.base import ObjectSource
from tailtracker_bi.sources.csv_files import CsvFiles
from tailtracker_bi.sources.records import QUARANTINE_SCHEMA, VERSION_SCHEMA, Counts, Versions
from tests.worlds.stripe_story import DOLLARS, PRODUCTS, price, subscription
from tests.worlds.stripe_worlds import Models, Tables, Version, needed_for, sql_tables

NOW = datetime(2024, 1, 20, 12, tzinfo=UTC)
APP_DATABASE = "postgresql://reader@app-database.example/app"
OLD = {"created_at": datetime(1970, 1, 1)}  # noqa: DTZ001


def land(home: Path, source: type[ObjectSource], name: str, *rows: dict[str, Any], as_of: datetime = NOW) -> None:
    """A snapshot of a table."""
    [table] = [table for table in source.tables if table.name == name]
    schema = pa.schema([*VERSION_SCHEMA, *table.schema])
    full = [
        dict.fromkeys(schema.names) | {"object_id": str(number), "origin": "snapshot", "is_deleted": False} | row
        for number, row in enumerate(rows)
    ]
    nothing = QUARANTINE_SCHEMA.empty_table().to_reader()
    found = Versions(pa.Table.from_pylist(full, schema).to_reader(), True, nothing, Counts(received=len(rows)))
    with landing_objects(Lake(home), source, home / "spool") as landing:
        landing.land(table, found, as_of)


def on(day: int, **row: Any) -> dict[str, Any]:
    return {"created_at": datetime(2024, 1, day, 10), **row}  # noqa: DTZ001 - the lake's times are UTC without saying so


@pytest.fixture(scope="module")
def tables(models: Models, tmp_path_factory: pytest.TempPathFactory) -> Tables:
    home = tmp_path_factory.mktemp("home")
    # Ben is gone when the accounts are read again on the 15th.
    anna, ben, carl = (on(day, object_id=user, user_id=user) for user, day in (("anna", 1), ("ben", 5), ("carl", 5)))
    for day, accounts in ((10, [anna, ben, carl]), (15, [anna, carl]), (20, [anna, carl])):
        land(home, AppDb, "user_profiles", *accounts, as_of=NOW.replace(day=day))
    land(
        home, AppDb, "nps_responses",
        *(on(8, user_id="anna", score=score) for score in ("10", "9", "8", "7", "6", "11")),
    )  # fmt: skip
    # The same keys as the app's: other answers all the same.
    land(home, CsvFiles, "nps_responses", on(9, score="0"), on(9, score="10"))
    land(
        home, AppDb, "app_store_ratings",
        on(8, platform="ios", score="5"), on(8, platform="ios", score="4"), on(8, platform="android", score="1"),
        on(8, platform="ios", score="0"),
    )  # fmt: skip
    tickets = [on(8, priority="high", category="bug"), on(9, priority="high"), on(9, priority="low", category="bug")]
    land(home, CsvFiles, "support_tickets", *tickets, as_of=NOW.replace(day=10))
    land(home, CsvFiles, "support_tickets", *tickets[:2])
    spend = {"channel": "search"}
    land(
        home, AppDb, "marketing_metrics",
        {"date": date(2024, 1, 8), "spend": "30.00", "currency": "EUR", **spend},
        {"date": date(2024, 1, 8), "spend": "11.00", "currency": "usd", **spend},
        {"date": date(2024, 1, 10), "spend": "5", "currency": "EUR", **spend},
        {"date": date(2024, 1, 12), "spend": "7", "currency": "JPY", **spend},
        {"date": date(2024, 1, 15), "spend": None, "currency": "EUR", **spend},
    )  # fmt: skip
    stripe = [
        Version(subscription("euro", "01-08", price(1000))),
        Version(subscription("dollar", "01-08", DOLLARS[1100])),
        Version(subscription("later", "01-12", price(1000))),
        *map(Version, PRODUCTS),
    ]
    rates = [(NOW, {(date(2024, 1, 5), "USD"): "1.10"})]
    # What the app may hold and no number takes as it is, each beside one that is well.
    land(
        home, AppDb, "pets",
        on(8, object_id="well", species="dog"), {"object_id": "undated"}, on(8, object_id="old") | OLD,
    )  # fmt: skip
    land(
        home, AppDb, "lost_pet_reports",
        on(8, object_id="well", status="found", found_date=datetime(2024, 1, 9)),  # noqa: DTZ001
        on(9, object_id="early", status="found", found_date=datetime(2024, 1, 8)),  # noqa: DTZ001
        on(9, object_id="odd", status="reunited"), on(9, object_id="none"),
    )  # fmt: skip
    land(
        home, AppDb, "subscriptions",
        on(8, object_id="well", user_id="anna", tier="premium", status="active"),
        on(8, object_id="odd", user_id="anna", tier="premium", status="incomplete"),
    )  # fmt: skip
    land(
        home, AppDb, "security_events",
        {"type": "brute_force_login", "occurred_at": datetime(2024, 1, 8, 23)},  # noqa: DTZ001
        {"type": "credential_stuffing", "occurred_at": datetime(2024, 1, 8, 1)},  # noqa: DTZ001
        {"type": "sql_injection", "occurred_at": datetime(2024, 1, 8, 1)},  # noqa: DTZ001
        {"type": "brute_force_login"}, {"type": "api_abuse"},
    )  # fmt: skip
    needed = needed_for(models, "pub_metric_values", "pub_metric_catalog", "pub_not_counted")
    return sql_tables([(NOW, stripe)], needed, home, rates, APP_DATABASE_URL=APP_DATABASE)


def metric(tables: Tables, metric_id: str, day: int, grain: str = "day", segment: str = "all") -> Any:
    """Numerator, denominator and value by segment value; of the whole alone without it."""
    found = {
        row["segment_value"]: (row["numerator"], row["denominator"], row["value"])
        for row in tables["pub_metric_values"]
        if (row["metric_id"], row["grain"], row["period_start"], row["segment"])
        == (metric_id, grain, date(2024, 1, day), segment)
    }
    return found["all"] if segment == "all" else found


def test_nps_is_promoters_less_detractors_over_all_answers(tables: Tables) -> None:
    # 10 and 9 promote, 6 detracts, 8 and 7 do neither; 11 is no answer.
    assert metric(tables, "nps", 8) == (100, 5, 20)
    assert metric(tables, "nps", 9) == (0, 2, 0)
    assert metric(tables, "nps", 8, "week") == (100, 7, 100 / 7)
    assert metric(tables, "nps", 10) == (0, 0, None)


def test_ratings_are_a_mean_by_platform(tables: Tables) -> None:
    assert metric(tables, "app_store_rating", 8) == (10, 3, 10 / 3)
    by_platform = metric(tables, "app_store_rating", 8, segment="platform")
    assert by_platform == {"ios": (9, 2, 4.5), "android": (1, 1, 1)}


def test_tickets_of_files_count_where_the_app_has_none_and_stay_when_they_are_gone(tables: Tables) -> None:
    assert metric(tables, "support_tickets", 8, "week") == (3, None, 3)
    by_priority = metric(tables, "support_tickets", 8, "week", "priority")
    assert by_priority == {"high": (2, None, 2), "low": (1, None, 1)}
    by_category = metric(tables, "support_tickets", 8, "week", "category")
    assert by_category == {"bug": (2, None, 2), "(unknown)": (1, None, 1)}


def test_bursts_of_failed_logins_count_on_their_day(tables: Tables) -> None:
    assert [metric(tables, "login_attacks", day) for day in (8, 9)] == [(2, None, 2), (0, None, 0)]


def test_an_account_that_is_gone_is_none_any_more_and_stays_a_sign_up(tables: Tables) -> None:
    assert [metric(tables, "total_users", day)[2] for day in (4, 5, 14, 15, 19)] == [1, 3, 3, 2, 2]
    assert [metric(tables, "sign_ups", day)[2] for day in (1, 5, 10, 15)] == [1, 2, 0, 0]
    assert metric(tables, "sign_ups", 1, "month") == (3, None, 3)


def test_cac_is_spend_in_the_reporting_currency_per_new_customer(tables: Tables) -> None:
    # EUR 30, and USD 11 at 1.10, for two; on the 10th nobody came; yen can't be converted.
    assert metric(tables, "cac", 8) == (40, 2, 20)
    assert metric(tables, "cac", 10) == (5, 0, None)
    assert metric(tables, "cac", 12) == (None, 1, None)


def test_what_the_app_holds_and_no_number_takes_as_it_is_is_told(tables: Tables) -> None:
    told = {
        (row["source"], row["object_type"], row["what"]): (
            row["objects"], row["amount"], row["example"], row["first_day"].day, row["last_day"].day, row["metric_ids"]
        )
        for row in tables["pub_not_counted"]
    }  # fmt: skip
    with_plans = told.pop(("app_db", "subscription", "status that is not known"))
    assert with_plans[:5] == (1, None, "odd", 20, 20)
    with_items = told.pop(("exchange_rates", "subscription_item", "amount in USD without an exchange rate"))
    assert with_items[:5] == (1, 11, "si_dollar", 13, 19)  # a rate of the 5th holds up to the 12th
    assert {"active_users", "retention_d7"} <= set(with_plans[5].split(","))
    hours, of_pets = "recovery_hours_avg,recovery_hours_median", "pets_created,total_pets"
    of_spend = "cac,cac_payback_months,ltv_to_cac"
    assert told == {
        ("app_db", "nps_response", "score that is not from 0 to 10"): (1, None, "5", 8, 8, "nps"),
        ("app_db", "app_store_rating", "score that is not from 1 to 5"): (1, None, "3", 8, 8, "app_store_rating"),
        ("app_db", "marketing_metric", "spend that is not told"): (1, None, "4", 15, 15, of_spend),
        ("exchange_rates", "marketing_metric", "amount in JPY without an exchange rate"): (1, 7, "3", 12, 12, of_spend),
        ("app_db", "pet", "no time of creation"): (1, None, "undated", 20, 20, of_pets),
        ("app_db", "pet", "created before 2000"): (1, None, "old", 1, 1, of_pets),
        ("app_db", "security_event", "no time of occurrence"): (1, None, "3", 20, 20, "login_attacks"),
        ("app_db", "lost_pet_report", "found before it was reported"): (1, None, "early", 8, 8, hours),
        ("app_db", "lost_pet_report", "status that is not known"): (
            2, None, "none", 9, 9, f"pets_recovered,{hours},recovery_rate_30d",
        ),
    }  # fmt: skip


def test_without_spend_there_is_no_cost_of_acquisition(tables: Tables, models: Models, tmp_path: Path) -> None:
    status = {row["metric_id"]: row["status"] for row in tables["pub_metric_catalog"]}
    assert (status["cac"], status["nps"]) == ("active", "active")
    needed = needed_for(models, "pub_metric_catalog")
    bare = sql_tables([(NOW, [Version(subscription("euro", "01-08", price(1000)))])], needed, tmp_path / "home")
    status = {row["metric_id"]: row["status"] for row in bare["pub_metric_catalog"]}
    assert (status["cac"], status["nps"], status["mrr"]) == ("no_data", "no_data", "active")
