with lines as (

    select * from {{ ref('stg_stripe__invoice_lines') }}
    where line_type = 'subscription' and not is_proration and period_start_at < period_end_at

),

-- One that was made for a single subscription is in no list of prices; the item tells it, while it has it.
told_prices as (

    select price_id, billing_interval, interval_count, usage_type from {{ ref('stg_stripe__prices') }}
    union all
    select price_id, billing_interval, interval_count, usage_type from {{ ref('stg_stripe__subscription_items') }}

),

prices as (

    select
        price_id,
        max(billing_interval) as billing_interval,
        max(interval_count) as interval_count,
        max(usage_type) as usage_type
    from told_prices
    group by price_id

)

select
    lines.invoice_line_id,
    lines.invoice_id,
    lines.subscription_id,
    coalesce(lines.subscription_item_id, lines.price_id) as subscription_item_id,
    lines.product_id,
    lines.currency,
    lines.unit_amount,
    lines.quantity,
    lines.amount,
    lines.discount_amount,
    lines.invoiced_at,
    lines.period_start_at,
    lines.period_end_at,
    prices.billing_interval,
    prices.interval_count
from lines
left join prices on lines.price_id = prices.price_id
-- What was used is billed afterwards, and is no MRR.
where coalesce(prices.usage_type, 'licensed') <> 'metered'
