with movements as (

    select * from {{ ref('agg_mrr_movements') }}
    where grain in ('day', 'month')

),

period_ends as (

    select distinct grain, period_start, period_end from {{ source('config', 'day_periods') }}

),

covered as (

    select * from {{ ref('int_metrics_covered') }}
    where metric_id = 'mrr'

),

-- Totals can change until the rates of their days are known, where there is another currency at all.
converted as (

    select distinct
        'all' as currency,
        covered.complete_through
    from movements
    cross join {{ source('config', 'run_context') }} as context
    inner join covered on covered.needed_for = 'conversion'
    where movements.currency not in ('all', context.currency)

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
        movements.period_start >= covered.covered_from
        and period_ends.period_end <= covered.complete_through
        and (covered_segments.needed_for is null or period_ends.period_end <= covered_segments.complete_through)
        and (converted.currency is null or period_ends.period_end <= converted.complete_through)
        -- One that holds what can't be converted.
        and movements.amount is not null,
        false
    ) as is_complete
from movements
inner join period_ends
    on
        movements.grain = period_ends.grain
        and movements.period_start = period_ends.period_start
inner join covered on covered.needed_for = 'all'
left join covered as covered_segments
    on
        nullif(movements.segment, 'all') = covered_segments.needed_for
left join converted on movements.currency = converted.currency
