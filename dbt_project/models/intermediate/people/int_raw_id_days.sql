{{ config(
    materialized='incremental',
    incremental_strategy='replace_pending',
    unique_key='export_day',
    meta={'replaces': 'mixpanel.events'}
) }}

with events as (

    select * from {{ ref('int_events_attributed') }}
    {{ where_pending('mixpanel', 'events', 'export_day') }}

)

select
    export_day,
    event_date,
    raw_id,
    event_name,
    platform,
    country,
    app_version,
    is_excluded,
    has_nobodys_id,
    count(*) as events,
    min(occurred_at) as first_occurred_at
from events
where not is_identity_event
group by export_day, event_date, raw_id, event_name, platform, country, app_version, is_excluded, has_nobodys_id
