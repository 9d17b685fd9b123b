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

objects_and_events as (

    select
        compared_days.what,
        compared_days.day as period_start,
        cast(null as varchar) as currency,
        cast(coalesce(sum(case when counted.origin = 'app_db' then counted.created end), 0) as decimal(38, 3)) as left_value,
        cast(coalesce(sum(case when counted.origin = 'mixpanel' then counted.created end), 0) as decimal(38, 3)) as right_value,
        'events are lost where tracking is blocked or the app is offline for long, and repeated where a device sends twice' as reason
    from compared_days
    left join counted
        on
            compared_days.kind = counted.kind
            and compared_days.day = counted.change_date
    group by compared_days.what, compared_days.day

),

app_subscriptions as (

    select * from {{ ref('stg_app_db__subscriptions') }}

),

context as (

    select * from {{ source('config', 'run_context') }}

),

identities as (

    select * from {{ ref('int_identities_resolved') }}

),

stripe_subscribers as (

    select * from {{ ref('metric_subscriptions') }}
    where metric_id = 'subscribers' and grain = 'day' and segment = 'all'

),

-- Until the next version, an app's subscription is what it was seen to be.
paid_in_the_app as (

    select
        {{ local_date('app_subscriptions.observed_at', 'context.timezone') }} as from_date,
        {{ local_date('app_subscriptions.next_observed_at', 'context.timezone') }} as to_date
    from app_subscriptions
    cross join context
    left join identities on app_subscriptions.user_id = identities.raw_id
    where
        app_subscriptions.tier <> 'free'
        and app_subscriptions.status in ('active', 'past_due')
        and not app_subscriptions.is_deleted
        and not coalesce(identities.is_excluded, false)

),

first_seen as (

    select min({{ local_date('app_subscriptions.observed_at', 'context.timezone') }}) as first_day
    from app_subscriptions
    cross join context

),

paid_changes as (

    select from_date as day, 1 as change from paid_in_the_app
    union all
    select to_date, -1 from paid_in_the_app
    where to_date is not null

),

changes_by_day as (

    select day, sum(change) as change
    from paid_changes
    group by day

),

seen_days as (

    select app_days.day
    from landed_days as app_days
    cross join first_seen
    inner join landed_days as stripe_days
        on
            app_days.day = stripe_days.day
            and stripe_days.source = 'stripe'
            and stripe_days.table_name = 'subscriptions'
    where
        app_days.source = 'app_db'
        and app_days.table_name = 'subscriptions'
        and app_days.day >= first_seen.first_day

),

subscribers as (

    select
        'subscribers: paid plans in the app, customers with MRR in Stripe' as what,
        seen_days.day as period_start,
        cast(null as varchar) as currency,
        cast(sum(coalesce(changes_by_day.change, 0)) over (order by seen_days.day) as decimal(38, 3)) as left_value,
        cast(coalesce(stripe_subscribers.value, 0) as decimal(38, 3)) as right_value,
        'trials have a plan but no MRR yet, and a plan changed by hand in one system stays as it was in the other' as reason
    from seen_days
    left join changes_by_day on seen_days.day = changes_by_day.day
    left join stripe_subscribers on seen_days.day = stripe_subscribers.period_start

),

attempts as (

    select * from {{ ref('int_payment_attempts') }}

),

balance_changes as (

    select * from {{ ref('int_balance_changes') }}
    where kind = 'charge'

),

volumes as (

    select attempt_date as day, currency, captured_amount as charged, 0 as settled from attempts
    where captured_amount > 0
    union all
    select change_date, currency, 0, amount from balance_changes

),

-- What is paid out in another currency than it was charged in appears under both.
gross as (

    select
        'gross_volume: captured charges, balance transactions' as what,
        volumes.day as period_start,
        volumes.currency,
        cast(sum(volumes.charged) as decimal(38, 3)) as left_value,
        cast(sum(volumes.settled) as decimal(38, 3)) as right_value,
        'captured on another day, settled in another currency than charged, or not settled yet' as reason
    from volumes
    inner join landed_days
        on
            volumes.day = landed_days.day
            and landed_days.source = 'stripe'
            and landed_days.table_name = 'balance_transactions'
    group by volumes.day, volumes.currency

),

compared as (

    select * from objects_and_events
    union all
    select * from subscribers
    union all
    select * from gross

)

select
    what,
    period_start,
    currency,
    left_value,
    right_value,
    cast(left_value - right_value as decimal(38, 3)) as difference,
    case when left_value <> right_value then reason end as reason
from compared
