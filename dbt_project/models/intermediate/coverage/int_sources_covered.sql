{{ config(materialized='table') }}

with days as (

    select * from {{ ref('int_source_days_landed') }}

),

context as (

    select * from {{ source('config', 'run_context') }}

),

landings as (

    select * from {{ ref('stg_lake__landings') }}

),

bounds as (

    select
        days.source,
        days.table_name,
        min(case when days.is_landed then days.day end) as first_day,
        max(case when days.is_landed then days.day end) as last_day,
        min(case when days.is_landed and days.day >= context.history_start then days.day end) as covered_from
    from days
    cross join context
    group by days.source, days.table_name

),

-- Days that are wanted, and failed, before the first that landed: nobody knows what came before it.
broken_beginnings as (

    select distinct bounds.source, bounds.table_name
    from bounds
    cross join context
    inner join landings
        on
            bounds.source = landings.source
            and bounds.table_name = landings.table_name
            and bounds.covered_from > landings.source_day
    where
        landings.is_daily
        and landings.is_latest_attempt
        and landings.status <> 'landed'
        and landings.source_day >= context.history_start

),

first_readings as (

    select
        landings.source,
        landings.table_name,
        min({{ local_date('landings.first_landed_as_of', 'context.timezone') }}) as first_read_on,
        min({{ local_date('landings.followed_since', 'context.timezone') }}) as followed_since
    from landings
    cross join context
    group by landings.source, landings.table_name

),

first_gaps as (

    select
        bounds.source,
        bounds.table_name,
        min(days.day) as gap_day
    from bounds
    inner join days
        on
            bounds.source = days.source
            and bounds.table_name = days.table_name
            and bounds.covered_from < days.day
            and not days.is_landed
    group by bounds.source, bounds.table_name

)

select
    bounds.source,
    bounds.table_name,
    bounds.first_day,
    bounds.last_day,
    bounds.covered_from,
    first_readings.first_read_on,
    first_readings.followed_since,
    case
        when broken_beginnings.source is null then {{ add_days('first_gaps.gap_day', -1) }}
        else {{ add_days('bounds.covered_from', -1) }}
    end as complete_through
from bounds
left join broken_beginnings
    on
        bounds.source = broken_beginnings.source
        and bounds.table_name = broken_beginnings.table_name
left join first_gaps
    on
        bounds.source = first_gaps.source
        and bounds.table_name = first_gaps.table_name
left join first_readings
    on
        bounds.source = first_readings.source
        and bounds.table_name = first_readings.table_name
