{{ config(materialized='table') }}

with events as (

    select * from {{ ref('int_funnel_events') }}
    where raw_id is not null

),

identities as (

    select * from {{ ref('int_identities_resolved') }}

),

person_plans as (

    select * from {{ ref('int_person_plans') }}

),

covered as (

    select * from {{ ref('int_sources_covered') }}
    where source = 'mixpanel' and table_name = 'events'

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

events_of_steps as (

    select distinct funnel_id, event_name from steps

),

-- Events that belong together: of one person and, where the funnel asks for it, with one value of a property.
events_of_funnels as (

    select
        funnels.funnel_id,
        coalesce(identities.person_id, events.raw_id) as person_id,
        case
            when funnels.same_property is null then ''
            else {{ json_value('events.properties', 'funnels.same_property') }}
        end as same_value,
        events.insert_id,
        events.event_name,
        events.platform,
        events.country,
        events.app_version,
        coalesce(person_plans.plan, '(unknown)') as plan,
        events.properties,
        events.event_date,
        events.occurred_at
    from events
    inner join covered on events.event_date <= covered.last_day
    inner join events_of_steps on events.event_name = events_of_steps.event_name
    inner join funnels on events_of_steps.funnel_id = funnels.funnel_id
    left join identities on events.raw_id = identities.raw_id
    left join person_plans
        on
            coalesce(identities.person_id, events.raw_id) = person_plans.person_id
            and events.event_date >= person_plans.from_date
            and events.event_date < person_plans.to_date
    where not coalesce(identities.is_excluded, false)

),

told_apart as (

    select
        *,
        row_number() over (
            partition by funnel_id, person_id
            order by occurred_at, event_name, coalesce(insert_id, ''), properties
        ) as event_key
    from events_of_funnels
    where same_value is not null

),

-- A missing property equals nothing.
matched as (

    select
        told_apart.*,
        steps.step_index,
        min(steps.step_index) over (
            partition by told_apart.funnel_id, told_apart.person_id, told_apart.event_key
        ) as first_step
    from told_apart
    inner join steps
        on
            told_apart.funnel_id = steps.funnel_id
            and told_apart.event_name = steps.event_name
    where
        not exists (
            select 1
            from filters
            where
                filters.funnel_id = steps.funnel_id
                and filters.step_index = steps.step_index
                and coalesce(
                    {{ json_value('told_apart.properties', 'filters.property') }} in (filters.value, filters.plain_value), false
                )
                <> filters.is_equal
        )

),

-- Numbers tell a person's events apart, so that a repeated step takes another event, and put events of one instant in
-- the order of the steps.
numbered as (

    select
        *,
        dense_rank() over (
            partition by funnel_id, person_id
            order by occurred_at, first_step, event_key
        ) as event_number
    from matched

),

-- Each step event looks for the next step: both stand in one list, the later first.
looking as (

    select funnel_id, person_id, same_value, event_number, occurred_at, step_index, step_index as from_step, 0 as is_sought
    from numbered
    union all
    select funnel_id, person_id, same_value, event_number, occurred_at, step_index, step_index - 1 as from_step, 1 as is_sought
    from numbered

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
    numbered.funnel_id,
    numbered.person_id,
    numbered.same_value,
    numbered.step_index,
    numbered.event_number,
    numbered.platform,
    numbered.country,
    numbered.app_version,
    numbered.plan,
    numbered.event_date,
    numbered.occurred_at,
    found.next_step_at
from numbered
inner join found
    on
        numbered.funnel_id = found.funnel_id
        and numbered.person_id = found.person_id
        and numbered.event_number = found.event_number
        and numbered.step_index = found.step_index
        and found.is_sought = 0
