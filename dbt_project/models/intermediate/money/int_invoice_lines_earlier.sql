-- A table: a day that brings none, as nearly all do, leaves alone what follows from them.
{{ config(materialized='table') }}

with lines as (

    select * from {{ ref('int_invoice_lines_recurring') }}

),

-- Of the 30 days before a subscription was read first, Stripe's events would have told; of what was before its first version
-- nothing else does.
first_readings as (

    select
        subscription_id,
        least(min(effective_at), {{ add_seconds('min(observed_at)', -30 * 86400) }}) as known_from
    from {{ ref('stg_stripe__subscriptions') }}
    group by subscription_id

)

select
    lines.invoice_id,
    lines.subscription_id,
    lines.subscription_item_id,
    lines.product_id,
    lines.currency,
    lines.unit_amount,
    lines.quantity,
    lines.amount,
    lines.invoiced_at,
    lines.period_start_at,
    lines.period_end_at,
    lines.billing_interval,
    lines.interval_count,
    first_readings.known_from
from lines
inner join first_readings
    on
        lines.subscription_id = first_readings.subscription_id
        and lines.period_start_at < first_readings.known_from
