"""Totals in one currency: what they are worth by the day's rates, and what is said where a rate lacks."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tests.worlds.stripe_story import (
    AROUND,
    BALANCE,
    DOLLARS,
    INVOICE_PAYMENTS,
    INVOICES,
    PRODUCTS,
    at,
    balance,
    changed_once,
    charge,
    metric,
    movements,
    price,
    seconds,
    subscription,
)
from tests.worlds.stripe_worlds import Models, Tables, Version, needed_for, sql_tables

YEN = price(1500, "pro", currency="jpy")
THREE_CURRENCIES = [
    Version(subscription("euro", "01-05", price(1000))),
    *changed_once("dollar", "01-05", DOLLARS[1100], "01-09", to=DOLLARS[1300]),
    Version(subscription("weekend", "01-06", DOLLARS[600], status="canceled", ended_at=seconds("01-10"))),
    Version(subscription("yen", "01-08", YEN)),
    *map(
        Version,
        [
            *PRODUCTS,
            charge("1", "01-06", 2200, "usd"),
            charge("2", "01-08", 1500, "jpy"),
            charge("3", "01-08", 500),
            charge("4", "01-18", 1200, "usd"),
            {**balance("1", "01-09", "refund", "re_1", -600), "currency": "usd"},
            {**balance("2", "01-10", "fee", "", -120), "currency": "usd"},
        ],
    ),
]
# The 5th is a Friday. Nothing is published on Monday the 8th, no yen on the 10th, and nothing at all after that.
RATES = {
    (date(2024, 1, 5), "USD"): "1.10",
    (date(2024, 1, 5), "JPY"): "160",
    (date(2024, 1, 9), "USD"): "1.20",
    (date(2024, 1, 9), "JPY"): "150.0",
    (date(2024, 1, 10), "USD"): "1.2500",
}
ON_THE_20TH = datetime(2024, 1, 20, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def converted(models: Models, tmp_path_factory: pytest.TempPathFactory) -> Tables:
    readings, rates = [(ON_THE_20TH, THREE_CURRENCIES)], [(ON_THE_20TH, RATES)]
    return sql_tables(readings, models, tmp_path_factory.mktemp("converted"), rates)


def test_a_total_is_converted_at_the_rate_of_each_day_and_fx_is_what_is_left(converted: Tables) -> None:
    # EUR 10, and USD 11 at 1.10.
    assert movements(converted, "01-05", "all", grain="day") == {
        "new": (2, Decimal("20.000000")),
        "fx": (1, Decimal("0")),
        "closing": (2, Decimal("20.000000")),
    }
    # Saturday, at Friday's rate: USD 6 more are 5.4545454..., USD 17 are 15.4545454...
    assert movements(converted, "01-06", "all", grain="day") == {
        "opening": (2, Decimal("20.000000")),
        "new": (1, Decimal("5.454545")),
        "fx": (2, Decimal("0")),
        "closing": (3, Decimal("25.454545")),
    }
    # Monday without rates, at Friday's: JPY 1,500 at 160.
    assert movements(converted, "01-08", "all", grain="day") == {
        "opening": (3, Decimal("25.454545")),
        "new": (1, Decimal("9.375000")),
        "fx": (3, Decimal("0")),
        "closing": (4, Decimal("34.829545")),
    }
    # USD 2 more at 1.20. USD 19 are 15.8333..., JPY 1,500 at 150 are 10. USD 17 lost 1.287879, JPY 1,500 won 0.625.
    assert movements(converted, "01-09", "all", grain="day") == {
        "opening": (4, Decimal("34.829545")),
        "expansion": (1, Decimal("1.666667")),
        "fx": (3, Decimal("-0.662879")),
        "closing": (4, Decimal("35.833333")),
    }
    # USD 6 less at 1.25. USD 13 are 10.4; the yen's rate is of the day before. USD 19 lost 0.633333.
    assert movements(converted, "01-10", "all", grain="day") == {
        "opening": (4, Decimal("35.833333")),
        "churn": (1, Decimal("4.800000")),
        "fx": (2, Decimal("-0.633333")),
        "closing": (3, Decimal("30.400000")),
    }
    assert metric(converted, "mrr", "01-08", grain="week") == 30.4
    assert metric(converted, "mrr_expansion", "01-08", grain="week") == 1.666667
    assert metric(converted, "mrr_net_new", "01-08", grain="week") == 6.241667  # 9.375 + 1.666667 - 4.8: no fx
    assert metric(converted, "mrr", "01-09", "currency", "USD", "day") == 19


def test_a_rate_is_used_for_seven_days_and_then_the_total_is_not_known(converted: Tables) -> None:
    assert metric(converted, "mrr", "01-16", grain="day") == 30.4
    assert movements(converted, "01-17", "all", grain="day") == {  # the yen's rate is 8 days old
        "opening": (3, Decimal("30.400000")),
        "fx": (2, None),
        "closing": (3, None),
    }
    assert metric(converted, "mrr", "01-17", grain="day") is None
    assert metric(converted, "mrr", "01-17", "plan", "premium", "day") == 20.4  # EUR 10 and USD 13
    assert metric(converted, "mrr", "01-18", "plan", "premium", "day") is None
    assert metric(converted, "mrr", "01-18", "currency", "EUR", "day") == 10
    assert metric(converted, "subscribers", "01-18", grain="day") == 3
    assert movements(converted, "01-01", "all")["fx"] == (2, None)
    # What is not known is not complete; what needs no rate is.
    assert not completeness(converted, "mrr", "01-17")
    assert completeness(converted, "mrr", "01-17", "plan", "premium")
    assert completeness(converted, "mrr", "01-18", "currency", "JPY")
    assert completeness(converted, "subscribers", "01-18")
    assert {
        (row["currency"], row["is_complete"])
        for row in converted["pub_mrr_movements"]
        if (row["grain"], row["period_start"], row["segment"]) == ("day", date(2024, 1, 18), "all")
        and row["movement"] == "closing"
    } == {("all", False), ("EUR", True), ("JPY", True), ("USD", True)}


def test_what_lacks_a_rate_is_told_with_its_currency_days_and_amount(converted: Tables) -> None:
    told = {
        (row["object_type"], row["currency"]): (
            row["objects"], row["amount"], row["first_day"], row["last_day"], row["example"], row["metric_ids"]
        )
        for row in converted["pub_not_counted"]
    }  # fmt: skip
    of_mrr = "arr,mrr,mrr_billed,mrr_churn,mrr_contraction,mrr_expansion,mrr_net_new,mrr_new,mrr_reactivation"
    # The rates are used up to the 16th (yen) and 17th (dollars); the last day known is the 19th. The dollar that ended
    # on the 10th is not among them, nor are charges of days with rates.
    assert told == {
        ("subscription_item", "JPY"): (1, 1500, date(2024, 1, 17), date(2024, 1, 19), "si_yen", of_mrr),
        ("subscription_item", "USD"): (1, 13, date(2024, 1, 18), date(2024, 1, 19), "si_dollar", of_mrr),
        ("charge", "USD"): (1, 12, date(2024, 1, 18), date(2024, 1, 18), "ch_4", "gross_volume"),
    }


def test_payments_are_converted_on_their_own_days(converted: Tables) -> None:
    assert metric(converted, "gross_volume", "01-06", grain="day") == 20  # USD 22 at Friday's 1.10
    assert metric(converted, "gross_volume", "01-08", grain="day") == 14.375  # JPY 1,500 at 160, and EUR 5
    assert metric(converted, "gross_volume", "01-01", grain="week") == 20
    assert metric(converted, "gross_volume", "01-18", grain="day") is None
    assert metric(converted, "gross_volume", "01-01") is None
    assert metric(converted, "gross_volume", "01-18", "currency", "USD", "day") == 12
    assert metric(converted, "refunds", "01-09", grain="day") == 5  # USD 6 at 1.20
    assert metric(converted, "fees", "01-10", grain="day") == 0.96  # USD 1.20 at 1.25
    assert metric(converted, "net_volume", "01-08", grain="week") == -5.96


def test_totals_in_another_currency_cross_two_rates(models: Models, tmp_path: Path) -> None:
    told, rates = [(ON_THE_20TH, THREE_CURRENCIES)], [(ON_THE_20TH, RATES)]
    tables = sql_tables(told, needed_for(models, "pub_mrr_movements"), tmp_path, rates, TAILTRACKER_CURRENCY="USD")
    # EUR 10 x 1.10 = 11, USD 17, JPY 1,500 x 1.10 / 160 = 10.3125.
    assert movements(tables, "01-08", "all", grain="day")["closing"] == (4, Decimal("38.312500"))
    assert movements(tables, "01-08", "all", grain="day")["fx"] == (2, Decimal("0"))
    # The dollar's rate is 8 days old: only dollars are known in dollars.
    assert movements(tables, "01-18", "all", "plan", "premium", "day")["closing"] == (2, None)


def test_small_amounts_keep_their_decimals_on_the_way_to_a_total(models: Models, tmp_path: Path) -> None:
    """24 x 1.00 at 3 for a euro, of 4 brands in 6 countries: 0.333333 each, and 8.00 in all."""
    brands, countries = ("visa", "mastercard", "amex", "discover"), ("DE", "FR", "IT", "ES", "PT", "AT")
    charges = [
        charge(f"{brand}_{country}", "01-05", 100, "usd", payment_intent=None, payment_method_details=details)
        for brand in brands
        for country in countries
        for details in [{"type": "card", "card": {"brand": brand, "country": country}}]
    ]
    tables = sql_tables(
        [(ON_THE_20TH, map(Version, [*charges, *AROUND, *BALANCE, *INVOICE_PAYMENTS, *INVOICES]))],
        needed_for(models, "pub_metric_values"),
        tmp_path,
        [(ON_THE_20TH, {(date(2024, 1, 5), "USD"): "3"})],
    )
    assert metric(tables, "gross_volume", "01-05", grain="day") == pytest.approx(7.999992, abs=1e-9)


def test_a_corrected_rate_restates_its_days(models: Models, tmp_path: Path) -> None:
    corrected = (ON_THE_20TH, {(date(2024, 1, 5), "USD"): "1.00"})
    tables = sql_tables(
        [(ON_THE_20TH, THREE_CURRENCIES)],
        needed_for(models, "pub_mrr_movements"),
        tmp_path,
        [(ON_THE_20TH - timedelta(days=1), RATES), corrected],
    )
    assert movements(tables, "01-06", "all", grain="day")["closing"] == (3, Decimal("27.000000"))
    assert movements(tables, "01-10", "all", grain="day")["closing"] == (3, Decimal("30.400000"))


def completeness(tables: Tables, metric_id: str, start: str, segment: str = "all", of: str = "all") -> bool:
    [row] = [
        row
        for row in tables["pub_metric_values"]
        if (row["metric_id"], row["grain"], row["period_start"], row["segment"], row["segment_value"])
        == (metric_id, "day", at(start).date(), segment, of)
    ]
    return bool(row["is_complete"])


def test_a_total_is_complete_once_the_rates_of_its_days_are_known(
    converted: Tables, models: Models, tmp_path: Path
) -> None:
    read_on_the_12th = [(at("01-12 06:00"), RATES)]
    tables = sql_tables(
        [(ON_THE_20TH, THREE_CURRENCIES)],
        needed_for(models, "pub_mrr_movements", "pub_metric_values"),
        tmp_path,
        read_on_the_12th,
    )
    assert [completeness(tables, "mrr", day) for day in ("01-11", "01-12")] == [True, False]
    assert metric(tables, "mrr", "01-12", grain="day") == 30.4  # meanwhile, by the rates that are there
    assert completeness(tables, "mrr", "01-12", "currency", "USD")
    assert completeness(tables, "subscribers", "01-12")
    assert completeness(converted, "mrr", "01-16")
    closings = {
        (row["period_start"], row["currency"]): row["is_complete"]
        for row in tables["pub_mrr_movements"]
        if (row["grain"], row["segment"], row["movement"]) == ("day", "all", "closing")
    }
    assert closings[date(2024, 1, 11), "all"]
    assert not closings[date(2024, 1, 12), "all"]
    assert closings[date(2024, 1, 12), "USD"]


def test_rates_open_no_days_and_hold_back_nothing_that_needs_none(models: Models, tmp_path: Path) -> None:
    in_euros = [Version(subscription("euro", "01-05", price(1000))), *map(Version, PRODUCTS)]
    old = [(at("01-12"), {(date(1999, 1, 4), "USD"): "1.1789", **RATES})]
    tables = sql_tables([(ON_THE_20TH, in_euros)], models, tmp_path, old)
    assert min(row["period_start"] for row in tables["pub_metric_values"]) == date(2024, 1, 1)
    assert completeness(tables, "mrr", "01-19")
    assert movements(tables, "01-19", "all", grain="day") == {
        "opening": (1, Decimal("10.000000")),
        "closing": (1, Decimal("10.000000")),
    }
