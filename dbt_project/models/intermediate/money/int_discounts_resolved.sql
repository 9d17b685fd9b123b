with told as (

    select discount_id, coupon_id, duration, percent_off, amount_off, currency, currency_options, products
    from {{ ref('stg_stripe__subscription_discounts') }}
    union all
    select discount_id, coupon_id, duration, percent_off, amount_off, currency, currency_options, products
    from {{ ref('stg_stripe__customer_discounts') }}
    union all
    select discount_id, coupon_id, duration, percent_off, amount_off, currency, currency_options, products
    from {{ ref('stg_stripe__discount_events') }}

),

-- A bare id is told of by another version, of the subscription or of its customer, or by an event.
discounts as (

    select
        discount_id,
        max(coupon_id) as coupon_id,
        max(duration) as duration,
        max(percent_off) as percent_off,
        max(amount_off) as amount_off,
        max(currency) as currency,
        max(currency_options) as currency_options,
        max(products) as products
    from told
    group by discount_id

),

-- A coupon can be made anew under its id with other terms: the id alone tells them only where all that is known agrees.
coupons as (

    select
        coupon_id,
        max(duration) as duration,
        max(percent_off) as percent_off,
        max(amount_off) as amount_off,
        max(currency) as currency,
        max(currency_options) as currency_options,
        max(products) as products
    from discounts
    where coupon_id is not null and duration is not null
    group by coupon_id
    having
        count(distinct duration) = 1
        and count(distinct coalesce(percent_off, -1)) = 1
        and count(distinct coalesce(amount_off, -1)) = 1
        and count(distinct coalesce(currency, '')) = 1
        and count(distinct coalesce(products, '')) = 1

)

select
    discounts.discount_id,
    discounts.coupon_id,
    coalesce(discounts.duration, coupons.duration) as duration,
    coalesce(discounts.percent_off, coupons.percent_off) as percent_off,
    coalesce(discounts.amount_off, coupons.amount_off) as amount_off,
    coalesce(discounts.currency, coupons.currency) as currency,
    coalesce(discounts.currency_options, coupons.currency_options) as currency_options,
    coalesce(discounts.products, coupons.products) as products
from discounts
left join coupons
    on
        case when discounts.duration is null then discounts.coupon_id end = coupons.coupon_id
