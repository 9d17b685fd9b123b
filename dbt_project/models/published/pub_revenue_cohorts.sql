with cohorts as (

    select * from {{ ref('agg_revenue_cohorts') }}

),

month_ends as (

    select distinct period_start, period_end from {{ source('config', 'day_periods') }}
    where grain = 'month'

),

covered as (

    select * from {{ ref('int_metrics_covered') }}
    where metric_id = 'ltv_realised'

),

-- Totals can change until the rates of their days are known, where there is another currency at all.
converted as (

    select distinct covered.complete_through
    from cohorts
    cross join {{ source('config', 'run_context') }} as context
    inner join covered on covered.needed_for = 'conversion'
    where cohorts.segment = 'currency' and cohorts.segment_value <> context.currency

)

select
    cohorts.cohort_month,
    cohorts.month_index,
    cohorts.segment,
    cohorts.segment_value,
    cohorts.customers,
    cohorts.active_customers,
    cohorts.mrr,
    cohorts.net_revenue_cumulative,
    coalesce(
        cohorts.cohort_month >= covered.covered_from
        and month_ends.period_end <= covered.complete_through
        and (covered_segments.needed_for is null or month_ends.period_end <= covered_segments.complete_through)
        and (
            converted.complete_through is null
            or cohorts.segment = 'currency'
            or month_ends.period_end <= converted.complete_through
        )
        and cohorts.mrr is not null
        and cohorts.net_revenue_cumulative is not null,
        false
    ) as is_complete,
    cast(cohorts.net_revenue_cumulative * context.gross_margin as decimal(38, 6)) as gross_profit_cumulative
from cohorts
cross join {{ source('config', 'run_context') }} as context
inner join month_ends on cohorts.period_start = month_ends.period_start
inner join covered on covered.needed_for = 'all'
left join covered as covered_segments on nullif(cohorts.segment, 'all') = covered_segments.needed_for
left join converted on true
