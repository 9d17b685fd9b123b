{{ config(
    materialized='incremental',
    incremental_strategy='replace_pending',
    unique_key='export_day',
    meta={'replaces': 'mixpanel.events'}
) }}

with events as (

    select * from {{ ref('int_events_attributed') }}
    {{ where_pending('mixpanel', 'events', 'export_day') }}

),

step_events as (

    select event_name from {{ source('config', 'funnel_steps') }}
    union
    select 'Subscription Conversion' as event_name

)

select
    events.export_day,
    events.event_date,
    events.raw_id,
    events.insert_id,
    events.event_name,
    events.platform,
    events.country,
    events.app_version,
    events.properties,
    events.occurred_at
from events
inner join step_events on events.event_name = step_events.event_name
where not events.is_excluded
