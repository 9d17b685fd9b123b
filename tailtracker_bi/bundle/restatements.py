"""Restatements: values that a build published as complete and that the next one tells differently, with the reason.

The old build is the one that readers have. Reasons come from facts alone: which days and tables landed after the old
build, whether ids moved to other people, and whether the definition changed. What no fact explains is `not known`.
"""

from __future__ import annotations

from datetime import date

import duckdb

READ = (
    "marks.finished",
    "marks.merges",
    "raw_lake.landings",
    "config.sources",
    "config.day_periods",
    "config.metric_tables",
    "config.source_days",
    "metrics.metric_definitions",
)
"""Of the warehouse."""
KEPT_MONTHS = 24
"""How long a restatement is carried over from build to build."""

_NOTHING = """
    create table restatements (
        metric_id varchar, grain varchar, period_start date, segment varchar, segment_value varchar,
        old_value double, new_value double, build varchar, restated_on date, reason varchar
    )
"""

# Where a value is not there, it is null. Doubles of the same sum in another order differ in their last digits.
_CHANGED = """
    create temp table changed as
    with told as (
        select * from readers.metric_values
        where is_complete
    ),

    -- Segments have rows only where there is something: what came up in a period that was told counts, too.
    told_periods as (
        select metric_id, grain, period_start from told
        where segment = 'all'
    ),

    now as (
        select * from metric_values
        semi join told_periods using (metric_id, grain, period_start)
    )

    select metric_id, grain, period_start, segment, segment_value, told.value as old_value, now.value as new_value
    from told
    full outer join now using (metric_id, grain, period_start, segment, segment_value)
    semi join metric_catalog using (metric_id)
    where
        told.value is distinct from now.value
        and coalesce(abs(told.value - now.value) > 1e-9 * greatest(abs(told.value), abs(now.value)), true)
"""

_EXPLAINED = """
    insert into restatements
    with new_build as (
        select
            old.landing as old_landing,
            old.definition <> new.definition as is_redefined
        from readers.bundle_info as old
        cross join warehouse.marks.finished as new
    ),

    landed as (
        select source, table_name, is_daily, day, loaded, contains(remark, 'accepted by') as is_accepted
        from warehouse.raw_lake.landings
        inner join warehouse.config.sources using (source, table_name)
        cross join new_build
        where status = 'landed' and landing > old_landing
    ),

    periods as (
        select distinct grain, period_start, period_end, period_index from warehouse.config.day_periods
    ),

    -- The days that a value reads, as in pub_metric_values.
    windows as (
        select distinct
            changed.metric_id,
            changed.grain,
            changed.period_start,
            changed.segment,
            case
                when reads_since = 'beginning' then '-infinity'::date
                when reads_since = 'month' then least(changed.period_start, date_trunc('month', periods.period_end))
                when trailing_days > 0 then periods.period_end + 1 - trailing_days::integer
                when previous_periods > 0 then coalesce(previous.period_start, changed.period_start - 1)
                else changed.period_start
            end as reads_from,
            periods.period_end + following_days::integer as reads_through
        from changed
        inner join warehouse.metrics.metric_definitions as definitions using (metric_id)
        inner join periods using (grain, period_start)
        left join periods as previous
            on
                previous.grain = periods.grain
                and previous.period_index = periods.period_index - previous_periods
    ),

    tables_read as (
        select windows.*, tables.source, tables.table_name
        from windows
        inner join warehouse.config.metric_tables as tables
            on
                tables.metric_id = windows.metric_id
                and (
                    tables.needed_for in ('all', 'either')
                    or tables.needed_for = windows.segment
                    or (tables.needed_for = 'conversion' and windows.segment <> 'currency')
                )
    ),

    landed_in_tables as (
        select tables_read.*, landed.* exclude (source, table_name)
        from tables_read
        inner join landed using (source, table_name)
    ),

    facts as (
        select metric_id, grain, period_start, segment, 1 as place, 'new definition' as reason
        from windows cross join new_build
        where is_redefined

        union all

        -- All that makes a day doubtful is that it lost rows.
        select metric_id, grain, period_start, segment, 2, if(is_accepted, 'accepted loss', 'late events')
        from landed_in_tables as landed
        inner join warehouse.config.source_days as days
            on
                days.source = landed.source
                and days.table_name = landed.table_name
                and landed.day between days.first_source_day and days.last_source_day
                and days.day between reads_from and reads_through
        where is_daily

        union all

        select metric_id, grain, period_start, segment, 3, 'merge'
        from tables_read
        cross join new_build
        inner join warehouse.marks.merges as merges
            on merges.landing > old_landing and merges.first_date <= reads_through
        where source = 'mixpanel'

        union all

        select
            metric_id,
            grain,
            period_start,
            segment,
            4,
            case source
                when 'stripe' then 'late Stripe change'
                when 'app_db' then 'app database changed'
                when 'exchange_rates' then 'rates changed'
                else source || ' changed'
            end
        from landed_in_tables
        where not is_daily and loaded > 0

        union all

        select metric_id, grain, period_start, segment, 5, 'late events on other days'
        from landed_in_tables
        where is_daily
    ),

    ranked as (
        select distinct
            *,
            min(place) over (partition by metric_id, grain, period_start, segment) as first_place
        from facts
    ),

    -- A new definition explains all; days that a value does not read explain it where nothing else does.
    reasons as (
        select metric_id, grain, period_start, segment, string_agg(reason, '; ' order by place, reason) as reason
        from ranked
        where place = 1 or (first_place > 1 and (place < 5 or first_place = 5))
        group by all
    )

    select
        metric_id, grain, period_start, segment, segment_value, old_value, new_value,
        $build as build, $as_of::date as restated_on, coalesce(reason, 'not known') as reason
    from changed
    left join reasons using (metric_id, grain, period_start, segment)
    order by metric_id, grain, period_start, segment, segment_value
"""


def restate(connection: duckdb.DuckDBPyConnection, build: str, as_of: date) -> None:
    """Fill the table `restatements` of the build that `connection` writes.

    Attached are `warehouse`, which the build was copied from, and, if readers have a build, that one as `readers`.
    """
    connection.execute(_NOTHING)
    if not _has(connection, "bundle_info", "landing"):
        return
    try:
        _compare(connection, build, as_of)
    except duckdb.IOException:
        # A bad block in the build that readers have: nothing can be compared with it, and it must not stay for ever.
        connection.execute("delete from restatements")


def _compare(connection: duckdb.DuckDBPyConnection, build: str, as_of: date) -> None:
    if _has(connection, "restatements", "restated_on"):
        connection.execute(
            "insert into restatements select * from readers.restatements "
            "where restated_on > $as_of::date - to_months($months)",
            {"as_of": as_of, "months": KEPT_MONTHS},
        )
    connection.execute(_CHANGED)
    connection.execute(_EXPLAINED, {"build": build, "as_of": as_of})
    connection.execute("drop table changed")


def _has(connection: duckdb.DuckDBPyConnection, table: str, column: str) -> bool:
    """Whether readers have a build with this column: there may be none, and an older one may lack it."""
    return bool(
        connection.execute(
            "select 1 from duckdb_columns() where database_name = 'readers' and table_name = ? and column_name = ?",
            [table, column],
        ).fetchall()
    )
