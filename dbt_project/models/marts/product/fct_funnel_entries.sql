with attempt_steps as (

    select * from {{ ref('fct_funnel_attempt_steps') }}

),

entry_events as (

    select * from {{ ref('int_funnel_step_events') }}
    where step_index = 1

),

day_periods as (

    select * from {{ source('config', 'day_periods') }}

),

attempts as (

    select
        funnel_id,
        person_id,
        entry_number,
        max(step_index) as steps_reached
    from attempt_steps
    group by funnel_id, person_id, entry_number

),

entry_periods as (

    select day, grain as entry_grain, period_start as entry_start
    from day_periods
    union all
    select day, 'all' as entry_grain, null as entry_start
    from day_periods
    where grain = 'day'

),

ranked as (

    select
        attempts.funnel_id,
        attempts.person_id,
        attempts.entry_number,
        attempts.steps_reached,
        entry_periods.entry_grain,
        entry_periods.entry_start,
        entry_events.event_date as entry_date,
        entry_events.platform,
        entry_events.country,
        entry_events.app_version,
        entry_events.plan,
        row_number() over (
            partition by
                attempts.funnel_id, attempts.person_id, entry_periods.entry_grain, entry_periods.entry_start
            order by attempts.steps_reached desc, attempts.entry_number
        ) as preference
    from attempts
    inner join entry_events
        on
            attempts.funnel_id = entry_events.funnel_id
            and attempts.person_id = entry_events.person_id
            and attempts.entry_number = entry_events.event_number
    inner join entry_periods on entry_events.event_date = entry_periods.day

)

select
    funnel_id,
    entry_grain,
    entry_start,
    person_id,
    entry_number,
    entry_date,
    platform,
    country,
    app_version,
    plan,
    steps_reached
from ranked
where preference = 1
