{{ config(materialized='view') }}

with attempts as (

    select * from {{ ref('fct_payment_attempts') }}

),

balance_changes as (

    select * from {{ ref('fct_balance_changes') }}

),

balance_transactions as (

    select * from {{ ref('stg_stripe__balance_transactions') }}
    where kind is distinct from 'transfer' and currency is not null and net_amount is not null

),

context as (

    select * from {{ source('config', 'run_context') }}

),

landed_days as (

    select * from {{ ref('int_source_days_landed') }}
    where is_landed and source = 'stripe' and table_name = 'balance_transactions'

),

volumes as (

    select charge_id, attempt_date as day, currency, captured_amount as charged, 0 as settled from attempts
    where captured_amount > 0
    union all
    select charge_id, change_date, currency, 0, amount from balance_changes
    where kind = 'charge'

),

of_charges as (

    select volumes.day, volumes.currency, volumes.charge_id, sum(volumes.charged) as charged, sum(volumes.settled) as settled
    from volumes
    group by volumes.day, volumes.currency, volumes.charge_id

),

differing as (

    select distinct charge_id from of_charges
    where charged <> settled

),

-- Nearly all agree: only of those that do not is it asked why.
sides as (

    select
        volumes.charge_id,
        max(case when volumes.charged <> 0 then volumes.day end) as charged_day,
        max(case when volumes.charged <> 0 then volumes.currency end) as charged_currency,
        min(case when volumes.settled <> 0 then volumes.day end) as settled_day,
        min(case when volumes.settled <> 0 then volumes.currency end) as settled_currency
    from volumes
    inner join differing on volumes.charge_id = differing.charge_id
    group by volumes.charge_id

),

-- What is paid out in another currency than it was charged in appears under both.
gross as (

    select
        of_charges.day,
        of_charges.currency,
        of_charges.charge_id as object_id,
        of_charges.charged as left_value,
        of_charges.settled as right_value,
        1 as objects,
        case
            when of_charges.charged = of_charges.settled then null
            when sides.charge_id is not null and sides.settled_day is null then 'unsettled'
            when sides.settled_currency <> sides.charged_currency then 'exchanged'
            when sides.settled_day <> sides.charged_day then 'another day'
            else 'unexplained'
        end as cause
    from of_charges
    left join sides on of_charges.charge_id = sides.charge_id

),

-- What the balance holds, and what of it is counted.
net as (

    select
        {{ local_date('balance_transactions.created_at', 'context.timezone') }} as day,
        balance_transactions.currency,
        balance_transactions.balance_transaction_id as object_id,
        coalesce(balance_changes.net_amount, 0) as left_value,
        balance_transactions.net_amount as right_value,
        1 as objects,
        case
            when balance_changes.balance_transaction_id is not null then null
            when balance_transactions.kind is null then 'unknown kind'
            else 'test account'
        end as cause
    from balance_transactions
    cross join context
    left join balance_changes
        on balance_transactions.balance_transaction_id = balance_changes.balance_transaction_id

)

{{ compared_by_day('gross_volume: captured charges, balance transactions', 'gross', 'landed_days', {
    'unsettled': 'charges without a balance transaction yet',
    'exchanged': 'charges settled in another currency',
    'another day': 'charges settled on another day',
    'unexplained': 'amounts that differ, why is not known',
}) }}

union all

{{ compared_by_day('net_volume: what is counted, what moved the balance', 'net', 'landed_days', {
    'test account': 'movements of test accounts',
    'unknown kind': 'movements of a kind that is not known',
}) }}
