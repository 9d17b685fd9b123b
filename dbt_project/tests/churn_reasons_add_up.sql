-- Whoever churned did so for one reason: voluntary + involuntary + unknown = churned, in every period and segment value.
{{ config(meta={'dagster': {'ref': {'name': 'metric_churn_reasons'}}}) }}
with reasons as (

    select grain, period_start, segment, segment_value, sum(value) as customers
    from {{ ref('metric_churn_reasons') }}
    group by grain, period_start, segment, segment_value

),

churned as (

    select grain, period_start, segment, segment_value, value as customers
    from {{ ref('metric_subscriptions') }}
    where metric_id = 'subscribers_churned'

)

select *
from reasons
full outer join churned
    on
        reasons.grain = churned.grain
        and reasons.period_start = churned.period_start
        and reasons.segment = churned.segment
        and reasons.segment_value = churned.segment_value
where coalesce(reasons.customers, 0) <> coalesce(churned.customers, 0)
