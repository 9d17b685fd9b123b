{{ config(materialized='table') }}

with spells as (

    select * from {{ ref('int_subscription_spells') }}

),

items as (

    select * from {{ ref('stg_stripe__subscription_items') }}

),

products as (

    select * from {{ ref('stg_stripe__products') }}

),

customers as (

    select * from {{ ref('int_customers_identified') }}

),

coupons as (

    select * from {{ ref('int_coupons') }}

),

subscription_coupons as (

    select * from {{ ref('int_subscription_coupons') }}

),

context as (

    select * from {{ source('config', 'run_context') }}

),

recurring as (

    select
        spells.subscription_id,
        spells.version,
        spells.counts_from,
        spells.counts_to,
        spells.customer_id,
        items.subscription_item_id,
        items.product_id,
        items.currency,
        items.billing_interval,
        items.interval_count,
        cast(items.unit_amount * items.quantity as decimal(38, 15)) as list_amount
    from spells
    inner join items
        on
            spells.subscription_id = items.subscription_id
            and spells.version = items.version
    where items.usage_type <> 'metered' and items.billing_interval is not null and items.unit_amount > 0

),

coupons_on_items as (

    select
        subscription_id,
        version,
        subscription_item_id,
        {{ product_of('coalesce((100 - percent_off) * 0.01, 1)') }} as share_left,
        coalesce(sum(amount_off), 0) as amount_off
    from subscription_coupons
    where subscription_item_id is not null
    group by subscription_id, version, subscription_item_id

),

-- The subscription's own or, where it has none, the customer's.
coupons_of_spells as (

    select
        spells.subscription_id,
        spells.version,
        spells.counts_from,
        subscription_coupons.percent_off,
        case when subscription_coupons.currency = spells.currency then subscription_coupons.amount_off end as amount_off
    from spells
    inner join subscription_coupons
        on
            spells.subscription_id = subscription_coupons.subscription_id
            and spells.version = subscription_coupons.version
            and subscription_coupons.subscription_item_id is null

    union all

    select
        spells.subscription_id,
        spells.version,
        spells.counts_from,
        coupons.percent_off,
        case when coupons.currency = spells.currency then coupons.amount_off end
    from spells
    inner join coupons on spells.customer_coupon_id = coupons.coupon_id
    where coupons.duration = 'forever'

),

coupons_on_the_whole as (

    select
        subscription_id,
        version,
        counts_from,
        {{ product_of('coalesce((100 - percent_off) * 0.01, 1)') }} as share_left,
        coalesce(sum(amount_off), 0) as amount_off
    from coupons_of_spells
    group by subscription_id, version, counts_from

),

-- First what is on the item, then what is on the whole: shares before amounts, and never below 0.
less_shares as (

    select
        recurring.*,
        cast(
            cast(
                greatest(
                    cast(recurring.list_amount * coalesce(coupons_on_items.share_left, 1) as decimal(38, 15))
                    - coalesce(coupons_on_items.amount_off, 0),
                    0
                ) as decimal(38, 15)
            ) * coalesce(coupons_on_the_whole.share_left, 1) as decimal(38, 15)
        ) as amount,
        coalesce(coupons_on_the_whole.amount_off, 0) as amount_off
    from recurring
    left join coupons_on_items
        on
            recurring.subscription_id = coupons_on_items.subscription_id
            and recurring.version = coupons_on_items.version
            and recurring.subscription_item_id = coupons_on_items.subscription_item_id
    left join coupons_on_the_whole
        on
            recurring.subscription_id = coupons_on_the_whole.subscription_id
            and recurring.version = coupons_on_the_whole.version
            and recurring.counts_from = coupons_on_the_whole.counts_from

),

with_total as (

    select
        *,
        sum(amount) over (partition by subscription_id, version, counts_from) as total_amount
    from less_shares

),

-- An amount off the whole is taken from each item by its share.
billed as (

    select
        *,
        case
            when amount_off = 0 then amount
            when amount_off >= total_amount then 0
            else amount - {{ exact_quotient('cast(amount_off * amount as decimal(38, 15))', 'total_amount') }}
        end as billed_amount
    from with_total

),

priced as (

    select
        *,
        {{ exact_quotient(
            "billed_amount * case billing_interval when 'week' then 52 when 'day' then 365 else 1 end",
            "interval_count * case billing_interval when 'month' then 1 else 12 end"
        ) }} as mrr
    from billed
    where billing_interval in ('day', 'week', 'month', 'year')

)

select
    priced.subscription_id,
    priced.subscription_item_id,
    priced.customer_id,
    priced.currency,
    coalesce(products.tier, lower(products.product_name), '(unknown)') as plan,
    case
        when priced.billing_interval = 'month' and priced.interval_count = 12 then 'annual'
        when priced.interval_count > 1
            then 'every ' || cast(priced.interval_count as varchar) || ' ' || priced.billing_interval || 's'
        when priced.billing_interval = 'month' then 'monthly'
        when priced.billing_interval = 'year' then 'annual'
        when priced.billing_interval = 'week' then 'weekly'
        when priced.billing_interval = 'day' then 'daily'
    end as billing_cycle,
    customers.country,
    priced.mrr,
    {{ local_date('priced.counts_from', 'context.timezone') }} as from_date,
    {{ local_date('priced.counts_to', 'context.timezone') }} as to_date
from priced
cross join context
inner join customers on priced.customer_id = customers.customer_id
left join products on priced.product_id = products.product_id
where
    priced.mrr > 0
    and not customers.is_excluded
    -- What began and ended on one day was never there at a day's end.
    and (
        priced.counts_to is null
        or {{ local_date('priced.counts_from', 'context.timezone') }} < {{ local_date('priced.counts_to', 'context.timezone') }}
    )
