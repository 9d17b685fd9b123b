-- What there is at the end of a period is there at the beginning of the next.
{{ config(meta={'dagster': {'ref': {'name': 'agg_mrr_movements'}}}) }}
with periods as (

    select distinct grain, period_start, period_index from {{ source('config', 'day_periods') }}

),

balances as (

    select
        movements.*,
        periods.period_index
    from {{ ref('agg_mrr_movements') }} as movements
    inner join periods
        on
            movements.grain = periods.grain
            and movements.period_start = periods.period_start
    where movements.movement in ('opening', 'closing')

),

closings as (

    select * from balances
    where movement = 'closing'

),

openings as (

    select * from balances
    where movement = 'opening'

),

last_periods as (

    select grain, max(period_index) as period_index
    from balances
    group by grain

)

select closings.*
from closings
inner join last_periods
    on
        closings.grain = last_periods.grain
        and closings.period_index < last_periods.period_index
left join openings
    on
        closings.grain = openings.grain
        and closings.period_index + 1 = openings.period_index
        and closings.currency = openings.currency
        and closings.segment = openings.segment
        and closings.segment_value = openings.segment_value
where closings.amount is distinct from openings.amount or closings.customers is distinct from openings.customers

union all

select openings.*
from openings
left join closings
    on
        openings.grain = closings.grain
        and openings.period_index - 1 = closings.period_index
        and openings.currency = closings.currency
        and openings.segment = closings.segment
        and openings.segment_value = closings.segment_value
where openings.customers > 0 and closings.customers is null
