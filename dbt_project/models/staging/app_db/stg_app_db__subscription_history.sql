with source as (

    select * from {{ source('raw_app_db', 'subscription_history') }}

),

renamed as (

    select
        object_id as subscription_history_id,
        subscription_id,
        user_id,
        action,
        from_tier,
        to_tier,
        from_billing_cycle,
        to_billing_cycle,
        {{ to_decimal('proration_amount') }} as proration_amount,
        created_at,
        {{ version_columns() }}
    from source

)

select * from renamed
