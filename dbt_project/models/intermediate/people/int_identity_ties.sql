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

ties as (

    select
        export_day,
        case when is_identity_event then 'declared' else 'user' end as kind,
        case event_name
            when '$identify'
                then coalesce(
                    {{ json_text('properties', "'$anon_id'") }}, {{ json_text('properties', "'$anon_distinct_id'") }}
                )
            when '$create_alias' then distinct_id
            when '$merge' then {{ json_array_text('properties', "'$distinct_ids'", 0) }}
            else device_id
        end as raw_id,
        case event_name
            when '$identify' then {{ json_text('properties', "'$identified_id'") }}
            when '$create_alias' then {{ json_text('properties', "'alias'") }}
            when '$merge' then {{ json_array_text('properties', "'$distinct_ids'", 1) }}
            else user_id
        end as tied_to,
        occurred_at
    from events
    where is_identity_event or (device_id is not null and user_id is not null)

),

between_people as (

    select
        export_day,
        kind,
        -- Those of events are somebody's already.
        case kind when 'user' then raw_id else {{ somebodys_id('raw_id') }} end as raw_id,
        case kind when 'user' then tied_to else {{ somebodys_id('tied_to') }} end as tied_to,
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
