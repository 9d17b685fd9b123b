with changes as (

    select * from {{ ref('fct_mrr_changes') }}

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

series as (

    select distinct currency, segment, segment_value from changes
    union
    select 'all', 'all', 'all'

),

steps as (

    select
        currency,
        segment,
        segment_value,
        change_date,
        sum(customer_change) as customers,
        sum(change) as amount
    from changes
    group by currency, segment, segment_value, change_date

),

-- What there is at the end of each day. An amount says something within one currency only.
days as (

    select
        series.currency,
        series.segment,
        series.segment_value,
        known_days.day,
        sum(coalesce(steps.customers, 0)) over series_so_far as customers,
        sum(coalesce(steps.amount, 0)) over series_so_far as amount
    from series
    cross join known_days
    left join steps
        on
            series.currency = steps.currency
            and series.segment = steps.segment
            and series.segment_value = steps.segment_value
            and known_days.day = steps.change_date
    window series_so_far as (partition by series.currency, series.segment, series.segment_value order by known_days.day)

),

-- The total of a day: each currency at the rate of that day, whenever it was subscribed to.
converted_days as (

    select
        days.segment,
        days.segment_value,
        days.day,
        sum(case when days.currency = context.currency then 0 else days.customers end) as foreign_customers,
        coalesce(sum({{ in_reporting_currency('days.amount', 'days.currency') }}), 0) as amount,
        count(*) - count({{ in_reporting_currency('days.amount', 'days.currency') }}) as unconverted
    from days
    cross join context
    left join rates
        on
            days.day = rates.day
            and days.currency = rates.currency
    where days.currency <> 'all'
    group by days.segment, days.segment_value, days.day

)

select
    currency,
    segment,
    segment_value,
    day,
    customers,
    0 as foreign_customers,
    amount,
    0 as unconverted
from days
where currency <> 'all'

union all

select
    days.currency,
    days.segment,
    days.segment_value,
    days.day,
    days.customers,
    coalesce(converted_days.foreign_customers, 0) as foreign_customers,
    coalesce(converted_days.amount, 0) as amount,
    coalesce(converted_days.unconverted, 0) as unconverted
from days
left join converted_days
    on
        days.segment = converted_days.segment
        and days.segment_value = converted_days.segment_value
        and days.day = converted_days.day
where days.currency = 'all'
