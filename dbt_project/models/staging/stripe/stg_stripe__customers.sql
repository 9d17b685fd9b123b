{{ config(
    materialized='incremental',
    incremental_strategy='replace_landed',
    unique_key='customer_id',
    meta={'replaces': 'stripe.customers'}
) }}

with customers as (

    {{ stripe_objects('customers', {
        'user_id': 'metadata.supabase_user_id',
        'country': 'address.country',
        'currency': 'currency',
        'is_delinquent': 'delinquent',
        'test_clock_id': 'test_clock',
    }) }}

)

select
    object_id as customer_id,
    nullif(user_id, '') as user_id,
    nullif(upper(country), '') as country,
    upper(currency) as currency,
    is_delinquent = 'true' as is_delinquent,
    test_clock_id,
    is_deleted,
    created_at
from customers
