{{ config(materialized='table') }}

with source_days as (

    select * from {{ source('config', 'source_days') }}

),

sources as (

    select * from {{ source('config', 'sources') }}

),

context as (

    select * from {{ source('config', 'run_context') }}

),

days as (

    select day from {{ source('config', 'day_periods') }}
    where grain = 'day'

),

landed as (

    select * from {{ ref('stg_lake__landings') }}
    where status = 'landed'

),

days_of_days as (

    select
        source_days.source,
        source_days.table_name,
        source_days.day,
        count(landed.source_day)
        = {{ days_between('source_days.first_source_day', 'source_days.last_source_day') }} + 1 as is_landed
    from source_days
    left join landed
        on
            source_days.source = landed.source
            and source_days.table_name = landed.table_name
            and landed.source_day between source_days.first_source_day and source_days.last_source_day
    group by
        source_days.source, source_days.table_name, source_days.day, source_days.first_source_day, source_days.last_source_day

),

-- Objects tell of every day from the first of them on, up to the day before they were last brought up to date.
days_of_objects as (

    select
        sources.source,
        sources.table_name,
        days.day,
        days.day >= sources.first_told_day
        and days.day < {{ local_date('landed.as_of', 'context.timezone') }} as is_landed
    from landed
    inner join sources
        on
            landed.source = sources.source
            and landed.table_name = sources.table_name
            and not sources.is_daily
    cross join context
    cross join days

),

united as (

    select source, table_name, day, is_landed from days_of_days
    union all
    select source, table_name, day, coalesce(is_landed, false) as is_landed from days_of_objects

),

with_next_gap as (

    select
        *,
        min(case when not is_landed then day end) over (
            partition by source, table_name order by day
            rows between current row and unbounded following
        ) as next_gap,
        max(day) over (partition by source, table_name) as last_day
    from united

)

select
    source,
    table_name,
    day,
    is_landed,
    case when is_landed then coalesce({{ add_days('next_gap', -1) }}, last_day) end as landed_through
from with_next_gap
