{%- set has_part = 'position(excluded.part in events.properties) > 0' %}
{%- set has_value %}
    {{- json_value('events.properties', 'excluded.property') }} in (excluded.value, excluded.plain_value)
{%- endset %}

with events as (

    select * from {{ ref('stg_mixpanel__events') }}

),

context as (

    select * from {{ source('config', 'run_context') }}

)

select
    events.export_day,
    coalesce(events.user_id, events.distinct_id, events.device_id) as raw_id,
    events.user_id,
    events.device_id,
    events.distinct_id,
    events.has_nobodys_id,
    events.insert_id,
    events.event_name,
    events.platform,
    events.country,
    events.app_version,
    events.properties,
    events.occurred_at,
    {{ local_date('events.occurred_at', 'context.timezone') }} as event_date,
    events.event_name in ('$identify', '$create_alias', '$merge') as is_identity_event,
    -- Looking for the text first is much cheaper than taking every JSON apart.
    case
        when {{ holds_for_any(source('config', 'excluded_properties'), 'excluded', has_part) }}
            then {{ holds_for_any(source('config', 'excluded_properties'), 'excluded', has_part ~ ' and ' ~ has_value) }}
        else false
    end as is_excluded
from events
cross join context
