{{ config(materialized='view') }}

with context as (

    select * from {{ source('config', 'run_context') }}

),

subscriptions as (

    select
        *,
        row_number() over (partition by subscription_id order by version desc) as recency
    from {{ ref('stg_stripe__subscriptions') }}

),

-- As they are now, while they last.
running as (

    select * from subscriptions
    where recency = 1 and not is_deleted and ended_at is null

),

items as (

    select * from {{ ref('int_subscription_items_priced') }}

),

customers as (

    select * from {{ ref('stg_stripe__customers') }}

),

discounts as (

    select subscription_id, version, discount_id from {{ ref('stg_stripe__subscription_discounts') }}

),

terms as (

    select * from {{ ref('int_discounts_resolved') }}

),

charges as (

    select * from {{ ref('stg_stripe__charges') }}

),

disputes as (

    select * from {{ ref('stg_stripe__disputes') }}

),

balance_transactions as (

    select * from {{ ref('stg_stripe__balance_transactions') }}

),

found as (

    select
        'subscription_item' as object_type,
        items.why_not as what,
        case items.why_not
            when 'metered price' then 'What is used is billed afterwards: it is no part of MRR.'
            else 'What they cost in a month can''t be told, so they are not in MRR.'
        end as why,
        items.subscription_item_id as object_id,
        items.currency,
        cast(null as decimal(38, 6)) as amount,
        'int_subscription_item_standings' as left_out_of,
        running.effective_at as told_at
    from running
    inner join items
        on
            running.subscription_id = items.subscription_id
            and running.version = items.version
    where items.why_not is not null and running.status in ('active', 'past_due', 'trialing')

    union all

    select
        'subscription_item',
        'price with tax in it',
        'MRR is without tax, but nobody tells how much of the price is tax: it counts as a whole.',
        items.subscription_item_id,
        items.currency,
        null,
        'int_subscription_item_spells',
        running.effective_at
    from running
    inner join items
        on
            running.subscription_id = items.subscription_id
            and running.version = items.version
    where items.has_tax_inside and items.list_amount > 0 and running.status in ('active', 'past_due', 'trialing')

    union all

    select
        'subscription',
        'more items than could be read',
        'Only the first items of each are known, and in MRR.',
        subscription_id,
        currency,
        null,
        'int_subscription_item_spells',
        effective_at
    from running
    where has_more_items

    union all

    select
        'subscription',
        'status that is not known',
        'Nobody can tell whether they count: they are not in MRR.',
        subscription_id,
        currency,
        null,
        'int_subscription_item_spells',
        effective_at
    from running
    where status not in ('trialing', 'active', 'past_due', 'unpaid', 'paused', 'incomplete', 'canceled', 'incomplete_expired')

    union all

    select
        'subscription',
        'subscription of a test clock',
        'It lives in a time of its own, and is in all numbers of subscriptions as if it were a customer''s.',
        subscription_id,
        currency,
        null,
        'int_subscription_item_spells',
        effective_at
    from running
    where test_clock_id is not null

    union all

    select
        'discount',
        'coupon whose terms could not be read',
        'What it takes off is not known, so MRR is without it.',
        terms.discount_id,
        running.currency,
        null,
        'int_subscription_item_spells',
        running.effective_at
    from running
    inner join discounts
        on
            running.subscription_id = discounts.subscription_id
            and running.version = discounts.version
    inner join terms on discounts.discount_id = terms.discount_id
    where terms.duration is null

    union all

    select
        'customer',
        'customer of a test clock',
        'It lives in a time of its own, and is in all numbers as if it were a customer.',
        customer_id,
        currency,
        null,
        'int_customers_identified',
        created_at
    from customers
    where test_clock_id is not null and not is_deleted

    union all

    select
        'charge',
        'status that is not known',
        'They are payments that have neither succeeded nor failed.',
        charge_id,
        currency,
        amount,
        'fct_payment_attempts',
        created_at
    from charges
    where coalesce(status, '') not in ('succeeded', 'failed', 'pending') and currency is not null and amount is not null

    union all

    select
        'charge',
        'charge without an amount or a currency',
        'It is missing from payments and volumes.',
        charge_id,
        currency,
        amount,
        'fct_payment_attempts',
        created_at
    from charges
    where currency is null or amount is null

    union all

    select
        'dispute',
        'status that is not known',
        'It counts as a dispute, though nobody knows whether it is one.',
        dispute_id,
        currency,
        amount,
        'dispute_rate',
        created_at
    from disputes
    where
        coalesce(status, '') not in (
            'warning_needs_response', 'warning_under_review', 'warning_closed', 'needs_response', 'under_review',
            'won', 'lost', 'prevented', 'charge_refunded'
        )

    union all

    select
        'balance_transaction',
        'movement of a kind that is not known',
        'It is missing from refunds, disputes, fees and net volume.',
        balance_transaction_id,
        currency,
        net_amount,
        'refunds,disputes,fees,net_volume',
        created_at
    from balance_transactions
    where kind is null or currency is null or net_amount is null

)

select
    'stripe' as source,
    found.object_type,
    found.what,
    found.why,
    found.object_id,
    cast(1 as bigint) as objects,
    cast(found.amount as decimal(38, 6)) as amount,
    found.currency,
    found.left_out_of,
    {{ local_date('found.told_at', 'context.timezone') }} as day
from found
cross join context
