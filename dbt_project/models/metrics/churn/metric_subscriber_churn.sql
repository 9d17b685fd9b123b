with changes as (

    select
        case when currency = 'all' then segment else 'currency' end as segment,
        case when currency = 'all' then segment_value else currency end as segment_value,
        change_date,
        movement,
        customer_change
    from {{ ref('fct_mrr_changes') }}
    where currency = 'all' or segment = 'all'

),

months as (

    select
        case when currency = 'all' then segment else 'currency' end as segment,
        case when currency = 'all' then segment_value else currency end as segment_value,
        period_start,
        sum(case when movement = 'churn' then customers else 0 end) as churned,
        sum(case when movement = 'opening' then customers else 0 end) as opening
    from {{ ref('agg_mrr_movements') }}
    where grain = 'month' and (currency = 'all' or segment = 'all')
    group by 1, 2, 3

),

known_days as (

    select first_day, last_day from {{ ref('int_sources_covered') }}
    where source = 'stripe' and table_name = 'subscriptions'

),

days as (

    select day_periods.day
    from {{ source('config', 'day_periods') }} as day_periods
    inner join known_days on day_periods.day between known_days.first_day and known_days.last_day
    where day_periods.grain = 'day'

),

-- Who comes new or leaves counts for 30 days, ending 29 days later; who is there counts from 30 days later on.
steps as (

    select
        segment,
        segment_value,
        change_date as day,
        case when movement = 'churn' then 1 else 0 end as churned,
        case when movement = 'new' then 1 else 0 end as at_risk
    from changes

    union all

    select
        segment,
        segment_value,
        {{ add_days('change_date', 30) }},
        case when movement = 'churn' then -1 else 0 end,
        customer_change - case when movement = 'new' then 1 else 0 end
    from changes

),

step_days as (

    select
        segment,
        segment_value,
        day,
        sum(churned) as churned,
        sum(at_risk) as at_risk
    from steps
    group by 1, 2, 3

),

series as (

    select distinct segment, segment_value from changes
    union
    select 'all', 'all'

),

rolling as (

    {{ sums_so_far(['churned', 'at_risk']) }}

)

select
    'subscriber_churn_rate' as metric_id,
    'month' as grain,
    period_start,
    segment,
    segment_value,
    cast(churned as double precision) as numerator,
    cast(opening as double precision) as denominator,
    {{ divide('churned', 'opening') }} as value
from months

union all

select
    'subscriber_churn_rate_30d' as metric_id,
    'day' as grain,
    day as period_start,
    segment,
    segment_value,
    cast(churned as double precision) as numerator,
    cast(at_risk as double precision) as denominator,
    {{ divide('churned', 'at_risk') }} as value
from rolling
