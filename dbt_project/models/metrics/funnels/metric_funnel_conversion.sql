with steps as (

    select * from {{ ref('agg_funnel_steps') }}
    where entry_grain <> 'all'

),

ends as (

    select
        funnel_id,
        entry_grain,
        entry_start,
        segment,
        segment_value,
        max(case when step_index = 1 then users end) as entered,
        max(step_index) as last_step
    from steps
    group by funnel_id, entry_grain, entry_start, segment, segment_value

)

select
    ends.funnel_id || '_conversion' as metric_id,
    ends.entry_grain as grain,
    ends.entry_start as period_start,
    ends.segment,
    ends.segment_value,
    cast(steps.users as double precision) as numerator,
    cast(ends.entered as double precision) as denominator,
    {{ divide('steps.users', 'ends.entered') }} as value
from ends
inner join steps
    on
        ends.funnel_id = steps.funnel_id
        and ends.entry_grain = steps.entry_grain
        and ends.entry_start = steps.entry_start
        and ends.segment = steps.segment
        and ends.segment_value = steps.segment_value
        and ends.last_step = steps.step_index
