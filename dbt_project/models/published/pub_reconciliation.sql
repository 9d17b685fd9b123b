with attempts as (

    select * from {{ ref('int_payment_attempts') }}

),

balance_changes as (

    select * from {{ ref('int_balance_changes') }}

),

months as (

    select day, period_start from {{ source('config', 'day_periods') }}
    where grain = 'month'

),

amounts as (

    select attempt_date as day, currency, captured_amount, 0 as balance_amount
    from attempts
    union all
    select change_date, currency, 0, amount from balance_changes
    where kind = 'charge'

),

gross_volume as (

    select
        months.period_start,
        amounts.currency,
        sum(amounts.captured_amount) as captured_amount,
        sum(amounts.balance_amount) as balance_amount
    from amounts
    inner join months on amounts.day = months.day
    group by months.period_start, amounts.currency

)

select
    'gross_volume' as what,
    period_start,
    currency,
    cast(captured_amount as decimal(38, 3)) as left_value,
    cast(balance_amount as decimal(38, 3)) as right_value,
    cast(captured_amount - balance_amount as decimal(38, 3)) as difference,
    case
        when captured_amount = balance_amount then null
        when balance_amount = 0 then 'charges that no balance transaction of this currency tells of: settled in another, or not yet'
        when captured_amount = 0 then 'balance transactions of charges in another currency'
        else 'captured in another month or settled in another currency than charged, or failed later'
    end as reason
from gross_volume
where captured_amount <> 0 or balance_amount <> 0
