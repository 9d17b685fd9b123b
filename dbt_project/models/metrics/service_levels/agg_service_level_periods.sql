with service_levels as (

    select * from {{ source('config', 'service_levels') }}

),

measured_days as (

    select * from {{ ref('fct_service_level_days') }}

),

covered as (

    select * from {{ ref('int_sources_covered') }}
    where source = 'prometheus' and table_name = 'service_levels'

),

context as (

    select * from {{ source('config', 'run_context') }}

),

day_periods as (

    select * from {{ source('config', 'day_periods') }}

),

-- Days of 23 or 25 hours are as long as they are.
periods as (

    select distinct
        day_periods.grain,
        day_periods.period_start,
        {{ seconds_between(
            to_utc('cast(day_periods.period_start as timestamp)', 'context.timezone'),
            to_utc('cast(' ~ add_days('day_periods.period_end', 1) ~ ' as timestamp)', 'context.timezone')
        ) }} as period_seconds
    from day_periods
    inner join covered on day_periods.day between covered.first_day and covered.last_day
    cross join context

),

summed as (

    select
        measured_days.slo,
        measured_days.service,
        day_periods.grain,
        day_periods.period_start,
        measured_days.upper_bound,
        sum(measured_days.numerator) as numerator,
        sum(measured_days.denominator) as denominator,
        sum(measured_days.intervals) as intervals,
        sum(measured_days.measured_seconds) as measured_seconds,
        sum(measured_days.seen_seconds) as seen_seconds
    from measured_days
    inner join day_periods on measured_days.measured_date = day_periods.day
    group by 1, 2, 3, 4, 5

),

wholes as (

    select * from summed
    where upper_bound is null

),

-- Buckets that all intervals have: where an app changes its buckets, those that stayed still tell the truth.
buckets as (

    select
        summed.slo,
        summed.service,
        summed.grain,
        summed.period_start,
        summed.upper_bound,
        summed.numerator as requests,
        service_levels.quantile * wholes.denominator as quantile_rank,
        summed.upper_bound * 1000 = service_levels.target as is_target,
        lag(summed.upper_bound, 1, 0.0) over bounds as lower_bound,
        lag(summed.numerator, 1, 0.0) over bounds as lower_requests
    from summed
    inner join wholes
        on
            summed.slo = wholes.slo
            and summed.service = wholes.service
            and summed.grain = wholes.grain
            and summed.period_start = wholes.period_start
            and summed.intervals = wholes.intervals
    inner join service_levels
        on
            summed.slo = service_levels.slo
            and summed.service = service_levels.service
    where summed.upper_bound is not null and wholes.denominator > 0
    window bounds as (
        partition by summed.slo, summed.service, summed.grain, summed.period_start
        order by summed.upper_bound
    )

),

-- As `histogram_quantile` does: evenly inside the bucket that the rank falls into, and beyond the last bound that bound.
quantiles as (

    select
        slo,
        service,
        grain,
        period_start,
        1000 * coalesce(
            min(
                case
                    when requests >= quantile_rank and lower_requests < quantile_rank
                        then
                            lower_bound
                            + (upper_bound - lower_bound)
                            * {{ divide('quantile_rank - lower_requests', 'requests - lower_requests') }}
                end
            ),
            max(upper_bound)
        ) as milliseconds,
        max(case when is_target then requests end) as within_target
    from buckets
    group by 1, 2, 3, 4

)

select
    service_levels.slo,
    service_levels.service,
    periods.grain,
    periods.period_start,
    wholes.numerator,
    wholes.denominator,
    case
        when service_levels.quantile is null then {{ divide('wholes.numerator', 'wholes.denominator') }}
        else quantiles.milliseconds
    end as value,
    case
        when service_levels.quantile is not null then wholes.denominator - quantiles.within_target
        when service_levels.is_good then greatest(wholes.denominator - wholes.numerator, 0)
        else wholes.numerator
    end as bad,
    cast(coalesce(wholes.measured_seconds, 0) as double precision) / 60.0 as measured_minutes,
    cast(coalesce(wholes.seen_seconds, 0) as double precision) / 60.0 as seen_minutes,
    periods.period_seconds / 60.0 as period_minutes
from service_levels
cross join periods
left join wholes
    on
        service_levels.slo = wholes.slo
        and service_levels.service = wholes.service
        and periods.grain = wholes.grain
        and periods.period_start = wholes.period_start
left join quantiles
    on
        service_levels.slo = quantiles.slo
        and service_levels.service = quantiles.service
        and periods.grain = quantiles.grain
        and periods.period_start = quantiles.period_start
