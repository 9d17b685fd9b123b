with person_days as (

    select * from {{ ref('fct_person_days') }}

),

day_periods as (

    select * from {{ source('config', 'day_periods') }}

),

active_periods as (

    select distinct
        day_periods.grain,
        day_periods.period_start,
        day_periods.period_index,
        person_days.segment,
        person_days.segment_value,
        person_days.person_id
    from person_days
    inner join day_periods on person_days.event_date = day_periods.day

),

with_previous as (

    select
        *,
        lag(period_index) over (
            partition by grain, segment, segment_value, person_id
            order by period_index
        ) as previous_index
    from active_periods

),

states as (

    select
        grain,
        period_start,
        period_index,
        segment,
        segment_value,
        count(*) as active,
        sum(case when previous_index is null then 1 else 0 end) as people_new,
        sum(case when previous_index = period_index - 1 then 1 else 0 end) as people_returning,
        sum(case when previous_index < period_index - 1 then 1 else 0 end) as people_resurrecting
    from with_previous
    group by grain, period_start, period_index, segment, segment_value

),

periods as (

    select distinct grain, period_start, period_index from day_periods

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
    cast(people as double) as numerator,
    cast(null as double) as denominator,
    cast(people as double) as value
from counts

union all

select
    'pulse' as metric_id,
    grain,
    period_start,
    segment,
    segment_value,
    cast(people_new + people_resurrecting as double) as numerator,
    cast(people_dormant as double) as denominator,
    {{ divide('people_new + people_resurrecting', 'people_dormant') }} as value
from counted

union all

select
    'users_new_share' as metric_id,
    grain,
    period_start,
    segment,
    segment_value,
    cast(people_new as double) as numerator,
    cast(people_new + people_returning + people_resurrecting as double) as denominator,
    {{ divide('people_new', 'people_new + people_returning + people_resurrecting') }} as value
from counted
