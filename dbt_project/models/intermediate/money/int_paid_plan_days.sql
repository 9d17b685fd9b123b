with app_subscriptions as (

    select * from {{ ref('stg_app_db__subscriptions') }}

),

subscriptions as (

    select * from {{ ref('stg_stripe__subscriptions') }}

),

customers as (

    select * from {{ ref('int_customers_identified') }}

),

identities as (

    select * from {{ ref('int_identities_resolved') }}

),

context as (

    select * from {{ source('config', 'run_context') }}

),

landed_days as (

    select * from {{ ref('int_source_days_landed') }}
    where is_landed

),

-- Until the next version, an app's subscription is what it was seen to be.
paid_in_the_app as (

    select
        coalesce(identities.person_id, app_subscriptions.user_id) as person_id,
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

trial_terms as (

    select
        customer_id,
        subscription_id,
        min(created_at) as started_at,
        least(max(trial_end_at), min(ended_at)) as ended_at
    from subscriptions
    where trial_end_at is not null
    group by customer_id, subscription_id

),

trials as (

    select
        customers.person_id,
        {{ local_date('trial_terms.started_at', 'context.timezone') }} as from_date,
        {{ local_date('trial_terms.ended_at', 'context.timezone') }} as to_date
    from trial_terms
    cross join context
    inner join customers on trial_terms.customer_id = customers.customer_id
    where not customers.is_excluded

),

-- Paid plans of the app while Stripe has their person on trial.
paid_on_trial as (

    select
        greatest(paid_in_the_app.from_date, trials.from_date) as from_date,
        least(paid_in_the_app.to_date, trials.to_date) as to_date
    from paid_in_the_app
    inner join trials
        on
            paid_in_the_app.person_id = trials.person_id
            and paid_in_the_app.from_date < trials.to_date
            and (paid_in_the_app.to_date is null or paid_in_the_app.to_date > trials.from_date)

),

paid_changes as (

    select from_date as day, 1 as change, 0 as change_on_trial from paid_in_the_app
    union all
    select to_date, -1, 0 from paid_in_the_app
    where to_date is not null
    union all
    select from_date, 0, 1 from paid_on_trial
    union all
    select to_date, 0, -1 from paid_on_trial

),

changes_by_day as (

    select day, sum(change) as change, sum(change_on_trial) as change_on_trial
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

)

select
    seen_days.day,
    cast(sum(coalesce(changes_by_day.change, 0)) over (order by seen_days.day) as bigint) as paid,
    cast(sum(coalesce(changes_by_day.change_on_trial, 0)) over (order by seen_days.day) as bigint) as on_trial
from seen_days
left join changes_by_day on seen_days.day = changes_by_day.day
