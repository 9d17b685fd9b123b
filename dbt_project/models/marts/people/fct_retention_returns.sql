{{ config(
    materialized='incremental',
    incremental_strategy='replace_from_period',
    unique_key='period_start',
    contract={'enforced': true},
    on_schema_change='fail'
) }}

with event_days as (

    select * from {{ ref('fct_event_days') }}
    where
        not is_excluded
        and person_id is not null
        {{ and_from_rebuilt_period('event_date') }}

),

retentions as (

    select * from {{ source('config', 'retentions') }}

),

grains as (

    select * from {{ source('config', 'retention_grains') }}

),

day_periods as (

    select * from {{ source('config', 'day_periods') }}

),

return_days as (

    select distinct
        retentions.retention_id,
        event_days.person_id,
        event_days.event_date
    from event_days
    inner join retentions
        on
            event_days.event_name = retentions.return_event
            or (retentions.return_event = 'any' and event_days.is_activity)

)

select distinct
    return_days.retention_id,
    grains.grain,
    return_days.person_id,
    day_periods.period_start,
    day_periods.period_index
from return_days
inner join grains on return_days.retention_id = grains.retention_id
inner join day_periods
    on
        return_days.event_date = day_periods.day
        and grains.grain = day_periods.grain
where true {{ and_from_rebuilt_period('day_periods.period_start') }}
