{{ config(
    materialized='incremental',
    incremental_strategy='replace_landed',
    unique_key='price_id',
    meta={'replaces': 'stripe.prices'}
) }}

with prices as (

    {{ stripe_objects('prices', {
        'product_id': 'product',
        'billing_interval': 'recurring.interval',
        'interval_count': 'recurring.interval_count',
        'usage_type': 'recurring.usage_type',
    }) }}

)

select
    object_id as price_id,
    product_id,
    billing_interval,
    cast(coalesce(interval_count, '1') as integer) as interval_count,
    coalesce(usage_type, 'licensed') as usage_type,
    is_deleted,
    created_at
from prices
