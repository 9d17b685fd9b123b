{{ config(materialized='view') }}

with payouts as (

    select * from {{ ref('stg_stripe__payouts') }}
    where status in ('pending', 'in_transit', 'paid') and currency is not null and amount is not null

),

balance_transactions as (

    select * from {{ ref('stg_stripe__balance_transactions') }}

),

context as (

    select * from {{ source('config', 'run_context') }}

),

landed_days as (

    select * from {{ ref('int_source_days_landed') }}
    where is_landed and source = 'stripe' and table_name = 'payouts'

),

elements as (

    select payout_id, {{ json_elements("'{\"held\":' || balance_transaction_ids || '}'", 'held') }} as element
    from payouts
    where balance_transaction_ids is not null

),

told as (

    select payout_id, {{ text_at(json_texts('element', ['']), 0) }} as balance_transaction_id
    from elements

),

-- The payout's own transaction is among those that it holds.
held as (

    select
        told.payout_id,
        count(*) - count(balance_transactions.balance_transaction_id) as unknown,
        sum(case when balance_transactions.kind is distinct from 'transfer' then balance_transactions.net_amount else 0 end) as net_amount
    from told
    left join balance_transactions on told.balance_transaction_id = balance_transactions.balance_transaction_id
    group by told.payout_id

),

compared as (

    select
        {{ local_date('payouts.created_at', 'context.timezone') }} as day,
        payouts.currency,
        payouts.payout_id as object_id,
        payouts.amount as left_value,
        coalesce(held.net_amount, 0) as right_value,
        1 as objects,
        case
            when payouts.amount = coalesce(held.net_amount, 0) then null
            when held.payout_id is null and not payouts.is_automatic then 'by hand'
            when held.payout_id is null then 'not told'
            when held.unknown > 0 then 'unknown'
            else 'unexplained'
        end as cause
    from payouts
    cross join context
    left join held on payouts.payout_id = held.payout_id

)

{{ compared_by_day('net_volume: paid out, balance transactions of the payouts', 'compared', 'landed_days', {
    'by hand': 'payouts by hand, of which Stripe tells no transactions',
    'not told': 'payouts of which Stripe does not tell the transactions yet',
    'unknown': 'payouts with transactions that are not known',
    'unexplained': 'amounts that differ, why is not known',
}) }}
