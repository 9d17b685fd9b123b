with outcomes as (

    select * from {{ ref('agg_payment_outcomes') }}

),

period_ends as (

    select distinct grain, period_start, period_end from {{ source('config', 'day_periods') }}

),

covered as (

    select * from {{ ref('int_metrics_covered') }}
    where metric_id = 'payments' and needed_for = 'all'

)

select
    outcomes.grain,
    outcomes.period_start,
    outcomes.currency,
    outcomes.outcome,
    outcomes.decline_code,
    outcomes.payments,
    outcomes.attempts,
    outcomes.amount,
    coalesce(
        outcomes.period_start >= covered.covered_from and period_ends.period_end <= covered.complete_through, false
    ) as is_complete,
    outcomes.decline_kind
from outcomes
inner join period_ends
    on
        outcomes.grain = period_ends.grain
        and outcomes.period_start = period_ends.period_start
cross join covered
