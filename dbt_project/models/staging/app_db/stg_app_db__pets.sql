with source as (

    select * from {{ source('raw_app_db', 'pets') }}

),

renamed as (

    select
        object_id as pet_id,
        user_id,
        species,
        breed,
        gender,
        status,
        {{ to_decimal('weight') }} as weight,
        {{ to_decimal('profile_completeness') }} as profile_completeness,
        is_public,
        date_of_birth as birth_date,
        created_at,
        updated_at,
        {{ version_columns() }}
    from source

)

select * from renamed
