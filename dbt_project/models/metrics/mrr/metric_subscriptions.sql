{%- set counts = {'subscribers': 'closing', 'subscribers_new': 'new', 'subscribers_churned': 'churn'} -%}
{%- set amounts = {
    'mrr': 'closing',
    'arr': 'closing',
    'mrr_new': 'new',
    'mrr_expansion': 'expansion',
    'mrr_contraction': 'contraction',
    'mrr_churn': 'churn',
    'mrr_reactivation': 'reactivation',
} %}

-- The total of all currencies by segment, and each currency in its own units.
with movements as (

    select
        grain,
        period_start,
        case when currency = 'all' then segment else 'currency' end as segment,
        case when currency = 'all' then segment_value else currency end as segment_value,
        movement,
        customers,
        amount
    from {{ ref('agg_mrr_movements') }}
    where currency = 'all' or segment = 'all'

),

net as (

    select
        grain,
        period_start,
        segment,
        segment_value,
        case
            when count(amount) = count(*)
                then sum(case when movement in ('contraction', 'churn', 'switched_out') then -amount else amount end)
        end as amount
    from movements
    where movement not in ('opening', 'closing', 'fx')
    group by grain, period_start, segment, segment_value

),

measured as (

    {% for metric_id, movement in counts.items() %}
        select '{{ metric_id }}' as metric_id, grain, period_start, segment, segment_value, cast(customers as double precision) as value
        from movements
        where movement = '{{ movement }}'
        union all
    {% endfor %}
    {% for metric_id, movement in amounts.items() %}
        select
            '{{ metric_id }}' as metric_id,
            grain,
            period_start,
            segment,
            segment_value,
            cast({{ '12 * ' if metric_id == 'arr' }}amount as double precision) as value
        from movements
        where movement = '{{ movement }}'
        union all
    {% endfor %}
    select 'mrr_net_new' as metric_id, grain, period_start, segment, segment_value, cast(amount as double precision) as value
    from net

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
from measured
