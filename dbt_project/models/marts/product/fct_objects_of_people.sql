with profiles as (

    select * from {{ ref('stg_app_db__user_profiles') }}

),

pets as (

    select * from {{ ref('stg_app_db__pets') }}

),

reports as (

    select * from {{ ref('stg_app_db__lost_pet_reports') }}

),

alerts as (

    select * from {{ ref('fct_lost_pet_alerts') }}

),

event_days as (

    select * from {{ ref('fct_event_days') }}
    where not is_excluded

),

identities as (

    select * from {{ ref('int_identities_resolved') }}

),

context as (

    select * from {{ source('config', 'run_context') }}

),

versions as (

    select
        'account' as kind, user_profile_id as object_id, user_id, 'all' as segment, 'all' as segment_value,
        created_at, observed_at, version_number, is_deleted
    from profiles
    union all
    select
        'pet' as kind, pet_id as object_id, user_id, segments.segment,
        case segments.segment when 'all' then 'all' else coalesce(species, '(unknown)') end as segment_value,
        created_at, observed_at, version_number, is_deleted
    from pets
    cross join (values ('all'), ('species')) as segments (segment)
    union all
    select
        'alert' as kind, lost_pet_report_id as object_id, user_id, segments.segment,
        case segments.segment when 'all' then 'all' else coalesce(urgency, '(unknown)') end as segment_value,
        created_at, observed_at, version_number, is_deleted
    from reports
    cross join (values ('all'), ('urgency')) as segments (segment)

),

with_previous as (

    select
        *,
        lag(is_deleted) over (partition by kind, segment, object_id order by version_number) as was_deleted,
        lag(segment_value) over (partition by kind, segment, object_id order by version_number) as previous_value
    from versions

),

-- An object comes to be once, on the day that it says; it goes, comes back or changes its segment when that is seen.
changes as (

    select
        kind, object_id, user_id, segment, segment_value, coalesce(created_at, observed_at) as changed_at, 1 as created, 1 as change
    from with_previous
    where version_number = 1
    union all
    select kind, object_id, user_id, segment, previous_value, observed_at, 0, -1
    from with_previous
    where version_number > 1 and not was_deleted and (is_deleted or segment_value <> previous_value)
    union all
    select kind, object_id, user_id, segment, segment_value, observed_at, 0, 1
    from with_previous
    where version_number > 1 and not is_deleted and (was_deleted or segment_value <> previous_value)
    union all
    select
        'recovery', lost_pet_report_id, user_id, segments.segment,
        case segments.segment when 'all' then 'all' else coalesce(urgency, '(unknown)') end,
        found_at, 1, 1
    from alerts
    cross join (values ('all'), ('urgency')) as segments (segment)
    where found_at is not null

),

in_the_app as (

    select
        'app_db' as origin,
        changes.kind,
        coalesce(identities.person_id, changes.user_id, '(unknown)') as person_id,
        {{ local_date('changes.changed_at', 'context.timezone') }} as change_date,
        changes.segment,
        changes.segment_value,
        sum(changes.created) as created,
        sum(changes.change) as change
    from changes
    cross join context
    left join identities on changes.user_id = identities.raw_id
    where not coalesce(identities.is_excluded, false)
    group by 1, 2, 3, 4, 5, 6

),

events_of_objects as (

    select kinds.kind, kinds.event_name
    from
        (
            values
            ('account', 'User Registration'),
            ('pet', 'Pet Profile Created'),
            ('alert', 'Lost Pet Alert Created'),
            ('recovery', 'Pet Recovered')
        ) as kinds (kind, event_name)

),

in_events as (

    select
        'mixpanel' as origin,
        events_of_objects.kind,
        event_days.person_id,
        event_days.event_date as change_date,
        segments.segment,
        {{ segment_value('event_days') }} as segment_value,
        sum(event_days.events) as created,
        sum(event_days.events) as change
    from event_days
    inner join events_of_objects on event_days.event_name = events_of_objects.event_name
    cross join {{ segments() }}
    group by 1, 2, 3, 4, 5, 6

)

select
    origin,
    kind,
    person_id,
    change_date,
    segment,
    segment_value,
    cast(created as bigint) as created,
    cast(change as bigint) as change
from in_the_app
union all
select
    origin,
    kind,
    person_id,
    change_date,
    segment,
    segment_value,
    cast(created as bigint) as created,
    cast(change as bigint) as change
from in_events
