"""Stripe, over real sockets: every table in its state now or an error, its history, and nothing that is withheld."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tailtracker_bi.errors import TailTrackerError
from tailtracker_bi.sandbox.servers.stripe_api import KEY, Request, StripeApi, serve
from tailtracker_bi.sandbox.servers.stripe_lists import Object
from tailtracker_bi.settings.model import Settings
from tailtracker_bi.shipped import DBT_PROJECT
from tailtracker_bi.sources import recent_charges
from tailtracker_bi.sources.http import TRIES
from tailtracker_bi.sources.records import VERSION_SCHEMA, BadResponseError, Counts, Remark, SourceUnavailableError
from tailtracker_bi.sources.stripe import recent
from tailtracker_bi.sources.stripe.api import API_VERSION
from tailtracker_bi.sources.stripe.objects import (
    DECIMALS,
    EACH_CURRENCY,
    PLAIN,
    TYPES,
    WHOLE_NUMBERS,
    AllowList,
    Fields,
    before,
)
from tailtracker_bi.sources.stripe.reading import Stripe

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DAY = 86_400
AT = int(NOW.timestamp())
"""The business time of these tests, in Stripe's seconds."""
CANARY = "canary@example.com +43 1 4242424242424242"
TABLES = {table.name: table for table in Stripe.tables}

MakeSettings = Callable[..., Settings]


def item(type_: str, id_: str, created: int = AT - 100 * DAY, **fields: Any) -> Object:
    return {"id": id_, "object": type_, "created": created, "livemode": True, **fields}


def subscription(id_: str, created: int = AT - 100 * DAY, **fields: Any) -> Object:
    items = {"object": "list", "has_more": False, "data": [{"id": f"si_{id_}", "quantity": 1}]}
    return item("subscription", id_, created, **{"status": "active", "discounts": [], "items": items, **fields})


@dataclass
class Received:
    """What a session gave."""

    rows: dict[str, list[Object]] = field(default_factory=dict)
    quarantine: dict[str, list[Object]] = field(default_factory=dict)
    counts: dict[str, Counts] = field(default_factory=dict)
    withheld: dict[str, frozenset[str]] = field(default_factory=dict)
    remarks: dict[str, list[Remark]] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    def versions(self, table: str, *origins: str) -> list[tuple[Any, ...]]:
        """(id, origin, status or balance, deleted) of each version of these origins."""
        return [
            (row["object_id"], row["origin"], content.get("status", content.get("balance")), row["is_deleted"])
            for row in self.rows[table]
            if not origins or row["origin"] in origins
            for content in [json.loads(row["content"])]
        ]


@pytest.fixture
def settings(make_settings: MakeSettings) -> MakeSettings:
    def make(api: StripeApi, **overrides: Any) -> Settings:
        mine = {"STRIPE_API_KEY": KEY, "STRIPE_API_BASE": api.url, "TAILTRACKER_NOW": NOW.isoformat()}
        return make_settings(**mine | overrides)

    return make


def pull(settings: Settings, since: datetime | None = None, tables: Iterable[str] = TABLES) -> Received:
    received = Received()
    source = Stripe(settings, received.said.append)
    moments = {} if since is None else dict.fromkeys(TABLES, since)
    with source.session(moments, settings.home / "spool") as read:
        for name in tables:
            try:
                with read(TABLES[name]) as versions:
                    assert not versions.is_snapshot
                    assert versions.rows.schema.names[: len(VERSION_SCHEMA)] == VERSION_SCHEMA.names
                    received.rows[name] = versions.rows.read_all().to_pylist()
                    received.quarantine[name] = versions.quarantine.read_all().to_pylist()
                    received.counts[name] = versions.counts
                    received.withheld[name] = versions.withheld
                    received.remarks[name] = versions.remarks
            except BadResponseError as error:
                received.errors[name] = str(error)
        assert all(
            counts.received == len(received.rows[name]) + counts.quarantined for name, counts in received.counts.items()
        )
    assert list((settings.home / "spool").iterdir()) == []
    return received


YESTERDAY, THIS_MORNING = NOW - timedelta(days=1), NOW - timedelta(hours=8)


# What comes in.


def test_first_time_everything_is_listed(settings: MakeSettings) -> None:
    with serve() as api:
        api.add_all("charges", [item("charge", f"ch_{number:03}", AT - number) for number in range(250)])
        for status in ("active", "canceled", "trialing"):
            api.add("subscriptions", subscription(f"sub_{status}", status=status))
        received = pull(settings(api))
    assert received.errors == {}
    assert {row["object_id"] for row in received.rows["charges"]} == {f"ch_{number:03}" for number in range(250)}
    assert {row["created_at"] for row in received.rows["subscriptions"]} == {datetime(2026, 8, 16, 12)}  # noqa: DTZ001
    assert len(received.rows["subscriptions"]) == 3
    assert {row["effective_at"] for row in received.rows["charges"]} == {None}
    assert received.counts["charges"] == Counts(received=250)
    assert {request.headers["stripe-version"] for request in api.requests} == {API_VERSION}
    assert not [request for request in api.requests if "x-stripe-client-telemetry" in request.headers]


def test_charges_of_the_last_hours_are_attempts_that_came_to_an_end(settings: MakeSettings) -> None:
    def charge(id_: str, created: int, status: str = "succeeded", **more: Any) -> Object:
        return item("charge", id_, created, status=status, customer="cus_anna", **more)

    with serve() as api:
        api.add_all(
            "charges",
            [
                charge("ch_1", AT, currency="eur", amount=599, amount_captured=599),
                charge("ch_2", AT - 60, currency="jpy", amount=800, amount_captured=700),
                charge("ch_3", AT - 90, "failed", currency="eur", amount=599, amount_captured=0),
                charge("ch_4", AT - 90, "pending", currency="eur", amount=599, amount_captured=0),
                charge("ch_5", AT - DAY, currency="eur", amount=1, amount_captured=1),
            ],
        )
        found = list(recent_charges(settings(api), datetime.fromtimestamp(AT - 3600, UTC), pytest.fail))
        assert [request.path for request in api.requests] == ["/v1/charges"]
    assert [(one.currency, one.paid and str(one.paid), one.customer) for one in found] == [
        ("EUR", "5.99", "cus_anna"),
        ("JPY", "700", "cus_anna"),
        ("EUR", None, "cus_anna"),
    ]
    # The same as the models have, who say it in SQL.
    macro = (DBT_PROJECT / "macros" / "money.sql").read_text().split("macro major_unit_share")[1]
    said = [set(re.findall("'([A-Z]{3})'", part)) for part in macro.split("then cast(")[:2]]
    assert said == [set(recent.WITHOUT_DECIMALS), set(recent.WITH_THREE)]


def test_api_version_is_the_one_of_the_client() -> None:
    import stripe

    assert stripe.api_version == API_VERSION


def test_later_what_is_new_is_listed_and_what_changed_is_read_again(settings: MakeSettings) -> None:
    with serve() as api:
        api.add("subscriptions", subscription("sub_old"))
        api.add("subscriptions", subscription("sub_untouched"))
        api.add("subscriptions", subscription("sub_new", AT - 3600), at=AT - 3600)
        canceled = api.delete("subscriptions", "sub_old", at=AT - 7200)
        received = pull(settings(api), since=THIS_MORNING)
    assert canceled["type"] == "customer.subscription.deleted"
    assert received.versions("subscriptions", "list", "read") == [
        ("sub_new", "list", "active", False),
        ("sub_old", "read", "canceled", False),
    ]
    assert sorted(received.versions("subscriptions", "event", "before")) == [
        ("sub_new", "event", "active", False),
        ("sub_old", "before", "active", False),
        ("sub_old", "event", "canceled", False),
    ]
    (row,) = [row for row in received.rows["subscriptions"] if row["origin"] == "before"]
    assert row["effective_at"] == datetime.fromtimestamp(AT - 7200, UTC).replace(tzinfo=None)
    contents = [json.loads(row["content"]) for row in received.rows["events"]]
    assert contents[0] == {
        "api_version": API_VERSION,
        "created": AT - 3600,
        "id": "evt_00000000",
        "livemode": True,
        "object_id": "sub_new",
        "object_type": "subscription",
        "type": "customer.subscription.created",
    }


def test_late_events_in_any_order_and_in_the_same_second_lead_to_the_state_now(settings: MakeSettings) -> None:
    with serve() as api:
        api.add("customers", item("customer", "cus_1", balance=0))
        late = int(YESTERDAY.timestamp()) - DAY // 2  # from before the last time, and there only now
        api.update("customers", "cus_1", {"balance": 2}, at=AT - 60)
        api.update("customers", "cus_1", {"balance": 3}, at=AT - 60)
        api.update("customers", "cus_1", {"balance": 4}, at=late)
        received = pull(settings(api), since=YESTERDAY)
    assert received.versions("customers", "read") == [("cus_1", "read", 4, False)]
    assert sorted(balance for _, _, balance, _ in received.versions("customers", "event")) == [2, 3, 4]
    assert sum("cus_1" in request.path for request in api.requests) == 1


def test_deleted_objects_are_flagged_whether_stripe_still_answers_for_them_or_not(settings: MakeSettings) -> None:
    with serve() as api:
        for table, id_ in (("customers", "cus_1"), ("prices", "price_1")):
            api.add(table, item(table.removesuffix("s"), id_, balance=7))
            api.delete(table, id_, at=AT - 60)
        later, first = pull(settings(api), since=YESTERDAY), pull(settings(api))
    for received in (later, first):
        assert received.versions("customers") == [("cus_1", "event", 7, True), ("cus_1", "read", None, True)]
        assert received.versions("prices") == [("price_1", "event", None, True), ("price_1", "read", None, True)]
        assert json.loads(received.rows["prices"][1]["content"]) == {
            "id": "price_1",
            "object": "price",
            "deleted": True,
        }


def test_a_discount_changes_what_has_it(settings: MakeSettings) -> None:
    with serve() as api:
        api.add("customers", item("customer", "cus_1"))
        api.add("subscriptions", subscription("sub_1"))
        discount = {"id": "di_1", "object": "discount", "customer": "cus_1", "subscription": "sub_1"}
        api.add_event(discount, "deleted", AT - 60)
        received = pull(settings(api), since=THIS_MORNING)
    assert [row["origin"] for row in received.rows["customers"] + received.rows["subscriptions"]] == ["read", "read"]


@pytest.mark.parametrize("is_expanding", [True, False])
def test_discounts_come_with_their_coupons_from_a_server_that_expands(
    settings: MakeSettings, is_expanding: bool
) -> None:
    coupon = {
        "id": "HALF",
        "object": "coupon",
        "percent_off": 50.5,
        "duration": "forever",
        "created": 1,
        "name": CANARY,
    }
    discount = {"id": "di_1", "object": "discount", "start": 2, "source": {"type": "coupon", "coupon": coupon}}
    with serve(is_expanding=is_expanding) as api:
        api.add("subscriptions", subscription("sub_1", discounts=[discount]))
        api.add("customers", item("customer", "cus_1", discount=discount))
        received = pull(settings(api))
    found = [json.loads(received.rows[table][0]["content"]) for table in ("subscriptions", "customers")]
    shown = {key: value for key, value in coupon.items() if key != "name"} | {
        "applies_to": None,
        "currency_options": None,
    }
    assert found[1]["discount"]["source"]["coupon"] == shown
    discounts: list[Any] = [discount | {"source": {"type": "coupon", "coupon": shown}}] if is_expanding else ["di_1"]
    assert found[0]["discounts"] == discounts


def test_a_discount_on_an_item_has_the_coupon_that_was_given_if_it_is_there(settings: MakeSettings) -> None:
    """Of an item lists show the coupon's id at most; of the twelfth item another list does more."""
    coupon = {"id": "HALF", "object": "coupon", "percent_off": 50, "duration": "forever", "created": 5}

    def part(number: int, start: int) -> Object:
        discount = {"id": f"di_{number}", "object": "discount", "start": start}
        return {"id": f"si_{number}", "discounts": [discount | {"source": {"type": "coupon", "coupon": coupon}}]}

    parts = [part(0, 6), part(1, 4), *({"id": f"si_{number}", "discounts": []} for number in range(2, 11)), part(11, 7)]
    with serve() as api:
        api.add("subscriptions", subscription("sub_1", items={"object": "list", "has_more": False, "data": parts}))
        received = pull(settings(api))
    found = json.loads(received.rows["subscriptions"][0]["content"])["items"]["data"]
    coupons = {each["id"]: discount["source"]["coupon"] for each in found for discount in each["discounts"]}
    whole = coupon | {"applies_to": None, "currency_options": None}
    assert coupons == {"si_0": whole, "si_1": "HALF", "si_11": whole}


def test_a_coupon_says_what_it_is_limited_to_unless_it_was_made_anew(settings: MakeSettings) -> None:
    limits = {"applies_to": {"products": ["prod_1"]}, "currency_options": {"usd": {"amount_off": 5}}}
    with serve() as api:
        for name, created in (("now", 2), ("then", 1)):
            coupon = {"id": "C", "object": "coupon", "duration": "forever", "created": created}
            discount = {"id": f"di_{name}", "object": "discount", "source": {"type": "coupon", "coupon": coupon}}
            api.add("subscriptions", subscription(f"sub_{name}", discounts=[discount]))
        api.coupons["C"] = {"id": "C", "object": "coupon", "created": 2, **limits}
        received = pull(settings(api))
        asked = [request.query for request in api.requests if request.path == "/v1/coupons/C"]
    coupons = {
        row["object_id"]: json.loads(row["content"])["discounts"][0]["source"]["coupon"]
        for row in received.rows["subscriptions"]
    }
    assert {name: coupons["sub_now"][name] for name in limits} == limits
    assert not limits.keys() & coupons["sub_then"].keys()
    assert asked == [{"expand[0]": "applies_to", "expand[1]": "currency_options"}]
    assert any("limited to some products is not known" in str(remark) for remark in received.remarks["subscriptions"])


def test_an_event_that_shows_ten_of_twelve_items_has_the_rest_as_it_is_now(settings: MakeSettings) -> None:
    def items(quantity: int) -> Object:
        data = [{"id": f"si_{n:02}", "quantity": quantity if n == 0 else 1} for n in range(12)]
        return {"object": "list", "has_more": False, "data": data}

    with serve() as api:
        api.add("subscriptions", subscription("sub_1", items=items(2)))
        for number, gone in (("1", False), ("2", True)):
            first = items(2)["data"][:10]
            told = subscription(f"sub_{number}", items={"object": "list", "has_more": True, "data": first})
            before = {"items": {"data": items(1)["data"][:10]}}
            api.add_event(told, "updated", AT - 5 * DAY, before)
            assert gone == (f"sub_{number}" not in api.tables["subscriptions"].objects)
        received = pull(settings(api))
    found = {
        (row["object_id"], row["origin"]): json.loads(row["content"]).get("items")
        for row in received.rows["subscriptions"]
    }
    for origin, quantity in (("event", 2), ("before", 1), ("list", 2)):
        assert found["sub_1", origin] == {"data": items(quantity)["data"], "has_more": False}
    # What is gone can't be asked for: it says that there was more.
    assert found["sub_2", "event"] == {"data": items(2)["data"][:10], "has_more": True}


def numbers(fields: Fields, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The way to each field that is a number, by the declarations."""
    for name, inner in fields.items():
        path = (*above, "usd" if name == EACH_CURRENCY else name)
        if isinstance(inner, dict):
            yield from numbers(inner, path)
        elif inner == PLAIN and (DECIMALS.fullmatch(name) or WHOLE_NUMBERS.fullmatch(name)):
            yield path


BAD_FIELDS = [
    (type_, path)
    for type_, fields in TYPES.items()
    for path in numbers(fields)
    if type_ != "event" and path != ("created",)  # by which lists are sorted
]


def test_an_object_with_a_number_that_is_none_is_set_aside_alone_and_named(settings: MakeSettings) -> None:
    """One bad object a field, of every type, between good ones."""
    bad = ("twelve", 12.5, True, 2**63, "1e5", [{}])
    with serve() as api:
        for number, (type_, path) in enumerate(BAD_FIELDS):
            value: Any = bad[number % len(bad)]
            if DECIMALS.fullmatch(path[-1]):
                value = "12,50"
            for name in reversed(path):
                value = {name: value}
            made = item(type_, f"{type_}_{number:03}")
            api.add(f"{type_}s", made | value)
        for type_ in TYPES:
            api.add(f"{type_}s", item(type_, f"good_{type_}"))
        received = pull(settings(api))
    landed = {row["object_id"] for rows in received.rows.values() for row in rows}
    assert landed == {f"good_{type_}" for type_ in TYPES}
    reasons = {json.loads(row["record"])["id"]: row["reason"] for rows in received.quarantine.values() for row in rows}
    assert len(reasons) == len(BAD_FIELDS) > 100
    for number, (type_, path) in enumerate(BAD_FIELDS):
        reason = reasons[f"{type_}_{number:03}"]
        assert reason == f"{'.'.join(path)} is no number that it could be"


def test_a_draft_that_goes_between_list_and_read_is_deleted_and_fails_nothing(settings: MakeSettings) -> None:
    lines = {"object": "list", "has_more": False, "data": [{"id": f"il_{n}", "amount": n} for n in range(12)]}
    with serve() as api:
        for number in "12":
            api.add("invoices", item("invoice", f"in_{number}", status="draft", lines=lines))
        api.faults = lambda request: "gone" if request.path == "/v1/invoices/in_1/lines" else None
        received = pull(settings(api))
    found = {row["object_id"]: row["is_deleted"] for row in received.rows["invoices"]}
    assert found == {"in_1": True, "in_2": False}


def test_lists_inside_objects_are_followed_to_their_end(settings: MakeSettings) -> None:
    def inner(prefix: str) -> Object:
        return {
            "object": "list",
            "has_more": False,
            "data": [{"id": f"{prefix}_{n:03}", "amount": n} for n in range(250)],
        }

    with serve() as api:
        api.add("invoices", item("invoice", "in_1", lines=inner("il")))
        api.add("subscriptions", subscription("sub_1", items=inner("si")))
        received = pull(settings(api))
    lines = json.loads(received.rows["invoices"][0]["content"])["lines"]
    assert lines == {"data": [{"id": f"il_{n:03}", "amount": n} for n in range(250)], "has_more": False}
    assert len(json.loads(received.rows["subscriptions"][0]["content"])["items"]["data"]) == 250


def test_a_payout_says_what_it_paid_out_once_stripe_knows(settings: MakeSettings) -> None:
    def held(received: Received) -> dict[str, Any]:
        told = [row for row in received.rows["payouts"] if row["origin"] != "event"]
        return {row["object_id"]: json.loads(row["content"]).get("balance_transactions") for row in told}

    with serve() as api:
        for number in range(150):
            api.add("balance_transactions", item("balance_transaction", f"txn_{number:03}", amount=number))
        all_but_one = [f"txn_{number:03}" for number in range(149)]
        known: Object = {"automatic": True, "amount": 11_026, "reconciliation_status": "completed", "status": "paid"}
        api.add("payouts", item("payout", "po_known", holds=all_but_one, **known))
        api.add("payouts", item("payout", "po_new", **known | {"reconciliation_status": "in_progress"}))
        api.add("payouts", item("payout", "po_by_hand", **known | {"reconciliation_status": "not_applicable"}))
        first = held(pull(settings(api)))
        assert {id_: own and sorted(own) for id_, own in first.items()} == {
            "po_known": all_but_one, "po_new": None, "po_by_hand": None,
        }  # fmt: skip
        changes: Object = {"holds": ["txn_149"], "reconciliation_status": "completed"}
        api.update("payouts", "po_new", changes, at=AT - 60, happened="reconciliation_completed")
        later = pull(settings(api), YESTERDAY)
    assert held(later) == {"po_new": ["txn_149"]}


@pytest.mark.parametrize("amount", [2**53 - 1, 2**53 + 1, -(2**53) - 1, 2**63 - 1])
def test_amounts_are_exact(settings: MakeSettings, amount: int) -> None:
    with serve() as api:
        api.add("balance_transactions", item("balance_transaction", "txn_1", amount=amount, currency="jpy"))
        received = pull(settings(api))
    (row,) = received.rows["balance_transactions"]
    assert f'"amount":{amount},' in row["content"]


def test_gap_longer_than_events_are_kept_lists_everything_and_says_so(settings: MakeSettings) -> None:
    with serve() as api:
        api.add("customers", item("customer", "cus_1"))
        short = pull(settings(api), since=NOW - timedelta(days=29))
        long = pull(settings(api), since=NOW - timedelta(days=29, seconds=1))
    assert (short.rows["customers"], short.said) == ([], [])
    assert len(long.rows["customers"]) == 1
    assert long.said[0].startswith("stripe: last brought up to date on 2026-10-26, and events since then are gone")


def test_after_a_clock_that_was_ahead_everything_is_listed(settings: MakeSettings) -> None:
    with serve() as api:
        api.add("customers", item("customer", "cus_1"))
        received = pull(settings(api), since=NOW + timedelta(hours=1))
    assert len(received.rows["customers"]) == 1
    assert received.said[0].startswith(
        "stripe: last brought up to date on 2026-11-24, and that is yet to come: listing"
    )


@pytest.mark.parametrize(("missing", "there", "is_doubtful"), [(20, 0, True), (19, 0, False), (30, 1, False)])
def test_open_objects_of_which_none_is_there_are_rather_those_of_another_account(
    settings: MakeSettings, missing: int, there: int, is_doubtful: bool
) -> None:
    ids = {f"sub_{number}" for number in range(missing + there)}
    with serve() as api:
        for number in range(missing, missing + there):
            # Canceled: no list of open ones shows it.
            api.add("subscriptions", subscription(f"sub_{number}", status="canceled"))
        source = Stripe(settings(api))
        since = dict.fromkeys(TABLES, YESTERDAY)
        with (
            source.session(since, source.settings.home / "spool", lambda *_: ids) as read,
            read(TABLES["subscriptions"]) as versions,
        ):
            doubt = versions.doubt
    assert doubt == (
        f"none of {missing} objects that were open is there: does the key belong to another account?" * is_doubtful
    )


def test_content_is_canonical(settings: MakeSettings) -> None:
    with serve() as api:
        api.add("refunds", {"status": "x", "id": "re_1", "created": 1, "amount": 2, "object": "refund"})
        received = pull(settings(api))
    assert received.rows["refunds"][0]["content"] == (
        '{"amount":2,"created":1,"id":"re_1","object":"refund","status":"x"}'
    )


def test_once_a_day_what_is_open_is_listed_again_a_hundred_to_a_request(settings: MakeSettings) -> None:
    def requests(since: datetime) -> list[str]:
        api.requests.clear()
        pull(settings(api), since=since, tables=["subscriptions", "invoices", "charges"])
        return [
            f"{request.path.removeprefix('/v1/')} {request.query.get('status')}"
            for request in api.requests
            if request.path != "/v1/events"
        ]

    midnight = NOW.replace(hour=0)
    with serve() as api:
        api.add_all("subscriptions", [subscription(f"sub_{number:03}") for number in range(250)])
        assert requests(midnight) == ["subscriptions all", "invoices None", "charges None"]
        assert requests(midnight - timedelta(seconds=1)) == [
            "subscriptions all",
            *["subscriptions None"] * 3,
            "invoices None",
            "invoices draft",
            "invoices open",
            "charges None",
        ]


def test_what_is_not_known_is_kept_and_remarked(settings: MakeSettings) -> None:
    with serve(event_version="2027-01-27.farro") as api:
        api.add("subscriptions", subscription("sub_1", status="frozen"), at=AT - 60)
        api.add("prices", item("price", "price_1", status="frozen"))
        newer = pull(settings(api))
        api.event_version = "2024-06-20"
        api.tables["events"].remove("evt_00000000")
        api.update("subscriptions", "sub_1", {"status": "active"}, at=AT - 30)
        api.update("subscriptions", "sub_1", {"status": "past_due"}, at=AT - 20)
        older = pull(settings(api))
    assert newer.versions("subscriptions", "list") == [("sub_1", "list", "frozen", False)]
    assert newer.remarks["subscriptions"] == [Remark("no model knows the status frozen")]
    assert newer.remarks["events"] == [
        Remark(
            "events came in API version 2027-01-27.farro, newer than 2026-10-28.endive, in which objects are read: "
            "of their history fields may be missing"
        )
    ]
    assert newer.remarks["prices"] == []  # they have no status
    assert older.remarks["subscriptions"] == [Remark("no model knows the status frozen")]  # it was so before
    assert older.remarks["events"] == []


# Both generations of the API.


def test_fields_are_kept_in_their_old_places_and_their_new_ones() -> None:
    old = {
        "subscription": "sub_1", "charge": "ch_1", "paid": True,
        "payment_intent": {"id": "pi_1", "receipt_email": CANARY},
        "lines": {"object": "list", "data": [{"price": {"id": "price_1", "unit_amount": 599, "nickname": CANARY}}]},
        "discount": {"id": "di_1", "coupon": {"id": "HALF", "percent_off": 50}},
    }  # fmt: skip
    new = {
        "parent": {"subscription_details": {"subscription": "sub_1", "metadata": {"supabase_user_id": "u"}}},
        "lines": {"data": [{"pricing": {"price_details": {"price": "price_1"}, "unit_amount_decimal": "599"}}]},
        "discounts": ["di_1"],
    }
    assert AllowList(TYPES["invoice"]).kept(old) == {
        "subscription": "sub_1", "charge": "ch_1", "payment_intent": "pi_1", "paid": True,
        "lines": {"data": [{"price": {"id": "price_1", "unit_amount": 599}}]},
        "discount": {"id": "di_1", "coupon": {"id": "HALF", "percent_off": 50}},
    }  # fmt: skip
    assert AllowList(TYPES["invoice"]).kept(new) == new
    period = {"current_period_start": 1, "current_period_end": 2}
    for shape in (period, {"items": {"data": [period | {"plan": {"id": "p", "amount": 599, "interval": "month"}}]}}):
        assert AllowList(TYPES["subscription"]).kept(shape) == shape
    expanded = {"invoice": {"id": "in_1", "customer_email": CANARY}}
    assert AllowList(TYPES["charge"]).kept(expanded) == {"invoice": "in_1"}


def test_an_object_before_an_event_has_its_earlier_values() -> None:
    now = {"status": "active", "items": {"data": [1, 2], "has_more": False}, "metadata": {"a": "1", "b": "2"}}
    previous = {"status": "trialing", "items": {"data": [1]}, "metadata": {"b": None}, "trial_end": 5}
    assert before(now, previous) == {
        "status": "trialing",
        "items": {"data": [1], "has_more": False},
        "metadata": {"a": "1", "b": None},
        "trial_end": 5,
    }
    assert now["status"] == "active"


# What stays out.

# Where people and their cards stand in Stripe's objects, by table; also where they would if a plain field became one.
PERSON = {
    "name": CANARY, "email": CANARY, "phone": CANARY, "tax_id": CANARY,
    "address": {"city": CANARY, "line1": CANARY, "postal_code": CANARY, "state": CANARY},
}  # fmt: skip
CARD = {
    "last4": CANARY,
    "fingerprint": CANARY,
    "exp_month": CANARY,
    "exp_year": CANARY,
    "wallet": {"dynamic_last4": CANARY},
}
TEXTS = dict.fromkeys(
    ("description", "statement_descriptor", "receipt_email", "receipt_url", "receipt_number", "client_secret",
     "failure_message", "nickname", "hosted_invoice_url", "invoice_pdf", "footer", "number", "unknown_new_field"),
    CANARY,
)  # fmt: skip
PERSONAL: dict[str, Object] = {
    "customers": {**PERSON, "shipping": PERSON, "tax_ids": {"data": [{"value": CANARY}]}, "invoice_prefix": CANARY},
    "products": {"name": f"Premium {CANARY}", "url": CANARY, "marketing_features": [{"name": CANARY}]},
    "prices": {"lookup_key": CANARY, "product": {"id": "prod_1", "name": CANARY}, "metadata": {"tier": CANARY}},
    "subscriptions": {
        "customer": {"id": "cus_1", **PERSON},
        "cancellation_details": {"comment": CANARY, "reason": "cancellation_requested"},
        "items": {"data": [{"id": "si_1", "metadata": {"note": CANARY}, "price": {"nickname": CANARY}}]},
        "discounts": [{"id": "di_1", "source": {"coupon": {"id": "HALF", "name": CANARY}}}],
        "default_payment_method": {"id": "pm_1", "billing_details": PERSON, "card": CARD},
    },
    "invoices": {
        "customer_name": CANARY, "customer_email": CANARY, "customer_phone": CANARY, "customer_shipping": PERSON,
        "customer_address": PERSON["address"], "customer_tax_ids": [{"value": CANARY}], "account_name": CANARY,
        "custom_fields": [{"name": CANARY, "value": CANARY}],
        "lines": {"data": [{"id": "il_1", "description": CANARY, "price": {"nickname": CANARY}}]},
        "last_finalization_error": {"message": CANARY, "payment_method": {"billing_details": PERSON}},
    },
    "invoice_payments": {"invoice": {"id": "in_1", "customer_email": CANARY}},
    "payment_intents": {
        "shipping": PERSON, "payment_method": {"id": "pm_1", "billing_details": PERSON, "card": CARD},
        "last_payment_error": {"message": CANARY, "payment_method": {"id": "pm_1", "card": CARD}},
        "charges": {"data": [{"id": "ch_1", "billing_details": PERSON}]},
    },
    "charges": {
        "billing_details": PERSON, "shipping": PERSON, "source": {"id": "card_1", **PERSON, **CARD},
        "payment_method_details": {"type": "card", "card": CARD, "paypal": {"payer_email": CANARY, "payer_id": CANARY}},
        "outcome": {"seller_message": CANARY, "rule": {"id": "rule_1", "predicate": CANARY}},
        "level3": {"line_items": [{"product_description": CANARY}]},
    },
    "refunds": {"instructions_email": CANARY, "next_action": {"display_details": {"email_sent": {"to": CANARY}}}},
    "disputes": {
        "evidence": {"customer_name": CANARY, "customer_purchase_ip": CANARY, "uncategorized_text": CANARY},
        "balance_transactions": [{"id": "txn_1", "description": CANARY}],
    },
    "balance_transactions": {
        "fee_details": [{"description": CANARY}], "source": {"id": "ch_1", "billing_details": PERSON},
    },
    "payouts": {"destination": {"id": "ba_1", "account_holder_name": CANARY}, "trace_id": {"value": CANARY}},
}  # fmt: skip


def test_personal_data_stays_out_of_lists_events_and_names(settings: MakeSettings) -> None:
    with serve(is_expanding=True) as api:
        for table, fields in PERSONAL.items():
            metadata = {"metadata": {"note": CANARY, CANARY: "1"}} | TEXTS
            whole = item(table.removesuffix("s"), "id_1", AT - 60) | {"status": "active"} | metadata | fields
            api.add(table, whole, at=AT - 60)
            api.update(table, "id_1", {"description": "other", "metadata": {"note": "other"}}, at=AT - 30)
        received = pull(settings(api))
    assert received.errors == {}
    landed = json.dumps([received.rows, received.quarantine, [*map(sorted, received.withheld.values())]], default=str)
    assert not [piece for piece in ("canary", "example.com", "4242") if piece in landed]
    assert all(len(received.rows[table]) == 4 for table in PERSONAL)
    assert {"billing_details.email", "billing_details.address.line1", "payment_method_details.card.last4",
            "outcome.seller_message", "metadata.note", "[email] +43 1 [card]",
            "unknown_new_field"} <= received.withheld["charges"]  # fmt: skip
    assert {"lines.data.description", "customer_address.city", "number"} <= received.withheld["invoices"]
    assert json.loads(received.rows["products"][-1]["content"])["name"] == "Premium [email] +43 1 [card]"
    assert {"status", "id", "livemode"}.isdisjoint(received.withheld["charges"])


@pytest.mark.parametrize("type_", TYPES)
def test_nothing_comes_through_in_the_shape_of_an_object_but_what_is_named(type_: str) -> None:
    """Every field that is declared plain could become an object some day: of it only the id is kept."""
    grown = {name: {"id": "x_1", "email": CANARY, "deep": [{"name": CANARY}]} for name in [*TYPES[type_], "unknown"]}
    assert CANARY not in json.dumps(AllowList(TYPES[type_]).kept(grown))
    texts = dict.fromkeys([name for name, fields in TYPES[type_].items() if isinstance(fields, dict)], CANARY)
    assert CANARY not in json.dumps(
        {name: value for name, value in AllowList(TYPES[type_]).kept(texts).items() if "id" not in TYPES[type_][name]}
    )


def test_the_fields_that_numbers_rest_on_are_kept() -> None:
    charge = {
        "amount": 599, "failure_code": "card_declined", "status": "failed",
        "outcome": {"type": "issuer_declined", "network_decline_code": "51", "reason": "insufficient_funds"},
        "payment_method_details": {"type": "card", "card": {"brand": "visa", "country": "AT", "funding": "credit"}},
    }  # fmt: skip
    customer = {"address": {"country": "AT"}, "metadata": {"supabase_user_id": "5f0c"}}
    for type_, fields in (("charge", charge), ("customer", customer)):
        allowed = AllowList(TYPES[type_])
        assert allowed.kept(fields) == fields
        assert allowed.withheld == set()


def test_objects_of_the_other_mode_are_set_aside(settings: MakeSettings) -> None:
    with serve() as api:
        api.add("customers", item("customer", "cus_live"))
        api.add("customers", item("customer", "cus_test", email=CANARY) | {"livemode": False}, at=AT - 60)
        received = pull(settings(api))
    assert [row["object_id"] for row in received.rows["customers"]] == ["cus_live"]
    told = Remark("1 objects that are not of the live mode, as the key is, were set aside", is_alarm=True)
    assert (received.remarks["customers"], received.remarks["events"], received.remarks["prices"]) == (
        [told],
        [told],
        [],
    )
    (row,) = received.quarantine["customers"]
    assert json.loads(row["record"]) == {"id": "cus_test", "object": "customer"}
    assert (str(row["day"]), row["reason"]) == ("2026-08-16", "livemode is False, unlike the key's")
    assert received.counts["customers"] == Counts(received=2, quarantined=1)
    assert received.counts["events"] == Counts(received=1, quarantined=1)


@pytest.mark.parametrize("created", ["2026", 1.5, -1, 10**12, True])
def test_object_whose_time_is_none_is_set_aside(settings: MakeSettings, created: Any) -> None:
    with serve(faults=lambda _: None) as api:
        api.add("refunds", item("refund", "re_1"))
        api.tables["refunds"].objects["re_1"]["created"] = created
        received = pull(settings(api))
    assert [row["reason"] for row in received.quarantine["refunds"]] == ["created is not a time"]


# What goes wrong.


def failing(table: str, fault: str, times: int = 10**6) -> Callable[[Request], str | None]:
    left = [times]

    def fault_of(request: Request) -> str | None:
        if request.path != f"/v1/{table}" or not left[0]:
            return None
        left[0] -= 1
        return fault

    return fault_of


TRANSIENT = {
    "http_429": "answered 429: Request rate limit exceeded",
    "lock_timeout": "answered 429: This object cannot be accessed right now",
    "http_500": "answered 500: Something is wrong",
    "html_502": "answered 502",
    "html_200": "answered 200",
    "cut_json": "answered 200",
    "not_utf8": "not UTF-8",
    "cut_body": "RemoteProtocolError",
    "redirect": "answered 302",
}
LASTING = {
    "empty_page_has_more": "an empty page that claims to have more after it",
    "repeated_page": "a page repeats objects",
    "http_400": "answered 400: Something is wrong",
}


@pytest.mark.parametrize("fault", TRANSIENT)
def test_transient_fault_is_survived(settings: MakeSettings, fault: str) -> None:
    with serve(faults=failing("charges", fault, TRIES - 1)) as api:
        api.add("charges", item("charge", "ch_1"))
        received = pull(settings(api))
    assert received.errors == {}
    assert len(received.rows["charges"]) == 1
    assert len(received.said) == TRIES - 1


@pytest.mark.parametrize(("fault", "told"), (TRANSIENT | LASTING).items())
def test_lasting_fault_fails_its_table_alone(settings: MakeSettings, fault: str, told: str) -> None:
    with serve(faults=failing("charges", fault)) as api:
        api.add_all("charges", [item("charge", f"ch_{number}") for number in range(150)])
        received = pull(settings(api))
    assert list(received.errors) == ["charges"]
    assert received.errors["charges"].startswith("stripe: charges: ")
    assert told in received.errors["charges"]
    assert "\n" not in received.errors["charges"]
    assert "<" not in received.errors["charges"]
    assert len(received.rows) == len(TABLES) - 1


def test_page_that_repeats_is_found_in_the_middle(settings: MakeSettings) -> None:
    faults: list[str | None] = [None, None, "repeated_page"]
    with serve(faults=faults) as api:
        api.add_all("customers", [item("customer", f"cus_{number}") for number in range(150)])
        received = pull(settings(api))
    assert received.errors == {"customers": "stripe: customers: a page repeats objects"}


def test_missing_permission_fails_its_table_alone_and_is_named(settings: MakeSettings) -> None:
    with serve(forbidden={"charges"}) as api:
        api.add("customers", item("customer", "cus_1"))
        received = pull(settings(api))
    assert received.errors == {
        "charges": "stripe: charges: answered 403: the key may not read charges: "
        "give the restricted key read access to Charges"
    }
    assert len(received.rows["customers"]) == 1


def test_without_the_right_to_read_events_everything_is_listed_each_time(settings: MakeSettings) -> None:
    with serve(forbidden={"events"}) as api:
        api.add("customers", item("customer", "cus_1"))
        first, later = pull(settings(api)), pull(settings(api), since=YESTERDAY)
    assert list(first.errors) == list(later.errors) == ["events"]
    assert len(first.rows["customers"]) == len(later.rows["customers"]) == 1
    assert any("listing all of every table" in line for line in later.said)


def test_where_the_feed_breaks_off_no_table_claims_to_know_what_changed(settings: MakeSettings) -> None:
    with serve(faults=lambda request: "http_400" if request.path == "/v1/events" else None) as api:
        api.add("customers", item("customer", "cus_1"))
        later = pull(settings(api), since=YESTERDAY)
    assert set(later.errors) == set(TABLES)
    assert "can't tell what changed: stripe: events: answered 400" in later.errors["customers"]


@pytest.mark.parametrize("value", ["4242424242424242", "4242-4242-4242-4242", "+491701234567", "203.0.113.77"])
def test_a_number_of_a_person_is_no_code_and_no_id(value: str) -> None:
    charges, customers = AllowList(TYPES["charge"]), AllowList(TYPES["customer"], lambda _: "hashed")
    assert charges.kept({"payment_method": value}) == {"payment_method": None}
    assert charges.withheld == {"payment_method"}
    user = {"metadata": {"supabase_user_id": value}}
    assert customers.kept(user) == {"metadata": {"supabase_user_id": "hashed"}}
    assert charges.card_numbers == customers.card_numbers == (1 if value.startswith("4242") else 0)


def test_an_error_names_no_object(settings: MakeSettings) -> None:
    with serve(faults=lambda request: "http_400" if request.path.startswith("/v1/customers/") else None) as api:
        api.add("customers", item("customer", "cus_Qx81Lm"))
        api.update("customers", "cus_Qx81Lm", {"balance": 5}, at=AT - 60)
        received = pull(settings(api), since=YESTERDAY)
    assert "cus_Qx81Lm" not in received.errors["customers"]


def test_events_that_break_off_leave_no_half_of_history(settings: MakeSettings) -> None:
    def second_page_fails(request: Request) -> str | None:
        return "http_400" if request.path == "/v1/events" and "starting_after" in request.query else None

    with serve(faults=second_page_fails) as api:
        api.add("customers", item("customer", "cus_1", balance=0))
        for number in range(150):
            api.update("customers", "cus_1", {"balance": number}, at=AT - number)
        received = pull(settings(api))
    assert list(received.errors) == ["events"]
    assert received.versions("customers") == [("cus_1", "list", 149, False)]


def test_wrong_key_is_refused_at_once_and_never_shown(settings: MakeSettings) -> None:
    with serve() as api, pytest.raises(SourceUnavailableError, match="answered 401: check STRIPE_API_KEY") as refusal:
        pull(settings(api, STRIPE_API_KEY="rk_live_wrong"))
    assert len(api.requests) == 1
    assert "wrong" not in str(refusal.value)


def test_unreachable_host_is_told(settings: MakeSettings) -> None:
    with serve() as api:
        pass
    with pytest.raises(SourceUnavailableError, match=f"^stripe: can't reach {api.url}: ConnectError$"):
        pull(settings(api))


def test_answer_that_repeats_key_and_addresses_is_told_without_them(settings: MakeSettings) -> None:
    with serve(faults=failing("charges", "echoed_secret")) as api:
        received = pull(settings(api))
    assert received.errors["charges"] == "stripe: charges: answered 400: [secret] of [email] is not welcome"


@pytest.mark.parametrize(("retry_after", "waits"), [("7", [7.0] * 3), ("86400", [300.0] * 3), (None, [2.0, 4.0, 8.0])])
def test_retry_after_is_respected_up_to_a_cap(
    settings: MakeSettings, monkeypatch: pytest.MonkeyPatch, retry_after: str | None, waits: list[float]
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    with serve(faults=["http_429"] * 3, retry_after=retry_after) as api:
        assert pull(settings(api, TAILTRACKER_RETRY_SCALE=1)).errors == {}
    assert slept == waits


@pytest.mark.parametrize("fault", ["http_429", "http_500"])
def test_an_answer_that_says_not_to_try_again_is_obeyed(settings: MakeSettings, fault: str) -> None:
    with serve(faults=failing("charges", fault), should_retry="false") as api:
        received = pull(settings(api))
    assert list(received.errors) == ["charges"]
    assert sum(request.path == "/v1/charges" for request in api.requests) == 1


# Doctor, and imports.


def test_check_says_what_to_do(settings: MakeSettings) -> None:
    with serve() as api:
        well = Stripe(settings(api)).check()
        wrong = Stripe(settings(api, STRIPE_API_KEY="rk_live_wrong")).check()
        api.forbidden = {"charges", "balance_transactions"}
        forbidden = Stripe(settings(api)).check()
    unreachable = Stripe(settings(api)).check()
    assert (well.is_ok, well.detail) == (True, "answers to a live key, which may read all 13 tables")
    assert (wrong.is_ok, unreachable.is_ok, forbidden.is_ok) == (False, False, False)
    assert "check STRIPE_API_KEY" in wrong.detail
    assert "can't reach" in unreachable.detail
    assert forbidden.detail.endswith("give the restricted key read access to Charges, Balance Transactions")


def test_check_warns_of_a_key_that_may_write(settings: MakeSettings) -> None:
    with serve(key="sk_live_everything") as api:
        check = Stripe(settings(api, STRIPE_API_KEY="sk_live_everything")).check()
    assert check.is_ok
    assert "use a restricted key" in check.detail


def test_it_is_off_without_a_key(make_settings: MakeSettings) -> None:
    assert not Stripe.is_on(make_settings())
    with pytest.raises(TailTrackerError, match="set STRIPE_API_KEY"):
        pull(make_settings())


def test_importing_it_does_not_import_the_client() -> None:
    code = "import sys, tailtracker_bi.sources.stripe; assert not {'stripe', 'requests'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
