with movements as (

    select * from {{ ref('metric_mrr_movements') }}
    where grain in ('day', 'month')

),

period_ends as (

    select distinct grain, period_start, period_end from {{ source('config', 'day_periods') }}

),

covered as (

    select
        max(covered_from) as covered_from,
        min(complete_through) as complete_through
    from {{ ref('int_sources_covered') }}
    where source = 'stripe' and table_name in ('customers', 'products', 'subscriptions')

)

select
    movements.grain,
    movements.period_start,
    movements.currency,
    movements.movement,
    movements.segment,
    movements.segment_value,
    movements.customers,
    movements.amount,
    coalesce(
        movements.period_start >= covered.covered_from and period_ends.period_end <= covered.complete_through, false
    ) as is_complete
from movements
inner join period_ends
    on
        movements.grain = period_ends.grain
        and movements.period_start = period_ends.period_start
cross join covered
