{{ config(materialized='view') }}

{%- set bill %}
        subscription_id,
        subscription_item_id,
        day,
        max(currency) as currency,
        max(billing_interval) as billing_interval,
        max(interval_count) as interval_count,
        cast(greatest(sum(amount), 0) as decimal(38, 15)) as listed,
        cast(greatest(sum(amount - discount_amount), 0) as decimal(38, 15)) as billed
{%- endset %}

with lines as (

    select * from {{ ref('int_invoice_lines_recurring') }}
    where billing_interval in ('day', 'week', 'month', 'year') and interval_count > 0

),

invoices as (

    select * from {{ ref('stg_stripe__invoices') }}
    where status in ('open', 'paid', 'uncollectible') and not is_deleted

),

standings as (

    select * from {{ ref('int_subscription_item_standings') }}

),

customers as (

    select * from {{ ref('int_customers_identified') }}

),

context as (

    select * from {{ source('config', 'run_context') }}

),

landed_days as (

    select * from {{ ref('int_source_days_landed') }}
    where is_landed and source = 'stripe' and table_name = 'invoices'

),

billed_lines as (

    select
        lines.subscription_id,
        lines.subscription_item_id,
        lines.invoice_id,
        lines.invoiced_at,
        lines.period_start_at,
        lines.currency,
        lines.billing_interval,
        lines.interval_count,
        lines.amount,
        lines.discount_amount,
        {{ local_date('lines.period_start_at', 'context.timezone') }} as day
    from lines
    cross join context
    inner join invoices on lines.invoice_id = invoices.invoice_id
    left join customers on invoices.customer_id = customers.customer_id
    where not coalesce(customers.is_excluded, false)

),

items_of_days as (

    select {{ bill }}, count(*) as lines
    from billed_lines
    group by subscription_id, subscription_item_id, day

),

repeated as (

    select * from items_of_days
    where lines > 1

),

-- Of an item that began two periods on one day, or was billed anew, the last bill counts; nearly all have one line.
ranked as (

    select
        billed_lines.*,
        dense_rank() over (
            partition by billed_lines.subscription_id, billed_lines.subscription_item_id, billed_lines.day
            order by billed_lines.period_start_at desc, billed_lines.invoiced_at desc, billed_lines.invoice_id desc
        ) as recency
    from billed_lines
    inner join repeated
        on
            billed_lines.day = repeated.day
            and coalesce(billed_lines.subscription_id, '') = coalesce(repeated.subscription_id, '')
            and coalesce(billed_lines.subscription_item_id, '') = coalesce(repeated.subscription_item_id, '')

),

bills as (

    select subscription_id, subscription_item_id, day, currency, billing_interval, interval_count, listed, billed
    from items_of_days
    where lines = 1

    union all

    select {{ bill }} from ranked
    where recency = 1
    group by subscription_id, subscription_item_id, day

),

-- Bills are many, and the amounts in them few.
amounts as (

    select
        *,
        {{ monthly('listed', 'billing_interval', 'interval_count') }} as listed_mrr,
        {{ monthly('billed', 'billing_interval', 'interval_count') }} as billed_mrr,
        {{ monthly(major_unit_share('currency'), 'billing_interval', 'interval_count') }} as minor_unit
    from (
        select distinct currency, billing_interval, interval_count, listed, billed from bills
        where billed < {{ largest_amount() }} and listed < {{ largest_amount() }}
    ) as different

),

by_month as (

    select
        bills.*,
        amounts.listed_mrr,
        amounts.billed_mrr,
        amounts.minor_unit
    from bills
    inner join amounts
        on
            bills.currency is not distinct from amounts.currency
            and bills.billing_interval = amounts.billing_interval
            and bills.interval_count = amounts.interval_count
            and bills.listed = amounts.listed
            and bills.billed = amounts.billed

),

-- How the item stood at the end of the day and, before that, until it.
standings_around as (

    select
        by_month.subscription_id,
        by_month.subscription_item_id,
        by_month.day,
        standings.standing,
        standings.billed_mrr,
        standings.list_mrr,
        standings.to_date is null or standings.to_date > by_month.day as is_after
    from by_month
    inner join standings
        on
            by_month.subscription_id = standings.subscription_id
            and by_month.subscription_item_id = standings.subscription_item_id
            and by_month.day >= standings.from_date
    where standings.to_date is null or standings.to_date >= by_month.day

),

stood as (

    select
        subscription_id,
        subscription_item_id,
        day,
        max(case when is_after then standing end) as standing,
        sum(case when is_after and standing = 'counted' then billed_mrr else 0 end) as mrr,
        sum(case when is_after and standing = 'counted' then list_mrr else 0 end) as list_mrr,
        max(case when not is_after and standing = 'counted' then billed_mrr end) as mrr_before
    from standings_around
    group by subscription_id, subscription_item_id, day

),

-- The first day of each item with MRR, and whether another one of its subscription had some before.
begun as (

    select
        subscription_id,
        subscription_item_id,
        min(from_date) as day,
        min(min(from_date)) over (partition by subscription_id) as subscription_began
    from standings
    where standing = 'counted' and billed_mrr > 0
    group by subscription_id, subscription_item_id

),

unbilled as (

    select
        standings.subscription_id,
        standings.currency,
        standings.billed_mrr,
        begun.day,
        begun.subscription_began < begun.day as is_added
    from begun
    inner join standings
        on
            begun.subscription_id = standings.subscription_id
            and begun.subscription_item_id = standings.subscription_item_id
            and begun.day = standings.from_date
            and standings.standing = 'counted'
    left join bills
        on
            begun.subscription_id = bills.subscription_id
            and begun.subscription_item_id = bills.subscription_item_id
            and begun.day = bills.day
    where bills.day is null

),

-- A bill is rounded to the minor unit: what MRR is less than that off is no difference.
compared as (

    select
        by_month.day,
        by_month.currency,
        by_month.subscription_id as object_id,
        by_month.billed_mrr as left_value,
        case
            when abs(by_month.billed_mrr - stood.mrr) < by_month.minor_unit then by_month.billed_mrr
            else coalesce(stood.mrr, 0)
        end as right_value,
        1 as objects,
        case
            when abs(by_month.billed_mrr - coalesce(stood.mrr, 0)) < by_month.minor_unit then null
            when stood.mrr = 0 and stood.standing in ('trials', 'paused', 'unpaid') then stood.standing
            when coalesce(stood.mrr, 0) = 0 and coalesce(stood.standing, 'over') <> 'counted' then 'over'
            when abs(by_month.billed_mrr - stood.mrr_before) < by_month.minor_unit then 'changed'
            when
                abs(by_month.listed_mrr - stood.list_mrr) < by_month.minor_unit and stood.mrr = stood.list_mrr
                then 'coupon untold'
            when abs(by_month.listed_mrr - stood.list_mrr) < by_month.minor_unit then 'coupons'
            else 'unexplained'
        end as cause
    from by_month
    left join stood
        on
            by_month.subscription_id = stood.subscription_id
            and by_month.subscription_item_id = stood.subscription_item_id
            and by_month.day = stood.day

    union all

    select
        day,
        currency,
        subscription_id,
        0,
        billed_mrr,
        1,
        case when is_added then 'added' else 'unbilled' end
    from unbilled

)

{{ compared_by_day('mrr: billed by the month for periods that began, MRR of the same', 'compared', 'landed_days', {
    'changed': 'items that were changed later on the day that they were billed',
    'coupon untold': 'bills with a coupon that no version of the subscription tells of',
    'coupons': 'items whose coupons take off another amount than their bills say',
    'trials': 'items that are billed and on trial',
    'paused': 'items that are billed and paused',
    'unpaid': 'items that are billed and unpaid',
    'over': 'items that were billed and had ended, or become free, when the day was over',
    'added': 'items that were added within a period, so that they are billed for the rest of it at first',
    'unbilled': 'items that began to count without a bill for a whole period',
    'unexplained': 'amounts that differ, why is not known',
}) }}
