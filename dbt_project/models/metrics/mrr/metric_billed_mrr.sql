-- The total of all currencies, and each currency in its own units.
with changes as (

    select currency, change_date, change from {{ ref('fct_mrr_part_changes') }}
    where part in ('ours', 'coupons_that_end')

),

context as (

    select * from {{ source('config', 'run_context') }}

),

rates as (

    select * from {{ ref('fct_exchange_rates') }}

),

day_periods as (

    select day_periods.*
    from {{ source('config', 'day_periods') }} as day_periods
    inner join {{ ref('int_sources_covered') }} as covered
        on
            covered.source = 'stripe'
            and covered.table_name = 'subscriptions'
            and day_periods.day between covered.first_day and covered.last_day

),

by_day as (

    select currency, change_date as day, sum(change) as change
    from changes
    group by currency, change_date

),

currencies as (

    select distinct currency from changes

),

days as (

    select
        currencies.currency,
        day_periods.day,
        sum(coalesce(by_day.change, 0)) over (partition by currencies.currency order by day_periods.day) as amount
    from day_periods
    cross join currencies
    left join by_day
        on
            day_periods.day = by_day.day
            and currencies.currency = by_day.currency
    where day_periods.grain = 'day'

),

-- What there is at a period's end, or so far.
period_ends as (

    select grain, period_start, max(day) as day
    from day_periods
    group by grain, period_start

),

amounts as (

    select
        period_ends.grain,
        period_ends.period_start,
        days.currency,
        days.amount,
        {{ in_reporting_currency('days.amount', 'days.currency') }} as converted_amount
    from period_ends
    inner join days on period_ends.day = days.day
    cross join context
    left join rates
        on
            days.day = rates.day
            and days.currency = rates.currency

),

together as (

    select
        grain,
        period_start,
        'all' as segment,
        'all' as segment_value,
        case when count(converted_amount) = count(*) then sum(converted_amount) end as amount
    from amounts
    group by grain, period_start

    union all

    select
        grain,
        period_start,
        'currency',
        currency,
        amount
    from amounts

)

select
    'mrr_billed' as metric_id,
    grain,
    period_start,
    segment,
    segment_value,
    cast(amount as double precision) as numerator,
    cast(null as double precision) as denominator,
    cast(amount as double precision) as value
from together
