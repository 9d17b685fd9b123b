{{ config(materialized='view') }}

with attempts as (

    select * from {{ ref('fct_payment_attempts') }}
    where captured_amount > 0

),

balance_changes as (

    select * from {{ ref('fct_balance_changes') }}

),

items as (

    select * from {{ ref('int_subscription_item_spells') }}

),

spend as (

    select * from {{ ref('fct_marketing_spend') }}

),

rates as (

    select * from {{ ref('fct_exchange_rates') }}

),

context as (

    select * from {{ source('config', 'run_context') }}

),

known_days as (

    select day_periods.day
    from {{ source('config', 'day_periods') }} as day_periods
    inner join {{ ref('int_sources_covered') }} as covered
        on
            day_periods.grain = 'day'
            and covered.source = 'stripe'
            and covered.table_name = 'subscriptions'
            and day_periods.day between covered.first_day and covered.last_day

),

days_without_a_rate as (

    select
        currencies.currency,
        known_days.day
    from (select distinct currency from items) as currencies
    cross join context
    cross join known_days
    left join rates
        on
            known_days.day = rates.day
            and currencies.currency = rates.currency
    where rates.day is null and currencies.currency <> context.currency

),

-- What an item pays a month is converted anew on each day that it is there.
items_on_days as (

    select
        items.subscription_item_id,
        items.currency,
        days_without_a_rate.day,
        items.mrr
    from items
    inner join days_without_a_rate
        on
            items.currency = days_without_a_rate.currency
            and items.from_date <= days_without_a_rate.day
    where items.to_date is null or items.to_date > days_without_a_rate.day

),

amounts as (

    select
        'charge' as object_type,
        charge_id as object_id,
        attempt_date as day,
        currency,
        cast(captured_amount as decimal(38, 6)) as amount,
        'gross_volume' as left_out_of
    from attempts

    union all

    select
        'balance_transaction',
        balance_transaction_id,
        change_date,
        currency,
        cast(net_amount as decimal(38, 6)),
        case kind when 'refund' then 'refunds,' when 'dispute' then 'disputes,' else '' end
        || case when fee_amount = 0 then '' else 'fees,' end
        || 'net_volume'
    from balance_changes

    union all

    select 'subscription_item', subscription_item_id, day, currency, cast(mrr as decimal(38, 6)), 'metric_subscriptions,metric_billed_mrr'
    from items_on_days

    union all

    select 'marketing_metric', marketing_spend_id, spend_date, currency, cast(spend_amount as decimal(38, 6)), 'metric_acquisition'
    from spend

),

unconverted as (

    select amounts.*
    from amounts
    cross join context
    left join rates
        on
            amounts.day = rates.day
            and amounts.currency = rates.currency
    where
        amounts.amount <> 0
        and rates.day is null
        and amounts.currency is distinct from context.currency

),

-- An item is there on many days, and is one item of its latest amount all the same: it counts on its last day, and the
-- first one only says since when.
placed as (

    select
        *,
        row_number() over (partition by object_type, object_id order by day desc, amount desc) as from_the_last,
        row_number() over (partition by object_type, object_id order by day, amount) as from_the_first
    from unconverted

)

select
    'exchange_rates' as source,
    placed.object_type,
    coalesce('amount in ' || placed.currency || ' without an exchange rate', 'amount without a currency') as what,
    'No rate into ' || context.currency || ' is known of these days or the seven before each, so totals over currencies that '
    || 'hold such an amount are unknown, not 0. The amount stands under its own currency.' as why,
    placed.object_id,
    cast(case when placed.from_the_last = 1 then 1 else 0 end as bigint) as objects,
    case when placed.from_the_last = 1 then placed.amount else 0 end as amount,
    placed.currency,
    placed.left_out_of,
    placed.day
from placed
cross join context
where placed.from_the_last = 1 or placed.from_the_first = 1
