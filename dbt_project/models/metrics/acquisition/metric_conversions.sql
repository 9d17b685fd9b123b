{%- set segments = ['platform', 'country', 'app_version', 'plan', 'source'] %}

with conversions as (

    select * from {{ ref('fct_conversions') }}

),

day_periods as (

    select * from {{ source('config', 'day_periods') }}

),

by_period as (

    select
        day_periods.grain,
        day_periods.period_start,
        segments.segment,
        {{ money_segment_value('conversions', segments) }} as segment_value,
        cast(count(*) as double precision) as events
    from conversions
    inner join day_periods on conversions.event_date = day_periods.day
    cross join {{ money_segments(segments) }}
    group by 1, 2, 3, 4

)

select
    'subscription_conversions' as metric_id,
    grain,
    period_start,
    segment,
    segment_value,
    events as numerator,
    cast(null as double precision) as denominator,
    events as value
from by_period
