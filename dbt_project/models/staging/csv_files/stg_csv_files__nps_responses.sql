with source as (

    select * from {{ source('raw_csv_files', 'nps_responses') }}

),

renamed as (

    select
        object_id as nps_response_id,
        user_id,
        {{ to_decimal('score') }} as score,
        created_at,
        {{ version_columns() }}
    from source

)

select * from renamed
