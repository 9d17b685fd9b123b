{%- set quotients = {
    'nrr': ('opening + kept', 'opening'),
    'grr': ('opening - lost', 'opening'),
    'quick_ratio': ('gained', 'given_up'),
    'quick_ratio_with_reactivation': ('gained + come_back', 'given_up'),
} %}

with changes as (

    select
        case when currency = 'all' then segment else 'currency' end as segment,
        case when currency = 'all' then segment_value else currency end as segment_value,
        customer_id,
        change_date,
        movement,
        change,
        customer_change
    from {{ ref('fct_mrr_changes') }}
    where currency = 'all' or segment = 'all'

),

movements as (

    select
        case when currency = 'all' then segment else 'currency' end as segment,
        case when currency = 'all' then segment_value else currency end as segment_value,
        period_start,
        movement,
        amount
    from {{ ref('agg_mrr_movements') }}
    where grain = 'month' and (currency = 'all' or segment = 'all')

),

months as (

    select day, period_start from {{ source('config', 'day_periods') }}
    where grain = 'month'

),

-- What each customer moved in a month, and how often they came less how often they left.
customer_months as (

    select
        changes.segment,
        changes.segment_value,
        changes.customer_id,
        months.period_start,
        sum(changes.customer_change) as customer_change,
        sum(case when changes.movement in ('expansion', 'contraction', 'churn') then changes.change else 0 end) as kept,
        sum(case when changes.movement in ('contraction', 'churn') then -changes.change else 0 end) as lost,
        sum(case when changes.movement in ('expansion', 'contraction', 'churn') and changes.change is null then 1 else 0 end)
            as unconverted
    from changes
    inner join months on changes.change_date = months.day
    group by changes.segment, changes.segment_value, changes.customer_id, months.period_start

),

at_the_opening as (

    select
        *,
        sum(customer_change) over (
            partition by segment, segment_value, customer_id
            order by period_start
            rows between unbounded preceding and 1 preceding
        ) as customers_before
    from customer_months

),

of_the_opening as (

    select
        segment,
        segment_value,
        period_start,
        sum(kept) as kept,
        sum(lost) as lost,
        sum(unconverted) as unconverted
    from at_the_opening
    where customers_before > 0
    group by segment, segment_value, period_start

),

-- Null where one of them is.
moved as (

    select
        segment,
        segment_value,
        period_start,
        case when count(amount) = count(*) then sum(case when movement in ('new', 'expansion') then amount else 0 end) end as gained,
        case when count(amount) = count(*) then sum(case when movement = 'reactivation' then amount else 0 end) end as come_back,
        case when count(amount) = count(*) then sum(case when movement in ('contraction', 'churn') then amount else 0 end) end
            as given_up
    from movements
    where movement in ('new', 'expansion', 'reactivation', 'contraction', 'churn')
    group by segment, segment_value, period_start

),

openings as (

    select segment, segment_value, period_start, amount as opening
    from movements
    where movement = 'opening'

),

amounts as (

    select
        openings.segment,
        openings.segment_value,
        openings.period_start,
        openings.opening,
        case when coalesce(of_the_opening.unconverted, 0) = 0 then coalesce(of_the_opening.kept, 0) end as kept,
        case when coalesce(of_the_opening.unconverted, 0) = 0 then coalesce(of_the_opening.lost, 0) end as lost,
        case when moved.segment is null then 0 else moved.gained end as gained,
        case when moved.segment is null then 0 else moved.come_back end as come_back,
        case when moved.segment is null then 0 else moved.given_up end as given_up
    from openings
    left join of_the_opening
        on
            openings.segment = of_the_opening.segment
            and openings.segment_value = of_the_opening.segment_value
            and openings.period_start = of_the_opening.period_start
    left join moved
        on
            openings.segment = moved.segment
            and openings.segment_value = moved.segment_value
            and openings.period_start = moved.period_start

),

measured as (

    {% for metric_id, (numerator, denominator) in quotients.items() %}
        select
            '{{ metric_id }}' as metric_id,
            period_start,
            segment,
            segment_value,
            cast({{ numerator }} as double precision) as numerator,
            cast({{ denominator }} as double precision) as denominator
        from amounts
        {% if not loop.last %}union all{% endif %}
    {% endfor %}

)

select
    metric_id,
    'month' as grain,
    period_start,
    segment,
    segment_value,
    numerator,
    denominator,
    {{ divide('numerator', 'denominator') }} as value
from measured
