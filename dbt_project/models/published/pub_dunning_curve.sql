with payments as (

    select * from {{ ref('fct_payments') }}
    where is_recurring and first_attempt_outcome = 'failed'

),

covered as (

    select * from {{ ref('int_metrics_covered') }}
    where metric_id = 'recovery_rate' and needed_for = 'all'

),

months as (

    select distinct day, period_start, period_end from {{ source('config', 'day_periods') }}
    where grain = 'month'

),

days as (

    select tens.ten + units.unit as days_since_failure
    from (values (0), (10), (20), (30)) as tens (ten)
    cross join (values (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) as units (unit)
    where tens.ten + units.unit <= 30

),

failed_days as (

    select
        months.period_start as cohort_month,
        months.period_end as cohort_end,
        payments.first_attempt_date,
        coalesce(payments.decline_kind, 'unknown') as decline_kind,
        payments.paid_date,
        count(*) as payments
    from payments
    inner join months on payments.first_attempt_date = months.day
    group by 1, 2, 3, 4, 5

),

-- A payment counts on the days that it has had, so that a young one makes no share look smaller.
counted as (

    select
        failed_days.cohort_month,
        failed_days.cohort_end,
        segments.segment,
        {{ money_segment_value('failed_days', ['decline_kind']) }} as segment_value,
        days.days_since_failure,
        cast(sum(failed_days.payments) as bigint) as payments,
        cast(sum(
            case
                when failed_days.paid_date <= {{ add_days('failed_days.first_attempt_date', 'days.days_since_failure') }}
                    then failed_days.payments
                else 0
            end
        ) as bigint) as recovered
    from failed_days
    cross join covered
    cross join days
    cross join {{ money_segments(['decline_kind']) }}
    where {{ add_days('failed_days.first_attempt_date', 'days.days_since_failure') }} <= covered.last_day
    group by 1, 2, 3, 4, 5

)

select
    counted.cohort_month,
    counted.segment,
    counted.segment_value,
    cast(counted.days_since_failure as bigint) as days_since_failure,
    counted.payments,
    counted.recovered,
    coalesce(
        counted.cohort_month >= covered.covered_from
        and {{ add_days('counted.cohort_end', 'counted.days_since_failure') }} <= covered.complete_through,
        false
    ) as is_complete
from counted
cross join covered
