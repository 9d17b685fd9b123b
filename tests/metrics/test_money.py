"""Money: a story with numbers worked out beforehand, and random small worlds against the slow version."""

from __future__ import annotations

import copy
import random
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pytest

from tests.worlds.money_reference import mrr_movements
from tests.worlds.random_worlds import differences
from tests.worlds.stripe_story import (
    AROUND,
    BALANCE,
    DOLLARS,
    INVOICE_PAYMENTS,
    INVOICES,
    NOW,
    PREMIUM,
    PREMIUM_ANNUAL,
    PRO,
    PRO_ANNUAL,
    PRODUCTS,
    STORY,
    at,
    balance,
    changed,
    changed_once,
    charge,
    discount,
    failed,
    price,
    seconds,
    subscription,
)
from tests.worlds.stripe_worlds import Models, Object, Rates, Rows, Version, needed_for, sql_tables

WORLDS = [*range(6), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(6, 50))]


def in_old_shape(version: Version) -> Version | None:
    """The same in the shape of API versions before 2025-03; None where there was no such object."""
    item = copy.deepcopy(version.item)
    invoices = {f"pi_{number}": f"in_{number}" for number in "157"}
    match item["object"]:
        case "invoice_payment":
            return None
        case "invoice":
            item["subscription"] = item.pop("parent")["subscription_details"]["subscription"]
            item["payment_intent"] = item["id"].replace("in_", "pi_")
        case "charge":
            item["invoice"] = invoices.get(item["payment_intent"])
        case "payment_intent":
            item["invoice"] = invoices.get(item["id"])
        case "subscription":
            for each in item["items"]["data"]:
                item["current_period_start"] = each.pop("current_period_start")
                item["current_period_end"] = each.pop("current_period_end")
            item["discounts"] = [
                {"id": each["id"], "object": "discount", "coupon": each["source"]["coupon"]}
                for each in item["discounts"]
            ]
            item["discount"] = item["discounts"][0] if item["discounts"] else None
    return Version(item, version.origin, version.at)


@pytest.fixture(scope="module")
def story_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("story")


@pytest.fixture(scope="module")
def story(models: Models, story_home: Path) -> dict[str, Rows]:
    return sql_tables([(NOW, STORY)], models, story_home)


def movements(
    story: dict[str, Rows],
    start: str,
    currency: str = "EUR",
    segment: str = "all",
    of: str = "all",
    grain: str = "month",
) -> dict[str, tuple[int, Decimal | None]]:
    """Customers and amount of each movement that is not nothing."""
    return {
        row["movement"]: (row["customers"], row["amount"])
        for row in story["pub_mrr_movements"]
        if (row["grain"], row["period_start"], row["currency"], row["segment"], row["segment_value"])
        == (grain, at(start).date(), currency, segment, of)
        and (row["customers"] or row["amount"] is None)
    }


def metric(
    story: dict[str, Rows], metric_id: str, start: str, segment: str = "all", of: str = "all", grain: str = "month"
) -> Any:
    """Numerator and denominator; of a count or an amount the value."""
    [row] = [
        row
        for row in story["pub_metric_values"]
        if (row["metric_id"], row["grain"], row["period_start"], row["segment"], row["segment_value"])
        == (metric_id, grain, at(start).date(), segment, of)
    ]
    return row["value"] if row["denominator"] is None else (row["numerator"], row["denominator"])


def amount(text: str) -> Decimal:
    return Decimal(text)


def test_months_of_the_story_move_as_worked_out_by_hand(story: dict[str, Rows]) -> None:
    # Six pay 5.99; 50 a year is 4.166667 a month; half of 8.99 is 4.495; a coupon for once takes nothing off 8.99.
    assert movements(story, "01-01") == {"new": (9, amount("53.591667")), "closing": (9, amount("53.591667"))}
    # Three times 50 a year is 12.5 a month. One subscription ended on the 20th, one was unpaid on the 15th.
    assert movements(story, "02-01") == {
        "opening": (9, amount("53.591667")),
        "expansion": (1, amount("8.333333")),
        "churn": (2, amount("11.980000")),
        "closing": (7, amount("49.945000")),
    }
    # From 5.99 to 6.99 on the 5th, from 5.99 to 80 a year on the 10th. One comes back on the 1st; one pauses on the 1st
    # and goes on on the 20th.
    assert movements(story, "03-01") == {
        "opening": (7, amount("49.945000")),
        "expansion": (2, amount("1.676667")),
        "churn": (1, amount("5.990000")),
        "reactivation": (2, amount("11.980000")),
        "closing": (8, amount("57.611667")),
    }
    assert movements(story, "01-15", grain="day")["new"] == (1, amount("5.990000"))  # the trial is over
    assert movements(story, "03-04", grain="day")["closing"][1] == amount("55.935000") - amount("5.990000")
    assert movements(story, "03-05", grain="day")["expansion"] == (1, amount("1.000000"))


def test_a_change_of_plan_is_a_switch_in_its_plans(story: dict[str, Rows]) -> None:
    assert movements(story, "03-10", grain="day")["expansion"] == (1, amount("0.676667"))
    assert movements(story, "03-10", "EUR", "plan", "premium", "day")["switched_out"] == (1, amount("5.990000"))
    assert movements(story, "03-10", "EUR", "plan", "pro", "day")["switched_in"] == (1, amount("6.666667"))
    assert movements(story, "03-10", "EUR", "billing_cycle", "annual", "day")["switched_in"] == (1, amount("6.666667"))
    assert movements(story, "02-01", "EUR", "country", "FR") == {
        "opening": (1, amount("4.166667")),
        "expansion": (1, amount("8.333333")),
        "closing": (1, amount("12.500000")),
    }


def test_currencies_have_their_own_units_and_a_total_that_lacks_a_rate_is_null(story: dict[str, Rows]) -> None:
    assert movements(story, "02-01", "JPY") == {"new": (1, amount("900")), "closing": (1, amount("900"))}
    assert movements(story, "02-01", "KWD") == {"new": (1, amount("1.25")), "closing": (1, amount("1.25"))}
    assert movements(story, "01-01", "all")["closing"] == (9, amount("53.591667"))
    assert movements(story, "02-01", "all") == {
        "opening": (9, amount("53.591667")),
        "new": (2, None),
        "expansion": (1, amount("8.333333")),
        "churn": (2, amount("11.980000")),
        "fx": (2, None),
        "closing": (9, None),
    }
    assert metric(story, "mrr", "01-01") == 53.591667
    assert metric(story, "mrr", "02-01") is None
    assert metric(story, "mrr", "02-01", "currency", "JPY") == 900
    assert metric(story, "mrr", "02-01", "plan", "premium") is None
    assert metric(story, "mrr", "02-01", "plan", "pro") == 13.485
    assert metric(story, "gross_volume", "02-01") is None
    assert metric(story, "gross_volume", "02-01", "currency", "KWD") == 1.25


# What other tools were reported to get wrong; each customer is one report.
HALF_OFF_FOR_EVER = discount("withdrawn", "forever", percent_off=50)
HALF_OFF_FOR_EVER["source"]["coupon"]["valid"] = False
OTHERS_GOT_WRONG = [
    # A coupon of more than the price, a coupon that may be given no more, one of 100 % for some months.
    Version(
        subscription("over", "01-02", PREMIUM, discounts=[discount("over", "forever", amount_off=2000, currency="eur")])
    ),
    Version(subscription("withdrawn", "01-02", PREMIUM, discounts=[HALF_OFF_FOR_EVER])),
    Version(subscription("months", "01-02", PREMIUM, discounts=[discount("months", "repeating", percent_off=100)])),
    # One says on the 1st that it ends on the 20th; its price is taken off once.
    Version(
        subscription("gone", "01-02", PRO, status="canceled", canceled_at=seconds("02-01"), ended_at=seconds("02-20"))
    ),
    # Pays less from March on, and stays.
    *changed_once("less", "01-02", PRO, "03-05", to=PREMIUM),
    # Moved to another product: the old subscription ends, and the new one begins five minutes later.
    Version(subscription("moved_old", "01-02", PREMIUM, status="canceled", ended_at=seconds("02-10 10:00"))),
    Version(subscription("moved_new", "02-10 10:05", PRO)),
    # Begun and ended on one day.
    Version(subscription("hours", "02-12 09:00", PRO, status="canceled", ended_at=seconds("02-12 15:00"))),
    # Nobody pays for a draft of one, nor for a first payment that never came.
    Version(subscription("never", "02-12", PRO, status="incomplete_expired", ended_at=seconds("02-13"))),
    # Forint and new Taiwan dollars have two decimals at Stripe, whatever is in shops; Icelandic kronur, too.
    Version(subscription("forint", "01-02", price(999000, currency="huf"))),
    Version(subscription("taiwan", "01-02", price(15000, currency="twd"))),
    Version(subscription("iceland", "01-02", price(99000, currency="isk"))),
    *map(
        Version,
        [
            *PRODUCTS,
            charge("1", "01-10", 10000, amount_refunded=10000),
            # A refund that was canceled: the charge has it no more, and the balance got it back.
            charge("2", "01-11", 5000),
            balance("1", "01-10", "charge", "ch_1", 10000, 320),
            # Stripe gave back a part of its fee with the refund.
            balance("2", "01-12", "refund", "re_1", -10000, -290),
            balance("3", "01-11", "charge", "ch_2", 5000, 175),
            balance("4", "01-13", "refund", "re_2", -5000),
            balance("5", "01-15", "refund_failure", "re_2", 5000),
            # A bank debit that came back days later: it was a charge, and is none.
            balance("6", "01-16", "payment_failure_refund", "py_1", -700),
        ],
    ),
]


@pytest.fixture(scope="module")
def others(models: Models, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Rows]:
    return sql_tables([(NOW, OTHERS_GOT_WRONG)], models, tmp_path_factory.mktemp("others"))


def test_what_other_tools_were_reported_to_get_wrong_about_mrr(others: dict[str, Rows]) -> None:
    # Half of 5.99, 5.99 whose months free are no MRR of theirs, 8.99 twice, and 5.99 before the move; nothing below 0.
    assert movements(others, "01-02", grain="day") == {
        "new": (5, amount("32.955000")), "closing": (5, amount("32.955000"))
    }  # fmt: skip
    assert movements(others, "02-01", grain="day").keys() == {"opening", "closing"}, "it says so, and is still there"
    assert movements(others, "02-20", grain="day")["churn"] == (1, amount("8.990000"))
    moved = movements(others, "02-10", grain="day")
    assert moved == {
        "opening": (5, amount("32.955000")), "expansion": (1, amount("3.000000")), "closing": (5, amount("35.955000"))
    }  # fmt: skip
    assert movements(others, "02-12", grain="day").keys() == {"opening", "closing"}
    assert metric(others, "subscribers", "02-28", grain="day") == 7
    closing = {code: movements(others, "02-01", code)["closing"][1] for code in ("HUF", "TWD", "ISK")}
    assert closing == {"HUF": 9990, "TWD": 150, "ISK": 990}
    assert [metric(others, "subscriber_churn_rate", month) for month in ("02-01", "03-01")] == [(1, 8), (0, 7)]
    assert metric(others, "mrr_contraction", "03-01", "currency", "EUR") == 3
    assert metric(others, "mrr_churn", "02-01", "currency", "EUR") == 8.99


def test_what_other_tools_were_reported_to_get_wrong_about_payments(others: dict[str, Rows]) -> None:
    assert metric(others, "refund_rate", "01-01") == (1, 2), "a refund that was canceled is none"
    # 100 given back; 50 more on the 13th, which came back on the 15th.
    assert [metric(others, "refunds", day, grain="day") for day in ("01-12", "01-13", "01-15")] == [100, 50, -50]
    assert metric(others, "refunds", "01-01") == 100
    assert metric(others, "fees", "01-01") == pytest.approx(3.2 - 2.9 + 1.75)
    # 96.80 and 48.25 came in; 97.10 went out; the debit that came back took 7.
    assert metric(others, "net_volume", "01-01") == pytest.approx(96.8 + 48.25 - 97.1 - 7)


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
def converted(models: Models, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Rows]:
    readings, rates = [(ON_THE_20TH, THREE_CURRENCIES)], [(ON_THE_20TH, RATES)]
    return sql_tables(readings, models, tmp_path_factory.mktemp("converted"), rates)


def test_a_total_is_converted_at_the_rate_of_each_day_and_fx_is_what_is_left(converted: dict[str, Rows]) -> None:
    # EUR 10, and USD 11 at 1.10.
    assert movements(converted, "01-05", "all", grain="day") == {
        "new": (2, amount("20.000000")),
        "fx": (1, amount("0")),
        "closing": (2, amount("20.000000")),
    }
    # Saturday, at Friday's rate: USD 6 more are 5.4545454..., USD 17 are 15.4545454...
    assert movements(converted, "01-06", "all", grain="day") == {
        "opening": (2, amount("20.000000")),
        "new": (1, amount("5.454545")),
        "fx": (2, amount("0")),
        "closing": (3, amount("25.454545")),
    }
    # Monday without rates, at Friday's: JPY 1,500 at 160.
    assert movements(converted, "01-08", "all", grain="day") == {
        "opening": (3, amount("25.454545")),
        "new": (1, amount("9.375000")),
        "fx": (3, amount("0")),
        "closing": (4, amount("34.829545")),
    }
    # USD 2 more at 1.20. USD 19 are 15.8333..., JPY 1,500 at 150 are 10. USD 17 lost 1.287879, JPY 1,500 won 0.625.
    assert movements(converted, "01-09", "all", grain="day") == {
        "opening": (4, amount("34.829545")),
        "expansion": (1, amount("1.666667")),
        "fx": (3, amount("-0.662879")),
        "closing": (4, amount("35.833333")),
    }
    # USD 6 less at 1.25. USD 13 are 10.4; the yen's rate is of the day before. USD 19 lost 0.633333.
    assert movements(converted, "01-10", "all", grain="day") == {
        "opening": (4, amount("35.833333")),
        "churn": (1, amount("4.800000")),
        "fx": (2, amount("-0.633333")),
        "closing": (3, amount("30.400000")),
    }
    assert metric(converted, "mrr", "01-08", grain="week") == 30.4
    assert metric(converted, "mrr_expansion", "01-08", grain="week") == 1.666667
    assert metric(converted, "mrr_net_new", "01-08", grain="week") == 6.241667  # 9.375 + 1.666667 - 4.8: no fx
    assert metric(converted, "mrr", "01-09", "currency", "USD", "day") == 19


def test_a_rate_is_used_for_seven_days_and_then_the_total_is_not_known(converted: dict[str, Rows]) -> None:
    assert metric(converted, "mrr", "01-16", grain="day") == 30.4
    assert movements(converted, "01-17", "all", grain="day") == {  # the yen's rate is 8 days old
        "opening": (3, amount("30.400000")),
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


def test_what_lacks_a_rate_is_told_with_its_currency_days_and_amount(converted: dict[str, Rows]) -> None:
    told = {
        (row["object_type"], row["currency"]): (
            row["objects"], row["amount"], row["first_day"], row["last_day"], row["example"], row["metric_ids"]
        )
        for row in converted["pub_not_counted"]
    }  # fmt: skip
    of_mrr = "arr,mrr,mrr_churn,mrr_contraction,mrr_expansion,mrr_net_new,mrr_new,mrr_reactivation"
    # The rates are used up to the 16th (yen) and 17th (dollars); the last day known is the 19th. The dollar that ended
    # on the 10th is not among them, nor are charges of days with rates.
    assert told == {
        ("subscription_item", "JPY"): (1, 1500, date(2024, 1, 17), date(2024, 1, 19), "si_yen", of_mrr),
        ("subscription_item", "USD"): (1, 13, date(2024, 1, 18), date(2024, 1, 19), "si_dollar", of_mrr),
        ("charge", "USD"): (1, 12, date(2024, 1, 18), date(2024, 1, 18), "ch_4", "gross_volume"),
    }


def test_payments_are_converted_on_their_own_days(converted: dict[str, Rows]) -> None:
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
    assert movements(tables, "01-08", "all", grain="day")["closing"] == (4, amount("38.312500"))
    assert movements(tables, "01-08", "all", grain="day")["fx"] == (2, amount("0"))
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
    assert movements(tables, "01-06", "all", grain="day")["closing"] == (3, amount("27.000000"))
    assert movements(tables, "01-10", "all", grain="day")["closing"] == (3, amount("30.400000"))


def completeness(tables: dict[str, Rows], metric_id: str, start: str, segment: str = "all", of: str = "all") -> bool:
    [row] = [
        row
        for row in tables["pub_metric_values"]
        if (row["metric_id"], row["grain"], row["period_start"], row["segment"], row["segment_value"])
        == (metric_id, "day", at(start).date(), segment, of)
    ]
    return bool(row["is_complete"])


def test_a_total_is_complete_once_the_rates_of_its_days_are_known(
    converted: dict[str, Rows], models: Models, tmp_path: Path
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
        "opening": (1, amount("10.000000")),
        "closing": (1, amount("10.000000")),
    }


def test_subscribers_and_churn(story: dict[str, Rows]) -> None:
    assert [metric(story, "subscribers", month) for month in ("01-01", "02-01", "03-01")] == [9, 9, 10]
    assert metric(story, "subscriber_churn_rate", "02-01") == (2, 9)
    assert metric(story, "subscriber_churn_rate", "02-01", "currency", "EUR") == (2, 9)
    # On 1 March three have left since 1 February, the day before which 9 were there; two came on it.
    assert metric(story, "subscriber_churn_rate_30d", "03-01", grain="day") == (3, 11)
    # On 15 March the one of 15 February is the oldest of the 30 days; on the 16th it is none of them.
    assert metric(story, "subscriber_churn_rate_30d", "03-15", grain="day") == (3, 11)
    assert metric(story, "subscriber_churn_rate_30d", "03-16", grain="day") == (2, 10)
    # April is running: what there is on its last day.
    assert metric(story, "arr", "04-01", "currency", "EUR") == 691.340004
    assert metric(story, "mrr_net_new", "03-01", "currency", "EUR") == 7.666667


def test_payments_are_told_by_their_attempts(story: dict[str, Rows]) -> None:
    # Of 7 payments 2 succeed at once, 1 later, 2 fail; 1 is blocked and 1 pending.
    columns = ("payments", "attempts", "decline_code", "amount")
    assert {row["outcome"]: tuple(row[column] for column in columns) for row in outcomes(story)} == {
        "first_attempt": (2, 2, None, amount("18.990")),
        "recovered": (1, 2, "insufficient_funds", amount("5.990")),
        "failed: expired_card": (1, 1, "expired_card", amount("5.990")),
        "failed: insufficient_funds": (1, 1, "insufficient_funds", amount("5.990")),
        "blocked": (1, 1, "highest_risk_level", amount("5.990")),
        "pending": (1, 1, None, amount("5.990")),
    }  # fmt: skip
    assert metric(story, "payments", "01-01") == 7
    assert metric(story, "payment_success_rate", "01-01") == (3, 5)
    assert metric(story, "first_attempt_success_rate", "01-01") == (2, 5)
    assert metric(story, "attempt_success_rate", "01-01") == (3, 6)
    # The first invoice and the first one after a trial failed, too, and do not count.
    assert metric(story, "recovery_rate", "01-01") == (1, 1)


def outcomes(story: dict[str, Rows]) -> Rows:
    """January's payments in EUR; failed ones by their decline code."""
    return [
        {**row, "outcome": f"failed: {row['decline_code']}" if row["outcome"] == "failed" else row["outcome"]}
        for row in story["pub_payment_outcomes"]
        if (row["grain"], row["period_start"], row["currency"]) == ("month", date(2024, 1, 1), "EUR")
    ]


def test_volumes_stand_on_their_own_dates_and_add_up(story: dict[str, Rows]) -> None:
    # 5.99 + 8.99 + 6 of 10 captured. Fees of the charges 1.30, and 2.00 apart. The payout is none of it.
    assert metric(story, "gross_volume", "01-01") == 20.98
    assert metric(story, "refunds", "01-01") == 3
    assert metric(story, "fees", "01-01") == 3.3
    assert metric(story, "net_volume", "01-01") == 14.68
    assert metric(story, "disputes", "01-01") == 0
    assert metric(story, "disputes", "02-01") == 11.99
    assert metric(story, "net_volume", "02-01") == -41.99
    assert metric(story, "disputes", "03-01") == -5.99  # won back
    assert metric(story, "refund_rate", "01-01") == (
        1,
        3,
    )  # of the fourth 6.00 of 10.00 were captured, and none returned
    assert metric(story, "dispute_rate", "01-01") == (2, 3)


def test_no_money_and_no_rate_is_a_double_or_loses_a_decimal(story: dict[str, Rows], story_home: Path) -> None:
    """Of all models: amounts as Stripe has them keep 3 decimals, all that is divided or converted keeps 6 or more.

    `metric_values` holds all metrics, and has doubles: nothing computes with them.
    """
    with duckdb.connect(str(story_home / "warehouse.duckdb"), read_only=True) as connection:
        columns = connection.execute(
            "select table_name, column_name, data_type from information_schema.columns "
            "where table_schema in ('staging', 'intermediate', 'marts', 'metrics', 'published') "
            "and regexp_matches(column_name, '(^|_)(amount|mrr|off|per_euro|change)$') "
            "and data_type not in ('BIGINT', 'INTEGER', 'BOOLEAN')"
        ).fetchall()
    scales = {f"{table}.{column}": re.fullmatch(r"DECIMAL\(\d+,(\d+)\)", kind) for table, column, kind in columns}
    assert [name for name, scale in scales.items() if scale is None] == []
    divided = {name: int(scale[1]) for name, scale in scales.items() if scale and re.search("mrr|price|per_euro", name)}
    assert {"int_subscription_item_spells.mrr", "pub_mrr_movements.amount"} < divided.keys()
    assert [name for name, scale in divided.items() if scale < 6] == []
    assert [name for name, scale in scales.items() if scale and int(scale[1]) < 3] == []


# In New York, five hours behind. The first payment fails twice, for one reason and then another; the second once, in
# the very second in which it succeeds; the third fails twice in one second. Of the next two the bank asks for one, and
# takes back the other. The first charge that succeeds is refunded in part three days later.
LATE_IN_THE_EVENING = [
    charge("1z", "01-06 02:00", 599, **failed("insufficient_funds")),
    charge("1y", "01-07 02:00", 599, **failed("expired_card")),
    charge("1a", "01-08 02:00", 599, amount_refunded=200),
    charge("2a", "01-09 02:00", 899),
    charge("2b", "01-09 02:00", 899, **failed("do_not_honor")),
    charge("3a", "01-10 02:00", 300, **failed("lost_card")),
    charge("3B", "01-10 02:00", 300, **failed("stolen_card")),
    charge("4", "01-11 02:00", 700),
    charge("5", "01-12 02:00", 800),
    balance("1", "01-08 02:00", "charge", "ch_1a", 599, 40),
    balance("2", "01-11 02:00", "refund", "re_1", -200),
    balance("3", "01-20 02:00", "dispute", "dp_lost", -800, 1500),
    {
        "id": "re_1",
        "object": "refund",
        "created": seconds("01-11"),
        "charge": "ch_1a",
        "amount": 200,
        "currency": "eur",
    },
    *(
        {"id": f"dp_{status}", "object": "dispute", "created": seconds("01-15"), "charge": charge_id, "status": status}
        | {"amount": 700, "currency": "eur"}
        for status, charge_id in (("warning_needs_response", "ch_4"), ("lost", "ch_5"))
    ),
]


def test_days_order_and_reasons_of_payments_are_those_of_the_reporting_zone(models: Models, tmp_path: Path) -> None:
    tables = sql_tables(
        [(NOW, map(Version, LATE_IN_THE_EVENING))],
        needed_for(models, "pub_payment_outcomes", "pub_metric_values"),
        tmp_path,
        TAILTRACKER_TIMEZONE="America/New_York",
    )

    def by_day(metric_id: str) -> dict[str, Any]:
        """What is not 0, by the day in January."""
        found = {day: metric(tables, metric_id, f"01-{day:02}", grain="day") for day in range(5, 21)}
        return {f"{day:02}": value for day, value in found.items() if value not in (0, (0, 0))}

    assert by_day("payments") == {"05": 1, "08": 1, "09": 1, "10": 1, "11": 1}
    assert by_day("gross_volume") == {"07": 5.99, "08": 8.99, "10": 7, "11": 8}
    assert by_day("refunds") == {"10": 2}
    assert by_day("disputes") == {"19": 8}
    assert by_day("fees") == {"07": 0.4, "19": 15}
    assert by_day("net_volume") == {"07": 5.59, "10": -2, "19": -23}
    # By the charge's day. The bank that only asked has taken nothing back.
    assert by_day("refund_rate") == {"07": (1, 1), "08": (0, 1), "10": (0, 1), "11": (0, 1)}
    assert by_day("dispute_rate") == {"07": (0, 1), "08": (0, 1), "10": (0, 1), "11": (1, 1)}
    assert metric(tables, "first_attempt_success_rate", "01-01") == (2, 5)
    days = [row for row in tables["pub_payment_outcomes"] if (row["grain"], row["currency"]) == ("day", "EUR")]
    assert sorted((row["period_start"].day, row["outcome"], row["attempts"]) for row in days) == [
        (5, "recovered", 3),
        (8, "recovered", 2),
        (9, "failed", 2),
        (10, "first_attempt", 1),
        (11, "first_attempt", 1),
    ]
    assert {(row["outcome"], row["decline_code"]): row["payments"] for row in outcomes(tables)} == {
        ("recovered", "insufficient_funds"): 1,
        ("recovered", "do_not_honor"): 1,
        ("failed: stolen_card", "stolen_card"): 1,  # a capital letter comes before a small one
        ("first_attempt", None): 2,
    }


def test_old_and_new_shapes_give_equal_rows(story: dict[str, Rows], models: Models, tmp_path: Path) -> None:
    names = [name for _, name, _ in models if name.startswith("stg_stripe__")]
    old = [version for version in map(in_old_shape, STORY) if version]
    rows = sql_tables([(NOW, old)], needed_for(models, *names), tmp_path)
    assert len(names) == 15
    for name in names:
        assert sorted(map(repr, rows[name])) == sorted(map(repr, story[name])), name


def test_discounts_that_last_lower_what_they_are_on_while_they_are_there(models: Models, tmp_path: Path) -> None:
    two = subscription(
        "two", "01-01", PREMIUM, discounts=[discount("three", "forever", amount_off=300, currency="eur")]
    )
    two["items"]["data"].append({**two["items"]["data"][0], "id": "si_two_more", "price": PRO})
    half = discount("half", "forever", percent_off=50.0)
    bare = subscription("bare", "01-01", PREMIUM, discounts=["di_half"])
    more = subscription("bare", "01-01", PREMIUM, discounts=["di_half"], quantity=2)
    customer = {"id": "cus_ten", "object": "customer", "created": seconds("01-01"), "discount": None}
    ten = {**customer, "discount": discount("ten", "forever", percent_off=10.0) | {"start": seconds("01-10")}}
    told = [
        Version(two),
        *changed(bare, more, "01-20"),
        Version({**more, "discounts": [half]}),
        Version(subscription("ten", "01-01", PREMIUM)),
        *changed(ten, customer, "02-01"),
        *map(Version, [customer, *PRODUCTS]),
    ]
    tables = sql_tables([(NOW, told)], needed_for(models, "pub_mrr_movements"), tmp_path)
    spells = sorted(
        (row["customer_id"], row["from_date"].isoformat(), row["plan"], row["mrr"])
        for row in tables["int_subscription_item_spells"]
        if row["from_date"] < NOW.date()
    )
    assert spells == [
        ("cus_bare", "2024-01-01", "premium", amount("2.995")),  # the terms stand in a later version
        ("cus_bare", "2024-01-20", "premium", amount("5.99")),
        ("cus_ten", "2024-01-01", "premium", amount("5.99")),
        ("cus_ten", "2024-01-10", "premium", amount("5.391")),
        ("cus_ten", "2024-02-01", "premium", amount("5.99")),
        # 3.00 off 14.98: 3 x 5.99 / 14.98 = 1.199599 from one, 3 x 8.99 / 14.98 = 1.800401 from the other.
        ("cus_two", "2024-01-01", "premium", amount("4.790401")),
        ("cus_two", "2024-01-01", "pro", amount("7.189599")),
    ]


def test_each_discount_takes_its_part_of_what_the_one_before_left(models: Models, tmp_path: Path) -> None:
    hundred, pro = price(10_000), price(5000, "pro")
    off = discount("off", "forever", amount_off=2000, currency="eur")
    tenth = discount("tenth", "forever", percent_off=10.0)
    option = discount(
        "option", "forever", amount_off=3000, currency="usd", currency_options={"eur": {"amount_off": 2500}}
    )
    dollars = discount("dollars", "forever", amount_off=3000, currency="usd")
    all_of_pro = discount(
        "all_of_pro", "forever", amount_off=9000, currency="eur", applies_to={"products": ["prod_pro"]}
    )
    half_of_other = discount("other", "forever", percent_off=50.0, applies_to={"products": ["prod_other"]})

    def of(who: str, *discounts: Object, price: Object = hundred) -> Object:
        return subscription(who, "01-01", price, discounts=list(discounts))

    both = of("both", all_of_pro, tenth)
    both["items"]["data"].append({**both["items"]["data"][0], "id": "si_both_pro", "price": pro})
    on_item = of("item", off)
    on_item["items"]["data"][0]["discounts"] = [tenth]
    # The same id, made anew: each discount keeps the terms that it was given with.
    anew = [discount("anew", "forever", percent_off=percent) | {"id": f"di_{percent}"} for percent in (30.0, 10.0)]
    repeating = discount("spring", "repeating", percent_off=25.0, duration_in_months=3) | {"id": "di_now"}
    told = [
        of("amount_first", off, tenth),
        of("share_first", tenth, off),
        of("option", option),
        of("dollars", dollars),
        both,
        on_item,
        of("other", half_of_other),
        of("old", anew[0]),
        of("new", anew[1]),
        of("spring_old", discount("spring", "forever", percent_off=25.0)),
        of("spring_new", repeating),
        *PRODUCTS,
    ]
    tables = sql_tables([(NOW, map(Version, told))], needed_for(models, "int_subscription_item_spells"), tmp_path)
    assert sorted(
        (row["subscription_id"].removeprefix("sub_"), row["plan"], str(row["mrr"]))
        for row in tables["int_subscription_item_spells"]
    ) == [
        ("amount_first", "premium", "72.000000"),  # (100 - 20) x 0.9
        ("both", "premium", "90.000000"),  # all of pro is gone, and no more than that
        ("dollars", "premium", "100.000000"),
        ("item", "premium", "70.000000"),  # what is on the item comes first: 100 x 0.9 - 20
        ("new", "premium", "90.000000"),
        ("old", "premium", "70.000000"),
        ("option", "premium", "75.000000"),
        ("other", "premium", "100.000000"),
        ("share_first", "premium", "70.000000"),
        ("spring_new", "premium", "100.000000"),
        ("spring_old", "premium", "75.000000"),
    ]


def test_tiers_and_currency_options_price_what_the_subscription_is_billed_for(models: Models, tmp_path: Path) -> None:
    def tiered(name: str, mode: str, *tiers: Object, **fields: Any) -> Object:
        bare = price(0) | {"id": name, "unit_amount": None, "unit_amount_decimal": None, "billing_scheme": "tiered"}
        return bare | {"tiers_mode": mode, "tiers": list(tiers), **fields}

    def tier(up_to: int | None, unit: int | None, flat: int | None = None) -> Object:
        return {"up_to": up_to, "unit_amount": unit, "flat_amount": flat}

    graduated = tiered("graduated", "graduated", tier(5, 1000), tier(None, 800))
    volume = tiered("volume", "volume", tier(10, 900), tier(None, 700))
    flat = tiered("flat", "graduated", tier(2, None, 500), tier(None, 150, 100))
    # Tiers come in any order, and by currency in the options.
    dollars = tiered("dollars", "volume", tier(None, 1, 0), currency="usd")
    dollars["currency_options"] = {"eur": {"tiers": [tier(None, 200), tier(3, 300, 50)]}}
    two = price(1200, currency="usd") | {
        "id": "two",
        "currency_options": {
            "usd": {"unit_amount": 1200},
            "eur": {"unit_amount": 1000, "unit_amount_decimal": "1000.5"},
        },
    }

    def of(who: str, price: Object, quantity: int = 1, currency: str = "eur") -> Object:
        embedded = {name: value for name, value in price.items() if name not in {"tiers", "currency_options"}}
        return subscription(who, "01-01", embedded, quantity=quantity) | {"currency": currency}

    told = [
        of("graduated_5", graduated, 5),
        of("graduated_8", graduated, 8),
        of("volume_10", volume, 10),
        of("volume_11", volume, 11),
        of("flat_1", flat),
        of("flat_4", flat, 4),
        of("option_tiers_3", dollars, 3),
        of("option_tiers_4", dollars, 4),
        of("option", two, 2),
        of("own", two, 2, "usd"),
        of("neither", two, 2, "gbp"),
        *[graduated, volume, flat, dollars, two],
        *PRODUCTS,
    ]
    needed = needed_for(models, "int_subscription_item_spells", "fct_stripe_not_counted")
    tables = sql_tables([(NOW, map(Version, told))], needed, tmp_path)
    assert {
        row["subscription_id"].removeprefix("sub_"): (row["currency"], str(row["mrr"]))
        for row in tables["int_subscription_item_spells"]
    } == {
        "graduated_5": ("EUR", "50.000000"),
        "graduated_8": ("EUR", "74.000000"),  # 5 x 10 + 3 x 8
        "volume_10": ("EUR", "90.000000"),
        "volume_11": ("EUR", "77.000000"),
        "flat_1": ("EUR", "5.000000"),
        "flat_4": ("EUR", "9.000000"),  # 5 + 2 x 1.50 + 1
        "option_tiers_3": ("EUR", "9.500000"),
        "option_tiers_4": ("EUR", "8.000000"),
        "option": ("EUR", "20.010000"),
        "own": ("USD", "24.000000"),
    }
    [left_out] = tables["fct_stripe_not_counted"]
    assert (left_out["object_type"], left_out["object_id"]) == ("subscription_item", "si_neither")
    assert (left_out["what"], left_out["currency"]) == ("price without an amount in the currency", "GBP")


def test_events_of_one_second_that_go_round_end_where_they_began(models: Models, tmp_path: Path) -> None:
    """From 3 seats to 4 and back within a second, in either order of arrival, of many: none may go by its hash."""
    told = []
    for number in range(12):
        three, four = (subscription(f"{number}_x", "01-01", PREMIUM, quantity=quantity) for quantity in (3, 4))
        there, back = changed(three, four, "02-01"), changed(four, three, "02-01")
        told += [*(back + there if number % 2 else there + back), Version(three)]
    readings = [
        (at("01-15"), [version for version in told if version.origin == "list"]),
        (NOW, [*told, *map(Version, PRODUCTS)]),
    ]
    for name, some in (("known_before", readings), ("known_after", readings[1:])):
        tables = sql_tables(some, needed_for(models, "pub_mrr_movements"), tmp_path / name)
        spells = {(row["from_date"], row["mrr"]) for row in tables["int_subscription_item_spells"]}
        assert {mrr for _, mrr in spells} == {amount("17.97")}, name
        assert movements(tables, "02-01") == {
            "opening": (12, amount("215.64")),
            "closing": (12, amount("215.64")),
        }, name


def test_a_change_that_was_taken_back_without_a_word_ends_with_the_list_that_shows_it(
    models: Models, tmp_path: Path
) -> None:
    plain = subscription("a", "01-01", PREMIUM)
    paused = {**plain, "pause_collection": {"behavior": "void", "resumes_at": None}}
    readings = [
        (at("02-01"), [Version(plain), *map(Version, PRODUCTS)]),
        (at("02-05"), [*changed(plain, paused, "02-03"), Version(plain)]),
    ]
    tables = sql_tables(readings, needed_for(models, "int_subscription_item_spells"), tmp_path)
    spells = [
        (f"{row['from_date']:%m-%d}", row["to_date"] and f"{row['to_date']:%m-%d}")
        for row in tables["int_subscription_item_spells"]
    ]
    assert sorted(spells, key=str) == [("01-01", "02-03"), ("02-05", None)]


def test_a_discount_that_was_gone_before_the_first_reading_counts_until_then(models: Models, tmp_path: Path) -> None:
    """Its id stands in an event of the subscription and its terms in one of its own; a customer's in that alone."""
    fifth = discount("fifth", "forever", percent_off=20.0) | {"customer": "cus_own", "start": seconds("01-01")}
    own = subscription("own", "01-01", PREMIUM)
    whole = discount("whole", "forever", percent_off=50.0) | {"customer": "cus_whole", "start": seconds("01-10")}
    events = [
        {
            "id": f"evt_{number}",
            "object": "event",
            "type": "customer.discount.deleted",
            "created": seconds("02-10"),
            "object_type": "discount",
            "object_id": gone["id"],
            "discount": gone,
        }
        for number, gone in enumerate([{**fifth, "subscription": "sub_own"}, {**whole, "subscription": None}])
    ]
    told = [
        *changed({**own, "discounts": ["di_fifth"]}, own, "02-10"),
        *map(Version, [own, subscription("whole", "01-01", PREMIUM), *events, *PRODUCTS]),
    ]
    tables = sql_tables([(NOW, told)], needed_for(models, "int_subscription_item_spells"), tmp_path)
    spells = sorted(
        (row["subscription_id"], f"{row['from_date']:%m-%d}", str(row["mrr"]))
        for row in tables["int_subscription_item_spells"]
        if row["from_date"] < NOW.date()
    )
    assert spells == [
        ("sub_own", "01-01", "4.792000"),
        ("sub_own", "02-10", "5.990000"),
        ("sub_whole", "01-01", "5.990000"),
        ("sub_whole", "01-10", "2.995000"),
        ("sub_whole", "02-10", "5.990000"),
    ]


def test_what_no_number_holds_is_named(models: Models, tmp_path: Path) -> None:
    def of(who: str, **fields: Any) -> Object:
        return subscription(who, "01-01", PREMIUM, **fields)

    metered = {**PREMIUM, "recurring": {"interval": "month", "interval_count": 1, "usage_type": "metered"}}
    more = of("more")
    more["items"]["has_more"] = True
    ended = {"status": "canceled", "ended_at": seconds("02-01")}
    told = [
        of("known"),
        subscription("metered", "01-01", metered),
        subscription("ended", "01-01", metered, **ended),
        more,
        of("strange", status="hibernating"),
        of("clock", test_clock="clock_1"),
        of("bare", discounts=["di_nobody_knows"]),
        {"id": "cus_clock", "object": "customer", "created": seconds("01-01"), "test_clock": "clock_1"},
        charge("1", "01-05", 599),
        charge("2", "01-05", 700, status="requires_magic"),
        charge("3", "01-05", 800, currency=None),
        subscription("taxed", "01-01", {**PREMIUM, "tax_behavior": "inclusive"}),
        balance("1", "01-05", "charge", "ch_1", 599),
        balance("2", "01-05", "payout", "po_1", -500),
        balance("3", "01-05", "obligation_of_a_new_kind", "ob_1", -99),
        {"id": "dp_1", "object": "dispute", "created": seconds("01-05"), "charge": "ch_1", "amount": 599}
        | {"currency": "eur", "status": "under_a_spell"},
        *PRODUCTS,
    ]
    tables = sql_tables([(NOW, map(Version, told))], needed_for(models, "fct_stripe_not_counted"), tmp_path)
    rows = tables["fct_stripe_not_counted"]
    assert {(row["what"], row["object_id"], row["amount"]) for row in rows} == {
        ("metered price", "si_metered", None),
        ("more items than could be read", "sub_more", None),
        ("status that is not known", "sub_strange", None),
        ("subscription of a test clock", "sub_clock", None),
        ("customer of a test clock", "cus_clock", None),
        ("coupon whose terms could not be read", "di_nobody_knows", None),
        ("status that is not known", "ch_2", amount("7")),
        ("charge without an amount or a currency", "ch_3", amount("8")),
        ("price with tax in it", "si_taxed", None),
        ("movement of a kind that is not known", "txn_3", amount("-0.99")),
        ("status that is not known", "dp_1", amount("5.99")),
    }
    assert {row["day"] for row in rows if row["object_type"] == "charge"} == {date(2024, 1, 5)}


def test_an_amount_off_all_that_a_customer_has_counts_in_its_own_currency_and_where_it_lasts(
    models: Models, tmp_path: Path
) -> None:
    def discounted(who: str, currency: str, duration: str = "forever") -> list[Version]:
        off = discount(who, duration, amount_off=100, currency=currency) | {"start": seconds("01-01")}
        customer = {"id": f"cus_{who}", "object": "customer", "created": seconds("01-01"), "discount": off}
        return [Version(subscription(who, "01-01", PREMIUM)), Version(customer)]

    told = [*discounted("own", "eur"), *discounted("foreign", "usd"), *discounted("months", "eur", "repeating")]
    needed = needed_for(models, "int_subscription_item_spells")
    tables = sql_tables([(NOW, [*told, *map(Version, PRODUCTS)])], needed, tmp_path)
    found = {(row["customer_id"], row["mrr"]) for row in tables["int_subscription_item_spells"]}
    assert found == {("cus_own", amount("4.99")), ("cus_foreign", amount("5.99")), ("cus_months", amount("5.99"))}


def test_intervals_packages_and_fractions_of_a_cent_are_exact(models: Models, tmp_path: Path) -> None:
    def of(who: str, quantity: int = 1, **changes: Any) -> Version:
        return Version(subscription(who, "01-01", {**PREMIUM, **changes}, quantity=quantity))

    def every(count: int, interval: str, usage: str = "licensed") -> Object:
        return {"interval": interval, "interval_count": count, "usage_type": usage}

    told = [
        of("weekly", recurring=every(1, "week")),  # 5.99 x 52 / 12 = 25.9566...
        of("daily", recurring=every(1, "day")),  # 5.99 x 365 / 12 = 182.19583...
        of("quarterly", recurring=every(3, "month")),  # 5.99 / 3 = 1.99666...
        of("yearly", recurring=every(12, "month")),
        of("packages", 25, transform_quantity={"divide_by": 10, "round": "up"}),  # 3 packages
        of("fractions", 1000, unit_amount=None, unit_amount_decimal="0.0125"),  # 0.000125 each
        of("many", 1000, unit_amount=5000, unit_amount_decimal="5000", recurring=every(1, "year")),
        of("metered", recurring=every(1, "month", "metered")),
        of("once", recurring=None),
        of("free", unit_amount=0, unit_amount_decimal="0"),
        of("digits", unit_amount=None, unit_amount_decimal="999999999999.123456789012"),
        of("too_many", unit_amount=None, unit_amount_decimal="9999999999999"),
        of("too_much", 10**6, unit_amount=None, unit_amount_decimal="999999999999"),
    ]
    needed = needed_for(models, "int_subscription_item_spells")
    tables = sql_tables([(NOW, [*told, *map(Version, PRODUCTS)])], needed, tmp_path)
    spells = {
        row["customer_id"]: (str(row["mrr"]), row["billing_cycle"]) for row in tables["int_subscription_item_spells"]
    }
    assert spells == {
        "cus_weekly": ("25.956667", "weekly"),
        "cus_daily": ("182.195833", "daily"),
        "cus_quarterly": ("1.996667", "every 3 months"),
        "cus_yearly": ("0.499167", "annual"),
        "cus_packages": ("17.970000", "monthly"),
        "cus_fractions": ("0.125000", "monthly"),
        "cus_many": ("4166.666667", "annual"),
        "cus_digits": ("9999999999.991235", "monthly"),
    }
    assert {
        row["subscription_id"]: row["why_not"] for row in tables["int_subscription_items_priced"] if row["why_not"]
    } == {
        "sub_metered": "metered price",
        "sub_too_many": "amount beyond what is computed",
        "sub_too_much": "amount beyond what is computed",
    }
    # No float on the way: what is one ends with another type.
    units = {row["subscription_id"]: type(row["unit_amount"]) for row in tables["stg_stripe__subscription_items"]}
    assert {who for who, kind in units.items() if kind is not Decimal} == {"sub_too_many"}
    assert {type(row["quantity"]) for row in tables["stg_stripe__subscription_items"]} == {int}


def test_amounts_of_every_currency_are_exact_up_to_the_metrics(models: Models, tmp_path: Path) -> None:
    # From 2 ** 53 on doubles can't tell whole numbers apart. ISK and UGX have no decimals, and come as if they had 2.
    most = 2**53 - 1
    paid = [("jpy", most), ("jpy", 2), ("kwd", most), ("isk", 50_000), ("ugx", 123_400), ("usd", most), ("usd", 2)]
    charges = [
        charge(str(number), "01-05", minor_units, currency, payment_intent=None)
        for number, (currency, minor_units) in enumerate(paid)
    ]
    # More is given back than the 0.02 that were paid.
    refund = {"id": "re_1", "object": "refund", "created": seconds("01-06"), "charge": "ch_6", "amount": 700}
    moved = [
        balance("1", "01-05", "charge", "ch_6", 2) | {"currency": "usd"},
        balance("2", "01-06", "refund", "re_1", -700) | {"currency": "usd"},
        balance("3", "01-07", "refund", "re_1", -most) | {"currency": "jpy"},
    ]
    told = [*charges, refund | {"currency": "usd"}, *moved, {"id": "cus_price", "object": "customer", "created": 1}]
    needed = needed_for(models, "pub_payment_outcomes", "pub_metric_values", "stg_stripe__charges")
    tables = sql_tables([(NOW, map(Version, told))], needed, tmp_path)
    assert {row["charge_id"]: str(row["captured_amount"]) for row in tables["stg_stripe__charges"]} == {
        "ch_0": "9007199254740991.000",
        "ch_1": "2.000",
        "ch_2": "9007199254740.991",
        "ch_3": "500.000",
        "ch_4": "1234.000",
        "ch_5": "90071992547409.910",
        "ch_6": "0.020",
    }
    assert {
        row["currency"]: str(row["amount"])
        for row in tables["pub_payment_outcomes"]
        if (row["grain"], row["period_start"]) == ("month", date(2024, 1, 1)) and row["currency"] != "all"
    } == {
        "JPY": "9007199254740993.000",
        "KWD": "9007199254740.991",
        "ISK": "500.000",
        "UGX": "1234.000",
        "USD": "90071992547409.930",
    }
    assert metric(tables, "gross_volume", "01-01", "currency", "USD") == 90071992547409.93
    assert metric(tables, "refunds", "01-01", "currency", "USD") == 7
    assert metric(tables, "net_volume", "01-01", "currency", "USD") == -6.98
    assert metric(tables, "refunds", "01-01", "currency", "JPY") == 9007199254740991


def test_pauses_and_coupons_end_on_their_day(models: Models, tmp_path: Path) -> None:
    def of(who: str, **fields: Any) -> Object:
        return subscription(who, "01-01", PREMIUM, **fields)

    def paused(who: str, until: str) -> Object:
        return of(who, pause_collection={"behavior": "void", "resumes_at": seconds(until)})

    half = discount("half", "forever", percent_off=50.0)
    months = discount("months", "repeating", percent_off=50.0, duration_in_months=3)
    told = [
        *changed(of("pause"), paused("pause", "03-01"), "02-01"),  # nobody tells that it went on
        *changed(of("longer"), paused("longer", "03-01"), "02-01"),
        *changed(paused("longer", "03-01"), paused("longer", "04-01"), "02-15"),
        *changed(of("shorter"), paused("shorter", "03-01"), "02-01"),
        *changed(paused("shorter", "03-01"), of("shorter"), "02-15"),
        Version(paused("seen", "03-01")),  # since when nobody tells: it counts until it was seen, when it was over
        Version(paused("still", "04-20")),
        *changed(of("half", discounts=[half]), of("half"), "02-10"),
        *changed(of("months", discounts=[months]), of("months"), "02-10"),
        *map(Version, PRODUCTS),
    ]
    tables = sql_tables([(NOW, told)], needed_for(models, "int_subscription_item_spells"), tmp_path)
    spells = sorted(
        (
            row["customer_id"].removeprefix("cus_"),
            f"{row['from_date']:%m-%d}",
            row["to_date"] and f"{row['to_date']:%m-%d}",
            str(row["mrr"]),
        )
        for row in tables["int_subscription_item_spells"]
    )
    assert spells == [
        ("half", "01-01", "02-10", "2.995000"),
        ("half", "02-10", None, "5.990000"),
        ("longer", "01-01", "02-01", "5.990000"),
        ("longer", "04-01", None, "5.990000"),
        ("months", "01-01", "02-10", "5.990000"),
        ("months", "02-10", None, "5.990000"),
        ("pause", "01-01", "02-01", "5.990000"),
        ("pause", "03-01", None, "5.990000"),
        ("seen", "01-01", "04-10", "5.990000"),
        ("seen", "04-10", None, "5.990000"),
        ("shorter", "01-01", "02-01", "5.990000"),
        ("shorter", "02-15", None, "5.990000"),
        ("still", "01-01", "04-10", "5.990000"),
        ("still", "04-20", None, "5.990000"),
    ]


def test_what_a_second_reading_tells_moves_no_day_before_it(models: Models, tmp_path: Path) -> None:
    dearer = subscription("a", "01-01", price(699))
    ended = subscription("b", "01-01", PREMIUM, status="canceled", ended_at=seconds("03-10"))
    first = [Version(subscription(who, "01-01", PREMIUM)) for who in "ab"] + [*map(Version, PRODUCTS)]
    second = [*changed(subscription("a", "01-01", PREMIUM), dearer, "03-05"), Version(dearer), Version(ended)]
    readings = [(at("03-01"), first), (NOW, second)]
    needed = needed_for(models, "pub_mrr_movements")
    before, after = (sql_tables(readings[:count], needed, tmp_path / str(count)) for count in (1, 2))

    def days(tables: dict[str, Rows], last: str) -> dict[tuple[Any, ...], Any]:
        return {
            tuple(row[key] for key in ("period_start", "currency", "segment", "segment_value", "movement")): row[
                "amount"
            ]
            for row in tables["pub_mrr_movements"]
            if row["grain"] == "day" and row["period_start"] <= at(last).date()
        }

    assert days(before, "02-29") == days(after, "02-29")
    assert movements(after, "03-05", grain="day")["expansion"] == (1, amount("1"))
    assert movements(after, "03-10", grain="day")["churn"] == (1, amount("5.99"))
    assert movements(after, "03-01")["closing"] == (1, amount("6.99"))


def test_what_test_accounts_pay_is_left_out(models: Models, tmp_path: Path) -> None:
    content = b"test_accounts: {user_ids: [user-price]}"
    (tmp_path / "analytics.yml").write_bytes(content)
    tables = sql_tables([(NOW, STORY)], models, tmp_path, TAILTRACKER_ANALYTICS=tmp_path / "analytics.yml")
    assert metric(tables, "payments", "01-01") == 0
    assert metric(tables, "net_volume", "01-01") == -2  # the fee that belongs to nobody
    assert metric(tables, "subscribers", "01-01") == 8
    assert [row["excluded"] for row in tables["pub_data_status"] if row["table_name"] == "customers"] == [1]


def random_versions(seed: int) -> tuple[dict[str, list[tuple[datetime, Version]]], str, Rates]:
    """A few subscriptions over a few weeks, as events and one list tell of them; a time zone; rates of some days.

    A customer may pay in two currencies; of one in three worlds no rates are known.
    """
    dice = random.Random(seed)
    first = at("01-05") + timedelta(hours=dice.randrange(24))
    in_euros = [PREMIUM, PREMIUM_ANNUAL, PRO, PRO_ANNUAL, price(333, "pro", "week"), price(77, interval="day")]
    in_dollars = [price(649, currency="usd"), price(5900, "pro", "year", "usd"), price(599, "pro", currency="usd")]
    metered = {**price(500), "recurring": {"interval": "month", "interval_count": 1, "usage_type": "metered"}}
    coupons = [
        discount("third", "forever", percent_off=33.33),
        discount("off", "forever", amount_off=250, currency="eur"),
        discount("either", "forever", amount_off=120, currency="usd", currency_options={"eur": {"amount_off": 95}}),
        discount("pro", "forever", percent_off=12.5, applies_to={"products": ["prod_pro"]}),
        discount("part", "forever", amount_off=400, currency="eur", applies_to={"products": ["prod_pro", "prod_x"]}),
        discount("gift", "once", percent_off=100.0),
    ]
    found = {}
    for number in range(dice.randint(1, 6)):
        began = first + timedelta(hours=dice.randrange(600))
        prices = dice.choice([in_euros, in_euros, in_dollars])
        item = subscription(
            f"{dice.randrange(3)}_{number}", "01-01", dice.choice(prices), created=int(began.timestamp())
        )
        item["items"]["data"] += [
            {**item["items"]["data"][0], "id": f"si_more_{number}_{more}", "price": dice.choice([*prices, metered])}
            for more in range(dice.choice([0, 0, 1, 2]))
        ]
        if dice.random() < 0.4:
            item["status"] = "trialing"
            item["trial_start"] = int(began.timestamp())
            item["trial_end"] = int((began + timedelta(days=dice.choice([3, 7]))).timestamp())
        item["discounts"] = dice.sample(coupons, dice.choice([0, 0, 1, 2, 3]))
        history, moment = [], began
        for _ in range(dice.randrange(5)):
            moment += timedelta(hours=dice.randrange(1, 200))
            old, item = item, copy.deepcopy(item)
            match dice.choice(["price", "quantity", "status", "pause", "end"]):
                case "price":
                    item["items"]["data"][0]["price"] = dice.choice(prices)
                case "quantity":
                    item["items"]["data"][0]["quantity"] = dice.randint(1, 3)
                case "status":
                    item["status"] = dice.choice(["active", "past_due", "unpaid", "paused"])
                case "pause":
                    until = int((moment + timedelta(hours=dice.randrange(1, 200))).timestamp())
                    pause = {"behavior": "void", "resumes_at": dice.choice([None, until])}
                    item["pause_collection"] = None if item["pause_collection"] else pause
                case "end":
                    item |= {"status": "canceled", "ended_at": int(moment.timestamp()) - dice.choice([0, 100_000])}
            if dice.random() < 0.7:
                history += changed(old, item, f"{moment:%m-%d %H:%M:%S}")
            if item["ended_at"]:
                break
        versions = [*history, Version(item)]
        found[item["id"]] = [(version.at or NOW, version) for version in versions]
    days = [first.date() + timedelta(days=number) for number in range(-9, 80)]
    published = [day for day in days if dice.random() < 0.4 and not date(2024, 2, 1) < day < date(2024, 2, 12)]
    rates = {(day, "USD"): f"{dice.uniform(0.9, 1.2):.4f}" for day in published}
    return found, dice.choice(["UTC", "Europe/Berlin", "Pacific/Auckland"]), rates if dice.random() < 0.7 else {}


@pytest.mark.parametrize("seed", WORLDS)
def test_movements_are_those_of_the_slow_version(seed: int, models: Models, tmp_path: Path) -> None:
    subscriptions, timezone, rates = random_versions(seed)
    products = [
        Version(
            {
                "id": f"prod_{name}",
                "object": "product",
                "created": seconds("01-01"),
                "metadata": {"tier": f"prod_{name}"},
            }
        )
        for name in ("premium", "pro")
    ]
    told = [version for versions in subscriptions.values() for _, version in versions]
    tables = sql_tables(
        [(NOW, [*told, *products])],
        needed_for(models, "pub_mrr_movements"),
        tmp_path,
        [(NOW, rates)] if rates else [],
        TAILTRACKER_TIMEZONE=timezone,
    )
    given = {
        tuple(row[key] for key in ("grain", "period_start", "currency", "segment", "segment_value", "movement")): (
            row["customers"],
            row["amount"],
        )
        for row in tables["pub_mrr_movements"]
        if (row["customers"] or row["amount"] != 0) and row["segment"] != "country"
    }
    yesterday = NOW.astimezone(ZoneInfo(timezone)).date() - timedelta(days=1)
    assert differences(given, mrr_movements(subscriptions, date(2024, 1, 1), yesterday, timezone, rates)) == {}
