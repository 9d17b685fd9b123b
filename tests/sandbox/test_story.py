"""The sandbox's story: told the same each time, shown alike by all sources, and true."""

from __future__ import annotations

import csv
import gzip
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import orjson
import pytest
import yaml

from tailtracker_bi.bundle.pointer import Bundle
from tailtracker_bi.sandbox.check import Difference, differences
from tailtracker_bi.sandbox.servers.app_database import SCHEMA
from tailtracker_bi.sandbox.shown.recording import record
from tailtracker_bi.sandbox.story.behaviour import KIND, NOBODY, SERVER, TESTER, Events
from tailtracker_bi.sandbox.story.money import (
    COUPONS,
    PRICES,
    Attempt,
    Customer,
    Extra,
    Invoice,
    Line,
    Payment,
    Refund,
    Subscription,
)
from tailtracker_bi.sandbox.story.plot import DAY, HOUR, NEVER
from tailtracker_bi.sandbox.story.story import Scenario, Story, tell
from tailtracker_bi.sandbox.truth import metrics as truths
from tailtracker_bi.sandbox.truth.frame import GRAINS, Truth
from tailtracker_bi.sandbox.truth.metrics import truth
from tailtracker_bi.sandbox.truth.money import FX

CATALOGUE = Path(__file__).parents[2] / "dbt_project/models/metrics"
UNTIL = date(2026, 10, 31)
SCENARIO = Scenario(people=1200, days=45, until=UNTIL, seed=7, ahead=3)
MORNING_AFTER = datetime(2026, 11, 1, 6, tzinfo=UTC)
TWO_DAYS_LATER = datetime(2026, 11, 3, 9, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def story() -> Story:
    return tell(SCENARIO)


@pytest.fixture(scope="module")
def shown(story: Story, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("shown")
    record(story, directory, MORNING_AFTER)
    return directory


def files(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def lines(path: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def events(shown: Path) -> list[dict[str, Any]]:
    return [line for path in sorted((shown / "mixpanel").iterdir()) for line in lines(path)]


def values(found: list[Truth], grain: str = "day", currency: str = "all") -> dict[str, dict[date, Any]]:
    by_metric: dict[str, dict[date, Any]] = defaultdict(dict)
    for row in found:
        if row.grain == grain and row.currency == currency:
            by_metric[row.metric_id][row.period_start] = row.value
    return by_metric


def test_the_same_scenario_gives_the_same_files(shown: Path, tmp_path: Path) -> None:
    record(tell(SCENARIO), tmp_path, MORNING_AFTER)
    assert files(tmp_path) == files(shown)


def test_another_seed_gives_another_story(story: Story) -> None:
    other = tell(Scenario(SCENARIO.people, SCENARIO.days, UNTIL, seed=8, ahead=3))
    assert other.people.user_id[0] != story.people.user_id[0]


def test_what_is_written_later_goes_on_from_what_was_written_before(story: Story, tmp_path: Path) -> None:
    going_on, from_scratch = tmp_path / "going_on", tmp_path / "from_scratch"
    record(story, going_on, MORNING_AFTER)
    before = files(going_on)
    record(story, going_on, TWO_DAYS_LATER, since=MORNING_AFTER)
    record(story, from_scratch, TWO_DAYS_LATER)
    assert files(going_on) == files(from_scratch)
    # A late event changes its own day, a week back at the most.
    changed = {name for name, content in before.items() if files(going_on)[name] != content and "mixpanel" in name}
    assert changed
    assert min(changed) > f"mixpanel/{UNTIL - timedelta(days=7)}"


def test_every_day_has_a_file_and_each_event_its_day(shown: Path) -> None:
    names = sorted(path.name for path in (shown / "mixpanel").iterdir())
    first = UNTIL - timedelta(days=SCENARIO.days - 1)
    assert names == [f"{first + timedelta(days=day)}.jsonl.gz" for day in range(SCENARIO.days + 1)]
    for name in names:
        for line in lines(shown / "mixpanel" / name):
            assert str(datetime.fromtimestamp(line["properties"]["time"], UTC).date()) in name
            assert line["properties"]["mp_processing_time_ms"] < (MORNING_AFTER.timestamp() + 1) * 1000


def test_a_device_is_nobody_s_until_its_user_signs_up(story: Story, shown: Path) -> None:
    known: dict[str, str] = {}
    seen_before = set()
    for line in sorted(events(shown), key=lambda line: line["properties"]["time"]):
        properties = line["properties"]
        device, user = properties.get("$device_id"), properties.get("$user_id")
        if device and user:
            assert properties["distinct_id"] == user == known.setdefault(device, user)
        elif device:
            assert properties["distinct_id"] == f"$device:{device}"
            assert device not in known
            seen_before.add(device)
    assert seen_before & known.keys()
    assert seen_before - known.keys()
    assert len(set(known.values())) < len(known)
    assert set(known.values()) <= set(story.people.user_id.to_list())


def test_copies_late_events_testers_and_personal_properties_are_among_them(shown: Path) -> None:
    all_events = events(shown)
    ids = [line["properties"]["$insert_id"] for line in all_events]
    assert 0 < len(ids) - len(set(ids)) < len(ids) / 50
    delays = [line["properties"]["mp_processing_time_ms"] / 1000 - line["properties"]["time"] for line in all_events]
    assert min(delays) > 0
    assert DAY < max(delays) < 5 * DAY + HOUR
    assert any(line["properties"]["mp_lib"] == "load-test" for line in all_events)
    registration = next(line for line in all_events if line["event"] == "User Registration")
    assert registration["properties"]["email"].endswith("@example.com")
    assert registration["properties"]["user_agent"]


def test_one_person_has_the_same_ids_in_all_sources(story: Story, shown: Path) -> None:
    users = {row["user_id"] for row in rows(shown / "app_db/user_profiles.csv")}
    customers = {item["id"]: item for item in lines(shown / "stripe/customers.jsonl.gz") if item["livemode"]}
    subscriptions = [item for item in lines(shown / "stripe/subscriptions.jsonl.gz") if item["livemode"]]
    gone = set(story.people.user_id.to_list()) - users
    for subscription in subscriptions:
        user = subscription["metadata"]["supabase_user_id"]
        assert user in users | gone
        assert customers[subscription["customer"]]["metadata"].get("supabase_user_id", user) == user
    owners = {item["customer"]: item["metadata"]["supabase_user_id"] for item in subscriptions}
    in_the_app = rows(shown / "app_db/subscriptions.csv")
    assert in_the_app
    assert all(owners[row["stripe_customer_id"]] == row["user_id"] for row in in_the_app)
    registered = {line["properties"]["$user_id"] for line in events(shown) if line["event"] == "User Registration"}
    assert users - registered == set()  # none of this story's registrations is still on its way
    assert {row["user_id"] for row in rows(shown / "app_db/pets.csv")} <= users
    paid = {item["invoice"] for item in lines(shown / "stripe/invoice_payments.jsonl.gz")}
    assert paid <= {item["id"] for item in lines(shown / "stripe/invoices.jsonl.gz")}


def test_tables_have_the_app_s_columns(shown: Path) -> None:
    for path in (shown / "app_db").iterdir():
        definition = SCHEMA.read_text(encoding="utf-8").partition(f"create table {path.stem} (")[2].partition(");")[0]
        with path.open(newline="") as file:
            header = next(csv.reader(file))
        assert header
        for column in header:
            assert f"{column} " in definition or f'"{column}"' in definition, f"{path.stem}.{column}"


def test_the_feed_tells_of_thirty_days_and_of_all_that_nothing_else_tells(story: Story, shown: Path) -> None:
    feed = lines(shown / "stripe/events.jsonl.gz")
    now = int(MORNING_AFTER.timestamp())
    assert all(now - 30 * DAY < event["created"] <= now for event in feed)
    assert len({event["id"] for event in feed}) == len(feed)
    types = {event["type"] for event in feed}
    assert {"customer.subscription.created", "customer.subscription.updated", "invoice.paid"} <= types
    # What is used up is in no list: by its event one knows its coupon, and by that the terms.
    used_up = [event["data"]["object"] for event in feed if event["type"] == "customer.discount.deleted"]
    coupons = {item["id"] for item in lines(shown / "stripe/coupons.jsonl.gz")}
    assert {discount["source"]["coupon"] for discount in used_up} <= coupons
    listed = [each["id"] for item in lines(shown / "stripe/subscriptions.jsonl.gz") for each in item["discounts"]]
    assert used_up
    assert {discount["id"] for discount in used_up}.isdisjoint(listed)
    told = {(event["data"]["object"]["id"], event["created"]) for event in feed}
    every = [each for customer in story.customers for each in customer.subscriptions]
    turns = [(each, at) for each in every for at in [*(at for at, _ in each.terms[1:]), *(at for at, _ in each.pauses)]]
    turns = [(each, at) for each, at in turns if at <= now]
    assert turns
    assert all((each.subscription_id, at) in told for each, at in turns)


def test_a_schedule_tells_what_its_subscription_costs(shown: Path) -> None:
    subscriptions = {item["id"]: item for item in lines(shown / "stripe/subscriptions.jsonl.gz")}
    schedules = {item["id"]: item for item in lines(shown / "stripe/subscription_schedules.jsonl.gz")}
    running = [item for item in schedules.values() if item["status"] == "active"]
    assert running
    for schedule in running:
        own = subscriptions[schedule["subscription"]]
        begun = schedule["current_phase"]["start_date"]
        (phase,) = (each for each in schedule["phases"] if each["start_date"] == begun)
        assert own["schedule"] == schedule["id"]
        assert own["items"]["data"][0]["price"]["id"] == phase["items"][0]["price"]
    assert {item["schedule"] for item in subscriptions.values()} - {None} == {schedule["id"] for schedule in running}
    types = {event["type"] for event in lines(shown / "stripe/events.jsonl.gz")}
    assert {"subscription_schedule.created", "subscription_schedule.updated"} <= types


def test_true_numbers_add_up(story: Story) -> None:
    found = list(truth(story, MORNING_AFTER))
    for grain in GRAINS:
        of = values(found, grain)
        active = of["active_users"]
        previous = 0
        for start, count in active.items():
            assert count == of["users_new"][start] + of["users_returning"][start] + of["users_resurrecting"][start]
            assert of["users_dormant"][start] == previous - of["users_returning"][start]
            previous = count
        opening = Decimal(0)
        for start, closing in of["mrr"].items():
            risen = of["mrr_new"][start] + of["mrr_reactivation"][start] + of["mrr_expansion"][start]
            net_new = risen - of["mrr_contraction"][start] - of["mrr_churn"][start]
            assert closing == opening + net_new + of["mrr_fx"][start]
            assert of["arr"][start] == 12 * closing
            assert of["mrr_net_new"][start] == net_new
            opening = closing
        for start, churned in of["subscribers_churned"].items():
            assert churned == sum(of[f"churn_{kind}"][start] for kind in ("voluntary", "involuntary", "unknown"))
    days = values(found)
    for day, count in days["dau"].items():
        assert count <= days["wau"][day] <= days["mau"][day]
    assert sum(days["sign_ups"].values()) == list(days["total_users"].values())[-1]


def test_each_metric_of_the_catalogue_has_a_truth(story: Story) -> None:
    files = sorted(CATALOGUE.glob("*/*__metrics.yml"))
    models = [model for file in files for model in yaml.safe_load(file.read_text())["models"]]
    metrics = [metric for model in models for metric in model.get("config", {}).get("meta", {}).get("metrics", [])]
    funnels = ("onboarding", "lost_pet_recovery")
    of = {metric["id"]: tuple(metric["quotient_of"].split(", ")) for metric in metrics if "quotient_of" in metric}
    declared = {metric["id"].replace("{funnel_id}", funnel) for metric in metrics for funnel in funnels}
    grains: dict[str, set[str]] = defaultdict(set)
    rows = list(truth(story, MORNING_AFTER))
    for row in [*rows, *truths.quotients(rows, of)]:
        grains[row.metric_id].add(row.grain)
    assert declared | {FX} == grains.keys() | truths.UNKNOWABLE.keys()
    for metric in metrics:
        if metric["id"] in grains:
            assert grains[metric["id"]] == set(metric["grains"].split(",")), metric["id"]


def at(day: int, hour: int = 12) -> int:
    """A time on a day of a story that begins on 1 October."""
    return int(datetime(2026, 10, day, hour, tzinfo=UTC).timestamp())


@pytest.fixture
def small() -> Story:
    """A story of October in which nothing happens yet."""
    empty = tell(Scenario(people=1, days=31, until=UNTIL))
    empty.customers, empty.alerts = [], []
    return empty


def happening(*told: tuple[int, str, int]) -> Events:
    """Events of (time, name, person); the last one of all has not arrived, and the first has a copy."""
    told = (told[0], *told)
    count = len(told)
    arrived = np.array([time + 5 for time, _, _ in told], np.int64)
    arrived[-1] = NEVER
    return Events(
        time=np.array([time for time, _, _ in told], np.int64),
        kind=np.array([KIND[name] for _, name, _ in told], np.int8),
        person=np.array([person for _, _, person in told], np.int32),
        device=np.full(count, NOBODY, np.int32),
        version=np.zeros(count, np.int16),
        subject=np.zeros(count, np.int32),
        value=np.zeros(count, np.int32),
        arrived=arrived,
        number=np.maximum(np.arange(count) - 1, 0),
        is_copy=np.arange(count) == 1,
    )


def test_truth_of_people_that_can_be_counted_by_hand(small: Story) -> None:
    small.events = happening(
        (at(1), "User Registration", 0),
        (at(1, 13), "Pet Profile Created", 0),
        (at(2), "Feature Used", 0),
        (at(2), "Feature Used", 1),
        (at(2), "Business Metrics Report", SERVER),
        (at(2), "Feature Used", TESTER),
        (at(2), "Payment Failed", 2),
        (at(4), "User Registration", 3),
        (at(4, 13), "Pet Profile Created", 3),
        (at(4, 14), "Location Services Enabled", 3),
        (at(11, 12), "Subscription Conversion", 3),  # just within seven days
        (at(9), "Feature Used", 1),
        (at(9), "Feature Used", 0),
    )
    of = values(list(truth(small, MORNING_AFTER)))
    day = [date(2026, 10, number) for number in range(1, 32)]
    assert [of["events"][day[n]] for n in range(4)] == [2, 4, 0, 3]
    assert [of["dau"][day[n]] for n in range(4)] == [1, 2, 0, 1]
    assert [of["wau"][day[n]] for n in (6, 7, 8, 9)] == [3, 3, 2, 2]
    assert [of["users_new"][day[n]] for n in range(4)] == [1, 1, 0, 1]
    assert [of["users_returning"][day[n]] for n in range(4)] == [0, 1, 0, 0]
    assert [of["users_dormant"][day[n]] for n in range(4)] == [0, 0, 2, 0]
    assert of["users_resurrecting"][day[8]] == 1
    assert of["retention_d1"][day[0]] == 1
    assert of["retention_d7"][day[3]] == 1
    assert of["retention_d7"][day[1]] is None
    assert of["onboarding_conversion"][day[0]] == 0
    assert of["onboarding_conversion"][day[3]] == 1


def test_truth_of_items_and_cycles_that_can_be_counted_by_hand(small: Story) -> None:
    """A plan with what comes on top of it; and those of the cycles that few have."""
    customer = Customer("cus_1", 0, at(1), "DE", ("visa", "debit"))

    def begun(day: int, cycle: str, *extras: Extra, **more: Any) -> Subscription:
        terms = [(at(day), PRICES["eur", "premium", cycle])]
        return Subscription(
            f"sub_{day}", customer, at(day), terms, "onboarding", paid_first=at(day), extras=[*extras], **more
        )

    trackers = Extra("tracker", [(at(1), 3), (at(4), 1)])
    # 2 at 0.50, 0.30 for the first of them, 3 at 0.35; of messages it is not known how many there will be.
    others = Extra("storage", [(at(1), 5)]), Extra("messages", [(at(1), 1)])
    customer.subscriptions = [
        begun(2, "monthly", trackers, *others, coupon=COUPONS[0], coupon_on="item", unpaid=at(6)),
        begun(7, "weekly", ended=at(8)),
        begun(9, "every 4 weeks", ended=at(10)),
        begun(11, "quarterly", ended=at(12)),
        begun(13, "monthly", others[0], coupon=COUPONS[0]),
    ]
    small.customers = [customer]
    found = list(truth(small, MORNING_AFTER))
    mrr = values(found)["mrr"]
    plan = Decimal("4.792")
    assert [mrr[date(2026, 10, day)] for day in (2, 4, 6, 7, 9, 11, 13)] == [
        plan + Decimal("4.47") + Decimal("2.35"), plan + Decimal("1.49") + Decimal("2.35"), 0,
        Decimal("7.756667"), Decimal("6.164167"), Decimal("5.33"), plan + Decimal("1.88"),
    ]  # fmt: skip
    assert values(found)["churn_involuntary"][date(2026, 10, 6)] == 1


def test_truth_of_currencies_that_can_be_counted_by_hand(small: Story) -> None:
    """6.49 dollars a month from the 2nd, 5.99 euros in their place from the 7th, and 980 yen beside."""
    small.rates = {
        date(2026, 10, 1): {"usd": Decimal("1.25"), "jpy": Decimal(140)},
        date(2026, 10, 5): {"usd": Decimal("1.60"), "jpy": Decimal(140)},
        **{date(2026, 10, day): {"usd": Decimal("1.60"), "jpy": Decimal(160)} for day in (12, 19, 26)},
    }
    ends = {"usd": (at(2), at(7)), "eur": (at(7, 13), at(20)), "jpy": (at(3), at(18))}
    small.customers = [Customer(f"cus_{number}", number, at(1), "DE", ("visa", "debit")) for number in (0, 1)]
    for currency, (begins, ended) in ends.items():
        customer = small.customers[currency == "jpy"]
        customer.subscriptions.append(
            Subscription(
                f"sub_{currency}", customer, begins, [(begins, PRICES[currency, "premium", "monthly"])], "onboarding",
                paid_first=begins, ended=ended,
            )
        )  # fmt: skip
    payment = Payment("pi_1", at(2), 649, "usd", [Attempt("ch_1", at(2), "succeeded")], Refund("re_1", at(6), 160))
    lines = (Line(0, PRICES["usd", "premium", "monthly"], 1, 649),)
    invoice = Invoice("in_1", at(2), "subscription_create", lines, (at(2), at(30)), payment=payment)
    small.customers[0].subscriptions[0].invoices.append(invoice)
    found = list(truth(small, MORNING_AFTER))
    of, dollars, euros = (values(found, "day", currency) for currency in ("all", "USD", "EUR"))
    day = {number: date(2026, 10, number) for number in range(1, 32)}
    seven = Decimal(7)
    assert [of["mrr"][day[n]] for n in (2, 3, 4, 5, 7, 12)] == [
        Decimal("5.192"), Decimal("5.192") + seven, Decimal("5.192") + seven, Decimal("4.05625") + seven,
        Decimal("5.99") + seven, Decimal("5.99") + Decimal("6.125"),
    ]  # fmt: skip
    assert {n: of["mrr_fx"][day[n]] for n in day if of["mrr_fx"][day[n]]} == {
        5: Decimal("-1.13575"),
        12: Decimal("-0.875"),
    }
    assert (of["mrr_expansion"][day[7]], of["mrr_churn"][day[18]]) == (Decimal("1.93375"), Decimal("6.125"))
    assert [(of["subscribers_churned"][day[n]], dollars["subscribers_churned"][day[n]]) for n in (7, 18)] == [
        (0, 1),
        (1, 0),
    ]
    assert (dollars["mrr"][day[6]], euros["mrr_new"][day[7]]) == (Decimal("6.49"), Decimal("5.99"))
    assert [of[metric][day[n]] for metric, n in (("gross_volume", 2), ("refunds", 6))] == [Decimal("5.192"), 1]
    assert dollars["refunds"][day[6]] == Decimal("1.6")
    in_dollars = values(list(truth(small, MORNING_AFTER, currency="usd")))
    assert (in_dollars["mrr"][day[3]], in_dollars["mrr_fx"][day[5]]) == (Decimal("15.24"), Decimal("2.45"))


def test_truth_of_money_that_can_be_counted_by_hand(small: Story) -> None:
    """On trial from the 1st, 5.99 a month from the 5th, 80 a year from the 10th, both less 20 %; ended on the 20th."""
    customer = Customer("cus_1", 0, at(1), "DE", ("visa", "debit"))
    terms = [(at(1), PRICES["eur", "premium", "monthly"]), (at(10), PRICES["eur", "pro", "annual"])]
    subscription = Subscription(
        "sub_1", customer, at(1), terms, "onboarding", COUPONS[0], at(5), at(1),
        pauses=[(at(12), at(14))], ended=at(20), end_reason="payment_failed",
    )  # fmt: skip
    attempts = [Attempt("ch_1", at(6), "failed", "lost_card"), Attempt("ch_2", at(8), "succeeded")]
    payment = Payment("pi_1", at(6), 6400, "eur", attempts, Refund("re_1", at(9), 1000))
    price = PRICES["eur", "pro", "annual"]
    lines = (Line(0, price, 1, 8000, 1600),)
    invoice = Invoice("in_1", at(6), "subscription_cycle", lines, (at(6), at(30)), payment=payment)
    subscription.invoices.append(invoice)
    customer.subscriptions.append(subscription)
    small.customers = [customer]
    found = list(truth(small, MORNING_AFTER))
    of = values(found)
    day = [date(2026, 10, number) for number in range(1, 32)]
    four, five = Decimal("4.792"), Decimal("5.333333")
    mrr = [of["mrr"][day[n]] for n in (3, 4, 8, 9, 10, 11, 12, 13, 18, 19)]
    assert mrr == [0, four, four, five, five, 0, 0, five, five, 0]
    assert of["mrr_new"][day[4]] == four
    assert of["mrr_expansion"][day[9]] == five - four
    assert (of["mrr_churn"][day[11]], of["mrr_reactivation"][day[13]], of["mrr_churn"][day[19]]) == (five, five, five)
    assert of["churn_unknown"][day[11]] == of["churn_involuntary"][day[19]] == 1
    month = values(found, "month")
    assert month["subscribers_churned"][day[0]] == 2
    assert [month[f"churn_{kind}"][day[0]] for kind in ("voluntary", "involuntary", "unknown")] == [0, 1, 1]
    assert month["subscribers"][day[0]] == 0
    assert of["payment_success_rate"][day[5]] == of["recovery_rate"][day[5]] == 1
    assert of["first_attempt_success_rate"][day[5]] == 0
    assert of["attempt_success_rate"][day[5]] == 0.5
    assert of["gross_volume"][day[7]] == 64
    assert of["refunds"][day[8]] == 10
    assert of["refund_rate"][day[7]] == 1
    # 1.5 % and 25 cents.
    assert of["fees"][day[7]] == Decimal("1.21")
    assert month["effective_fee_rate"][day[0]] == 121 / 6400
    assert month["net_volume"][day[0]] == Decimal("52.79")


def test_what_is_deleted_counts_where_a_reading_showed_it(story: Story) -> None:
    people = story.people
    begin, end = int(MORNING_AFTER.timestamp()), int(TWO_DAYS_LATER.timestamp())
    deleted = people.deleted[: people.accounts]
    gone_since = int(((deleted > begin) & (deleted <= end) & (people.signed_up[: people.accounts] <= begin)).sum())
    once = values(list(truth(story, TWO_DAYS_LATER)), "day")
    twice = values(list(truth(story, TWO_DAYS_LATER, [MORNING_AFTER, TWO_DAYS_LATER])), "day")
    assert sum(twice["sign_ups"].values()) - sum(once["sign_ups"].values()) == gone_since
    assert twice["total_users"][UNTIL] - once["total_users"][UNTIL] == gone_since


def test_a_comparison_finds_what_is_not_true(story: Story, tmp_path: Path) -> None:
    true = list(truth(story, MORNING_AFTER))
    start = UNTIL - timedelta(days=3)
    dau, dollars, fx = (
        next(row for row in true if (*row[:3], row.currency) == (metric, "day", start, currency))
        for metric, currency in (("dau", "all"), ("mrr", "USD"), ("mrr_fx", "all"))
    )
    wrong = [row._replace(value=float(row.value or 0) + 1) for row in (dau, dollars, fx)]
    published = [row for row in true if row.metric_id in {"dau", "mrr"} and row not in (dau, dollars)]
    columns = "grain text, period_start date, amount double, is_complete boolean"
    path = tmp_path / "build.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "create table bundle_info as select 'EUR' as currency; "
            "create table metric_catalog (metric_id text, quotient_of text); "
            f"create table mrr_movements ({columns}, movement text default 'fx', segment text default 'all'); "
            "create table metric_values (metric_id text, grain text, period_start date, value double, "
            "segment_value text, is_complete boolean, segment text)"
        )
        connection.executemany(
            "insert into metric_values values (?, ?, ?, ?, ?, ?, ?)",
            [
                *((*row, True, "all" if row.currency == "all" else "currency") for row in [*published, *wrong[:2]]),
                ("mau", "day", start, -1.0, "all", False, "all"),
                ("luck", "day", start, 1.0, "all", True, "all"),
            ],
        )
        connection.execute("insert into mrr_movements values ('day', ?, ?, true, 'fx', 'all')", [start, wrong[2].value])
    found = differences(story, MORNING_AFTER, Bundle("build", path))
    assert found.differences == [
        Difference(*row[:4], float(row.value or 0) + 1, row.currency) for row in (dau, dollars, fx)
    ]
    assert sum(found.compared.values()) == len(published) + 3
    assert found.unknown.keys() == {"luck"}
