with changes as (

    select
        currency,
        case when currency = 'all' then segment else 'currency' end as segment,
        case when currency = 'all' then segment_value else currency end as segment_value,
        customer_id,
        change_date
    from {{ ref('fct_mrr_changes') }}
    where movement = 'churn' and (currency = 'all' or segment = 'all')

),

churns as (

    select * from {{ ref('fct_churns') }}

),

day_periods as (

    select * from {{ source('config', 'day_periods') }}

),

counted as (

    select
        'churn_' || churns.kind as metric_id,
        day_periods.grain,
        day_periods.period_start,
        changes.segment,
        changes.segment_value,
        cast(count(*) as double precision) as value
    from changes
    inner join churns
        on
            changes.currency = churns.currency
            and changes.customer_id = churns.customer_id
            and changes.change_date = churns.churn_date
    inner join day_periods on changes.change_date = day_periods.day
    group by 1, 2, 3, 4, 5

)

select
    metric_id,
    grain,
    period_start,
    segment,
    segment_value,
    value as numerator,
    cast(null as double precision) as denominator,
    value
from counted
