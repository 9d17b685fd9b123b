with source as (

    select * from {{ source('raw_csv_files', 'app_store_ratings') }}

),

renamed as (

    select
        object_id as app_store_rating_id,
        platform,
        {{ to_decimal('score') }} as score,
        created_at,
        {{ version_columns() }}
    from source

)

select * from renamed
