{{ config(materialized='table') }}

with versions as (

    {{ stripe_subscription_versions() }}

),

-- On the subscription: until 2025-03 also, or only, the one that was there first.
on_subscriptions as (

    select
        versions.object_id as subscription_id,
        versions.version,
        cast(null as varchar) as subscription_item_id,
        cast(elements.element as varchar) as discount
    from versions
    cross join {{ json_elements('versions.content', 'discounts') }} as elements (element)

    union all

    select
        object_id,
        version,
        cast(null as varchar),
        {{ json_text('content', "'discount'") }}
    from versions

),

items as (

    select
        versions.object_id as subscription_id,
        versions.version,
        elements.element as item
    from versions
    cross join {{ json_elements('versions.content', 'items.data') }} as elements (element)

),

on_items as (

    select
        items.subscription_id,
        items.version,
        {{ json_text('items.item', "'id'") }} as subscription_item_id,
        cast(elements.element as varchar) as discount
    from items
    cross join {{ json_elements('items.item', 'discounts') }} as elements (element)

),

discounts as (

    select * from on_subscriptions
    where discount is not null
    union all
    select * from on_items

),

terms as (

    {{ stripe_discounts('discounts', ['subscription_id', 'version', 'subscription_item_id']) }}

)

select
    subscription_id,
    version,
    subscription_item_id,
    discount_id,
    max(coupon_id) as coupon_id,
    max(duration) as duration,
    max(percent_off) as percent_off,
    max(amount_off) as amount_off,
    max(currency) as currency
from terms
group by subscription_id, version, subscription_item_id, discount_id
