with source as (

    select * from {{ source('raw_mixpanel', 'events') }}

),

context as (

    select * from {{ source('config', 'run_context') }}

),

renamed as (

    select
        source.insert_id,
        {% for id in ['device_id', 'user_id', 'distinct_id'] %}
            case
                when source.{{ id }} like '$device:%' then substring(source.{{ id }} from 9)
                else source.{{ id }}
            end as {{ id }},
        {% endfor %}
        source.event as event_name,
        {% for segment in ['platform', 'country', 'app_version'] %}
            coalesce(nullif(source.{{ segment }}, ''), '(unknown)') as {{ segment }},
        {% endfor %}
        source.properties,
        source.day as export_day,
        {{ to_utc('source.time', 'context.mixpanel_timezone') }} as occurred_at
    from source
    cross join context

)

select * from renamed
