{{ config(materialized='view') }}

with event_days as (

    select * from {{ ref('fct_event_days') }}
    where event_name = 'Subscription Conversion' and not is_excluded

),

versions as (

    select
        *,
        row_number() over (partition by subscription_id order by version desc) as recency
    from {{ ref('stg_stripe__subscriptions') }}

),

customers as (

    select * from {{ ref('int_customers_identified') }}

),

context as (

    select * from {{ source('config', 'run_context') }}

),

landed_days as (

    select * from {{ ref('int_source_days_landed') }}
    where is_landed

),

-- Days of which both sides tell.
compared_days as (

    select event_days.day
    from landed_days as event_days
    inner join landed_days as stripe_days on event_days.day = stripe_days.day
    where
        event_days.source = 'mixpanel' and event_days.table_name = 'events'
        and stripe_days.source = 'stripe' and stripe_days.table_name = 'subscriptions'

),

-- A trial is a conversion; a subscription whose first payment never came is none.
told as (

    select person_id, event_date as day, events as in_events, 0 as in_stripe, cast(null as varchar) as subscription_id from event_days
    union all
    select
        customers.person_id,
        {{ local_date('versions.created_at', 'context.timezone') }},
        0,
        1,
        versions.subscription_id
    from versions
    cross join context
    inner join customers on versions.customer_id = customers.customer_id
    where versions.recency = 1 and versions.status not in ('incomplete', 'incomplete_expired') and not customers.is_excluded

),

by_person as (

    select
        person_id,
        day,
        sum(in_events) as in_events,
        sum(in_stripe) as in_stripe,
        min(subscription_id) as subscription_id,
        sum(sum(in_events)) over (partition by person_id) as events_in_all,
        sum(sum(in_stripe)) over (partition by person_id) as begun_in_all
    from told
    group by person_id, day

),

-- Each difference of a person has one cause, so that the causes of a day add up to its differences.
compared as (

    select
        day,
        cast(null as varchar) as currency,
        coalesce(subscription_id, person_id) as object_id,
        in_events as left_value,
        in_stripe as right_value,
        abs(in_events - in_stripe) as objects,
        case
            when in_events = in_stripe then null
            when person_id is null then 'nobody'
            when begun_in_all = 0 then 'no subscription'
            when events_in_all = 0 then 'no event'
            else 'another day'
        end as cause
    from by_person

    union all

    select day, cast(null as varchar), cast(null as varchar), 0, 0, 0, cast(null as varchar) from compared_days

)

{{ compared_by_day('subscription_conversions: events, subscriptions begun in Stripe', 'compared', 'compared_days', {
    'no event': 'subscriptions of people of whom no event tells',
    'no subscription': 'events of people who have no subscription in Stripe',
    'another day': 'of people who are in both, on another day or more often',
    'nobody': 'subscriptions whose user is not known',
}) }}
