{{ config(
    materialized='incremental',
    incremental_strategy='replace_landed',
    unique_key='product_id',
    meta={'replaces': 'stripe.products'}
) }}

with products as (

    {{ stripe_objects('products', {
        'product_name': 'name',
        'tier': 'metadata.tier',
        'is_active': 'active',
    }) }}

)

select
    object_id as product_id,
    nullif(product_name, '') as product_name,
    nullif(tier, '') as tier,
    is_active = 'true' as is_active,
    is_deleted,
    created_at
from products
