with objects as (

    select * from {{ ref('fct_objects_compared') }}

),

volumes as (

    select * from {{ ref('fct_volumes_compared') }}

),

invoices as (

    select * from {{ ref('fct_invoices_compared') }}

),

conversions as (

    select * from {{ ref('fct_conversions_compared') }}

),

paid_plan_days as (

    select * from {{ ref('int_paid_plan_days') }}

),

stripe_subscribers as (

    select * from {{ ref('metric_subscriptions') }}
    where metric_id = 'subscribers' and grain = 'day' and segment = 'all'

),

plans_and_subscribers as (

    select
        paid_plan_days.day,
        paid_plan_days.paid,
        paid_plan_days.on_trial,
        cast(coalesce(stripe_subscribers.value, 0) as bigint) as subscribed
    from paid_plan_days
    left join stripe_subscribers on paid_plan_days.day = stripe_subscribers.period_start

),

subscribers as (

    select
        'subscribers: paid plans in the app, customers with MRR in Stripe' as what,
        day as period_start,
        cast(null as varchar) as currency,
        cast(paid as decimal(38, 3)) as left_value,
        cast(subscribed as decimal(38, 3)) as right_value,
        concat_ws(
            '; ',
            case
                when on_trial > 0 then 'paid plans in the app that are on trial in Stripe, without MRR yet: ' || cast(on_trial as varchar)
            end,
            case
                when
                    paid - on_trial > subscribed
                    then 'more in the app, why is not known: ' || cast(paid - on_trial - subscribed as varchar)
                when paid - on_trial < subscribed then 'more in Stripe, why is not known: ' || cast(subscribed - paid + on_trial as varchar)
            end
        ) as reason
    from plans_and_subscribers

),

compared as (

    select what, period_start, currency, left_value, right_value, reason from objects
    union all
    select what, period_start, currency, left_value, right_value, reason from subscribers
    union all
    select what, period_start, currency, left_value, right_value, reason from volumes
    union all
    select what, period_start, currency, left_value, right_value, reason from invoices
    union all
    select what, period_start, currency, left_value, right_value, reason from conversions

)

select
    what,
    period_start,
    currency,
    left_value,
    right_value,
    cast(left_value - right_value as decimal(38, 3)) as difference,
    case when left_value <> right_value then coalesce(nullif(reason, ''), 'not known') end as reason
from compared
