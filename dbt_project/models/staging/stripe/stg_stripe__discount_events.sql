{%- set fields = [
    'type', 'discount', 'discount.customer', 'discount.subscription', 'discount.subscription_item', 'created'
] %}

with events as (

    select {{ json_texts('content', fields) }} as texts
    from {{ source('raw_stripe', 'events') }}

),

told as (

    select
        {{ text_at('texts', 0) }} as type,
        {{ text_at('texts', 1) }} as discount,
        {{ text_at('texts', 2) }} as customer_id,
        {{ text_at('texts', 3) }} as subscription_id,
        {{ text_at('texts', 4) }} as subscription_item_id,
        {{ utc_of_seconds(text_at('texts', 5)) }} as told_at
    from events
    where {{ text_at('texts', 1) }} is not null

),

terms as (

    {{ stripe_discounts('told', ['type', 'customer_id', 'subscription_id', 'subscription_item_id', 'told_at']) }}

)

select
    discount_id,
    max(customer_id) as customer_id,
    max(subscription_id) as subscription_id,
    max(subscription_item_id) as subscription_item_id,
    max(coupon_id) as coupon_id,
    max(duration) as duration,
    max(percent_off) as percent_off,
    max(amount_off) as amount_off,
    max(currency) as currency,
    max(currency_options) as currency_options,
    max(products) as products,
    min(started_at) as started_at,
    least(max(ended_at), min(case when type = 'customer.discount.deleted' then told_at end)) as ended_at
from terms
where discount_id is not null
group by discount_id
