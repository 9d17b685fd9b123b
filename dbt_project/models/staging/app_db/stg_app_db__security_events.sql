with source as (

    select * from {{ source('raw_app_db', 'security_events') }}

),

renamed as (

    select
        object_id as security_event_id,
        type as event_type,
        severity,
        action_taken,
        occurred_at,
        resolved_at,
        {{ version_columns() }}
    from source

)

select * from renamed
