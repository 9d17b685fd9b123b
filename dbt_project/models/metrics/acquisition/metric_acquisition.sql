with movements as (

    select * from {{ ref('agg_mrr_movements') }}
    where currency = 'all' and segment = 'all' and movement = 'new'

),

rates as (

    select * from {{ ref('fct_exchange_rates') }}

),

context as (

    select * from {{ source('config', 'run_context') }}

),

covered as (

    select * from {{ ref('int_sources_covered') }}

),

day_periods as (

    select * from {{ source('config', 'day_periods') }}

),

spend as (

    select
        origin,
        spend_date,
        cast(spend_amount as decimal(18, 6)) as amount,
        currency
    from {{ ref('fct_marketing_spend') }}

),

converted as (

    select
        spend.spend_date,
        {{ in_reporting_currency('spend.amount', 'spend.currency') }} as amount
    from spend
    inner join covered
        on
            spend.origin = covered.source
            and covered.table_name = 'marketing_metrics'
            and spend.spend_date <= covered.last_day
    cross join context
    left join rates
        on
            spend.spend_date = rates.day
            and spend.currency = rates.currency

),

spent as (

    select
        day_periods.grain,
        day_periods.period_start,
        case when count(converted.amount) = count(*) then sum(converted.amount) end as amount
    from converted
    inner join day_periods on converted.spend_date = day_periods.day
    group by day_periods.grain, day_periods.period_start

),

acquired as (

    select
        movements.grain,
        movements.period_start,
        movements.customers,
        case when spent.grain is null then 0 else spent.amount end as amount
    from movements
    left join spent
        on
            movements.grain = spent.grain
            and movements.period_start = spent.period_start

)

select
    'cac' as metric_id,
    grain,
    period_start,
    'all' as segment,
    'all' as segment_value,
    cast(amount as double precision) as numerator,
    cast(customers as double precision) as denominator,
    {{ divide('amount', 'customers') }} as value
from acquired
