with discounts as (

    select * from {{ ref('stg_stripe__subscription_discounts') }}

),

customer_discounts as (

    select * from {{ ref('stg_stripe__customer_discounts') }}

),

coupons as (

    select * from {{ ref('int_coupons') }}

),

-- A bare id is told of by another version, of the subscription or of its customer.
told as (

    select discount_id, coupon_id from discounts
    union all
    select discount_id, coupon_id from customer_discounts

),

coupons_of_discounts as (

    select discount_id, max(coupon_id) as coupon_id
    from told
    where discount_id is not null and coupon_id is not null
    group by discount_id

)

select distinct
    discounts.subscription_id,
    discounts.version,
    discounts.subscription_item_id,
    coalesce(discounts.discount_id, coupons.coupon_id) as discount_id,
    coupons.percent_off,
    coupons.amount_off,
    coupons.currency
from discounts
left join coupons_of_discounts on discounts.discount_id = coupons_of_discounts.discount_id
inner join coupons on coalesce(discounts.coupon_id, coupons_of_discounts.coupon_id) = coupons.coupon_id
where coupons.duration = 'forever'
