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

-- After a merge Mixpanel rewrites the distinct_id of old events: that it differs from the device tells of the merge.
device_rewritten as (

    select export_day, 'rewritten' as kind, device_id as raw_id, distinct_id as tied_to, occurred_at
    from events
    where device_id is not null and user_id is null and not is_identity_event

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
    select * from device_rewritten
    union all
    select * from identified
    union all
    select * from aliased
    union all
    select * from merged

),

stripped as (

    select
        export_day,
        kind,
        case when raw_id like '$device:%' then substring(raw_id from 9) else raw_id end as raw_id,
        case when tied_to like '$device:%' then substring(tied_to from 9) else tied_to end as tied_to,
        occurred_at
    from ties

)

select
    export_day,
    kind,
    raw_id,
    tied_to,
    min(occurred_at) as first_tied_at
from stripped
where raw_id <> tied_to
group by export_day, kind, raw_id, tied_to
