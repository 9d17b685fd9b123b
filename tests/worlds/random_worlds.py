"""Small worlds: events, what landed of them, and settings, run through the real lake and the real SQL.

`sql_tables` lands a world and runs the project's own compiled models on it. It leaves dbt itself out, which would take
seconds a world; `tests/journeys/test_refresh.py` goes the whole way.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pyarrow as pa

from tailtracker_bi.analytics.rules import Analytics
from tailtracker_bi.lake.lake import Lake
from tailtracker_bi.lake.objects import landing_objects
from tailtracker_bi.settings.environment import load_settings
from tailtracker_bi.settings.model import Settings
from tailtracker_bi.shipped import DBT_PROJECT
from tailtracker_bi.sources.app_db.reading import AppDb
from tailtracker_bi.sources.base import ObjectSource
from tailtracker_bi.sources.mixpanel.event_lines import EventLines
from tailtracker_bi.sources.records import (
    QUARANTINE_SCHEMA,
    VERSION_SCHEMA,
    Counts,
    Days,
    Versions,
    each_day,
    ranges,
)
from tailtracker_bi.warehouse.dbt_runner import compiled_manifest
from tailtracker_bi.warehouse.engines import DuckDb, DuckDbSession, Session
from tailtracker_bi.warehouse.models import INCREMENTAL, TEST, Node, nodes_of
from tailtracker_bi.warehouse.warehouse import Warehouse
from tests.worlds.reference import Event, World, export_day

Rows = list[dict[str, Any]]
also: list[Callable[[Warehouse, list[Node]], None]] = []
"""What is done with each warehouse that `tables_built` filled: `both_engines.py` fills another one, and compares."""


def compiled_models() -> list[Node]:
    """Every model as a refresh runs it, in an order that can be run."""
    return [node for node in nodes_of(compiled_manifest(DuckDb(DBT_PROJECT))) if node.kind != TEST]


def land(lake: Lake, spool: Path, events: list[Event], first: date, last: date) -> None:
    """Land the days from first to last, in one request, with the events that the source holds for them."""
    lines = b"".join(
        orjson.dumps(event) + b"\n"
        for event in events
        if first <= datetime.fromtimestamp(event["properties"]["time"], UTC).date() <= last
    )
    with EventLines(first, last, spool, b"key") as export:
        if lines:
            export.add(lines)
        counts = export.deduplicate()
        lake.land("mixpanel", "events", Days(first, last, export.rows(), export.quarantine(), counts))


def land_plans(lake: Lake, spool: Path, world: World) -> None:
    """Land the app database's accounts, and what it recorded of the changes of their plans."""
    rows: dict[str, Rows] = {"user_profiles": [], "subscriptions": [], "subscription_history": []}
    for user, plans in world.plans.items():
        moments = [datetime.fromtimestamp(time, UTC).replace(tzinfo=None) for time, _ in plans]
        rows["user_profiles"].append({"id": f"p-{user}", "user_id": user, "created_at": moments[0]})
        if len(plans) == 1:
            continue
        subscription = {"id": f"s-{user}", "user_id": user, "tier": plans[-1][1], "status": "active"}
        rows["subscriptions"].append({**subscription, "created_at": moments[0]})
        for (_, before), (_, after), moment in zip(plans, plans[1:], moments[1:], strict=False):
            change = {"id": f"c{len(rows['subscription_history'])}", "subscription_id": f"s-{user}", "user_id": user}
            recorded = {"action": "upgrade", "from_tier": before, "to_tier": after, "created_at": moment}
            rows["subscription_history"].append(change | recorded)
    if world.plans:
        land_objects(lake, AppDb, rows, settings_of(world, spool).now, spool)


def land_objects(
    lake: Lake, source: type[ObjectSource], rows: Mapping[str, Rows], as_of: datetime, spool: Path
) -> None:
    """Land a snapshot of each of these tables, by its name; what a row does not say is null."""
    with landing_objects(lake, source, spool) as landing:
        for table in (table for table in source.tables if table.name in rows):
            own = [
                {"object_id": row["id"], "origin": "snapshot", "is_deleted": False, **row} for row in rows[table.name]
            ]
            told = pa.Table.from_pylist(own, pa.schema([*VERSION_SCHEMA, *table.schema]))
            nothing = QUARANTINE_SCHEMA.empty_table().to_reader()
            landing.land(table, Versions(told.to_reader(), True, nothing, Counts(received=len(own))), as_of)


def analytics_of(world: World) -> Analytics:
    """The world's rules as `analytics.yml` would say them."""
    content = {
        "activity": {"exclude_events": sorted(world.exclude_events)},
        "test_accounts": {
            "user_ids": sorted(world.excluded_user_ids),
            "event_properties": [{"property": name, "equals": value} for name, value in world.excluded_properties],
        },
        "retention": world.retention,
        "funnels": [{**funnel, "window": {"seconds": funnel["window"]}} for funnel in world.funnels],
        "service_levels": [],
        "alerting": {severity: {"channels": ["folder"]} for severity in ("warning", "critical")},
        "metrics": {},
    }
    return Analytics.model_validate(content)


def by_day(events: Iterable[Event]) -> dict[date, list[bytes]]:
    days: dict[date, list[bytes]] = {}
    for event in events:
        days.setdefault(export_day(event), []).append(orjson.dumps(event))
    return days


def analytics_file(world: World, path: Path) -> Path:
    """An analytics.yml with the world's retentions and funnels; JSON is YAML too."""
    funnels = [{**funnel, "window": {"seconds": funnel["window"]}} for funnel in world.funnels]
    path.write_bytes(orjson.dumps({"retention": world.retention, "funnels": funnels}))
    return path


def settings_of(world: World, home: Path) -> Settings:
    """The world's settings; it is the day after the last landed one, or later."""
    return load_settings(
        TAILTRACKER_HOME=home,
        APP_DATABASE_URL="postgresql://reader@app-database.example/app" if world.has_app_database else None,
        TAILTRACKER_TIMEZONE=world.timezone,
        TAILTRACKER_WEEK_START=world.week_start,
        TAILTRACKER_HISTORY_START=world.history_start,
        TAILTRACKER_NOW=datetime.combine(max(world.landed_days) + timedelta(days=2), datetime.min.time(), UTC),
    )


def sql_tables(world: World, models: list[Node], home: Path) -> Tables:
    """Every model's rows."""
    lake = Lake(home)
    for first, last in ranges(sorted(world.landed_days), longest=len(world.landed_days)):
        land(lake, home / "spool", world.events, first, last)
    land_plans(lake, home / "spool", world)
    return tables_built(Warehouse(settings_of(world, home), analytics_of(world), lake), models)


class InMemory(DuckDb):
    """A warehouse without a file: to write one and read it again costs as much as all that a small world computes."""

    def __init__(self, home: Path) -> None:
        super().__init__(home, threads=1)  # one has the few rows before another is awake
        connection = duckdb.connect(config=self._config)
        # Compiled SQL names the database.
        name = self.path.stem
        connection.execute(f"attach ':memory:' as {name}; use {name}; set TimeZone = 'UTC'")
        self._session = DuckDbSession(connection)

    @contextmanager
    def session(self, *, is_reader: bool = False) -> Iterator[Session]:
        yield self._session

    @property
    def is_there(self) -> bool:
        return True

    @contextmanager
    def held(self) -> Iterator[bool]:
        yield True

    def attach(self, connection: Any, alias: str, tables: Mapping[str, str]) -> None:
        """Copies, as there is no file; all of them, whatever their condition."""
        connection.execute(f"attach ':memory:' as {alias}")
        for schema, name in self._session.tables():
            if {schema, f"{schema}.{name}"} & tables.keys():
                connection.register("rows_now", self._session.table(f"from {schema}.{name}"))
                connection.execute(f"create schema if not exists {alias}.{schema}")
                connection.execute(f"create table {alias}.{schema}.{name} as from rows_now")
                connection.unregister("rows_now")


class Tables(Mapping[str, Rows]):
    """The rows of each model, by its name, read when they are first asked for."""

    def __init__(self, session: Session, models: list[Node]) -> None:
        self.session = session
        self._tables = {model.name: model.table for model in models}
        self._read: dict[str, Rows] = {}

    def __getitem__(self, name: str) -> Rows:
        if name not in self._read:
            self._read[name] = self.session.table(f"select * from {self._tables[name]}").to_pylist()
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tables)

    def __len__(self) -> int:
        return len(self._tables)


def tables_built(warehouse: Warehouse, models: list[Node]) -> Tables:
    """What these models give, each after what it reads, of what the lake of a warehouse holds."""
    warehouse.engine = InMemory(warehouse.engine.home)
    with warehouse.engine.session() as session:
        with session.transaction():  # one commit is quicker than one a model
            fill(warehouse, models)
        for act in also:
            act(warehouse, models)
        return Tables(session, models)


def fill(warehouse: Warehouse, models: list[Node]) -> None:
    """Fill these models in full."""
    warehouse.prepare()
    with warehouse.engine.session() as session, session.transaction():
        landings = session.named("raw_lake.landings")
        landed = session.rows(f"select distinct day from {landings} where source = 'mixpanel' and status = 'landed'")
        session.give_dates("pending_days", [day for (day,) in landed])
        for name in ("first_date", "first_period_start"):
            session.give_date(name, date.min)
        session.create_schemas({model.schema for model in models})
        for model in models:
            if model.kind == INCREMENTAL and model.columns:
                session.create(model.schema, model.name, model.columns)  # it goes on from what is there
                session.replace(model.schema, model.name, "false", model.sql)
            else:
                session.fill(model.schema, model.name, model.sql, model.columns)


def random_world(seed: int, *, crowd: int = 0, name: str = "") -> World:
    """A few people over a few weeks: devices before users, shared devices, segments, repeats, gaps, ties in time.

    With a crowd there are so many more of them, each as busy as one of the few. With a name all its ids begin with it,
    and it is the version of the app that its people have.
    """
    dice = random.Random(seed)
    first = date(2024, dice.choice([2, 3, 10]), dice.randint(1, 28))
    length = dice.randint(8, 45)
    names = ["A", "B", "C", "Subscription Conversion", "Server"]
    users = [f"{name}u{number}" for number in range(crowd + dice.randint(1, 5))]
    devices = [f"{name}d{number}" for number in range(crowd + dice.randint(1, 5))]
    # Few distinct times of day, so that events share instants and stand exactly at the ends of windows.
    seconds = [dice.randrange(86_400) for _ in range(3)] + [0, 86_399]
    events: list[Event] = []
    for number in range(crowd * 12 + dice.randint(5, 70)):
        moment = datetime.combine(first, datetime.min.time(), UTC) + timedelta(
            days=dice.randrange(length), seconds=dice.choice(seconds)
        )
        properties: dict[str, Any] = {"time": int(moment.timestamp()), "$insert_id": f"{name}i{number:03}"}
        if name:
            properties["$app_version_string"] = name
        device, user = dice.choice(devices), dice.choice(users)
        if dice.random() < 0.05:
            user = dice.choice(["undefined", "NULL ", "0", "$device:00-00", '"null"'])
        form = dice.random()
        if form < 0.3:
            properties |= {"distinct_id": f"$device:{device}", "$device_id": device}
        elif form < 0.5:
            properties |= {"distinct_id": user, "$device_id": device, "$user_id": user}
        elif form < 0.6:
            properties |= {"distinct_id": user, "$device_id": device}
        elif form < 0.63:
            properties |= {"distinct_id": ""}
        else:
            properties |= {"distinct_id": user}
        if dice.random() < 0.8:
            properties["platform"] = dice.choice(["ios", "Android"])
        if dice.random() < 0.5:
            properties["mp_country_code"] = dice.choice(["DE", "FR"])
        if dice.random() < 0.3:
            properties["alert_id"] = dice.choice(["x", 7, 7.0, "7"])
        if dice.random() < 0.5:
            price = dice.choice([5, 5.0, "5", "5.0", 2**53 + 1, 2**53, True, None, 'say "5" \\ 5'])
            properties |= dice.choice(
                [
                    {"price": price},
                    {"cart": {"price": price}},
                    {"cart.price": price, "cart": {"price": 5}},
                    {"cart": [price]},
                ]
            )
        if dice.random() < 0.1:
            properties["mp_lib"] = "load-test"
        if number % 3:
            properties["conversion_source"] = ["onboarding", "feature_limit"][number % 3 - 1]
        events.append({"event": dice.choice(names), "properties": properties})
    if dice.random() < 0.3:
        old, new = dice.sample([*users, *devices, f"{name}stray"], 2)
        event, properties = dice.choice(
            [
                ("$identify", {"$anon_id": old, "$identified_id": new}),
                ("$merge", {"$distinct_ids": [old, new]}),
                ("$create_alias", {"alias": new}),
            ]
        )
        moment = datetime.combine(first, datetime.min.time(), UTC) + timedelta(days=dice.randrange(length))
        events.append(
            {"event": event, "properties": {"time": int(moment.timestamp()), "distinct_id": old, **properties}}
        )
    plans: dict[str, list[tuple[int, str]]] = {}
    for user in users if dice.random() < 0.7 else []:
        begins = sorted(
            int((datetime.combine(first, datetime.min.time(), UTC) + timedelta(seconds=number)).timestamp())
            for number in dice.sample(range(-86_400, length * 86_400), dice.randint(1, 4))
        )
        plans[user] = [(begins[0], "free"), *((begin, dice.choice(["free", "premium", "pro"])) for begin in begins[1:])]
    landed = set(each_day(first, first + timedelta(days=length - 1)))
    if dice.random() < 0.3:
        landed -= set(dice.sample(sorted(landed), 1))
    return World(
        events=events,
        timezone=dice.choice(["UTC", "UTC", "Europe/Berlin", "America/New_York", "Pacific/Auckland"]),
        week_start=dice.choice(["monday", "sunday"]),
        landed_days=landed,
        history_start=first + timedelta(days=dice.choice([-5, 0, 3])),
        exclude_events={"Server"},
        excluded_user_ids={f"{name}u1"} if dice.random() < 0.2 else set(),
        excluded_properties=[("mp_lib", "load-test"), ("price", 'say "5" \\ 5')],
        plans=plans,
        retention=[
            {"id": "sign_up", "start_event": "A", "return_event": "any", "cohort": "first"},
            {
                "id": "repeat", "start_event": "any", "return_event": "B", "cohort": "recurring",
                "modes": ["n_day", "unbounded"], "grains": ["week", "month"],
            },
        ],
        funnels=[
            {
                "id": "plain",
                "steps": [{"event": "A"}, {"event": "B"}, {"event": "C"}],
                "window": dice.choice([86_400, 259_200]),
            },
            {
                "id": "valued",
                "steps": [
                    {"event": "A", "where": [{"property": "price", "not_equals": dice.choice(["5", str(2**53)])}]},
                    {"event": "B", "where": [{"property": "cart.price", "equals": dice.choice(["5", "5.0", "true"])}]},
                ],
                "window": 604_800,
            },
            {"id": "repeated", "steps": [{"event": "A"}, {"event": "B"}, {"event": "A"}], "window": 172_800},
            {
                "id": "filtered",
                "steps": [
                    {"event": "A"},
                    {"event": "A", "where": [{"property": "platform", "not_equals": "ios"}]},
                    {"event": "B", "where": [{"property": "mp_country_code", "equals": "DE"}]},
                ],
                "window": 604_800,
                "same_property": dice.choice([None, "alert_id"]),
            },
        ],
    )  # fmt: skip


def worlds_in_one(seeds: Sequence[int]) -> World:
    """Random worlds that know nothing of each other, in one: each has ids and a version of the app of its own, `w7-`.

    Where one differs, so do rows in which its name stands. What belongs to a warehouse, time zone, weeks, retentions,
    funnels, is that of the one that lasts longest, within whose days the others begin somewhere.
    """
    worlds = {seed: random_world(seed, name=f"w{seed}-") for seed in seeds}
    whole = max(worlds.values(), key=lambda world: len(world.landed_days))
    plans = dict[str, list[tuple[int, str]]]()
    events, first, dice = list[Event](), min(whole.landed_days), random.Random(seeds[0])
    for world in worlds.values():
        spare = max((max(whole.landed_days) - first) - (max(world.landed_days) - min(world.landed_days)), timedelta())
        later = (first - min(world.landed_days)).days + dice.randint(0, spare.days)
        for event in world.events:
            properties = event["properties"]
            events.append({**event, "properties": {**properties, "time": properties["time"] + later * 86_400}})
        for user, changes in world.plans.items():
            plans[user] = [(time + later * 86_400, plan) for time, plan in changes]
    excluded = set().union(*(world.excluded_user_ids for world in worlds.values()))
    return replace(whole, events=events, plans=plans, excluded_user_ids=excluded)


def by_key(rows: Rows, keys: tuple[str, ...], values: tuple[str, ...]) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """The rows as a mapping; keys must be unique."""
    mapping = {tuple(row[key] for key in keys): tuple(row[value] for value in values) for row in rows}
    assert len(mapping) == len(rows), f"{keys} do not tell the rows apart"
    return mapping


def differences(left: dict[Any, Any], right: dict[Any, Any], most: int = 5) -> dict[Any, Any]:
    """The first keys at which the two disagree, with both answers."""
    found: dict[Any, Any] = defaultdict(tuple)
    for key in [*left, *(key for key in right if key not in left)]:
        if left.get(key) != right.get(key):
            found[key] = (left.get(key), right.get(key))
        if len(found) == most:
            break
    return dict(found)
