{{ config(
    materialized='incremental',
    incremental_strategy='replace_from_period',
    unique_key='period_start',
    contract={'enforced': true},
    on_schema_change='fail'
) }}

-- The month before the first that is done again is read, too.
{%- set days_before = 62 %}

with person_days as (

    {{ people_by_active_day(days_before=days_before) }}

),

day_periods as (

    select * from {{ source('config', 'day_periods') }}

),

-- First active days of people in each period, and the period in which they were active before.
active_periods as (

    select
        day_periods.grain,
        day_periods.period_start,
        day_periods.period_index,
        person_days.segment,
        person_days.segment_value,
        periods_before.period_index as previous_index,
        person_days.people
    from person_days
    inner join day_periods on person_days.event_date = day_periods.day
    left join day_periods as periods_before
        on
            person_days.previous_event_date = periods_before.day
            and day_periods.grain = periods_before.grain
    where periods_before.period_index is null or periods_before.period_index < day_periods.period_index

),

states as (

    select
        grain,
        period_start,
        period_index,
        segment,
        segment_value,
        sum(people) as active,
        sum(case when previous_index is null then people else 0 end) as people_new,
        sum(case when previous_index = period_index - 1 then people else 0 end) as people_returning,
        sum(case when previous_index < period_index - 1 then people else 0 end) as people_resurrecting
    from active_periods
    group by grain, period_start, period_index, segment, segment_value

),

periods as (

    select distinct grain, period_start, period_index
    from day_periods
    where true {{ and_from_rebuilt_period('period_start') }}

),

segment_values as (

    select distinct grain, segment, segment_value from states

),

-- Who was active in the period before and is not now is booked now, also in periods in which nobody was active.
counted as (

    select
        periods.grain,
        periods.period_start,
        segment_values.segment,
        segment_values.segment_value,
        coalesce(now.people_new, 0) as people_new,
        coalesce(now.people_returning, 0) as people_returning,
        coalesce(now.people_resurrecting, 0) as people_resurrecting,
        coalesce(before.active, 0) - coalesce(now.people_returning, 0) as people_dormant
    from periods
    inner join segment_values on periods.grain = segment_values.grain
    left join states as now
        on
            periods.grain = now.grain
            and periods.period_index = now.period_index
            and segment_values.segment = now.segment
            and segment_values.segment_value = now.segment_value
    left join states as before
        on
            periods.grain = before.grain
            and periods.period_index = before.period_index + 1
            and segment_values.segment = before.segment
            and segment_values.segment_value = before.segment_value
    where now.active > 0 or before.active > 0

),

counts as (

    {% for state in ['new', 'returning', 'resurrecting', 'dormant'] %}
        select 'users_{{ state }}' as metric_id, grain, period_start, segment, segment_value, people_{{ state }} as people
        from counted
        {% if not loop.last %}union all{% endif %}
    {% endfor %}

)

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

union all

select
    'pulse' as metric_id,
    grain,
    period_start,
    segment,
    segment_value,
    cast(people_new + people_resurrecting as double precision) as numerator,
    cast(people_dormant as double precision) as denominator,
    {{ divide('people_new + people_resurrecting', 'people_dormant') }} as value
from counted

union all

select
    'users_new_share' as metric_id,
    grain,
    period_start,
    segment,
    segment_value,
    cast(people_new as double precision) as numerator,
    cast(people_new + people_returning + people_resurrecting as double precision) as denominator,
    {{ divide('people_new', 'people_new + people_returning + people_resurrecting') }} as value
from counted
