{{ config(
    materialized='incremental',
    incremental_strategy='replace_from_period',
    unique_key='period_start',
    contract={'enforced': true},
    on_schema_change='fail'
) }}

with event_days as (

    select * from {{ ref('fct_event_days') }}
    where not is_excluded {{ and_from_rebuilt_period('event_date') }}

),

day_periods as (

    select * from {{ source('config', 'day_periods') }}

),

by_segment as (

    select
        event_days.event_date,
        segments.segment,
        {{ segment_value('event_days') }} as segment_value,
        sum(event_days.events) as events
    from event_days
    cross join {{ segments() }}
    group by 1, 2, 3

),

by_period as (

    select
        day_periods.grain,
        day_periods.period_start,
        by_segment.segment,
        by_segment.segment_value,
        cast(sum(by_segment.events) as double precision) as events
    from by_segment
    inner join day_periods on by_segment.event_date = day_periods.day
    where true {{ and_from_rebuilt_period('day_periods.period_start') }}
    group by 1, 2, 3, 4

)

select
    'events' as metric_id,
    grain,
    period_start,
    segment,
    segment_value,
    events as numerator,
    cast(null as double precision) as denominator,
    events as value
from by_period
