{%- set ids = ['device_id', 'user_id', 'distinct_id'] %}

with source as (

    select * from {{ source('raw_mixpanel', 'events') }}

),

context as (

    select * from {{ source('config', 'run_context') }}

),

bare as (

    select
        {% for id in ids %}
            {{ bare_id('source.' ~ id) }} as bare_{{ id }},
        {% endfor %}
        source.*
    from source

),

plain as (

    select
        {% for id in ids %}
            {{ plain_id('bare.bare_' ~ id) }} as plain_{{ id }},
        {% endfor %}
        bare.*
    from bare

),

renamed as (

    select
        source.insert_id,
        {% for id in ids %}
            {{ unless_nobodys('source.bare_' ~ id, 'source.plain_' ~ id) }} as {{ id }},
            source.{{ id }} as sent_{{ id }},
        {% endfor %}
        source.event as event_name,
        {% for segment in ['platform', 'country', 'app_version'] %}
            coalesce(nullif(source.{{ segment }}, ''), '(unknown)') as {{ segment }},
        {% endfor %}
        source.properties,
        source.day as export_day,
        {{ to_utc('source.time', 'context.mixpanel_timezone') }} as occurred_at
    from plain as source
    cross join context

)

select
    insert_id,
    device_id,
    user_id,
    distinct_id,
    (sent_device_id is not null and device_id is null)
    or (sent_user_id is not null and user_id is null)
    or (sent_distinct_id is not null and distinct_id is null) as has_nobodys_id,
    event_name,
    platform,
    country,
    app_version,
    properties,
    export_day,
    occurred_at
from renamed
