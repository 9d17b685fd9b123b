with level_periods as (

    select * from {{ ref('agg_service_level_periods') }}

),

service_levels as (

    select * from {{ source('config', 'service_levels') }}

),

day_periods as (

    select * from {{ source('config', 'day_periods') }}

),

-- From the first of the month, on which the budget begins anew, to the end of each day.
budgets_by_day as (

    select
        level_periods.service,
        level_periods.period_start as day,
        service_levels.allowed_share * level_months.period_minutes as budget_minutes,
        sum(level_periods.bad) over to_date as bad,
        sum(level_periods.denominator) over to_date as denominator,
        sum(level_periods.measured_minutes) over to_date as measured_minutes,
        sum(level_periods.seen_minutes) over to_date >= sum(level_periods.period_minutes) over to_date
        and count(*) over to_date = {{ days_between('months.period_start', 'level_periods.period_start') }} + 1 as is_seen
    from level_periods
    inner join service_levels
        on
            level_periods.slo = service_levels.slo
            and level_periods.service = service_levels.service
    inner join day_periods as months
        on
            level_periods.period_start = months.day
            and months.grain = 'month'
    inner join level_periods as level_months
        on
            level_periods.slo = level_months.slo
            and level_periods.service = level_months.service
            and level_months.grain = 'month'
            and months.period_start = level_months.period_start
    where level_periods.grain = 'day' and level_periods.slo = 'availability'
    window to_date as (
        partition by level_periods.service, months.period_start
        order by level_periods.period_start
    )

),

-- The state at a period's last day.
budgets as (

    select
        budgets_by_day.*,
        day_periods.grain,
        day_periods.period_start,
        row_number() over (
            partition by budgets_by_day.service, day_periods.grain, day_periods.period_start
            order by budgets_by_day.day desc
        ) as days_from_last
    from budgets_by_day
    inner join day_periods on budgets_by_day.day = day_periods.day

),

measured as (

    select
        slo as metric_id,
        grain,
        period_start,
        service,
        case slo when 'latency_p95_ms' then value else numerator end as numerator,
        case slo when 'latency_p95_ms' then null else denominator end as denominator,
        value,
        seen_minutes >= period_minutes as is_seen
    from level_periods
    where slo in ('availability', 'latency_p95_ms', 'error_rate')

    union all

    select
        'error_budget_remaining' as metric_id,
        grain,
        period_start,
        service,
        budget_minutes - {{ divide('bad', 'denominator') }} * measured_minutes as numerator,
        budget_minutes as denominator,
        {{ divide('budget_minutes - ' ~ divide('bad', 'denominator') ~ ' * measured_minutes', 'budget_minutes') }} as value,
        is_seen
    from budgets
    where days_from_last = 1

)

select
    metric_id,
    grain,
    period_start,
    case service when 'all' then 'all' else 'service' end as segment,
    service as segment_value,
    cast(numerator as double precision) as numerator,
    cast(denominator as double precision) as denominator,
    cast(value as double precision) as value,
    is_seen
from measured
