-- The total of all currencies by segment, and each currency in its own units. Where nobody is at a bound there is no row
-- of it, which is nothing; an amount that is not known is null.
with bounds as (

    select
        grain,
        period_start,
        case when currency = 'all' then segment else 'currency' end as segment,
        case when currency = 'all' then segment_value else currency end as segment_value,
        case
            when count(case when movement = 'closing' then 1 end) = 0 then 0
            else max(case when movement = 'closing' then amount end)
        end as mrr,
        coalesce(max(case when movement = 'closing' then customers end), 0) as customers,
        coalesce(max(case when movement = 'opening' then customers end), 0) as opening_customers,
        coalesce(max(case when movement = 'churn' then customers end), 0) as churned_customers
    from {{ ref('agg_mrr_movements') }}
    where currency = 'all' or segment = 'all'
    group by
        grain,
        period_start,
        case when currency = 'all' then segment else 'currency' end,
        case when currency = 'all' then segment_value else currency end

),

context as (

    select coalesce(gross_margin, 1) as margin from {{ source('config', 'run_context') }}

),

active as (

    select grain, period_start, value as people
    from {{ ref('metric_active_users') }}
    where segment = 'all' and metric_id = 'mau'

),

received as (

    select
        period_start,
        segment,
        segment_value,
        sum(customers) as customers,
        case when count(net_revenue_cumulative) = count(*) then sum(net_revenue_cumulative) end as net_revenue
    from {{ ref('agg_revenue_cohorts') }}
    group by period_start, segment, segment_value

),

acquired as (

    select period_start, value as cost, numerator is not null as is_known
    from {{ ref('metric_acquisition') }}
    where grain = 'month' and segment = 'all'

),

per_customer as (

    select
        'arppu' as metric_id,
        grain,
        period_start,
        segment,
        segment_value,
        cast(mrr as double precision) as numerator,
        cast(customers as double precision) as denominator
    from bounds

    union all

    select
        'arpu' as metric_id,
        bounds.grain,
        bounds.period_start,
        bounds.segment,
        bounds.segment_value,
        cast(bounds.mrr as double precision) as numerator,
        cast(active.people as double precision) as denominator
    from bounds
    inner join active
        on
            bounds.grain = active.grain
            and bounds.period_start = active.period_start
            and bounds.segment = 'all'

    union all

    select
        'ltv_realised' as metric_id,
        'month' as grain,
        period_start,
        segment,
        segment_value,
        cast(net_revenue as double precision) as numerator,
        cast(customers as double precision) as denominator
    from received

    union all

    -- ARPPU over the share who left: with as many above and below, months and parts add up to what all of them say. It
    -- says nothing where nobody was there at the beginning, or is at the end.
    select
        'ltv_predicted' as metric_id,
        grain,
        period_start,
        segment,
        segment_value,
        case
            when customers > 0 then {{ divide('mrr * context.margin', 'customers') }} * opening_customers
            else 0
        end as numerator,
        cast(case when customers > 0 and opening_customers > 0 then churned_customers else 0 end as double precision)
            as denominator
    from bounds
    cross join context
    where grain = 'month'

),

-- Against what it costs to win a customer, which is known of everyone only. An amount that is not known is null; what
-- says nothing, as nobody left or came, is of nothing.
against_cost as (

    select
        'ltv_to_cac' as metric_id,
        predicted.period_start,
        case
            when predicted.numerator is not null and acquired.is_known
                then coalesce({{ divide('predicted.numerator', 'predicted.denominator') }}, 0)
        end as numerator,
        case when predicted.denominator > 0 then coalesce(acquired.cost, 0) else 0 end as denominator
    from per_customer as predicted
    inner join acquired
        on
            predicted.period_start = acquired.period_start
            and predicted.metric_id = 'ltv_predicted'
            and predicted.segment = 'all'

    union all

    select
        'cac_payback_months' as metric_id,
        revenue.period_start,
        case when revenue.numerator is not null and acquired.is_known then coalesce(acquired.cost, 0) end as numerator,
        case
            when acquired.cost is not null
                then coalesce({{ divide('revenue.numerator * context.margin', 'revenue.denominator') }}, 0)
            else 0
        end as denominator
    from per_customer as revenue
    cross join context
    inner join acquired
        on
            revenue.period_start = acquired.period_start
            and revenue.metric_id = 'arppu'
            and revenue.grain = 'month'
            and revenue.segment = 'all'

)

select
    metric_id,
    grain,
    period_start,
    segment,
    segment_value,
    numerator,
    denominator,
    {{ divide('numerator', 'denominator') }} as value
from per_customer

union all

select
    metric_id,
    'month' as grain,
    period_start,
    'all' as segment,
    'all' as segment_value,
    numerator,
    denominator,
    {{ divide('numerator', 'denominator') }} as value
from against_cost
