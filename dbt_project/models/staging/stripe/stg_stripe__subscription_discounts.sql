{{ config(
    materialized='incremental',
    incremental_strategy='replace_landed',
    unique_key='subscription_id',
    meta={'replaces': 'stripe.subscriptions'}
) }}

with versions as (

    {{ stripe_subscription_versions() }}

),

-- On the subscription: until 2025-03 also, or only, the one that was there first.
on_subscriptions as (

    select
        object_id as subscription_id,
        version,
        cast(null as varchar) as subscription_item_id,
        {{ json_positions('content', 'discounts') }} as position,
        {{ json_elements('content', 'discounts') }} as discount
    from versions

    union all

    select
        object_id,
        version,
        cast(null as varchar),
        1,
        {{ json_text('content', "'discount'") }}
    from versions

),

items as (

    select
        object_id as subscription_id,
        version,
        {{ json_elements('content', 'items.data') }} as item
    from versions

),

on_items as (

    select
        subscription_id,
        version,
        {{ json_text('item', "'id'") }} as subscription_item_id,
        {{ json_positions('item', 'discounts') }} as position,
        {{ json_elements('item', 'discounts') }} as discount
    from items

),

discounts as (

    select * from on_subscriptions
    where discount is not null
    union all
    select * from on_items

),

terms as (

    {{ stripe_discounts('discounts', ['subscription_id', 'version', 'subscription_item_id', 'position']) }}

)

select
    subscription_id,
    version,
    subscription_item_id,
    coalesce(discount_id, coupon_id) as discount_id,
    min(position) as position,
    max(coupon_id) as coupon_id,
    max(duration) as duration,
    max(percent_off) as percent_off,
    max(amount_off) as amount_off,
    max(currency) as currency,
    max(currency_options) as currency_options,
    max(products) as products,
    max(ended_at) as ended_at
from terms
where coalesce(discount_id, coupon_id) is not null
group by subscription_id, version, subscription_item_id, coalesce(discount_id, coupon_id)
