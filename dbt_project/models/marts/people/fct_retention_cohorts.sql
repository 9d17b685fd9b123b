with event_days as (

    select * from {{ ref('fct_event_days') }}
    where not is_excluded and person_id is not null

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

)

select
    ranked.retention_id,
    ranked.grain as cohort_grain,
    ranked.person_id,
    ranked.period_start as cohort_start,
    ranked.period_index as cohort_index,
    segments.segment,
    {{ segment_value('ranked') }} as segment_value
from ranked
cross join {{ segments() }}
where ranked.start_number = 1
