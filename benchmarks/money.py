"""What the models of money cost: all of them, with nothing new, and with one new day; and how that grows with history.

    python -m benchmarks.money [CUSTOMERS:MONTHS ...]        200000:36 has 2 million invoices

Customers begin evenly over the months, and one in thirty leaves each month; each bill has its payment, charge and
balance transaction. The lake is made here, each build is a process of its own, on DuckDB. The reference is one scan of
the invoices: their totals, taken out of the JSON of each one's latest version, without the start of Python and DuckDB.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory

import duckdb
import pyarrow as pa

from benchmarks.refresh import cost
from tailtracker_bi.analytics import load_analytics
from tailtracker_bi.lake import Lake, landing_objects
from tailtracker_bi.settings import load_settings
from tailtracker_bi.sources import SOURCES, Counts, ObjectSource, Versions
from tailtracker_bi.warehouse import Warehouse

[STRIPE] = [source for source in SOURCES if source.name == "stripe" and issubclass(source, ObjectSource)]
VERSION = pa.schema(
    [
        ("object_id", pa.string()),
        ("effective_at", pa.timestamp("us")),
        ("origin", pa.string()),
        ("is_deleted", pa.bool_()),
    ]
)
QUARANTINE = pa.schema([("day", pa.date32()), ("reason", pa.string()), ("record", pa.string())])
"""Of which objects land, and are set aside."""
SIZES = ("20000:6", "20000:36")
NOW = datetime(2026, 6, 1, 6, tzinfo=UTC)
SCAN = """
import duckdb
duckdb.connect({!r}).execute('''
    select sum(cast(json_extract_string(content, '/total') as bigint))
    from (
        select content, row_number() over (partition by object_id order by landing desc) as recency
        from raw_stripe.invoices
    )
    where recency = 1
''')
"""
START = "import duckdb; duckdb.connect().execute('select 1')"

STORY = """
    create table customers as
    select
        number,
        'cus_' || number as customer_id,
        $anchor - 86400 * (30.4375 * $months * ((number * 7919) % $customers) / $customers)::bigint as began,
        -- One in thirty leaves each month, by a number that is the same each time.
        (number * 104729) % 99991 / 99991.0 as chance,
        began + 86400 * (30.4375 * ceil(ln(1 - chance) / ln(1 - 1 / 30.0)))::bigint as ends,
        case number % 5 when 0 then 'year' else 'month' end as every,
        case number % 10 when 0 then 8000 when 5 then 5000 when 1 then 899 else 599 end as cents
    from (select unnest(range($customers)) as number);
    create table bills as
    select *, customer_id || '_' || period as bill
    from (
        select
            *,
            unnest(range(0, 1 + ((least(ends - 1, $now) - began) / (86400 * days))::bigint)) as period,
            began + (period * 86400 * days)::bigint as starts,
            starts + (86400 * days)::bigint as stops
        from (select *, case every when 'year' then 365 else 30.4375 end as days from customers)
    )
    where starts < least(ends, $now);
"""
PRICE = """{'id': 'price_' || cents, 'object': 'price', 'product': 'prod_1', 'currency': 'eur', 'unit_amount': cents,
    'unit_amount_decimal': cents::varchar,
    'recurring': {'interval': every, 'interval_count': 1, 'usage_type': 'licensed'}}"""
OBJECTS = {
    "customers": """
        select customer_id as id, began as created, {'id': customer_id, 'object': 'customer'} as item from customers
    """,
    "products": "select 'prod_1' as id, 0 as created, {'id': 'prod_1', 'object': 'product', 'name': 'Premium'} as item",
    "prices": "select distinct 'price_' || cents as id, 0 as created, $price as item from customers",
    "subscriptions": """
        select 'sub_' || number as id, began as created, {
            'id': 'sub_' || number, 'object': 'subscription', 'customer': customer_id, 'currency': 'eur',
            'status': case when ends < $now then 'canceled' else 'active' end,
            'ended_at': case when ends < $now then ends end,
            'cancellation_details': {
                'reason': case when number % 3 > 0 then 'cancellation_requested' else 'payment_failed' end},
            'discounts': [], 'items': {'has_more': false, 'data': [
                {'id': 'si_' || number, 'object': 'subscription_item', 'quantity': 1, 'price': $price}]}} as item
        from customers
    """,
    "invoices": """
        select 'in_' || bill as id, starts as created, {
            'id': 'in_' || bill, 'object': 'invoice', 'customer': customer_id, 'currency': 'eur', 'status': 'paid',
            'billing_reason': case period when 0 then 'subscription_create' else 'subscription_cycle' end,
            'amount_due': cents, 'amount_paid': cents, 'total': cents,
            'status_transitions': {'finalized_at': starts, 'paid_at': starts},
            'parent': {'type': 'subscription_details', 'subscription_details': {'subscription': 'sub_' || number}},
            'lines': {'has_more': false, 'data': [{
                'id': 'il_' || bill, 'amount': cents, 'currency': 'eur', 'quantity': 1, 'discount_amounts': [],
                'period': {'start': starts, 'end': stops},
                'parent': {'type': 'subscription_item_details', 'subscription_item_details': {
                    'subscription': 'sub_' || number, 'subscription_item': 'si_' || number, 'proration': false}},
                'pricing': {'type': 'price_details', 'unit_amount_decimal': cents::varchar, 'price_details': {
                    'price': 'price_' || cents, 'product': 'prod_1'}}}]}} as item
        from bills
    """,
    "invoice_payments": """
        select 'inpay_' || bill as id, starts as created, {
            'id': 'inpay_' || bill, 'object': 'invoice_payment', 'invoice': 'in_' || bill, 'status': 'paid',
            'payment': {'type': 'payment_intent', 'payment_intent': 'pi_' || bill}} as item
        from bills
    """,
    "payment_intents": """
        select 'pi_' || bill as id, starts as created, {
            'id': 'pi_' || bill, 'object': 'payment_intent', 'customer': customer_id, 'amount': cents,
            'currency': 'eur'} as item
        from bills
    """,
    "charges": """
        select 'ch_' || bill as id, starts as created, {
            'id': 'ch_' || bill, 'object': 'charge', 'customer': customer_id, 'payment_intent': 'pi_' || bill,
            'status': 'succeeded', 'captured': true, 'currency': 'eur', 'amount': cents, 'amount_captured': cents,
            'amount_refunded': 0,
            'payment_method_details': {'type': 'card', 'card': {'brand': 'visa', 'country': 'DE'}}} as item
        from bills
    """,
    "balance_transactions": """
        select 'txn_' || bill as id, starts as created, {
            'id': 'txn_' || bill, 'object': 'balance_transaction', 'type': 'charge', 'reporting_category': 'charge',
            'currency': 'eur', 'source': 'ch_' || bill, 'amount': cents, 'fee': 30, 'net': cents - 30} as item
        from bills
    """,
}  # fmt: skip
"""By table, its objects as Stripe has them."""
NOTHING = "select '' as id, 0 as created, {'id': ''} as item where false"
VERSIONS = """
    select
        id as object_id, null::timestamp as effective_at, 'list' as origin, false as is_deleted,
        make_timestamp(created::bigint * 1000000) as created_at, to_json(item)::varchar as content
    from ($objects)
    where created >= $since and created < $now
"""


def land(lake: Lake, home: Path, customers: int, months: int, now: datetime, since: datetime | None = None) -> int:
    """One reading of all that there is at a moment or, given an earlier one, has come since; how many invoices."""
    found = {}
    with duckdb.connect() as connection, landing_objects(lake, STRIPE, home / "spool") as landing:
        moments = {"anchor": NOW, "now": now, "since": since or datetime.fromtimestamp(0, UTC)}
        meant = {name: f"{moment.timestamp():.0f}" for name, moment in moments.items()}
        meant |= {"customers": str(customers), "months": str(months), "price": PRICE}
        for statement in STORY.split(";")[:-1]:
            connection.execute(Template(statement).substitute(meant))
        for table in STRIPE.tables:
            objects = Template(OBJECTS.get(table.name, NOTHING)).substitute(meant)
            rows = connection.execute(Template(VERSIONS).substitute(meant | {"objects": objects})).to_arrow_table()
            found[table.name] = rows.num_rows
            versions = rows.cast(pa.schema([*VERSION, *table.schema]))
            nothing = QUARANTINE.empty_table().to_reader()
            landing.land(table, Versions(versions.to_reader(), False, nothing, Counts(received=len(versions))), now)
    return found["invoices"]


def build(home: Path, now: str) -> None:
    """As a refresh does, after a pull."""
    settings = load_settings(
        TAILTRACKER_HOME=home,
        TAILTRACKER_NOW=now,
        TAILTRACKER_HISTORY_START="2020-01-01",
        STRIPE_API_KEY="rk_live_of_nobody",
    )
    warehouse = Warehouse(settings, load_analytics(settings.analytics_path), Lake(home))
    warehouse.prepare()
    warehouse.build()


def measure(customers: int, months: int, home: Path) -> Iterator[str]:
    """A line for each build of an account of this size."""
    lake = Lake(home)
    invoices = land(lake, home, customers, months, NOW)

    def built(what: str, now: datetime) -> str:
        took = cost([sys.executable, "-m", "benchmarks.money", "--build", str(home), "--now", now.isoformat()])
        scan = cost([sys.executable, "-c", SCAN.format(str(home / "warehouse.duckdb"))])
        once = scan.seconds - cost([sys.executable, "-c", START]).seconds
        return (
            f"| {customers:,} | {months} | {invoices:,} | {what} | {took.seconds:.1f} | {once:.2f} "
            f"| {took.seconds / once:.1f} | {took.memory:,} MiB |"
        )

    yield built("all", NOW)
    yield built("nothing new", NOW)
    later = NOW + timedelta(days=1)
    land(lake, home, customers, months, later, NOW)
    yield built("one new day", later)


def main() -> None:
    """Print the table of docs/performance.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", nargs="*", default=SIZES, metavar="CUSTOMERS:MONTHS")
    parser.add_argument("--build", metavar="HOME", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--now", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.build:
        build(asked.build, asked.now)
        return
    print("| customers | months | invoices | build | CPU-seconds | one scan | times | peak memory |", flush=True)
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for size in asked.sizes:
        customers, months = map(int, size.split(":"))
        with TemporaryDirectory(prefix="money-") as home:
            for line in measure(customers, months, Path(home)):
                print(line, flush=True)


if __name__ == "__main__":
    main()
