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

),

-- Totals can change until the rates of their days are known, where there is another currency at all.
converted as (

    select distinct
        'all' as currency,
        covered_rates.complete_through
    from movements
    cross join {{ source('config', 'run_context') }} as context
    inner join {{ source('config', 'sources') }} as sources on sources.source = 'exchange_rates' and sources.is_on
    inner join {{ ref('int_sources_covered') }} as covered_rates
        on
            sources.source = covered_rates.source
            and sources.table_name = covered_rates.table_name
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
cross join covered
left join converted on movements.currency = converted.currency
