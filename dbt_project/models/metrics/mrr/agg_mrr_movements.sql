{%- set movements = ['new', 'reactivation', 'expansion', 'contraction', 'churn', 'switched_in', 'switched_out'] %}

with changes as (

    select * from {{ ref('fct_mrr_changes') }}

),

balances as (

    select * from {{ ref('agg_mrr_days') }}

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

moved as (

    select
        day_periods.grain,
        day_periods.period_start,
        changes.currency,
        changes.segment,
        changes.segment_value,
        changes.movement,
        count(*) as customers,
        coalesce(sum(abs(changes.change)), 0) as amount,
        count(*) - count(changes.change) as unconverted
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

-- What there is at the end of a period was there at the beginning of the next.
bounds as (

    select
        periods.grain,
        periods.period_start,
        closings.currency,
        closings.segment,
        closings.segment_value,
        closings.customers,
        closings.foreign_customers,
        closings.amount,
        closings.unconverted,
        coalesce(openings.customers, 0) as opening_customers,
        coalesce(openings.amount, 0) as opening_amount,
        coalesce(openings.unconverted, 0) as opening_unconverted
    from periods
    inner join balances as closings on periods.last_day = closings.day
    left join balances as openings
        on
            periods.first_day = {{ add_days('openings.day', 1) }}
            and closings.currency = openings.currency
            and closings.segment = openings.segment
            and closings.segment_value = openings.segment_value

),

moved_in_all as (

    select
        grain,
        period_start,
        segment,
        segment_value,
        sum(case when movement in ('contraction', 'churn', 'switched_out') then -amount else amount end) as amount,
        sum(unconverted) as unconverted
    from moved
    where currency = 'all'
    group by grain, period_start, segment, segment_value

),

-- What nobody moved and is worth more or less all the same; the millionths that rounding left over are in it.
revalued as (

    select
        bounds.grain,
        bounds.period_start,
        bounds.currency,
        bounds.segment,
        bounds.segment_value,
        'fx' as movement,
        bounds.foreign_customers as customers,
        bounds.amount - bounds.opening_amount - coalesce(moved_in_all.amount, 0) as amount,
        bounds.unconverted + bounds.opening_unconverted + coalesce(moved_in_all.unconverted, 0) as unconverted
    from bounds
    left join moved_in_all
        on
            bounds.grain = moved_in_all.grain
            and bounds.period_start = moved_in_all.period_start
            and bounds.segment = moved_in_all.segment
            and bounds.segment_value = moved_in_all.segment_value
    where bounds.currency = 'all'

),

currencies as (

    select currency from changes
    union
    select 'all'

),

-- The whole has a row for every movement, also where nothing moved.
nothing as (

    select
        periods.grain,
        periods.period_start,
        currencies.currency,
        'all' as segment,
        'all' as segment_value,
        movements.movement,
        0 as customers,
        0 as amount,
        0 as unconverted
    from periods
    cross join currencies
    cross join (
        values
        {% for movement in movements %}
            ('{{ movement }}'){{ ',' if not loop.last }}
        {% endfor %}
    ) as movements (movement)

),

everything as (

    select
        grain,
        period_start,
        currency,
        segment,
        segment_value,
        'opening' as movement,
        opening_customers as customers,
        opening_amount as amount,
        opening_unconverted as unconverted
    from bounds

    union all

    select * from moved
    union all
    select * from nothing
    union all
    select * from revalued

    union all

    select
        grain,
        period_start,
        currency,
        segment,
        segment_value,
        'closing' as movement,
        customers,
        amount,
        unconverted
    from bounds

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
where segment = 'all' or customers > 0 or amount <> 0 or unconverted > 0
group by grain, period_start, currency, segment, segment_value, movement
