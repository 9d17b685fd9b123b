with source as (

    select * from {{ source('raw_app_db', 'user_profiles') }}

),

renamed as (

    select
        object_id as user_profile_id,
        user_id,
        subscription_tier,
        subscription_status,
        location_sharing_enabled as is_sharing_location,
        subscription_expires_at,
        created_at,
        updated_at,
        {{ version_columns() }}
    from source

)

select * from renamed
