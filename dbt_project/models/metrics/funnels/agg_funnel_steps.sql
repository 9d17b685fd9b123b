{{ config(schema='published', alias='pub_funnel_steps', contract={'enforced': true}) }}

with entries as (

    select * from {{ ref('fct_funnel_entries') }}

),

attempt_steps as (

    select * from {{ ref('fct_funnel_attempt_steps') }}

),

funnels as (

    select * from {{ source('config', 'funnels') }}

),

steps as (

    select * from {{ source('config', 'funnel_steps') }}

),

day_periods as (

    select * from {{ source('config', 'day_periods') }}

),

covered as (

    select * from {{ ref('int_sources_covered') }}
    where source = 'mixpanel' and table_name = 'events'

),

plans_covered as (

    select * from {{ ref('int_metrics_covered') }}
    where metric_id = 'active_users' and needed_for = 'plan'

),

landed_days as (

    select * from {{ ref('int_source_days_landed') }}
    where source = 'mixpanel' and table_name = 'events'

),

timed_steps as (

    select
        entries.funnel_id,
        entries.entry_grain,
        entries.entry_start,
        segments.segment,
        {{ segment_value('entries') }} as segment_value,
        attempt_steps.step_index,
        {{ seconds_between('previous_steps.occurred_at', 'attempt_steps.occurred_at') }} as seconds_from_previous
    from entries
    inner join attempt_steps
        on
            entries.funnel_id = attempt_steps.funnel_id
            and entries.person_id = attempt_steps.person_id
            and entries.entry_number = attempt_steps.entry_number
    left join attempt_steps as previous_steps
        on
            attempt_steps.funnel_id = previous_steps.funnel_id
            and attempt_steps.person_id = previous_steps.person_id
            and attempt_steps.entry_number = previous_steps.entry_number
            and attempt_steps.step_index = previous_steps.step_index + 1
    cross join {{ segments() }}

),

reached as (

    select
        funnel_id,
        entry_grain,
        entry_start,
        segment,
        segment_value,
        step_index,
        count(*) as users,
        avg(seconds_from_previous) as avg_seconds_from_previous,
        percentile_cont(0.5) within group (order by seconds_from_previous) as median_seconds_from_previous
    from timed_steps
    group by funnel_id, entry_grain, entry_start, segment, segment_value, step_index

),

-- All history is complete once the window of the last entry has closed.
seen_periods as (

    select distinct
        funnels.funnel_id,
        day_periods.grain as entry_grain,
        day_periods.period_start as entry_start,
        day_periods.period_end as entry_end
    from day_periods
    cross join covered
    cross join funnels
    where day_periods.day between covered.first_day and covered.last_day
    union all
    select
        funnels.funnel_id,
        'all' as entry_grain,
        null as entry_start,
        coalesce(max(entries.entry_date), covered.first_day) as entry_end
    from funnels
    cross join covered
    left join entries on funnels.funnel_id = entries.funnel_id
    where covered.last_day is not null
    group by funnels.funnel_id, covered.first_day

),

groups as (

    select seen_periods.*, 'all' as segment, 'all' as segment_value
    from seen_periods
    union
    select seen_periods.*, reached.segment, reached.segment_value
    from reached
    inner join seen_periods
        on
            reached.funnel_id = seen_periods.funnel_id
            and reached.entry_grain = seen_periods.entry_grain
            and coalesce(reached.entry_start, date '9999-12-31') = coalesce(seen_periods.entry_start, date '9999-12-31')

)

select
    groups.funnel_id,
    groups.entry_grain,
    groups.entry_start,
    groups.segment,
    groups.segment_value,
    steps.step_index,
    steps.step_name,
    coalesce(reached.users, 0) as users,
    reached.avg_seconds_from_previous,
    reached.median_seconds_from_previous,
    coalesce(
        (groups.entry_start is null or groups.entry_start >= covered.covered_from)
        and {{ add_days('groups.entry_end', 'funnels.window_days') }}
        <= case when groups.entry_start is null then covered.complete_through else landed_days.landed_through end
        and (
            plans_covered.metric_id is null
            or {{ add_days('groups.entry_end', 'funnels.window_days') }} <= plans_covered.complete_through
        ),
        false
    ) as is_complete
from groups
inner join funnels on groups.funnel_id = funnels.funnel_id
inner join steps on groups.funnel_id = steps.funnel_id
cross join covered
left join landed_days on groups.entry_start = landed_days.day
left join plans_covered on groups.segment = plans_covered.needed_for
left join reached
    on
        groups.funnel_id = reached.funnel_id
        and groups.entry_grain = reached.entry_grain
        and coalesce(groups.entry_start, date '9999-12-31') = coalesce(reached.entry_start, date '9999-12-31')
        and groups.segment = reached.segment
        and groups.segment_value = reached.segment_value
        and steps.step_index = reached.step_index
