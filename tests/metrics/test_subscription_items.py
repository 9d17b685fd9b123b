"""What an item of a subscription pays a month, from which day to which: prices, tiers, discounts, pauses."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.worlds.stripe_story import (
    NOW,
    PREMIUM,
    PREMIUM_ANNUAL,
    PRO,
    PRO_ANNUAL,
    PRODUCTS,
    at,
    billed,
    changed,
    discount,
    line,
    price,
    seconds,
    single_line,
    subscription,
)
from tests.worlds.stripe_worlds import Models, Object, Version, needed_for, sql_tables


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
        ("cus_bare", "2024-01-01", "premium", Decimal("2.995")),  # the terms stand in a later version
        ("cus_bare", "2024-01-20", "premium", Decimal("5.99")),
        ("cus_ten", "2024-01-01", "premium", Decimal("5.99")),
        ("cus_ten", "2024-01-10", "premium", Decimal("5.391")),
        ("cus_ten", "2024-02-01", "premium", Decimal("5.99")),
        # 3.00 off 14.98: 3 x 5.99 / 14.98 = 1.199599 from one, 3 x 8.99 / 14.98 = 1.800401 from the other.
        ("cus_two", "2024-01-01", "premium", Decimal("4.790401")),
        ("cus_two", "2024-01-01", "pro", Decimal("7.189599")),
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
    assert found == {("cus_own", Decimal("4.99")), ("cus_foreign", Decimal("5.99")), ("cus_months", Decimal("5.99"))}


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


def test_bills_tell_what_items_cost_before_the_first_version_that_is_known(models: Models, tmp_path: Path) -> None:
    """First read on 10 April, as it is since 1 March: 30 days before that, on 11 March, nobody but bills tells."""
    fractions = price(0) | {"id": "price_fractions", "unit_amount": None, "unit_amount_decimal": "0.0125"}
    gone = price(100) | {"id": "price_gone"}
    metered = price(50) | {"id": "price_metered"}
    metered["recurring"] = metered["recurring"] | {"usage_type": "metered"}
    half = discount("half", "forever", percent_off=50.0)
    shrunk = subscription("shrunk", "01-01", PREMIUM, quantity=1)
    shrunk["items"]["data"].append({**shrunk["items"]["data"][0], "id": "si_more", "price": PRO})
    tiers = line("t1", "tiers", "01-01", "02-01", PREMIUM, quantity=5, amount=5000)
    told = [
        # Three, two, and one since; what is billed for a part tells nothing.
        subscription("plain", "01-01", PREMIUM, discounts=[half]),
        billed("p1", "plain", "01-01", line("p1", "plain", "01-01", "02-01", PREMIUM, quantity=3)),
        billed("p2", "plain", "02-01", line("p2", "plain", "02-01", "03-01", PREMIUM, quantity=2)),
        billed("p3", "plain", "02-10", line("p3", "plain", "02-10", "03-01", PRO, proration=True)),
        billed("p4", "plain", "03-01", line("p4", "plain", "03-01", "04-01", PREMIUM)),
        # From another price by the year on; that of a period counts until events would have told.
        subscription("annual", "01-01", PRO),
        billed("a1", "annual", "01-01", line("a1", "annual", "01-01 00:00", "12-31", PREMIUM_ANNUAL)),
        # Another period that began within one; and what was billed anew counts once.
        subscription("switch", "01-01", PRO_ANNUAL),
        billed("s1", "switch", "01-01", line("s1", "switch", "01-01", "02-01", PREMIUM)),
        billed("s2", "switch", "01-15", line("s2", "switch", "01-15", "12-31", PRO_ANNUAL)),
        billed("s3", "switch", "01-16", line("s3", "switch", "01-15", "12-31", PRO_ANNUAL)),
        # Of two items one was dearer once.
        shrunk,
        billed(
            "m1", "shrunk", "01-01",
            line("m1", "shrunk", "01-01", "02-01", PRO),
            line("m2", "shrunk", "01-01", "02-01", PRO, item="more"),
        ),
        # Tiers have a line each; a bill is rounded, a price of fractions is not. Metered and single lines do not count.
        subscription("tiers", "01-01", PREMIUM),
        billed("t1", "tiers", "01-01", tiers, tiers | {"id": "il_t2", "quantity": 3, "amount": 2400}),
        subscription("fractions", "01-01", PREMIUM),
        billed(
            "f1", "fractions", "01-01",
            line("f1", "fractions", "01-01", "02-01", fractions, quantity=1000),
            line("f2", "fractions", "01-01", "02-01", metered, quantity=7),
            single_line("fractions"),
        ),
        # A price that nobody knows.
        subscription("unknown", "01-01", PREMIUM),
        billed("u1", "unknown", "01-01", line("u1", "unknown", "01-01", "02-01", gone)),
        *[PREMIUM, PRO, PREMIUM_ANNUAL, PRO_ANNUAL, fractions, metered, *PRODUCTS],
    ]  # fmt: skip
    tables = sql_tables([(NOW, map(Version, told))], needed_for(models, "int_subscription_item_spells"), tmp_path)
    spells = sorted(
        (row["subscription_id"][4:], f"{row['from_date']:%m-%d}", row["subscription_item_id"][3:], str(row["mrr"]))
        for row in tables["int_subscription_item_spells"]
    )
    assert spells == [
        ("annual", "01-01", "annual", "4.166667"),
        ("annual", "03-11", "annual", "8.990000"),
        ("fractions", "01-01", "fractions", "0.125000"),
        ("fractions", "02-01", "fractions", "5.990000"),
        ("plain", "01-01", "plain", "8.985000"),  # less what the first version has taken off
        ("plain", "02-01", "plain", "5.990000"),
        ("plain", "03-01", "plain", "2.995000"),
        ("plain", "03-11", "plain", "2.995000"),
        ("shrunk", "01-01", "more", "8.990000"),
        ("shrunk", "01-01", "shrunk", "8.990000"),
        ("shrunk", "02-01", "more", "8.990000"),
        ("shrunk", "02-01", "shrunk", "5.990000"),
        ("switch", "01-01", "switch", "5.990000"),
        ("switch", "01-15", "switch", "6.666667"),
        ("switch", "03-11", "switch", "6.666667"),
        ("tiers", "01-01", "tiers", "74.000000"),
        ("tiers", "02-01", "tiers", "5.990000"),
        ("unknown", "01-01", "unknown", "5.990000"),
    ]
    assert {
        row["plan"] for row in tables["int_subscription_item_spells"] if row["subscription_id"] == "sub_annual"
    } == {
        "premium",
        "pro",
    }
