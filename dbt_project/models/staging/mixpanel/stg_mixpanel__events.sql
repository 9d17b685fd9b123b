with source as (

    select * from {{ source('raw_mixpanel', 'events') }}

),

context as (

    select * from {{ source('config', 'run_context') }}

),

renamed as (

    select
        source.insert_id,
        source.device_id,
        source.user_id,
        case
            when source.distinct_id like '$device:%' then substring(source.distinct_id from 9)
            else source.distinct_id
        end as distinct_id,
        source.event as event_name,
        coalesce(source.platform, '(unknown)') as platform,
        coalesce(source.country, '(unknown)') as country,
        coalesce(source.app_version, '(unknown)') as app_version,
        source.properties,
        source.day as export_day,
        {{ to_utc('source.time', 'context.mixpanel_timezone') }} as occurred_at
    from source
    cross join context

)

select * from renamed
