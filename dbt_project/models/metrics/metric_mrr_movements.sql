{%- set movements = ['new', 'reactivation', 'expansion', 'contraction', 'churn', 'switched_in', 'switched_out', 'fx'] %}

with changes as (

    select * from {{ ref('int_mrr_changes') }}

),

known_days as (

    select first_day, last_day from {{ ref('int_sources_covered') }}
    where source = 'stripe' and table_name = 'subscriptions'

),

day_periods as (

    select day_periods.* from {{ source('config', 'day_periods') }} as day_periods
    inner join known_days on day_periods.day between known_days.first_day and known_days.last_day

),

periods as (

    select
        grain,
        period_start,
        min(day) as first_day,
        max(day) as last_day
    from day_periods
    group by grain, period_start

),

series as (

    select distinct currency, segment, segment_value from changes
    union
    select 'all', 'all', 'all'

),

moved as (

    select
        day_periods.grain,
        day_periods.period_start,
        changes.currency,
        changes.segment,
        changes.segment_value,
        changes.movement,
        count(*) as customers,
        sum(abs(changes.change)) as amount,
        sum(case when changes.is_unconverted then 1 else 0 end) as unconverted
    from changes
    inner join day_periods on changes.change_date = day_periods.day
    group by
        day_periods.grain,
        day_periods.period_start,
        changes.currency,
        changes.segment,
        changes.segment_value,
        changes.movement

),

steps as (

    select
        currency,
        segment,
        segment_value,
        change_date,
        sum(customer_change) as customers,
        sum(change) as amount,
        sum(unconverted_change) as unconverted
    from changes
    group by currency, segment, segment_value, change_date

),

-- What there is at the end of each day, and was at the end of the day before.
balances as (

    select
        series.currency,
        series.segment,
        series.segment_value,
        day_periods.day,
        coalesce(steps.customers, 0) as customers_moved,
        coalesce(steps.amount, 0) as amount_moved,
        coalesce(steps.unconverted, 0) as unconverted_moved,
        sum(coalesce(steps.customers, 0)) over series_so_far as customers,
        sum(coalesce(steps.amount, 0)) over series_so_far as amount,
        sum(coalesce(steps.unconverted, 0)) over series_so_far as unconverted
    from series
    cross join day_periods
    left join steps
        on
            series.currency = steps.currency
            and series.segment = steps.segment
            and series.segment_value = steps.segment_value
            and day_periods.day = steps.change_date
    where day_periods.grain = 'day'
    window series_so_far as (partition by series.currency, series.segment, series.segment_value order by day_periods.day)

),

opened as (

    select
        periods.grain,
        periods.period_start,
        balances.currency,
        balances.segment,
        balances.segment_value,
        'opening' as movement,
        balances.customers - balances.customers_moved as customers,
        balances.amount - balances.amount_moved as amount,
        balances.unconverted - balances.unconverted_moved as unconverted
    from balances
    inner join periods on balances.day = periods.first_day

),

closed as (

    select
        periods.grain,
        periods.period_start,
        balances.currency,
        balances.segment,
        balances.segment_value,
        'closing' as movement,
        balances.customers,
        balances.amount,
        balances.unconverted
    from balances
    inner join periods on balances.day = periods.last_day

),

-- The whole has a row for every movement, also where nothing moved.
nothing as (

    select
        periods.grain,
        periods.period_start,
        series.currency,
        series.segment,
        series.segment_value,
        movements.movement,
        0 as customers,
        0 as amount,
        0 as unconverted
    from periods
    cross join series
    cross join (
        values
        {% for movement in movements %}
            ('{{ movement }}'){{ ',' if not loop.last }}
        {% endfor %}
    ) as movements (movement)
    where series.segment = 'all' and (movements.movement <> 'fx' or series.currency = 'all')

),

everything as (

    select * from opened
    union all
    select * from moved
    union all
    select * from nothing
    union all
    select * from closed

)

select
    grain,
    period_start,
    currency,
    segment,
    segment_value,
    movement,
    cast(sum(customers) as bigint) as customers,
    case when sum(unconverted) = 0 then cast(sum(amount) as decimal(38, 6)) end as amount
from everything
where segment = 'all' or customers > 0
group by grain, period_start, currency, segment, segment_value, movement
