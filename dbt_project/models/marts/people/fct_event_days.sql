{{ config(materialized='view') }}

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

),

identified as (

    select
        days.*,
        coalesce(identities.person_id, days.raw_id) as person_id,
        coalesce(identities.is_excluded, false) as is_excluded_person
    from days
    -- A day of the source may reach into a reporting day that has not landed whole; that day waits.
    inner join covered on days.event_date <= covered.last_day
    left join identities on days.raw_id = identities.raw_id

)

select
    identified.person_id,
    identified.raw_id,
    identified.event_date,
    identified.event_name,
    identified.platform,
    identified.country,
    identified.app_version,
    coalesce(person_plans.plan, '(unknown)') as plan,
    identified.events,
    identified.first_occurred_at,
    -- Nobody's events are volume, and no sign of a person.
    inactive_events.event_name is null and identified.person_id is not null as is_activity,
    identified.is_excluded or identified.is_excluded_person as is_excluded
from identified
left join person_plans
    on
        identified.person_id = person_plans.person_id
        and identified.event_date >= person_plans.from_date
        and identified.event_date < person_plans.to_date
left join inactive_events on identified.event_name = inactive_events.event_name
