with versions as (

    select
        object_id as customer_id,
        effective_at,
        {{ json_text('content', "'discount'") }} as discount,
        row_number() over (
            partition by object_id
            order by
                effective_at,
                case origin when 'before' then 0 when 'event' then 1 else 2 end,
                landing,
                content_hash
        ) as version
    from {{ source('raw_stripe', 'customers') }}

),

terms as (

    {{ stripe_discounts('versions', ['customer_id', 'version']) }}

),

discounts as (

    select
        customer_id,
        coalesce(discount_id, coupon_id) as discount_id,
        max(coupon_id) as coupon_id,
        max(duration) as duration,
        max(percent_off) as percent_off,
        max(amount_off) as amount_off,
        max(currency) as currency,
        max(currency_options) as currency_options,
        max(products) as products,
        min(started_at) as started_at,
        max(ended_at) as ended_at,
        min(version) as first_version,
        max(version) as last_version
    from terms
    where coalesce(discount_id, coupon_id) is not null
    group by 1, 2

),

events as (

    select * from {{ ref('stg_stripe__discount_events') }}

),

-- Where it was taken away, an event tells of it, or the customer was seen without it, or with the next.
told_by_customers as (

    select
        discounts.customer_id,
        discounts.discount_id,
        discounts.coupon_id,
        discounts.duration,
        discounts.percent_off,
        discounts.amount_off,
        discounts.currency,
        discounts.currency_options,
        discounts.products,
        coalesce(discounts.started_at, first_told.effective_at) as started_at,
        least(
            discounts.ended_at,
            events.ended_at,
            first_without.effective_at,
            lead(discounts.started_at) over (partition by discounts.customer_id order by discounts.started_at, discounts.discount_id)
        ) as ended_at
    from discounts
    inner join versions as first_told
        on
            discounts.customer_id = first_told.customer_id
            and discounts.first_version = first_told.version
    left join versions as first_without
        on
            discounts.customer_id = first_without.customer_id
            and discounts.last_version + 1 = first_without.version
    left join events on discounts.discount_id = events.discount_id

)

select
    customer_id,
    discount_id,
    coupon_id,
    duration,
    percent_off,
    amount_off,
    currency,
    currency_options,
    products,
    started_at,
    ended_at
from told_by_customers

union all

-- One that had gone before the customer was seen first.
select
    customer_id,
    discount_id,
    coupon_id,
    duration,
    percent_off,
    amount_off,
    currency,
    currency_options,
    products,
    started_at,
    ended_at
from events
where
    customer_id is not null
    and subscription_id is null
    and started_at is not null
    and discount_id not in (select discounts.discount_id from discounts)
