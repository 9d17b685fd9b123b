{{ config(materialized='view') }}

with events as (

    select * from {{ ref('int_funnel_events') }}
    where event_name = 'Subscription Conversion'

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

)

select
    coalesce(identities.person_id, events.raw_id) as person_id,
    events.insert_id,
    events.event_date,
    events.occurred_at,
    events.platform,
    events.country,
    events.app_version,
    coalesce(person_plans.plan, '(unknown)') as plan,
    coalesce({{ json_value('events.properties', "'conversion_source'") }}, '(unknown)') as source
from events
inner join covered on events.event_date <= covered.last_day
left join identities on events.raw_id = identities.raw_id
left join person_plans
    on
        coalesce(identities.person_id, events.raw_id) = person_plans.person_id
        and events.event_date >= person_plans.from_date
        and events.event_date < person_plans.to_date
where not coalesce(identities.is_excluded, false)
