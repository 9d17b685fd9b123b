{{ config(materialized='view') }}

with balance_transactions as (

    select * from {{ ref('stg_stripe__balance_transactions') }}

),

customers as (

    select * from {{ ref('int_customers_identified') }}

),

context as (

    select * from {{ source('config', 'run_context') }}

),

charges as (

    select * from {{ ref('stg_stripe__charges') }}

),

charges_of_sources as (

    select charge_id as source_id, charge_id from charges
    union all
    select refund_id, charge_id from {{ ref('stg_stripe__refunds') }}
    union all
    select dispute_id, charge_id from {{ ref('stg_stripe__disputes') }}

)

select
    balance_transactions.balance_transaction_id,
    balance_transactions.kind,
    charges_of_sources.charge_id,
    charges.customer_id,
    balance_transactions.currency,
    coalesce(charges.currency, balance_transactions.currency) as charged_currency,
    case when balance_transactions.kind = 'fee' then cast(0 as decimal(22, 3)) else balance_transactions.amount end as amount,
    cast(case
        when balance_transactions.kind = 'fee' then balance_transactions.fee_amount - balance_transactions.amount
        else balance_transactions.fee_amount
    end as decimal(22, 3)) as fee_amount,
    balance_transactions.net_amount,
    coalesce(charges.card_brand, '(unknown)') as card_brand,
    coalesce(charges.country, customers.country, '(unknown)') as country,
    {{ local_date('balance_transactions.created_at', 'context.timezone') }} as change_date
from balance_transactions
cross join context
left join charges_of_sources on balance_transactions.source_id = charges_of_sources.source_id
left join charges on charges_of_sources.charge_id = charges.charge_id
left join customers on charges.customer_id = customers.customer_id
where
    balance_transactions.kind in ('charge', 'refund', 'dispute', 'fee')
    and balance_transactions.currency is not null
    and balance_transactions.net_amount is not null
    and not coalesce(customers.is_excluded, false)
