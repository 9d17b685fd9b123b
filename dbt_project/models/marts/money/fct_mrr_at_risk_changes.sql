{%- set segments = ['plan', 'billing_cycle', 'country'] %}

with spells as (

    select * from {{ ref('int_subscription_item_spells') }}
    where risk is not null and (to_date is null or at_risk_from_date < to_date)

),

covered as (

    select first_day, last_day from {{ ref('int_sources_covered') }}
    where source = 'stripe' and table_name = 'subscriptions'

),

-- Each item is at risk from a day on, and is no more from another.
steps as (

    {{ opened_and_closed('spells', ['customer_id', 'currency', 'plan', 'billing_cycle', 'country', 'risk'], 'mrr', 'at_risk_from_date') }}

),

by_customer as (

    select
        case when scopes.is_total then 'all' else steps.currency end as currency,
        segments.segment,
        {{ money_segment_value('steps', segments) }} as segment_value,
        steps.customer_id,
        steps.change_date,
        sum(steps.change) as change
    from steps
    cross join {{ money_segments(segments) }}
    cross join (values (true), (false)) as scopes (is_total)
    group by 1, 2, 3, 4, 5

),

balances as (

    select
        *,
        sum(change) over (
            partition by currency, segment, segment_value, customer_id
            order by change_date
        ) as amount_after
    from by_customer

),

-- Whether a customer is at risk at all no rate has a say in: the sum in whatever units is 0 only where nothing is.
moved as (

    select
        currency,
        segment,
        segment_value,
        'customers' as measure,
        change_date,
        cast(
            case when amount_after > 0 then 1 else 0 end - case when amount_after > change then 1 else 0 end
            as decimal(38, 6)
        ) as change
    from balances

    union all

    select
        steps.currency,
        segments.segment,
        {{ money_segment_value('steps', segments) }},
        steps.risk,
        steps.change_date,
        steps.change
    from steps
    cross join {{ money_segments(segments) }}

)

select
    currency,
    segment,
    segment_value,
    measure,
    change_date,
    sum(change) as change
from moved
group by 1, 2, 3, 4, 5
