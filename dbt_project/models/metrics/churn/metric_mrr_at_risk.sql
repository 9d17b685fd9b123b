with changes as (

    select * from {{ ref('fct_mrr_at_risk_changes') }}

),

context as (

    select * from {{ source('config', 'run_context') }}

),

rates as (

    select * from {{ ref('fct_exchange_rates') }}

),

covered as (

    select first_day, last_day from {{ ref('int_sources_covered') }}
    where source = 'stripe' and table_name = 'subscriptions'

),

day_periods as (

    select day_periods.* from {{ source('config', 'day_periods') }} as day_periods
    inner join covered on day_periods.day between covered.first_day and covered.last_day

),

periods as (

    select
        grain,
        period_start,
        max(day) as last_day
    from day_periods
    group by grain, period_start

),

series as (

    select distinct currency, segment, segment_value, measure from changes
    union
    select 'all', 'all', 'all', 'customers'
    union
    select context.currency, 'all', 'all', risks.risk
    from context
    cross join (values ('past_due'), ('cancels')) as risks (risk)

),

days as (

    select
        series.currency,
        series.segment,
        series.segment_value,
        series.measure,
        day_periods.day,
        sum(coalesce(changes.change, 0)) over (
            partition by series.currency, series.segment, series.segment_value, series.measure
            order by day_periods.day
        ) as amount
    from series
    inner join day_periods on day_periods.grain = 'day'
    left join changes
        on
            series.currency = changes.currency
            and series.segment = changes.segment
            and series.segment_value = changes.segment_value
            and series.measure = changes.measure
            and day_periods.day = changes.change_date

),

-- Each currency in its own units, and the total of all at the rates of the day.
told as (

    select
        'currency' as segment,
        currency as segment_value,
        measure,
        day,
        amount
    from days
    where currency <> 'all' and segment = 'all'

    union all

    select
        segment,
        segment_value,
        measure,
        day,
        amount
    from days
    where currency = 'all'

    union all

    select
        days.segment,
        days.segment_value,
        days.measure,
        days.day,
        case
            when count({{ in_reporting_currency('days.amount', 'days.currency') }}) = count(*)
                then sum({{ in_reporting_currency('days.amount', 'days.currency') }})
        end
    from days
    cross join context
    left join rates
        on
            days.day = rates.day
            and days.currency = rates.currency
    where days.currency <> 'all' and days.measure <> 'customers'
    group by days.segment, days.segment_value, days.measure, days.day

),

measured as (

    select
        case measure
            when 'customers' then 'subscribers_at_risk'
            when 'past_due' then 'mrr_past_due'
            else 'mrr_cancelling'
        end as metric_id,
        segment,
        segment_value,
        day,
        amount
    from told

    union all

    select
        'mrr_at_risk',
        segment,
        segment_value,
        day,
        case when count(amount) = count(*) then sum(amount) end
    from told
    where measure <> 'customers'
    group by segment, segment_value, day

)

select
    measured.metric_id,
    periods.grain,
    periods.period_start,
    measured.segment,
    measured.segment_value,
    cast(measured.amount as double precision) as numerator,
    cast(null as double precision) as denominator,
    cast(measured.amount as double precision) as value
from measured
inner join periods on measured.day = periods.last_day
where measured.segment = 'all' or measured.amount is null or measured.amount <> 0
