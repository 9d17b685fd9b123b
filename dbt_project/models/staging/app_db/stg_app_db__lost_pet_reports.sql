with source as (

    select * from {{ source('raw_app_db', 'lost_pet_reports') }}

),

renamed as (

    select
        object_id as lost_pet_report_id,
        pet_id,
        user_id,
        status,
        urgency,
        {{ to_decimal('alert_radius') }} as alert_radius_meters,
        {{ to_decimal('reward_amount') }} as reward_amount,
        is_resolved,
        last_seen_date as last_seen_at,
        found_date as found_at,
        created_at,
        updated_at,
        {{ version_columns() }}
    from source

)

select * from renamed
