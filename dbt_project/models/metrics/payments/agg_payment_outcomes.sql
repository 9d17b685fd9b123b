with payments as (

    select * from {{ ref('fct_payments') }}

),

known_days as (

    select last_day from {{ ref('int_sources_covered') }}
    where source = 'stripe' and table_name = 'charges'

),

day_periods as (

    select day_periods.* from {{ source('config', 'day_periods') }} as day_periods
    inner join known_days on day_periods.day <= known_days.last_day

)

select
    day_periods.grain,
    day_periods.period_start,
    payments.currency,
    payments.outcome,
    payments.decline_code,
    payments.decline_kind,
    count(*) as payments,
    cast(sum(payments.attempts) as bigint) as attempts,
    cast(sum(payments.amount) as decimal(38, 3)) as amount
from payments
inner join day_periods on payments.first_attempt_date = day_periods.day
group by 1, 2, 3, 4, 5, 6
