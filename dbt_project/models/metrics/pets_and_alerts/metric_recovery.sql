with reports as (

    select * from {{ ref('fct_lost_pet_alerts') }}
    where not is_cancelled and not is_excluded

),

context as (

    select * from {{ source('config', 'run_context') }}

),

covered as (

    select * from {{ ref('int_sources_covered') }}
    where source = 'app_db' and table_name = 'lost_pet_reports'

),

day_periods as (

    select * from {{ source('config', 'day_periods') }}

),

alerts as (

    select
        segments.segment,
        case segments.segment when 'all' then 'all' else coalesce(reports.urgency, '(unknown)') end as segment_value,
        {{ local_date('reports.created_at', 'context.timezone') }} as created_date,
        {{ local_date('reports.found_at', 'context.timezone') }} as found_date,
        cast({{ seconds_between('reports.created_at', 'reports.found_at') }} / 3600 as double precision) as hours
    from reports
    cross join context
    cross join (values ('all'), ('urgency')) as segments (segment)

),

-- Each alert counts for 30 days from its creation, and as found from the day of that.
changes as (

    select segment, segment_value, created_date as day, 1 as created, 0 as found from alerts
    union all
    select segment, segment_value, {{ add_days('created_date', 30) }}, -1, 0 from alerts
    union all
    select segment, segment_value, greatest(found_date, created_date), 0, 1
    from alerts
    where found_date < {{ add_days('created_date', 30) }}
    union all
    select segment, segment_value, {{ add_days('created_date', 30) }}, 0, -1
    from alerts
    where found_date < {{ add_days('created_date', 30) }}

),

changes_by_day as (

    select segment, segment_value, day, sum(created) as created, sum(found) as found
    from changes
    group by segment, segment_value, day

),

segment_values as (

    select distinct segment, segment_value from changes_by_day

),

trailing_windows as (

    select
        day_periods.day as period_start,
        segment_values.segment,
        segment_values.segment_value,
        sum(coalesce(changes_by_day.found, 0)) over windows as found,
        sum(coalesce(changes_by_day.created, 0)) over windows as created
    from segment_values
    cross join covered
    inner join day_periods
        on
            day_periods.grain = 'day'
            and day_periods.day between covered.first_day and covered.last_day
    left join changes_by_day
        on
            segment_values.segment = changes_by_day.segment
            and segment_values.segment_value = changes_by_day.segment_value
            and day_periods.day = changes_by_day.day
    window windows as (
        partition by segment_values.segment, segment_values.segment_value
        order by day_periods.day
    )

),

recoveries as (

    select
        day_periods.grain,
        day_periods.period_start,
        alerts.segment,
        alerts.segment_value,
        count(*) as found,
        sum(alerts.hours) as hours,
        percentile_cont(0.5) within group (order by alerts.hours) as median_hours
    from alerts
    inner join covered on alerts.found_date <= covered.last_day
    inner join day_periods on alerts.found_date = day_periods.day
    group by day_periods.grain, day_periods.period_start, alerts.segment, alerts.segment_value

)

select
    'recovery_rate_30d' as metric_id,
    'day' as grain,
    period_start,
    segment,
    segment_value,
    cast(found as double precision) as numerator,
    cast(created as double precision) as denominator,
    {{ divide('found', 'created') }} as value
from trailing_windows

union all

select
    'recovery_hours_avg' as metric_id,
    grain,
    period_start,
    segment,
    segment_value,
    cast(hours as double precision) as numerator,
    cast(found as double precision) as denominator,
    {{ divide('hours', 'found') }} as value
from recoveries

union all

select
    'recovery_hours_median' as metric_id,
    grain,
    period_start,
    segment,
    segment_value,
    cast(median_hours as double precision) as numerator,
    cast(null as double precision) as denominator,
    cast(median_hours as double precision) as value
from recoveries
