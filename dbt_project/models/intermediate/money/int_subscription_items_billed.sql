{{ config(materialized='table') }}

with earlier_lines as (

    select * from {{ ref('int_invoice_lines_earlier') }}

),

starts as (

    select distinct subscription_id, period_start_at as billed_from
    from earlier_lines

),

stretches as (

    select
        subscription_id,
        billed_from,
        lead(billed_from) over (partition by subscription_id order by billed_from) as next_from
    from starts

),

-- Items may have periods of their own. Of an item that began another one, or was billed anew, the last bill counts.
covering as (

    select
        stretches.billed_from,
        stretches.next_from,
        earlier_lines.*,
        dense_rank() over (
            partition by stretches.subscription_id, stretches.billed_from, earlier_lines.subscription_item_id
            order by earlier_lines.period_start_at desc, earlier_lines.invoiced_at desc, earlier_lines.invoice_id desc
        ) as recency
    from stretches
    inner join earlier_lines
        on
            stretches.subscription_id = earlier_lines.subscription_id
            and stretches.billed_from >= earlier_lines.period_start_at
            and stretches.billed_from < earlier_lines.period_end_at

),

-- A bill is rounded to the minor unit; a price may be a fraction of it. One by tiers has a line for each.
billed as (

    select
        subscription_id,
        billed_from,
        subscription_item_id,
        max(product_id) as product_id,
        max(currency) as currency,
        max(billing_interval) as billing_interval,
        max(interval_count) as interval_count,
        sum(amount) as amount,
        case when count(*) = 1 then max({{ amount_of_quantity('unit_amount', 'quantity') }}) end as exact_amount,
        least(max(next_from), max(known_from)) as until,
        max(period_end_at) as period_end_at
    from covering
    where recency = 1
    group by subscription_id, billed_from, subscription_item_id

),

amounts as (

    select
        *,
        case
            when abs(exact_amount - amount) < {{ major_unit_share('currency') }} then exact_amount
            else cast(amount as decimal(38, 15))
        end as list_amount
    from billed

),

-- What is not known of one item is not known of the subscription: it then counts as it was when it was first seen.
wholes as (

    select
        *,
        least(until, max(period_end_at) over together) as billed_to,
        count(*) over together as items,
        min(case when billing_interval is null or list_amount is null then 0 else 1 end) over together = 1 as is_whole
    from amounts
    window together as (partition by subscription_id, billed_from)

),

-- Bill after bill says the same: while each does, and none is missing, all of it is one stretch.
repeated as (

    select
        *,
        case
            when
                billed_from = lag(billed_to) over bill_after_bill
                and items = lag(items) over bill_after_bill
                and list_amount = lag(list_amount) over bill_after_bill
                and currency = lag(currency) over bill_after_bill
                and billing_interval = lag(billing_interval) over bill_after_bill
                and interval_count = lag(interval_count) over bill_after_bill
                and coalesce(product_id, '') = coalesce(lag(product_id) over bill_after_bill, '')
                then 0
            else 1
        end as is_news
    from wholes
    where is_whole
    window bill_after_bill as (partition by subscription_id, subscription_item_id order by billed_from)

),

told as (

    select
        subscription_id,
        billed_from,
        max(billed_to) as billed_to,
        max(is_news) as is_news
    from repeated
    group by subscription_id, billed_from

),

numbered as (

    select
        *,
        sum(is_news) over (partition by subscription_id order by billed_from) as number
    from told

),

joined as (

    select
        subscription_id,
        min(billed_from) as billed_from,
        max(billed_to) as billed_to
    from numbered
    group by subscription_id, number

)

select
    wholes.subscription_id,
    wholes.subscription_item_id,
    wholes.billed_from,
    joined.billed_to,
    wholes.product_id,
    wholes.currency,
    wholes.billing_interval,
    wholes.interval_count,
    cast(case when wholes.list_amount < {{ largest_amount() }} then wholes.list_amount end as decimal(38, 15)) as list_amount
from wholes
inner join joined
    on
        wholes.subscription_id = joined.subscription_id
        and wholes.billed_from = joined.billed_from
