with discounts as (

    select coupon_id, duration, percent_off, amount_off, currency from {{ ref('stg_stripe__subscription_discounts') }}
    union all
    select coupon_id, duration, percent_off, amount_off, currency from {{ ref('stg_stripe__customer_discounts') }}

)

select
    coupon_id,
    max(duration) as duration,
    max(percent_off) as percent_off,
    max(amount_off) as amount_off,
    max(currency) as currency
from discounts
where coupon_id is not null and duration is not null
group by coupon_id
