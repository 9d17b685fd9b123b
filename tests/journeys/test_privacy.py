"""No personal data in lake, quarantine, warehouse, bundle or run report: a canary in every field of every source."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pyarrow.parquet as pq

from tailtracker_bi.runs.pipeline import refresh
from tailtracker_bi.runs.report import Progress
from tailtracker_bi.sandbox.servers.app_database import AppDatabase
from tailtracker_bi.sandbox.servers.export_api import serve as serve_mixpanel
from tailtracker_bi.sandbox.servers.stripe_api import KEY
from tailtracker_bi.sandbox.servers.stripe_api import serve as serve_stripe
from tailtracker_bi.settings.model import Settings
from tests.sources.export_lines import event_line
from tests.worlds.tiny import assert_adds_up, at

DAY = date(2024, 3, 29)
USER = "00000000-0000-4000-8000-000000000001"
CREATED = int(datetime(2024, 3, 29, 8, tzinfo=UTC).timestamp())
# Told apart by what they stand for, so that a failure says which got through.
NAME, EMAIL, PHONE, STREET, IP, CARD, PLACE = (
    "Kanarienvogel", "canary@example.com", "+43 660 1234567", "Kanaryweg 7", "203.0.113.77", "4242 4242 4242 4242",
    "48.20817, 16.37382",
)  # fmt: skip
CANARIES = (NAME, EMAIL, PHONE, STREET, IP, CARD, CARD.replace(" ", ""), "48.20817", "canary-secret")

ADDRESS = {"city": STREET, "country": "AT", "line1": STREET, "line2": STREET, "postal_code": STREET, "state": STREET}
PERSON = {"name": NAME, "email": EMAIL, "phone": PHONE, "address": ADDRESS}


def stripe_object(type_: str, id_: str, **fields: Any) -> dict[str, Any]:
    return {"id": id_, "object": type_, "created": CREATED, "livemode": True, "currency": "eur", **fields}


STRIPE = {
    "customers": stripe_object(
        "customer", "cus_1", **PERSON, shipping=PERSON, description=f"{NAME} {CARD}", business_name=NAME,
        individual_name=NAME, preferred_locales=[NAME], tax_ids={"data": [{"value": "canary-secret"}]},
        metadata={"supabase_user_id": USER, "note": f"{NAME} {EMAIL}"}, invoice_settings={"footer": STREET},
    ),
    "products": stripe_object(
        "product", "prod_1", name="Premium", description=NAME, metadata={"tier": "premium", "by": NAME}
    ),
    "prices": stripe_object(
        "price", "price_1", product="prod_1", nickname=NAME, unit_amount=599, metadata={"by": NAME},
        recurring={"interval": "month", "interval_count": 1, "usage_type": "licensed"},
    ),
    "subscriptions": stripe_object(
        "subscription", "sub_1", customer="cus_1", status="active", start_date=CREATED, description=NAME, discounts=[],
        cancellation_details={"comment": f"{NAME} {CARD}", "feedback": None, "reason": None}, metadata={"note": EMAIL},
        items={"object": "list", "has_more": False, "data": [{
            "id": "si_1", "object": "subscription_item", "quantity": 1, "metadata": {"note": NAME},
            "price": {"id": "price_1", "product": "prod_1", "nickname": NAME, "currency": "eur", "unit_amount": 599,
                      "recurring": {"interval": "month", "interval_count": 1, "usage_type": "licensed"}},
        }]},
    ),
    "invoices": stripe_object(
        "invoice", "in_1", customer="cus_1", customer_name=NAME, customer_email=EMAIL, customer_phone=PHONE,
        customer_address=ADDRESS, customer_shipping=PERSON, customer_tax_ids=[{"value": "canary-secret"}],
        account_name=NAME, custom_fields=[{"name": NAME, "value": CARD}], description=NAME, footer=NAME,
        number="canary-secret", hosted_invoice_url="https://canary-secret", invoice_pdf="https://canary-secret",
        status="paid", total=599,
        lines={"object": "list", "has_more": False, "data": [{"id": "il_1", "amount": 599, "description": NAME}]},
    ),
    "payment_intents": stripe_object(
        "payment_intent", "pi_1", customer="cus_1", amount=599, status="succeeded", client_secret="canary-secret",
        description=CARD, receipt_email=EMAIL, shipping=PERSON, statement_descriptor=NAME, metadata={"note": PHONE},
        last_payment_error={"message": NAME, "payment_method": {"billing_details": PERSON, "card": {"last4": "4242"}}},
    ),
    "charges": stripe_object(
        "charge", "ch_1", customer="cus_1", payment_intent="pi_1", amount=599, amount_captured=599, status="succeeded",
        captured=True, paid=True, billing_details=PERSON, receipt_email=EMAIL, receipt_url="https://canary-secret",
        description=f"{NAME} {CARD}", shipping=PERSON, failure_message=NAME, statement_descriptor=NAME,
        calculated_statement_descriptor=NAME, fraud_details={"user_report": NAME}, metadata={"note": CARD},
        outcome={"type": "authorized", "seller_message": NAME},
        payment_method_details={"type": "card", "card": {
            "brand": "visa", "country": "AT", "funding": "credit", "fingerprint": "canary-secret", "last4": "4242",
            "exp_month": 4, "exp_year": 2029, "wallet": {"type": "apple_pay", "apple_pay": {"name": NAME}}}},
    ),
    "refunds": stripe_object(
        "refund", "re_1", charge="ch_1", amount=100, status="succeeded", description=NAME, instructions_email=EMAIL,
        receipt_number="canary-secret", reason=f"because {NAME} said so", metadata={"note": NAME},
    ),
    "disputes": stripe_object(
        "dispute", "dp_1", charge="ch_1", amount=599, status="lost", reason="fraudulent", balance_transactions=[],
        evidence={"customer_name": NAME, "customer_email_address": EMAIL, "customer_purchase_ip": IP, "notes": STREET},
    ),
    "balance_transactions": stripe_object(
        "balance_transaction", "txn_1", amount=599, fee=30, net=569, type="charge", source="ch_1", status="available",
        description=f"{NAME} {CARD}", fee_details=[{"amount": 30, "type": "stripe_fee", "description": NAME}],
    ),
    "payouts": stripe_object(
        "payout", "po_1", amount=569, status="paid", automatic=False, description=NAME, statement_descriptor=NAME,
        destination={"id": "ba_1", "account_holder_name": NAME, "last4": "4242"},
    ),
}  # fmt: skip

EVENT = event_line(
    "Open", at("03-29 10:00"), USER, _user_id=USER, _insert_id="1", email=EMAIL, full_name=NAME, phone=PHONE, ip=IP,
    address=STREET, latitude=48.20817, longitude=16.37382, user_agent=NAME, push_token="canary-secret",
    note=f"mail {EMAIL} or call {PHONE}, card {CARD}, at {PLACE}, from {IP}",
    nested={"deep": [{"email": EMAIL, "t": CARD}]},
)  # fmt: skip
BROKEN = (
    b'{"event": "Open", "properties": {"time": 1711706400, "email": "'
    + EMAIL.encode()
    + b'", "card": "4242424242424242"'
)


def fill(database: AppDatabase) -> None:
    """A row in the tables that hold personal data, with a canary wherever a text may stand."""
    moment = "2024-03-29 08:00+00"
    database.execute("alter table user_profiles add column home_address text, add column nickname text")
    database.add(
        "user_profiles", user_id=USER, full_name=NAME, email=EMAIL, phone=PHONE, home_address=STREET, nickname=NAME,
        preferences={"subscription_tier": "free", "mail": EMAIL, "name": NAME}, privacy_settings={"ip": IP},
        notification_preferences={"phone": PHONE}, created_at=moment,
    )  # fmt: skip
    pet = database.add(
        "pets", user_id=USER, name=NAME, species="dog", breed=f"ask {EMAIL} or {PHONE}", microchip_id="canary-secret",
        created_at=moment,
    )  # fmt: skip
    report = database.add(
        "lost_pet_reports", pet_id=pet["id"], user_id=USER, status="active", urgency="high", last_seen_location=PLACE,
        created_at=moment,
    )  # fmt: skip
    database.add(
        "pet_sightings", lost_pet_report_id=report["id"], reporter_user_id=USER, location=PLACE, created_at=moment
    )
    database.add(
        "security_events", type="api_abuse", severity="low", user_id=USER, ip_address=IP, action_taken=f"blocked {IP}",
        occurred_at=moment,
    )  # fmt: skip


def texts(file: Path) -> Iterator[str]:
    """All that stands in a file, also where it is compressed."""
    yield file.read_bytes().decode(errors="replace")
    if file.suffix == ".parquet":
        yield str(pq.ParquetFile(file).read().to_pylist())
    elif file.suffix == ".duckdb":
        with duckdb.connect(str(file), read_only=True) as connection:
            names = connection.execute("select schema_name, table_name from duckdb_tables()").fetchall()
            names += connection.execute(
                "select schema_name, view_name from duckdb_views() where not internal"
            ).fetchall()
            for schema, name in names:
                yield str(connection.execute(f'from "{schema}"."{name}"').fetchall())


def test_no_canary_gets_anywhere(
    app_database: AppDatabase, make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    fill(app_database)
    with serve_mixpanel({DAY: [EVENT, BROKEN]}) as mixpanel, serve_stripe() as stripe:
        for table, item in STRIPE.items():
            stripe.add(table, item, at=CREATED)
        stripe.update("subscriptions", "sub_1", {"description": EMAIL, "cancel_at_period_end": True}, at=CREATED + 60)
        stripe.add("charges", {**STRIPE["charges"], "id": "ch_test", "livemode": False}, at=CREATED)
        settings = make_settings(
            MIXPANEL_EXPORT_URL=mixpanel.url,
            STRIPE_API_BASE=stripe.url,
            STRIPE_API_KEY=KEY,
            APP_DATABASE_URL=app_database.url,
            TAILTRACKER_NOW="2024-03-30T12:00:00Z",
            TAILTRACKER_HISTORY_START=DAY,
        )
        report = refresh(settings, Progress())
    assert report.errors == []
    assert_adds_up(report)
    landed = {f"{line['source']}.{line['table']}": line["loaded"] for line in report.days}
    assert all(landed[f"stripe.{table}"] for table in STRIPE)
    assert landed["mixpanel.events"] == 1
    assert landed["app_db.user_profiles"] == landed["app_db.pets"] == landed["app_db.security_events"] == 1

    files = [file for file in tmp_path.rglob("*") if file.is_file() and file.name != "hash.key"]
    assert {".parquet", ".duckdb", ".jsonl", ".json"} <= {file.suffix for file in files}
    found = {
        (str(file.relative_to(tmp_path)), canary)
        for file in files
        for text in texts(file)
        for canary in CANARIES
        if canary in text
    }
    assert found == set()
    secrets = {KEY, *settings.secrets}
    assert not [file for file in files for text in texts(file) for secret in secrets if secret in text]
    # The search itself finds what is there.
    everything = "".join(text for file in files for text in texts(file))
    assert orjson.dumps(USER).decode().strip('"') in everything
