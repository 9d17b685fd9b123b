with source as (

    select * from {{ source('raw_app_db', 'subscriptions') }}

),

renamed as (

    select
        object_id as subscription_id,
        user_id,
        stripe_subscription_id,
        stripe_customer_id,
        tier,
        billing_cycle,
        status,
        downgrade_to_tier,
        cancel_at_period_end as is_cancelled_at_period_end,
        current_period_start as current_period_started_at,
        current_period_end as current_period_ends_at,
        created_at,
        updated_at,
        {{ version_columns() }}
    from source

)

select * from renamed
