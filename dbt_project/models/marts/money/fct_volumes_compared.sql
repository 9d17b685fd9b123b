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

sides as (

    select
        charge_id,
        max(case when charged <> 0 then day end) as charged_day,
        max(case when charged <> 0 then currency end) as charged_currency,
        min(case when settled <> 0 then day end) as settled_day,
        min(case when settled <> 0 then currency end) as settled_currency
    from volumes
    where charge_id is not null
    group by charge_id

),

of_charges as (

    select volumes.day, volumes.currency, volumes.charge_id, sum(volumes.charged) as charged, sum(volumes.settled) as settled
    from volumes
    group by volumes.day, volumes.currency, volumes.charge_id

),

-- What is paid out in another currency than it was charged in appears under both.
causes_of_charges as (

    select
        of_charges.*,
        of_charges.charged <> of_charges.settled and sides.settled_day is null as is_unsettled,
        of_charges.charged <> of_charges.settled and sides.settled_currency <> sides.charged_currency as is_exchanged,
        of_charges.charged <> of_charges.settled
        and sides.settled_currency = sides.charged_currency
        and sides.settled_day <> sides.charged_day as is_on_another_day
    from of_charges
    left join sides on of_charges.charge_id = sides.charge_id

),

gross_days as (

    select
        day,
        currency,
        sum(charged) as charged,
        sum(settled) as settled,
        sum(case when is_unsettled then 1 else 0 end) as unsettled,
        sum(case when is_exchanged then 1 else 0 end) as exchanged,
        sum(case when is_on_another_day then 1 else 0 end) as on_another_day,
        sum(
            case
                when
                    charged <> settled
                    and not coalesce(is_unsettled, false)
                    and not coalesce(is_exchanged, false)
                    and not coalesce(is_on_another_day, false)
                    then 1
                else 0
            end
        ) as unexplained
    from causes_of_charges
    group by day, currency

),

-- What the balance holds, and what of it is counted.
movements as (

    select
        {{ local_date('balance_transactions.created_at', 'context.timezone') }} as day,
        balance_transactions.currency,
        balance_transactions.kind,
        balance_transactions.net_amount as moved,
        coalesce(balance_changes.net_amount, 0) as counted,
        balance_changes.balance_transaction_id is not null as is_counted
    from balance_transactions
    cross join context
    left join balance_changes
        on balance_transactions.balance_transaction_id = balance_changes.balance_transaction_id

),

net_days as (

    select
        day,
        currency,
        sum(counted) as counted,
        sum(moved) as moved,
        sum(case when kind is null then 1 else 0 end) as of_unknown_kinds,
        sum(case when kind is not null and not is_counted then 1 else 0 end) as of_test_accounts
    from movements
    group by day, currency

)

select
    'gross_volume: captured charges, balance transactions' as what,
    gross_days.day as period_start,
    gross_days.currency,
    cast(gross_days.charged as decimal(38, 3)) as left_value,
    cast(gross_days.settled as decimal(38, 3)) as right_value,
    concat_ws(
        '; ',
        case when unsettled > 0 then 'charges without a balance transaction yet: ' || cast(unsettled as varchar) end,
        case when exchanged > 0 then 'charges settled in another currency: ' || cast(exchanged as varchar) end,
        case when on_another_day > 0 then 'charges settled on another day: ' || cast(on_another_day as varchar) end,
        case when unexplained > 0 then 'amounts that differ, why is not known: ' || cast(unexplained as varchar) end
    ) as reason
from gross_days
inner join landed_days on gross_days.day = landed_days.day

union all

select
    'net_volume: what is counted, what moved the balance' as what,
    net_days.day as period_start,
    net_days.currency,
    cast(net_days.counted as decimal(38, 3)) as left_value,
    cast(net_days.moved as decimal(38, 3)) as right_value,
    concat_ws(
        '; ',
        case when of_test_accounts > 0 then 'movements of test accounts: ' || cast(of_test_accounts as varchar) end,
        case when of_unknown_kinds > 0 then 'movements of a kind that is not known: ' || cast(of_unknown_kinds as varchar) end
    ) as reason
from net_days
inner join landed_days on net_days.day = landed_days.day
