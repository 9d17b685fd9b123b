"""What goes wrong with Stripe, each staged over real sockets, through plan and pull, into a real lake.

    33 has_more without end           that table fails after one request; the next refresh has it all
    34 a page or cursor that repeats  the same, and no object twice
    35 bursts of 429, lock_timeout    tried again, unless the answer says not to
    36 a key that may not read        that table is red and says what to allow; all others land
    37 events late, unordered, lost   the state of the objects is right: at once, or where no event comes within a day
    38 a pause of over 30 days        everything is listed again, and said; the same on demand; what vanished is flagged
    39 old shapes beside new ones     the same rows of the models
    40 deleted objects                flagged, and their history is kept
    41 objects of the test mode       set aside, and the table is red
    42 currencies and amounts         exact
    45 what nobody knows yet          stored, and remarked
    46 card numbers                   not on the disk, and the table is red

Every run report adds up. The lake that a disturbed refresh, or the one after it, leads to is compared with the one of a
HOME that saw the same without a fault.

Shown elsewhere: single answers of the API, and how often it is asked, in `test_stripe.py`. Money that comes of it (42
exact to the metrics; 43 partial refunds and captures, disputes, intents that fail first; 44 trials, pauses, quantities,
coupons, weeks, ends at a period's end), and old shapes of all the tables (39), in `tests/metrics/`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest

from tailtracker_bi.lake.lake import Lake
from tailtracker_bi.runs.planning import check_accepted, plan
from tailtracker_bi.runs.pulling import pull
from tailtracker_bi.runs.report import Progress, RunReport, new_report
from tailtracker_bi.sandbox.servers.stripe_api import KEY, Request, StripeApi, serve
from tailtracker_bi.sandbox.servers.stripe_lists import Object
from tailtracker_bi.settings.model import Settings
from tailtracker_bi.sources.records import HISTORY_ORIGINS
from tailtracker_bi.sources.stripe.reading import Stripe
from tests.worlds.stripe_worlds import Models, Rows, needed_for, sql_tables

NOW = datetime(2026, 11, 24, 6, tzinfo=UTC)
DAY = timedelta(days=1)
CREATED = int((NOW - 100 * DAY).timestamp())
CARD_NUMBER = "4242424242424242"
TABLES = [table.name for table in Stripe.tables]
SCHEMAS = {table.name: Stripe.raw_schema(table) for table in Stripe.tables}

State = dict[str, dict[str, tuple[bool, Object]]]
"""By table and id: whether the object is deleted, and what it is now."""


def seconds(moment: datetime) -> int:
    return int(moment.timestamp())


def item(type_: str, id_: str, created: int = CREATED, **fields: Any) -> Object:
    return {"id": id_, "object": type_, "created": created, "livemode": True, **fields}


def subscription(id_: str, **fields: Any) -> Object:
    items = {"object": "list", "has_more": False, "data": [{"id": f"si_{id_}", "quantity": 1}]}
    about = {"customer": "cus_1", "status": "active", "discounts": [], "items": items}
    return item("subscription", id_, **about | fields)


class Told(Progress):
    """What a run said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)


@dataclass
class Home:
    """A HOME that is refreshed from an API."""

    path: Path
    api: StripeApi
    make_settings: Callable[..., Settings]
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.lake = Lake(self.path)

    def settings(self, now: datetime) -> Settings:
        return self.make_settings(
            TAILTRACKER_HOME=self.path,
            TAILTRACKER_NOW=now.isoformat(),
            STRIPE_API_KEY=KEY,
            STRIPE_API_BASE=self.api.url,
        )

    def refresh(self, now: datetime = NOW, *, relist: bool = False, accept: Sequence[str] = ()) -> RunReport:
        """Plan and pull; nothing is built."""
        settings, report, progress = self.settings(now), new_report(), Told()
        plans = plan(settings, self.lake, sources=["stripe"], relist=relist)
        pull(settings, self.lake, plans, report, progress, check_accepted(self.lake, accept, plans))
        for line in report.days:
            parts = ("loaded", "deduplicated", "filtered", "quarantined")
            assert line["received"] == sum(line[part] for part in parts), line
        assert [line["table"] for line in report.days] == TABLES
        self.said = progress.lines
        return report

    def versions(self, table: str) -> Rows:
        """All versions of the objects of a table, oldest first."""
        files = self.lake.files("stripe", table)
        rows = (
            ds.dataset(files, schema=SCHEMAS[table], format="parquet")
            .to_table()
            .sort_by([("landing", "ascending"), ("effective_at", "ascending")])
        )
        return [{**row, "content": json.loads(row["content"])} for row in rows.to_pylist()]

    def state(self) -> State:
        tables = [table for table in TABLES if self.lake.ledger.synced_at("stripe", table)]
        return {
            table: {
                row["object_id"]: (row["is_deleted"], row["content"])
                for row in self.versions(table)
                if row["origin"] not in HISTORY_ORIGINS
            }
            for table in tables
        }

    def now(self, table: str, name: str = "status") -> dict[str, Any]:
        """A field of each object of a table that is not deleted."""
        return {id_: content.get(name) for id_, (is_deleted, content) in self.state()[table].items() if not is_deleted}

    def latest(self, table: str) -> dict[str, Any]:
        """The ledger's latest row of a table."""
        return self.lake.ledger.attempts("stripe", table)[-1]


NewHome = Callable[[str, StripeApi], Home]


@pytest.fixture
def new_home(make_settings: Callable[..., Settings], tmp_path: Path) -> NewHome:
    return lambda name, api: Home(tmp_path / name, api, make_settings)


def furnish(api: StripeApi) -> None:
    """150 charges, which are two pages, and one object or two of each of the other tables."""
    api.add_all("charges", [item("charge", f"ch_{n:03}", CREATED + n, status="succeeded") for n in range(150)])
    api.add("customers", item("customer", "cus_1", balance=0))
    api.add("products", item("product", "prod_1", name="Premium"))
    api.add_all("prices", [item("price", f"price_{n}", unit_amount=n) for n in (1, 2)])
    api.add_all("subscriptions", [subscription("sub_1"), subscription("sub_2", status="trialing")])
    api.add_all("invoices", [item("invoice", f"in_{status}", status=status) for status in ("draft", "open", "paid")])
    api.add("invoice_payments", item("invoice_payment", "inpay_1", status="open"))
    api.add("payment_intents", item("payment_intent", "pi_1", status="processing"))
    api.add("refunds", item("refund", "re_1", status="pending"))
    api.add("disputes", item("dispute", "dp_1", status="needs_response"))
    api.add("balance_transactions", item("balance_transaction", "txn_1", amount=599))


def failed(report: RunReport) -> list[str]:
    """The tables that did not land; each of the others has."""
    assert {line["status"] for line in report.days} <= {"failed", "landed"}
    return [line["table"] for line in report.days if line["status"] == "failed"]


def of_charges(fault: str) -> Callable[[Request], str | None]:
    return lambda request: fault if request.path == "/v1/charges" else None


def asked_for(api: StripeApi, table: str) -> int:
    return sum(request.path == f"/v1/{table}" for request in api.requests)


# 33 to 36: the API.


@pytest.mark.parametrize(
    ("fault", "requests", "told"),
    [
        ("empty_page_has_more", 1, "an empty page that claims to have more after it"),
        ("repeated_page", 2, "a page repeats objects"),
    ],
)
def test_33_34_lists_without_end_fail_their_table_alone_and_the_next_refresh_has_it_all(
    new_home: NewHome, fault: str, requests: int, told: str
) -> None:
    with serve() as api:
        furnish(api)
        quiet, disturbed = new_home("quiet", api), new_home("disturbed", api)
        quiet.refresh()
        api.faults, api.requests = of_charges(fault), []
        report = disturbed.refresh()
        assert failed(report) == ["charges"]
        assert report.errors == [f"stripe: charges: {told}"]
        assert asked_for(api, "charges") == requests
        assert "charges" not in disturbed.state()
        api.faults = ()
        assert failed(disturbed.refresh(NOW + timedelta(hours=1))) == []
    assert len(quiet.state()["charges"]) == 150
    assert disturbed.state() == quiet.state()


def test_35_bursts_are_survived_within_one_refresh(new_home: NewHome) -> None:
    met: dict[str, int] = {}

    def burst(request: Request) -> str | None:
        met[request.path] = met.get(request.path, 0) + 1
        return {1: "http_429", 2: "lock_timeout"}.get(met[request.path])

    with serve() as api:
        furnish(api)
        quiet, disturbed = new_home("quiet", api), new_home("disturbed", api)
        quiet.refresh()
        api.faults = burst
        assert failed(disturbed.refresh()) == []
    assert len(disturbed.said) == 2 * len(TABLES)
    assert disturbed.state() == quiet.state()


def test_35_an_answer_that_says_not_to_try_again_is_obeyed(new_home: NewHome) -> None:
    with serve(faults=of_charges("http_429"), should_retry="false") as api:
        furnish(api)
        disturbed = new_home("disturbed", api)
        report = disturbed.refresh()
        assert (failed(report), asked_for(api, "charges")) == (["charges"], 1)
        assert report.errors == ["stripe: charges: answered 429: Request rate limit exceeded."]
        api.faults = ()
        assert failed(disturbed.refresh(NOW + timedelta(hours=1))) == []
    assert len(disturbed.state()["charges"]) == 150


def test_36_a_table_that_the_key_may_not_read_is_red_and_catches_up_when_it_may(
    new_home: NewHome, models: Models
) -> None:
    with serve() as api:
        furnish(api)
        quiet, disturbed = new_home("quiet", api), new_home("disturbed", api)
        disturbed.refresh(NOW - 5 * DAY)
        api.update("disputes", "dp_1", {"status": "lost"}, at=seconds(NOW - 4 * DAY))
        api.update("customers", "cus_1", {"balance": 7}, at=seconds(NOW - 4 * DAY))
        api.forbidden = {"disputes"}
        report = disturbed.refresh(NOW - 3 * DAY)
        why = (
            "stripe: disputes: answered 403: the key may not read disputes: "
            "give the restricted key read access to Disputes"
        )
        assert (failed(report), report.errors) == (["disputes"], [why])
        # What had landed before is there still, and its table says that it is old.
        assert (disturbed.now("disputes"), disturbed.now("customers", "balance")) == (
            {"dp_1": "needs_response"},
            {"cus_1": 7},
        )
        assert published_status(disturbed, models, NOW - 3 * DAY) == {"failed": ["disputes"]}
        api.forbidden = set()
        assert failed(disturbed.refresh()) == []
        quiet.refresh()
    assert disturbed.state() == quiet.state()
    assert published_status(disturbed, models, NOW) == {}


def published_status(home: Home, models: Models, now: datetime) -> dict[str, list[str]]:
    """Stripe's tables that are not well, by their state in `data_status`, as a build publishes it."""
    needed = needed_for(models, "pub_data_status")
    rows = sql_tables([], needed, home.path, TAILTRACKER_NOW=now)["pub_data_status"]
    troubled: dict[str, list[str]] = {}
    for row in rows:
        if row["source"] == "stripe" and row["status"] != "ok":
            troubled.setdefault(row["status"], []).append(row["table_name"])
    return {status: sorted(tables) for status, tables in troubled.items()}


# 37 to 40: what happens, and what events tell of it.


def test_37_late_unordered_and_same_second_events_lead_to_the_state_now(new_home: NewHome) -> None:
    with serve() as api:
        furnish(api)
        home = new_home("home", api)
        home.refresh(NOW - timedelta(hours=3))
        late = seconds(NOW - timedelta(hours=20))  # before that refresh, and told of only now
        newly = seconds(NOW - timedelta(hours=1))
        api.add("customers", item("customer", "cus_new", newly, balance=1), at=newly)
        api.update("customers", "cus_new", {"balance": 2}, at=newly)
        api.update("customers", "cus_1", {"balance": 30}, at=newly)
        api.update("customers", "cus_1", {"balance": 20}, at=late)
        report = home.refresh()
    assert failed(report) == []
    assert home.now("customers", "balance") == {"cus_1": 20, "cus_new": 2}
    told = [row["content"]["balance"] for row in home.versions("customers") if row["origin"] == "event"]
    assert sorted(told) == [1, 2, 20, 30]


def test_37_what_no_event_told_of_is_healed_by_the_first_refresh_of_the_next_day(new_home: NewHome) -> None:
    with serve() as api:
        furnish(api)
        api.add("charges", item("charge", "ch_slow", status="pending"))
        home, quiet = new_home("home", api), new_home("quiet", api)
        home.refresh(NOW)
        api.requests = []
        for table, id_, status in (
            ("subscriptions", "sub_1", "canceled"),
            ("subscriptions", "sub_2", "active"),
            ("invoices", "in_open", "paid"),
            ("invoice_payments", "inpay_1", "paid"),
            ("payment_intents", "pi_1", "succeeded"),
            ("charges", "ch_slow", "succeeded"),
            ("refunds", "re_1", "succeeded"),
            ("disputes", "dp_1", "lost"),
        ):
            api.tables[table].objects[id_]["status"] = status
        api.tables["invoices"].remove("in_draft")
        home.refresh(NOW + timedelta(hours=17))
        assert home.now("subscriptions") == {"sub_1": "active", "sub_2": "trialing"}
        assert [request.path for request in api.requests if request.path.count("/") > 2] == []
        report = home.refresh(NOW + timedelta(hours=18))  # midnight
        quiet.refresh()
    assert failed(report) == []
    # The only one that is gone was never there for the other.
    is_deleted, draft = home.state()["invoices"]["in_draft"]
    assert (is_deleted, draft["status"]) == (True, "draft")
    assert home.now("invoices") == {"in_open": "paid", "in_paid": "paid"}
    assert {**home.state(), "invoices": {}} == {**quiet.state(), "invoices": {}}
    # Read by their id: those that had been open and are in none of the lists of open ones. No other.
    assert sorted(request.path for request in api.requests if request.path.count("/") > 2) == [
        "/v1/charges/ch_slow",
        "/v1/disputes/dp_1",
        "/v1/invoice_payments/inpay_1",
        "/v1/invoices/in_draft",
        "/v1/invoices/in_open",
        "/v1/payment_intents/pi_1",
        "/v1/refunds/re_1",
        "/v1/subscriptions/sub_1",
    ]


def vanish(api: StripeApi) -> None:
    """What changes or goes without a trace in the events."""
    api.tables["customers"].objects["cus_1"]["balance"] = 5
    api.tables["prices"].remove("price_2")


def test_38_after_a_pause_everything_is_listed_again_and_what_vanished_is_flagged(new_home: NewHome) -> None:
    with serve() as api:
        furnish(api)
        home = new_home("home", api)
        home.refresh(NOW - 31 * DAY)
        vanish(api)
        assert failed(home.refresh()) == []
    assert home.said[0].startswith("stripe: last brought up to date on 2026-10-24, and events since then are gone")
    assert home.now("customers", "balance") == {"cus_1": 5}
    history = [(row["is_deleted"], row["content"]["unit_amount"]) for row in home.versions("prices")]
    assert home.now("prices", "unit_amount") == {"price_1": 1}
    assert sorted(history) == [(False, 1), (False, 2), (True, 2)]


def test_38_on_demand_everything_is_listed_again(new_home: NewHome) -> None:
    with serve() as api:
        furnish(api)
        home = new_home("home", api)
        home.refresh()
        vanish(api)
        home.refresh(NOW + DAY)
        assert home.now("customers", "balance") == {"cus_1": 0}  # nobody told of it, and a customer is never open
        api.requests = []
        report = home.refresh(NOW + DAY + timedelta(hours=1), relist=True)
    assert failed(report) == []
    assert home.now("customers", "balance") == {"cus_1": 5}
    assert home.now("prices", "unit_amount") == {"price_1": 1}
    assert {line["table"]: line["loaded"] for line in report.days if line["loaded"]} == {"customers": 1, "prices": 1}
    assert [request.path for request in api.requests if request.path.count("/") > 2] == ["/v1/prices/price_2"]
    assert not [request for request in api.requests if any(name.startswith("created") for name in request.query)]


def test_38_where_most_objects_vanish_a_person_is_asked_first(new_home: NewHome) -> None:
    with serve() as api:
        furnish(api)
        home = new_home("home", api)
        home.refresh()
        for number in range(100):
            api.tables["charges"].remove(f"ch_{number:03}")
        later = NOW + timedelta(hours=1)
        report = home.refresh(later, relist=True)
        assert (report.exit_code, report.errors, len(report.held)) == (3, [], 1)
        assert "100 of its 150 objects are gone: do the credentials belong to another account?" in report.held[0]
        assert "`tailtracker-bi refresh --relist --accept stripe:charges`" in report.held[0]
        assert len(home.now("charges")) == 150
        report = home.refresh(later, relist=True, accept=["stripe:charges"])
    assert report.exit_code == 0
    assert len(home.now("charges")) == 50


def test_39_old_shapes_and_expanded_objects_give_the_rows_of_new_ones(new_home: NewHome, models: Models) -> None:
    user = {"supabase_user_id": "user-1"}
    new = item("invoice", "in_1", customer="cus_1", currency="eur", status="paid", total=599) | {
        "parent": {"subscription_details": {"subscription": "sub_1", "metadata": user}}
    }
    old = item("invoice", "in_1", currency="eur", status="paid", total=599) | {
        "customer": {"id": "cus_1", "object": "customer", "email": "anna@example.com"},
        "subscription": {"id": "sub_1", "object": "subscription", "customer": "cus_1"},
    }
    rows = []
    for name, shape in (("new", new), ("old", old)):
        with serve() as api:
            home = new_home(name, api)
            api.add("invoices", shape)
            # Events hold the shape of their time, whatever lists hold.
            api.event_version = "2019-12-03"
            api.add_event(old, "paid", seconds(NOW - DAY))
            assert failed(home.refresh()) == []
        needed = needed_for(models, "stg_stripe__invoices")
        rows += sql_tables([], needed, home.path, TAILTRACKER_NOW=NOW)["stg_stripe__invoices"]
    assert rows[0] == rows[1]
    assert (rows[0]["customer_id"], rows[0]["subscription_id"], str(rows[0]["total_amount"])) == (
        "cus_1",
        "sub_1",
        "5.990",
    )


def test_40_what_is_deleted_is_flagged_and_its_history_is_kept(new_home: NewHome) -> None:
    with serve() as api:
        furnish(api)
        home = new_home("home", api)
        home.refresh(NOW - DAY)
        api.delete("customers", "cus_1", at=seconds(NOW) - 60)  # for which Stripe answers with a stub
        api.delete("prices", "price_2", at=seconds(NOW) - 60)  # for which it does not answer
        report = home.refresh()
        again = home.refresh(NOW + timedelta(hours=1))
    assert failed(report) == []
    assert home.state()["customers"]["cus_1"] == (True, item("customer", "cus_1", balance=0))
    assert home.state()["prices"]["price_2"] == (True, item("price", "price_2", unit_amount=2))
    assert [(row["origin"], row["is_deleted"]) for row in home.versions("customers")] == [
        ("list", False),
        ("event", True),
        ("read", True),
    ]
    assert sum(line["loaded"] for line in again.days) == 0


# 41 to 46: what the objects hold.


def test_41_objects_of_the_test_mode_are_set_aside_and_their_table_is_red(new_home: NewHome, models: Models) -> None:
    with serve() as api:
        furnish(api)
        home, quiet = new_home("home", api), new_home("quiet", api)
        quiet.refresh()
        api.add("customers", item("customer", "cus_test") | {"livemode": False})
        report = home.refresh()
        assert failed(report) == []
    told = "1 objects that are not of the live mode, as the key is, were set aside"
    assert report.notes == [f"stripe: customers: 2026-11-24: {told}"]
    assert (home.latest("customers")["remark"], home.latest("customers")["is_alarm"]) == (told, True)
    assert [line["quarantined"] for line in report.days if line["table"] == "customers"] == [1]
    assert home.state() == quiet.state()
    assert published_status(home, models, NOW) == {"suspect": ["customers"]}


def test_42_amounts_land_to_the_last_unit(new_home: NewHome) -> None:
    amounts = {f"txn_{number}": amount for number, amount in enumerate([0, 1, 2**53 - 1, 2**53 + 1, -(2**53) - 1])}
    with serve() as api:
        for id_, amount in amounts.items():
            api.add("balance_transactions", item("balance_transaction", id_, amount=amount, currency="jpy"))
        home = new_home("home", api)
        assert failed(home.refresh()) == []
    assert home.now("balance_transactions", "amount") == amounts


def test_45_what_nobody_knows_yet_is_stored_and_remarked_without_alarm(new_home: NewHome, models: Models) -> None:
    with serve(event_version="2027-01-27.farro") as api:
        furnish(api)
        api.update("subscriptions", "sub_1", {"status": "frozen", "frost": {"until": 1}}, at=seconds(NOW) - 60)
        home = new_home("home", api)
        report = home.refresh()
    assert (failed(report), report.notes) == ([], [])
    assert home.now("subscriptions") == {"sub_1": "frozen", "sub_2": "trialing"}
    remarks = {line["table"]: line["remarks"] for line in report.days if "remarks" in line}
    assert remarks["subscriptions"] == ["no model knows the status frozen"]
    assert [text.split(",")[0] for text in remarks["events"]] == ["events came in API version 2027-01-27.farro"]
    assert "frost.until" in report.days[TABLES.index("subscriptions")]["withheld"]
    assert published_status(home, models, NOW) == {}


def test_46_card_numbers_are_nowhere_on_the_disk_and_their_tables_are_red(new_home: NewHome, models: Models) -> None:
    with serve() as api:
        furnish(api)
        api.add("products", item("product", "prod_card", name=f"Premium {CARD_NUMBER}", description=CARD_NUMBER))
        api.add("customers", item("customer", "cus_card", metadata={"supabase_user_id": CARD_NUMBER}))
        # What is not kept at all can't hold one.
        api.add("refunds", item("refund", "re_card", metadata={"note": CARD_NUMBER}, description=CARD_NUMBER))
        home = new_home("home", api)
        report = home.refresh()
    assert failed(report) == []
    assert home.now("products", "name") == {"prod_1": "Premium", "prod_card": "Premium [card]"}
    told = "2026-11-24: 1 objects held a card number, which did not land: take it out in Stripe"
    assert report.notes == [f"stripe: customers: {told}", f"stripe: products: {told}"]
    assert published_status(home, models, NOW) == {"suspect": ["customers", "products"]}
    landed = [str(home.versions(table)) for table in TABLES]
    landed += [file.read_bytes().decode(errors="replace") for file in home.path.rglob("*") if file.is_file()]
    assert not [text for text in landed if CARD_NUMBER in text]
