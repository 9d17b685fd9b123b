-- How many people have an active day with the same one before, from so many days before the periods that this build has to do
-- again: no more of a person is asked for.
{% macro people_by_active_day(days_before) -%}
    select
        segment,
        segment_value,
        event_date,
        previous_event_date,
        count(*) as people
    from {{ ref('fct_person_days') }}
    where true {{ and_from_rebuilt_period('event_date', days_before=days_before) }}
    group by segment, segment_value, event_date, previous_event_date
{%- endmacro %}
