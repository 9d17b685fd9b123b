"""What Stripe holds, as objects with their versions, and rates, through the real lake and the project's own SQL."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from tailtracker_bi.analytics.mistakes import load_analytics
from tailtracker_bi.lake.lake import Lake
from tailtracker_bi.lake.objects import landing_objects
from tailtracker_bi.settings.environment import load_settings
from tailtracker_bi.sources.app_db.reading import AppDb
from tailtracker_bi.sources.exchange_rates import ExchangeRates
from tailtracker_bi.sources.records import QUARANTINE_SCHEMA, VERSION_SCHEMA, Counts, Versions
from tailtracker_bi.sources.stripe.objects import TYPES, AllowList, Object
from tailtracker_bi.sources.stripe.reading import Stripe
from tailtracker_bi.warehouse.models import Node
from tailtracker_bi.warehouse.warehouse import Warehouse
from tests.worlds.random_worlds import Tables, land_objects, tables_built

Rates = Mapping[tuple[date, str], str]
"""Units of a currency for one euro, by the day they were published and currency."""
Models = list[Node]
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Version:
    """An object as Stripe told of it: in a list, or (`event`, `before`) in an event of the time `at`."""

    item: Object
    origin: str = "list"
    at: datetime | None = None
    is_deleted: bool = False


def needed_for(models: Models, *names: str) -> Models:
    """The models that these are computed from, and they themselves."""
    needed = set(names)
    for model in reversed(models):
        if model.name in needed:
            needed |= {other.name for other in models if other.id in model.reads}
    return [model for model in models if model.name in needed]


def land(lake: Lake, spool: Path, versions: Iterable[Version], now: datetime, out: Collection[str] = ()) -> None:
    """One reading of Stripe's tables, but for those that are `out`."""
    told: dict[str, list[tuple[Any, ...]]] = {table.name: [] for table in Stripe.tables}
    for version in versions:
        type_ = version.item["object"]
        created = datetime.fromtimestamp(version.item["created"], UTC).replace(tzinfo=None)
        content = orjson.dumps(AllowList(TYPES[type_]).kept(version.item), option=orjson.OPT_SORT_KEYS).decode()
        at = version.at.replace(tzinfo=None) if version.at else None
        told[f"{type_}s"].append((version.item["id"], at, version.origin, version.is_deleted, created, content))
    with landing_objects(lake, Stripe, spool) as landing:
        for table in (table for table in Stripe.tables if table.name not in out):
            schema = pa.schema([*VERSION_SCHEMA, *table.schema])
            rows = [dict(zip(schema.names, row, strict=True)) for row in told[table.name]]
            nothing = QUARANTINE_SCHEMA.empty_table().to_reader()
            found = Versions(pa.Table.from_pylist(rows, schema).to_reader(), False, nothing, Counts(received=len(rows)))
            landing.land(table, found, now)


def land_rates(lake: Lake, spool: Path, rates: Rates, now: datetime) -> None:
    """One reading of the file of exchange rates."""
    [table] = ExchangeRates.tables
    schema = pa.schema([*VERSION_SCHEMA, *table.schema])
    rows = [
        dict(zip(schema.names, (f"{day}/{currency}", None, "list", False, day, currency, rate), strict=True))
        for (day, currency), rate in rates.items()
    ]
    nothing = QUARANTINE_SCHEMA.empty_table().to_reader()
    found = Versions(pa.Table.from_pylist(rows, schema).to_reader(), False, nothing, Counts(received=len(rows)))
    with landing_objects(lake, ExchangeRates, spool) as landing:
        landing.land(table, found, now)


def sql_tables(
    readings: Iterable[tuple[datetime, Iterable[Version]]],
    models: Models,
    home: Path,
    rates: Iterable[tuple[datetime, Rates]] = (),
    accounts: Sequence[dict[str, Any]] = (),
    **settings: Any,
) -> Tables:
    """The rows of each of the models, by its name, right after the last of these readings.

    The source of exchange rates is on where they were read, the app's database where it has accounts.
    """
    lake = Lake(home)
    for moment, told in rates:
        land_rates(lake, home / "spool", told, moment)
    now = datetime.min.replace(tzinfo=UTC)
    for now, versions in readings:
        land(lake, home / "spool", versions, now)
    if accounts:
        land_objects(lake, AppDb, {"user_profiles": list(accounts), "subscriptions": []}, now, home / "spool")
    defaults = {
        "TAILTRACKER_HOME": home,
        "TAILTRACKER_NOW": now,
        "TAILTRACKER_HISTORY_START": date(2020, 1, 1),
        "STRIPE_API_KEY": "rk_live_key_of_the_tests",
        "EXCHANGE_RATES_URL": "https://www.ecb.europa.eu/eurofxref-hist.xml" if rates else None,
        "APP_DATABASE_URL": "postgresql://reader@app-database.example/app" if accounts else None,
    }
    known = load_settings(**defaults | settings)
    return tables_built(Warehouse(known, load_analytics(known.analytics_path), lake), models)
