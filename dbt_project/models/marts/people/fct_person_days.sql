{{ config(
    materialized='incremental',
    incremental_strategy='replace_from',
    unique_key='event_date',
    contract={'enforced': true},
    on_schema_change='fail'
) }}

with event_days as (

    select * from {{ ref('fct_event_days') }}
    where
        is_activity
        and not is_excluded
        {{ and_from_rebuild_start('event_date') }}

),

days as (

    select
        event_days.person_id,
        event_days.event_date,
        segments.segment,
        {{ segment_value('event_days') }} as segment_value,
        cast(sum(event_days.events) as bigint) as events
    from event_days
    cross join {{ segments() }}
    group by event_days.person_id, event_days.event_date, segments.segment, {{ segment_value('event_days') }}

),

days_before as (

    {% if is_incremental() %}
        select person_id, segment, segment_value, max(event_date) as event_date
        from {{ this }}
        where event_date < {{ rebuild_start() }} and person_id in (select person_id from days)
        group by person_id, segment, segment_value
    {% else %}
        select person_id, segment, segment_value, event_date
        from days
        where false
    {% endif %}

)

select
    days.person_id,
    days.event_date,
    days.segment,
    days.segment_value,
    days.events,
    coalesce(
        lag(days.event_date) over (
            partition by days.person_id, days.segment, days.segment_value order by days.event_date
        ),
        days_before.event_date
    ) as previous_event_date
from days
left join days_before
    on
        days.person_id = days_before.person_id
        and days.segment = days_before.segment
        and days.segment_value = days_before.segment_value
