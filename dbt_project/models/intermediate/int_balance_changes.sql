with balance_transactions as (

    select * from {{ ref('stg_stripe__balance_transactions') }}

),

attempts as (

    select * from {{ ref('int_payment_attempts') }}

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

),

-- Payouts, transfers and top-ups move money that is already counted.
kinds as (

    select
        *,
        case
            when coalesce(reporting_category, transaction_type) in (
                'charge', 'payment', 'charge_failure', 'payment_failure_refund', 'partial_capture_reversal'
            ) then 'charge'
            when coalesce(reporting_category, transaction_type) in (
                'refund', 'payment_refund', 'refund_failure'
            ) then 'refund'
            when coalesce(reporting_category, transaction_type) in ('dispute', 'dispute_reversal') then 'dispute'
            when reporting_category is null and transaction_type = 'adjustment' then 'dispute'
            when coalesce(reporting_category, transaction_type) in (
                'fee', 'stripe_fee', 'stripe_fx_fee', 'network_cost', 'tax', 'tax_fee'
            ) then 'fee'
        end as kind
    from balance_transactions

)

select
    kinds.balance_transaction_id,
    kinds.kind,
    charges_of_sources.charge_id,
    kinds.currency,
    case when kinds.kind = 'fee' then 0 else kinds.amount end as amount,
    case when kinds.kind = 'fee' then kinds.fee_amount - kinds.amount else kinds.fee_amount end as fee_amount,
    kinds.net_amount,
    coalesce(attempts.card_brand, '(unknown)') as card_brand,
    coalesce(attempts.country, '(unknown)') as country,
    {{ local_date('kinds.created_at', 'context.timezone') }} as change_date
from kinds
cross join context
left join charges_of_sources on kinds.source_id = charges_of_sources.source_id
left join charges on charges_of_sources.charge_id = charges.charge_id
left join customers on charges.customer_id = customers.customer_id
left join attempts on charges_of_sources.charge_id = attempts.charge_id
where kinds.kind is not null and not coalesce(customers.is_excluded, false)
