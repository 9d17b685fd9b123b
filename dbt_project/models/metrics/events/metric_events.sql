with event_days as (

    select * from {{ ref('fct_event_days') }}
    where not is_excluded

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

)

select
    'events' as metric_id,
    day_periods.grain,
    day_periods.period_start,
    by_segment.segment,
    by_segment.segment_value,
    cast(sum(by_segment.events) as double) as numerator,
    cast(null as double) as denominator,
    cast(sum(by_segment.events) as double) as value
from by_segment
inner join day_periods on by_segment.event_date = day_periods.day
group by 2, 3, 4, 5
