with days as (

    select * from {{ ref('int_raw_id_days') }}

),

identities as (

    select * from {{ ref('int_identities_resolved') }}

),

covered as (

    select * from {{ ref('int_sources_covered') }}
    where source = 'mixpanel' and table_name = 'events'

),

person_plans as (

    select * from {{ ref('int_person_plans') }}

),

inactive_events as (

    select * from {{ source('config', 'inactive_events') }}

)

select
    coalesce(identities.person_id, days.raw_id) as person_id,
    days.raw_id,
    days.event_date,
    days.event_name,
    days.platform,
    days.country,
    days.app_version,
    coalesce(person_plans.plan, '(unknown)') as plan,
    days.events,
    days.first_occurred_at,
    inactive_events.event_name is null as is_activity,
    days.is_excluded or coalesce(identities.is_excluded, false) as is_excluded
from days
-- A day of the source may reach into a reporting day that has not landed whole; that day waits.
inner join covered on days.event_date <= covered.last_day
left join identities on days.raw_id = identities.raw_id
left join person_plans
    on
        coalesce(identities.person_id, days.raw_id) = person_plans.person_id
        and days.event_date >= person_plans.from_date
        and (person_plans.to_date is null or days.event_date < person_plans.to_date)
left join inactive_events on days.event_name = inactive_events.event_name
