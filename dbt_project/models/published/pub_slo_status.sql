with level_periods as (

    select * from {{ ref('agg_service_level_periods') }}

),

service_levels as (

    select * from {{ source('config', 'service_levels') }}

),

day_periods as (

    select * from {{ source('config', 'day_periods') }}
    where grain = 'month'

),

covered as (

    select * from {{ ref('int_sources_covered') }}
    where source = 'prometheus' and table_name = 'service_levels'

),

landed_days as (

    select * from {{ ref('int_source_days_landed') }}
    where source = 'prometheus' and table_name = 'service_levels'

),

last_days as (

    select
        day_periods.period_start as month,
        day_periods.period_end,
        max(day_periods.day) as last_day
    from day_periods
    inner join covered on day_periods.day between covered.first_day and covered.last_day
    group by day_periods.period_start, day_periods.period_end

),

months as (

    select
        level_months.service,
        level_months.slo,
        level_months.period_start as month,
        service_levels.target,
        level_months.value,
        service_levels.allowed_share * level_months.period_minutes as budget_minutes,
        {{ divide('level_months.bad', 'level_months.denominator') }} * level_months.measured_minutes as consumed_minutes,
        60 * {{ divide('level_days.bad', 'level_days.denominator') }} as burn_per_hour,
        level_months.measured_minutes,
        service_levels.alert_threshold,
        coalesce(
            level_months.seen_minutes >= level_months.period_minutes
            and level_months.period_start >= covered.covered_from
            and last_days.period_end <= landed_days.landed_through,
            false
        ) as is_complete
    from level_periods as level_months
    inner join last_days on level_months.period_start = last_days.month
    left join landed_days on level_months.period_start = landed_days.day
    inner join level_periods as level_days
        on
            level_months.slo = level_days.slo
            and level_months.service = level_days.service
            and level_days.grain = 'day'
            and last_days.last_day = level_days.period_start
    inner join service_levels
        on
            level_months.slo = service_levels.slo
            and level_months.service = service_levels.service
    cross join covered
    where level_months.grain = 'month'

),

budgeted as (

    select
        *,
        {{ divide('consumed_minutes', 'budget_minutes') }} as consumed_share
    from months

)

select
    service,
    slo,
    month,
    target,
    value,
    budget_minutes,
    consumed_minutes,
    1 - consumed_share as remaining_share,
    burn_per_hour,
    case
        when consumed_share < 0.25 then 'normal'
        when consumed_share < 0.5 then 'halt'
        when consumed_share < 0.75 then 'freeze'
        when consumed_share >= 0.75 then 'emergency'
    end as policy,
    is_complete,
    measured_minutes,
    case
        when burn_per_hour > 6 then 'fast'
        when burn_per_hour >= 1 then 'slow'
        when burn_per_hour is not null then 'none'
    end as burn,
    alert_threshold
from budgeted
