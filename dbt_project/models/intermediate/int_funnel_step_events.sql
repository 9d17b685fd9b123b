{{ config(materialized='table') }}

with events as (

    select * from {{ ref('int_funnel_events') }}

),

identities as (

    select * from {{ ref('int_identities_resolved') }}

),

funnels as (

    select * from {{ source('config', 'funnels') }}

),

steps as (

    select * from {{ source('config', 'funnel_steps') }}

),

filters as (

    select * from {{ source('config', 'funnel_filters') }}

),

first_steps as (

    select funnel_id, event_name, min(step_index) as step_index
    from steps
    group by funnel_id, event_name

),

-- Events that belong together: of one person and, where the funnel asks for it, with one value of a property.
events_of_funnels as (

    select
        funnels.funnel_id,
        coalesce(identities.person_id, events.raw_id) as person_id,
        case
            when funnels.same_property is null then ''
            else {{ json_text('events.properties', 'funnels.same_property') }}
        end as same_value,
        events.insert_id,
        events.event_name,
        events.platform,
        events.country,
        events.app_version,
        events.properties,
        events.event_date,
        events.occurred_at,
        first_steps.step_index as first_step
    from events
    inner join first_steps on events.event_name = first_steps.event_name
    inner join funnels on first_steps.funnel_id = funnels.funnel_id
    left join identities on events.raw_id = identities.raw_id
    where not coalesce(identities.is_excluded, false)

),

-- Numbers tell events apart, so that a repeated step takes another event, and put events of one instant in step order.
numbered as (

    select
        *,
        row_number() over (
            partition by funnel_id, person_id, same_value
            order by occurred_at, first_step, event_name, insert_id, properties
        ) as event_number
    from events_of_funnels
    where same_value is not null

),

-- A missing property equals nothing.
matched as (

    select
        numbered.*,
        steps.step_index
    from numbered
    inner join steps
        on numbered.funnel_id = steps.funnel_id
        and numbered.event_name = steps.event_name
    where
        not exists (
            select 1
            from filters
            where
                filters.funnel_id = steps.funnel_id
                and filters.step_index = steps.step_index
                and (coalesce({{ json_text('numbered.properties', 'filters.property') }} = filters.value, false))
                <> filters.is_equal
        )

),

-- Each step event looks for the next step: both stand in one list, the later first.
looking as (

    select funnel_id, person_id, same_value, event_number, occurred_at, step_index, step_index as from_step, 0 as is_sought
    from matched
    union all
    select funnel_id, person_id, same_value, event_number, occurred_at, step_index, step_index - 1 as from_step, 1 as is_sought
    from matched

),

found as (

    select
        *,
        min(case when is_sought = 1 then occurred_at end) over (
            partition by funnel_id, person_id, same_value, from_step
            order by occurred_at desc, is_sought
            rows between unbounded preceding and current row
        ) as next_step_at
    from looking

)

select
    matched.funnel_id,
    matched.person_id,
    matched.same_value,
    matched.step_index,
    matched.event_number,
    matched.platform,
    matched.country,
    matched.app_version,
    matched.event_date,
    matched.occurred_at,
    found.next_step_at
from matched
inner join found
    on matched.funnel_id = found.funnel_id
    and matched.person_id = found.person_id
    and matched.same_value = found.same_value
    and matched.event_number = found.event_number
    and matched.step_index = found.step_index
    and found.is_sought = 0
