with source as (

    select * from {{ source('raw_csv_files', 'support_tickets') }}

),

renamed as (

    select
        object_id as support_ticket_id,
        user_id,
        priority,
        category,
        created_at,
        resolved_at,
        {{ version_columns() }}
    from source

)

select * from renamed
