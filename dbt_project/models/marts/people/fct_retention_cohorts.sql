{{ config(
    materialized='incremental',
    incremental_strategy='replace_from_period',
    unique_key='cohort_start',
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

starts as (

    select
        retentions.retention_id,
        retentions.cohort,
        event_days.person_id,
        event_days.event_date,
        event_days.event_name,
        event_days.platform,
        event_days.country,
        event_days.app_version,
        event_days.plan,
        event_days.first_occurred_at
    from event_days
    inner join retentions
        on
            event_days.event_name = retentions.start_event
            or (retentions.start_event = 'any' and event_days.is_activity)

),

ranked as (

    select
        starts.*,
        grains.grain,
        day_periods.period_start,
        day_periods.period_index,
        row_number() over (
            partition by
                starts.retention_id,
                grains.grain,
                starts.person_id,
                case starts.cohort when 'recurring' then day_periods.period_index end
            order by
                starts.first_occurred_at, starts.event_name, starts.platform, starts.country, starts.app_version, starts.plan
        ) as start_number
    from starts
    inner join grains on starts.retention_id = grains.retention_id
    inner join day_periods
        on
            starts.event_date = day_periods.day
            and grains.grain = day_periods.grain

),

-- Whoever began before the periods that are done again did not begin in them.
{% if is_incremental() %}
    began_before as (

        select distinct cohorts.retention_id, cohorts.cohort_grain, cohorts.person_id
        from {{ this }} as cohorts
        inner join retentions on cohorts.retention_id = retentions.retention_id
        where
            retentions.cohort = 'first'
            and cohorts.segment = 'all'
            and cohorts.cohort_start < {{ rebuild_start('first_period_start') }}

    ),

{% endif %}
began as (

    select ranked.*
    from ranked
    {% if is_incremental() %}
        left join began_before
            on
                ranked.retention_id = began_before.retention_id
                and ranked.grain = began_before.cohort_grain
                and ranked.person_id = began_before.person_id
    {% endif %}
    where
        ranked.start_number = 1
        {{ and_from_rebuilt_period('ranked.period_start') }}
        {% if is_incremental() %}and began_before.person_id is null{% endif %}

)

select
    began.retention_id,
    began.grain as cohort_grain,
    began.person_id,
    began.period_start as cohort_start,
    began.period_index as cohort_index,
    segments.segment,
    {{ segment_value('began') }} as segment_value
from began
cross join {{ segments() }}
