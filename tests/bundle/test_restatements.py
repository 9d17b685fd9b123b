"""Restatements: what differs from the build that readers have, and the reason, by facts worked out by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import duckdb
import pytest

from tailtracker_bi.bundle.restatements import restate

# Landing 5 is the last that the readers' build took in. Values are of days of March; `stock` reads 7 days.
OLD_LANDING = 5
_WORLD = """
    create table bundle_info as select 5::bigint as landing, 'defined so' as definition;
    create table metric_values (
        metric_id varchar, grain varchar, period_start date, segment varchar, segment_value varchar, value double,
        is_complete boolean
    );
    create table metric_catalog (metric_id varchar);
    insert into metric_catalog values ('people'), ('stock'), ('new'), ('budget'), ('money'), ('pets');
    attach ':memory:' as readers;
    create table readers.bundle_info as from bundle_info;
    create table readers.metric_values as from metric_values;
    attach ':memory:' as warehouse;
    create schema warehouse.marks;
    create schema warehouse.raw_lake;
    create schema warehouse.config;
    create schema warehouse.metrics;
    create table warehouse.marks.finished as select 'defined so' as definition;
    create table warehouse.marks.merges (landing bigint, first_date date);
    create table warehouse.raw_lake.landings (
        source varchar, table_name varchar, day date, landing bigint, loaded bigint, status varchar, remark varchar
    );
    create table warehouse.config.sources as
    from (values ('mixpanel', 'events', true), ('stripe', 'refunds', false), ('app_db', 'pets', false),
        ('app_db', 'subscriptions', false), ('exchange_rates', 'daily_rates', false))
        as of_sources (source, table_name, is_daily);
    create table warehouse.config.day_periods as
    select day::date as day, 'day' as grain, day::date as period_start, day::date as period_end,
        day::date - date '2000-01-01' as period_index
    from range(timestamp '2024-02-20', timestamp '2024-04-10', interval 1 day) as days (day);
    create table warehouse.config.source_days as
    select 'mixpanel' as source, 'events' as table_name, day, day as first_source_day, day as last_source_day
    from warehouse.config.day_periods;
    create table warehouse.metrics.metric_definitions as
    from (values
        ('people', 0, 0, 0, null), ('stock', 7, 0, 0, null), ('new', 0, 0, 0, 'beginning'),
        ('budget', 0, 0, 0, 'month'),
        ('money', 0, 0, 0, null), ('pets', 0, 0, 0, null)
    ) as entries (metric_id, trailing_days, previous_periods, following_days, reads_since);
    create table warehouse.config.metric_tables as
    from (values
        ('people', 'mixpanel', 'events', 'all'), ('people', 'app_db', 'subscriptions', 'plan'),
        ('stock', 'mixpanel', 'events', 'all'), ('new', 'mixpanel', 'events', 'all'),
        ('budget', 'mixpanel', 'events', 'all'),
        ('money', 'stripe', 'charges', 'all'), ('money', 'stripe', 'refunds', 'all'),
        ('money', 'exchange_rates', 'daily_rates', 'conversion'), ('pets', 'app_db', 'pets', 'either')
    ) as tables (metric_id, source, table_name, needed_for);
"""


@pytest.fixture
def world() -> Iterator[duckdb.DuckDBPyConnection]:
    """A build that is being written, its warehouse, and the build that readers have; all without values."""
    with duckdb.connect() as connection:
        connection.execute(_WORLD)
        yield connection


def march(day: int) -> date:
    return date(2024, 3, day)


def tell(
    world: duckdb.DuckDBPyConnection,
    old: float | None,
    new: float | None,
    metric: str = "people",
    day: int = 10,
    segment: tuple[str, str] = ("all", "all"),
    is_complete: bool = True,
    is_in_new: bool = True,
) -> None:
    """A value of the readers' build, and what it is in the new one."""
    key = [metric, "day", march(day), *segment]
    world.execute("insert into readers.metric_values values (?, ?, ?, ?, ?, ?, ?)", [*key, old, is_complete])
    if is_in_new:
        world.execute("insert into metric_values values (?, ?, ?, ?, ?, ?, true)", [*key, new])


def land(
    world: duckdb.DuckDBPyConnection, table: str, day: int, landing: int, loaded: int = 1, remark: str | None = None
) -> None:
    row = [*table.split("."), march(day), landing, loaded, "landed", remark]
    world.execute("insert into warehouse.raw_lake.landings values (?, ?, ?, ?, ?, ?, ?)", row)


def restated(world: duckdb.DuckDBPyConnection, columns: str) -> list[tuple[Any, ...]]:
    restate(world, "new", date(2024, 4, 1))
    return world.execute(f"select {columns} from restatements order by all").fetchall()


def test_only_what_was_complete_and_is_told_differently_is_restated(world: duckdb.DuckDBPyConnection) -> None:
    tell(world, 4, 5, day=1)
    tell(world, 4, 4, day=2)
    tell(world, 4, 5, day=3, is_complete=False)
    tell(world, 0.1 + 0.2, 0.3, day=4)  # the same sum in another order
    tell(world, 1e6, 1e6 + 0.01, day=5)  # a cent in a million
    tell(world, None, None, day=6)
    tell(world, 7, None, day=7)
    tell(world, 8, 8, day=8, is_in_new=False)
    tell(world, 0, 9, day=9)
    assert restated(world, "metric_id, period_start, old_value, new_value, build, restated_on") == [
        ("people", march(day), old, new, "new", date(2024, 4, 1))
        for day, old, new in [(1, 4, 5), (5, 1e6, 1e6 + 0.01), (7, 7, None), (8, 8, None), (9, 0, 9)]
    ]


def test_a_segment_that_comes_up_in_a_period_that_was_told_is_restated_and_a_new_period_is_not(
    world: duckdb.DuckDBPyConnection,
) -> None:
    tell(world, 1, 2)
    world.execute("insert into metric_values values ('people', 'day', '2024-03-10', 'platform', 'ios', 1, true)")
    world.execute("insert into metric_values values ('people', 'day', '2024-03-11', 'all', 'all', 1, true)")
    assert restated(world, "period_start, segment_value, old_value, new_value") == [
        (march(10), "all", 1, 2),
        (march(10), "ios", None, 1),
    ]


def test_a_loss_that_a_person_accepted_is_told_as_that(world: duckdb.DuckDBPyConnection) -> None:
    tell(world, 9, 2)
    land(
        world,
        "mixpanel.events",
        day=10,
        landing=OLD_LANDING + 1,
        remark="accepted by jo, though it has 2 rows, and had 9",
    )
    assert restated(world, "reason") == [("accepted loss",)]


def test_a_metric_that_is_no_more_is_not_restated(world: duckdb.DuckDBPyConnection) -> None:
    tell(world, 1, 1, metric="of a funnel that was dropped", is_in_new=False)
    assert restated(world, "*") == []


def test_events_are_late_where_a_day_that_the_value_reads_landed_anew(world: duckdb.DuckDBPyConnection) -> None:
    for day in (9, 10, 16, 17):
        tell(world, 1, 2, day=day)
        tell(world, 1, 2, metric="stock", day=day)
        tell(world, 1, 2, metric="new", day=day)
    land(world, "mixpanel.events", day=9, landing=OLD_LANDING)
    land(world, "mixpanel.events", day=10, landing=OLD_LANDING + 1)
    other = "late events on other days"
    # `stock` reads 7 days: those of the 10th are in the values from then on to the 16th. `new` reads all before.
    assert restated(world, "metric_id, period_start, reason") == [
        ("new", march(9), other), *(("new", march(day), "late events") for day in (10, 16, 17)),
        ("people", march(9), other), ("people", march(10), "late events"),
        ("people", march(16), other), ("people", march(17), other),
        ("stock", march(9), other), ("stock", march(10), "late events"),
        ("stock", march(16), "late events"), ("stock", march(17), other),
    ]  # fmt: skip


def test_what_reads_the_month_so_far_is_late_from_the_day_on_to_its_end(world: duckdb.DuckDBPyConnection) -> None:
    for day in (9, 10, 31):
        tell(world, 1, 2, metric="budget", day=day)
    land(world, "mixpanel.events", day=10, landing=OLD_LANDING + 1)
    assert restated(world, "period_start, reason") == [
        (march(9), "late events on other days"), (march(10), "late events"), (march(31), "late events"),
    ]  # fmt: skip


def test_people_who_merged_count_from_the_day_on_which_they_were_first_seen(world: duckdb.DuckDBPyConnection) -> None:
    for day in (9, 10, 20):
        tell(world, 2, 1, day=day)
    land(world, "mixpanel.events", day=20, landing=OLD_LANDING + 1)
    world.execute(f"insert into warehouse.marks.merges values ({OLD_LANDING}, '2024-03-01')")
    world.execute(f"insert into warehouse.marks.merges values ({OLD_LANDING + 1}, '2024-03-10')")
    assert restated(world, "period_start, reason") == [
        (march(9), "late events on other days"), (march(10), "merge"), (march(20), "late events; merge"),
    ]  # fmt: skip


def test_objects_changed_where_a_table_that_the_metric_reads_brought_new_versions(
    world: duckdb.DuckDBPyConnection,
) -> None:
    tell(world, 2, 1, metric="money")
    tell(world, 2, 1, metric="pets")
    tell(world, 2, 1, metric="people")
    tell(world, 2, 1, metric="people", segment=("plan", "free"))
    land(world, "stripe.refunds", day=28, landing=OLD_LANDING + 1)
    land(world, "app_db.pets", day=28, landing=OLD_LANDING + 2)
    land(world, "app_db.subscriptions", day=28, landing=OLD_LANDING + 2)
    assert restated(world, "metric_id, segment, reason") == [
        ("money", "all", "late Stripe change"),
        ("people", "all", "not known"),
        # A person's plan is the app's.
        ("people", "plan", "app database changed"),
        ("pets", "all", "app database changed"),
    ]


def test_new_rates_explain_totals_and_no_currency_s_own_amounts(world: duckdb.DuckDBPyConnection) -> None:
    for metric, segment in (("money", "all"), ("money", "currency"), ("pets", "all")):
        tell(world, 2, 1, metric=metric, segment=(segment, segment))
    land(world, "exchange_rates.daily_rates", day=28, landing=OLD_LANDING + 1)
    assert restated(world, "metric_id, segment, reason") == [
        ("money", "all", "rates changed"), ("money", "currency", "not known"), ("pets", "all", "not known"),
    ]  # fmt: skip


def test_a_reading_that_brought_nothing_new_explains_nothing(world: duckdb.DuckDBPyConnection) -> None:
    tell(world, 2, 1, metric="money")
    land(world, "stripe.refunds", day=28, landing=OLD_LANDING + 1, loaded=0)
    assert restated(world, "reason") == [("not known",)]


def test_a_new_definition_explains_everything(world: duckdb.DuckDBPyConnection) -> None:
    tell(world, 2, 1)
    land(world, "mixpanel.events", day=10, landing=OLD_LANDING + 1)
    world.execute("update warehouse.marks.finished set definition = 'defined otherwise'")
    assert restated(world, "reason") == [("new definition",)]


def test_restatements_are_carried_over_for_two_years(world: duckdb.DuckDBPyConnection) -> None:
    world.execute("""
        create table readers.restatements as
        select 'people' as metric_id, 'day' as grain, date '2022-01-01' as period_start, 'all' as segment,
            'all' as segment_value, 1.0::double as old_value, 2.0::double as new_value, build, restated_on,
            'late events' as reason
        from (values ('older', date '2022-04-01'), ('old', date '2022-04-02')) as builds (build, restated_on)
    """)
    tell(world, 2, 1)
    assert restated(world, "build, restated_on, old_value, new_value") == [
        ("new", date(2024, 4, 1), 2, 1), ("old", date(2022, 4, 2), 1, 2),
    ]  # fmt: skip


def test_a_first_build_and_one_after_a_build_that_lacks_the_facts_restate_nothing(
    world: duckdb.DuckDBPyConnection,
) -> None:
    tell(world, 1, 2)
    world.execute("alter table readers.bundle_info drop landing")
    assert restated(world, "*") == []
    world.execute("drop table restatements")
    world.execute("detach readers")
    assert restated(world, "*") == []
