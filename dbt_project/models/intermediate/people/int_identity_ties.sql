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

device_of_user as (

    select export_day, 'user' as kind, device_id as raw_id, user_id as tied_to, occurred_at
    from events
    where device_id is not null and user_id is not null and not is_identity_event

),

identified as (

    select
        export_day,
        'declared' as kind,
        coalesce(
            {{ json_text('properties', "'$anon_id'") }}, {{ json_text('properties', "'$anon_distinct_id'") }}
        ) as raw_id,
        {{ json_text('properties', "'$identified_id'") }} as tied_to,
        occurred_at
    from events
    where event_name = '$identify'

),

aliased as (

    select
        export_day, 'declared' as kind, distinct_id as raw_id, {{ json_text('properties', "'alias'") }} as tied_to, occurred_at
    from events
    where event_name = '$create_alias'

),

merged as (

    select
        export_day,
        'declared' as kind,
        {{ json_array_text('properties', "'$distinct_ids'", 0) }} as raw_id,
        {{ json_array_text('properties', "'$distinct_ids'", 1) }} as tied_to,
        occurred_at
    from events
    where event_name = '$merge'

),

ties as (

    select * from device_of_user
    union all
    select * from identified
    union all
    select * from aliased
    union all
    select * from merged

),

between_people as (

    select
        export_day,
        kind,
        {{ somebodys_id('raw_id') }} as raw_id,
        {{ somebodys_id('tied_to') }} as tied_to,
        occurred_at
    from ties

)

select
    export_day,
    kind,
    raw_id,
    tied_to,
    min(occurred_at) as first_tied_at
from between_people
where raw_id <> tied_to
group by export_day, kind, raw_id, tied_to
