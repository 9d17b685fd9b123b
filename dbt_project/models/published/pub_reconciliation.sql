with counted as (

    select * from {{ ref('int_objects_counted') }}
    where segment = 'all'

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
            ('account', 'sign-ups: accounts in the app, registration events', 'user_profiles'),
            ('pet', 'pets created: profiles in the app, events', 'pets'),
            ('alert', 'lost-pet alerts: reports in the app, events', 'lost_pet_reports'),
            ('recovery', 'pets recovered: reports in the app, events', 'lost_pet_reports')
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

objects_and_events as (

    select
        compared_days.what,
        compared_days.day as period_start,
        cast(null as varchar) as currency,
        cast(coalesce(sum(case when counted.origin = 'app_db' then counted.created end), 0) as double) as left_value,
        cast(coalesce(sum(case when counted.origin = 'mixpanel' then counted.created end), 0) as double) as right_value,
        'events are lost where tracking is blocked or the app is offline for long, and repeated where a device sends twice' as reason
    from compared_days
    left join counted
        on
            compared_days.kind = counted.kind
            and compared_days.day = counted.change_date
    group by compared_days.what, compared_days.day

)

select
    what,
    period_start,
    currency,
    left_value,
    right_value,
    left_value - right_value as difference,
    case when left_value <> right_value then reason end as reason
from objects_and_events
