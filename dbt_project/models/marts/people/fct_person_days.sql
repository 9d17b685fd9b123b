{{ config(
    materialized='incremental',
    incremental_strategy='replace_from',
    unique_key='event_date'
) }}

with event_days as (

    select * from {{ ref('fct_event_days') }}
    where
        is_activity
        and not is_excluded
        {{ and_from_rebuild_start('event_date') }}

)

select
    event_days.person_id,
    event_days.event_date,
    segments.segment,
    {{ segment_value('event_days') }} as segment_value,
    cast(sum(event_days.events) as bigint) as events
from event_days
cross join {{ segments() }}
group by 1, 2, 3, 4
