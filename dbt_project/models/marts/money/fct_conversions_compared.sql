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

    select person_id, event_date as day, events as in_events, 0 as in_stripe from event_days
    union all
    select customers.person_id, {{ local_date('versions.created_at', 'context.timezone') }}, 0, 1
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
        sum(sum(in_events)) over (partition by person_id) as events_in_all,
        sum(sum(in_stripe)) over (partition by person_id) as begun_in_all
    from told
    group by person_id, day

),

-- Each difference of a person has one cause, so that the causes of a day add up to its differences.
causes as (

    select
        *,
        abs(in_events - in_stripe) as objects,
        case
            when in_events = in_stripe then 'none'
            when person_id is null then 'nobody'
            when begun_in_all = 0 then 'no subscription'
            when events_in_all = 0 then 'no event'
            else 'another day'
        end as cause
    from by_person

),

sums as (

    select
        day,
        sum(in_events) as in_events,
        sum(in_stripe) as in_stripe,
        sum(case when cause = 'nobody' then objects else 0 end) as of_nobody,
        sum(case when cause = 'no subscription' then objects else 0 end) as without_subscription,
        sum(case when cause = 'no event' then objects else 0 end) as without_event,
        sum(case when cause = 'another day' then objects else 0 end) as another_day
    from causes
    group by day

)

select
    'subscription_conversions: events, subscriptions begun in Stripe' as what,
    compared_days.day as period_start,
    cast(null as varchar) as currency,
    cast(coalesce(sums.in_events, 0) as decimal(38, 3)) as left_value,
    cast(coalesce(sums.in_stripe, 0) as decimal(38, 3)) as right_value,
    concat_ws(
        '; ',
        case
            when without_event > 0
                then 'subscriptions of people of whom no event tells: ' || cast(without_event as varchar)
        end,
        case
            when without_subscription > 0
                then 'events of people who have no subscription in Stripe: ' || cast(without_subscription as varchar)
        end,
        case
            when another_day > 0
                then 'of people who are in both, on another day or more often: ' || cast(another_day as varchar)
        end,
        case when of_nobody > 0 then 'subscriptions whose user is not known: ' || cast(of_nobody as varchar) end
    ) as reason
from compared_days
left join sums on compared_days.day = sums.day
