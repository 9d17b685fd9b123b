with covered as (

    select * from {{ ref('int_metrics_covered') }}
    where metric_id = 'trial_conversion_rate_30d'

),

months as (

    select distinct day, period_start, period_end from {{ source('config', 'day_periods') }}
    where grain = 'month'

),

-- As it is at the end of the last day that is known.
trials as (

    select
        months.period_start as cohort_month,
        months.period_end as cohort_end,
        trials.segment,
        trials.segment_value,
        case
            when trials.end_date > covered.last_day then 'running'
            when trials.is_cancelled then 'cancelled'
            when trials.paid_date <= covered.last_day then 'converted'
            else 'ended_unpaid'
        end as state
    from {{ ref('fct_trials') }} as trials
    inner join months on trials.start_date = months.day
    inner join covered on covered.needed_for = 'all' and trials.start_date <= covered.last_day

),

counted as (

    select
        cohort_month,
        cohort_end,
        segment,
        segment_value,
        count(*) as started,
        sum(case when state = 'running' then 1 else 0 end) as running,
        sum(case when state = 'converted' then 1 else 0 end) as converted,
        sum(case when state = 'ended_unpaid' then 1 else 0 end) as ended_unpaid,
        sum(case when state = 'cancelled' then 1 else 0 end) as cancelled
    from trials
    group by cohort_month, cohort_end, segment, segment_value

)

select
    counted.cohort_month,
    counted.segment,
    counted.segment_value,
    counted.started,
    cast(counted.running as bigint) as running,
    cast(counted.converted as bigint) as converted,
    cast(counted.ended_unpaid as bigint) as ended_unpaid,
    cast(counted.cancelled as bigint) as cancelled,
    coalesce(
        counted.cohort_month >= covered.covered_from
        and counted.cohort_end <= covered.complete_through
        and (covered_segments.needed_for is null or counted.cohort_end <= covered_segments.complete_through)
        -- How one ends that is still running nobody knows.
        and counted.running = 0,
        false
    ) as is_complete
from counted
inner join covered on covered.needed_for = 'all'
left join covered as covered_segments on nullif(counted.segment, 'all') = covered_segments.needed_for
