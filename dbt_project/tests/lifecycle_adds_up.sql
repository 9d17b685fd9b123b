-- Active = new + returning + resurrecting, in every period and segment value.
{{ config(meta={'dagster': {'ref': {'name': 'metric_lifecycle'}}}) }}
with states as (

    select grain, period_start, segment, segment_value, sum(value) as people
    from {{ ref('metric_lifecycle') }}
    where metric_id in ('users_new', 'users_returning', 'users_resurrecting')
    group by grain, period_start, segment, segment_value

),

active as (

    select grain, period_start, segment, segment_value, value as people
    from {{ ref('metric_active_users') }}
    where metric_id = 'active_users'

)

select *
from states
full outer join active
    on
        states.grain = active.grain
        and states.period_start = active.period_start
        and states.segment = active.segment
        and states.segment_value = active.segment_value
where coalesce(states.people, 0) <> coalesce(active.people, 0)
