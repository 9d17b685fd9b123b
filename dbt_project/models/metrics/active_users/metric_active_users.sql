{{ config(
    materialized='incremental',
    incremental_strategy='replace_from_period',
    unique_key='period_start',
    contract={'enforced': true},
    on_schema_change='fail'
) }}

{%- set longest_window = 30 %}

with person_days as (

    {{ people_by_active_day(days_before=longest_window) }}

),

day_periods as (

    select * from {{ source('config', 'day_periods') }}
    where true {{ and_from_rebuilt_period('day', days_before=longest_window) }}

),

-- Calendar periods: a person counts on the first of their days in each.
calendar_periods as (

    select
        'active_users' as metric_id,
        day_periods.grain,
        day_periods.period_start,
        person_days.segment,
        person_days.segment_value,
        cast(sum(person_days.people) as bigint) as people
    from person_days
    inner join day_periods on person_days.event_date = day_periods.day
    where person_days.previous_event_date is null or person_days.previous_event_date < day_periods.period_start
    group by day_periods.grain, day_periods.period_start, person_days.segment, person_days.segment_value

),

-- Trailing windows without ever joining a day with the days behind it: an active day keeps its person counted until the
-- window has passed; from that day on or, where the person is counted still, from the day on which the window of the day
-- before would have passed. +1 where that begins, -1 where it ends.
windows as (

    select lengths.metric_id, lengths.length
    from (values ('wau', 7), ('mau', {{ longest_window }})) as lengths (metric_id, length)

),

counted_spells as (

    select
        windows.metric_id,
        person_days.segment,
        person_days.segment_value,
        greatest(
            person_days.event_date,
            coalesce({{ add_days('person_days.previous_event_date', 'windows.length') }}, person_days.event_date)
        ) as first_day,
        {{ add_days('person_days.event_date', 'windows.length') }} as day_after,
        person_days.people
    from person_days
    cross join windows

),

changes as (

    select metric_id, segment, segment_value, first_day as day, people
    from counted_spells
    union all
    select metric_id, segment, segment_value, day_after as day, -people as people
    from counted_spells

),

daily_changes as (

    select metric_id, segment, segment_value, day, sum(people) as people
    from changes
    group by metric_id, segment, segment_value, day

),

segment_values as (

    select distinct metric_id, segment, segment_value from daily_changes

),

trailing_windows as (

    select
        segment_values.metric_id,
        'day' as grain,
        day_periods.period_start,
        segment_values.segment,
        segment_values.segment_value,
        sum(coalesce(daily_changes.people, 0)) over (
            partition by segment_values.metric_id, segment_values.segment, segment_values.segment_value
            order by day_periods.period_start
        ) as people
    from segment_values
    inner join day_periods on day_periods.grain = 'day'
    left join daily_changes
        on
            segment_values.metric_id = daily_changes.metric_id
            and segment_values.segment = daily_changes.segment
            and segment_values.segment_value = daily_changes.segment_value
            and day_periods.day = daily_changes.day

),

daily_active as (

    select 'dau' as metric_id, grain, period_start, segment, segment_value, people
    from calendar_periods
    where grain = 'day'

),

counts as (

    select * from calendar_periods
    union all
    select * from daily_active
    union all
    select * from trailing_windows

),

stickiness as (

    select
        'stickiness' as metric_id,
        monthly.grain,
        monthly.period_start,
        monthly.segment,
        monthly.segment_value,
        coalesce(daily_active.people, 0) as numerator,
        monthly.people as denominator
    from trailing_windows as monthly
    left join daily_active
        on
            monthly.period_start = daily_active.period_start
            and monthly.segment = daily_active.segment
            and monthly.segment_value = daily_active.segment_value
    where monthly.metric_id = 'mau'

),

values_of_periods as (

    select
        metric_id,
        grain,
        period_start,
        segment,
        segment_value,
        cast(people as double precision) as numerator,
        cast(null as double precision) as denominator,
        cast(people as double precision) as value
    from counts
    where people > 0

    union all

    select
        metric_id,
        grain,
        period_start,
        segment,
        segment_value,
        cast(numerator as double precision) as numerator,
        cast(denominator as double precision) as denominator,
        {{ divide('numerator', 'denominator') }} as value
    from stickiness
    where denominator > 0

)

select
    metric_id,
    grain,
    period_start,
    segment,
    segment_value,
    numerator,
    denominator,
    value
from values_of_periods
where true {{ and_from_rebuilt_period('period_start') }}
