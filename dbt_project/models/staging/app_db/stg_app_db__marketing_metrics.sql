with source as (

    select * from {{ source('raw_app_db', 'marketing_metrics') }}

),

renamed as (

    select
        object_id as marketing_spend_id,
        date as spend_date,
        channel,
        {{ to_decimal('spend') }} as spend_amount,
        upper(currency) as currency,
        {{ version_columns() }}
    from source

)

select * from renamed
