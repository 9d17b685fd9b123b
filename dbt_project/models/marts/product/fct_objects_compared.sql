{{ config(materialized='view') }}

with objects as (

    select * from {{ ref('fct_objects_of_people') }}
    where segment = 'all'

),

profiles as (

    select * from {{ ref('stg_app_db__user_profiles') }}

),

covered as (

    select * from {{ ref('int_sources_covered') }}

),

identities as (

    select * from {{ ref('int_identities_resolved') }}

),

landed_days as (

    select * from {{ ref('int_source_days_landed') }}
    where is_landed

),

comparisons as (

    select comparisons.kind, comparisons.what, comparisons.table_name
    from
        (
            values
            ('account', 'sign_ups: accounts in the app, registration events', 'user_profiles'),
            ('pet', 'pets_created: profiles in the app, events', 'pets'),
            ('alert', 'lost_pet_alerts: reports in the app, events', 'lost_pet_reports'),
            ('recovery', 'pets_recovered: reports in the app, events', 'lost_pet_reports')
        ) as comparisons (kind, what, table_name)

),

-- Days of which both sides tell.
compared_days as (

    select comparisons.kind, comparisons.what, app_days.day
    from comparisons
    inner join landed_days as app_days on app_days.source = 'app_db' and comparisons.table_name = app_days.table_name
    inner join landed_days as event_days
        on event_days.source = 'mixpanel' and event_days.table_name = 'events' and app_days.day = event_days.day

),

-- Of one kind: what a person has in the app and in events, on a day and on all days.
by_person as (

    select
        kind,
        person_id,
        change_date as day,
        sum(case when origin = 'app_db' then created else 0 end) as in_app,
        sum(case when origin = 'mixpanel' then created else 0 end) as in_events
    from objects
    group by kind, person_id, change_date

),

with_totals as (

    select
        *,
        in_app - in_events as difference,
        sum(in_app) over (partition by kind, person_id) - sum(in_events) over (partition by kind, person_id) as difference_in_all,
        min(case when in_events > 0 then day end) over (partition by kind) as first_event_day
    from by_person

),

account_holders as (

    select distinct coalesce(identities.person_id, profiles.user_id) as person_id
    from profiles
    left join identities on profiles.user_id = identities.raw_id

),

first_reading as (

    select first_read_on as day
    from covered
    where source = 'app_db' and table_name = 'user_profiles'

),

-- Each difference of a person has one cause, so that the causes of a day add up to its difference.
causes as (

    select
        with_totals.kind,
        with_totals.person_id,
        with_totals.day,
        abs(with_totals.difference) as objects,
        case
            -- What is too many on one day is lacking on another.
            when
                (with_totals.difference > 0 and with_totals.difference_in_all <= 0)
                or (with_totals.difference < 0 and with_totals.difference_in_all >= 0)
                then 'another day'
            when with_totals.difference > 0 and (with_totals.first_event_day is null or with_totals.day < with_totals.first_event_day)
                then 'before events'
            when with_totals.difference > 0 then 'no event'
            when account_holders.person_id is null and with_totals.day <= first_reading.day then 'deleted'
            when account_holders.person_id is null then 'no account'
            when with_totals.kind = 'account' then 'again'
            else 'more events'
        end as cause,
        with_totals.first_event_day,
        first_reading.day as first_reading_day
    from with_totals
    cross join first_reading
    left join account_holders on with_totals.person_id = account_holders.person_id
    where with_totals.difference <> 0

),

deleted_people as (

    select kind, count(distinct person_id) as people
    from causes
    where cause = 'deleted'
    group by kind

),

counted_causes as (

    select
        kind,
        day,
        cause,
        sum(objects) as objects,
        min(first_event_day) as first_event_day,
        min(first_reading_day) as first_reading_day,
        min(nullif(person_id, '(unknown)')) as example
    from causes
    group by kind, day, cause

),

-- The likely ones first.
named_causes as (

    select
        counted_causes.kind,
        counted_causes.day,
        max(case
            when cause = 'deleted'
                then
                    'accounts that are only in events, so likely deleted before the app database was first read, on '
                    || cast(first_reading_day as varchar) || ': ' || cast(objects as varchar) || ' (of '
                    || cast(deleted_people.people as varchar) || ' such accounts in all)'
        end) as deleted,
        max(case when cause = 'no event' then 'in the app without an event, likely lost: ' || cast(objects as varchar) end) as no_event,
        max(case
            when cause = 'before events'
                then
                    'in the app before any such event, the first of which is '
                    || coalesce('of ' || cast(first_event_day as varchar), 'still to come') || ': ' || cast(objects as varchar)
        end) as before_events,
        max(case when cause = 'again' then 'events sent again for the same account: ' || cast(objects as varchar) end) as again,
        max(case
            when cause = 'more events'
                then
                    'more events than the account has in the app, sent again or deleted there, which is not known: '
                    || cast(objects as varchar)
        end) as more_events,
        max(case when cause = 'another day' then 'in events on another day than in the app: ' || cast(objects as varchar) end)
            as another_day,
        max(case when cause = 'no account' then 'events without an account in the app, why is not known: ' || cast(objects as varchar) end)
            as no_account,
        min(counted_causes.example) as example
    from counted_causes
    left join deleted_people on counted_causes.kind = deleted_people.kind
    group by counted_causes.kind, counted_causes.day

),

sums as (

    select kind, day, sum(in_app) as in_app, sum(in_events) as in_events
    from by_person
    group by kind, day

)

select
    compared_days.what,
    compared_days.day as period_start,
    cast(null as varchar) as currency,
    cast(coalesce(sums.in_app, 0) as decimal(38, 3)) as left_value,
    cast(coalesce(sums.in_events, 0) as decimal(38, 3)) as right_value,
    concat_ws(
        '; ', named_causes.deleted, named_causes.no_event, named_causes.before_events, named_causes.again,
        named_causes.more_events, named_causes.another_day, named_causes.no_account
    ) as reason,
    named_causes.example
from compared_days
left join sums on compared_days.kind = sums.kind and compared_days.day = sums.day
left join named_causes on compared_days.kind = named_causes.kind and compared_days.day = named_causes.day
