{{ config(materialized='view') }}

with profiles as (

    select * from {{ ref('stg_app_db__user_profiles') }}

),

identities as (

    select * from {{ ref('int_identities_resolved') }}

),

person_days as (

    select * from {{ ref('fct_person_days') }}
    where segment = 'all'

),

customers as (

    select * from {{ ref('int_customers_identified') }}

),

receipts as (

    select * from {{ ref('fct_balance_changes') }}
    where kind in ('charge', 'refund', 'dispute')

),

rates as (

    select * from {{ ref('fct_exchange_rates') }}

),

context as (

    select * from {{ source('config', 'run_context') }}

),

known as (

    select complete_through as last_day from {{ ref('int_sources_covered') }}
    where source = 'mixpanel' and table_name = 'events'

),

users as (

    select
        user_id,
        max(case when is_current and not is_deleted then 1 else 0 end) = 1 as is_there
    from profiles
    where user_id is not null
    group by user_id

),

people as (

    select
        users.user_id,
        users.is_there and not coalesce(identities.is_excluded, false) as is_told,
        coalesce(identities.person_id, users.user_id) as person_id
    from users
    left join identities on users.user_id = identities.raw_id

),

plans as (

    select person_id, plan from {{ ref('int_person_plans') }}
    where to_date is null

),

activity as (

    select
        person_days.person_id,
        min(person_days.event_date) as first_date,
        max(person_days.event_date) as last_date,
        max(
            case
                when
                    person_days.event_date > {{ add_days('known.last_day', -14) }}
                    and person_days.event_date <= {{ add_days('known.last_day', -7) }}
                    then 1
                else 0
            end
        ) = 1 as was_active_before
    from person_days
    inner join known on person_days.event_date <= known.last_day
    group by person_days.person_id

),

subscribers as (

    select
        customers.person_id,
        max(case when spells.risk is not null and spells.at_risk_from_date <= context.as_of then 1 else 0 end) = 1
            as is_at_risk
    from {{ ref('int_subscription_item_spells') }} as spells
    inner join customers on spells.customer_id = customers.customer_id
    cross join context
    where spells.to_date is null
    group by customers.person_id

),

converted as (

    select
        customers.person_id,
        {{ in_reporting_currency('receipts.amount', 'receipts.currency') }} as amount
    from receipts
    inner join customers on receipts.customer_id = customers.customer_id
    cross join context
    left join rates
        on
            receipts.change_date = rates.day
            and receipts.currency = rates.currency
    where customers.person_id is not null

),

-- What can't be converted leaves the whole unknown.
received as (

    select
        person_id,
        case when count(*) = count(amount) then sum(amount) end as amount
    from converted
    group by person_id

),

ranked as (

    select
        person_id,
        percent_rank() over (order by amount) as position
    from received
    where amount > 0

)

select
    people.user_id,
    people.is_told,
    plans.plan,
    case
        when known.last_day is null then null
        when activity.person_id is null then 'never active'
        when activity.last_date > {{ add_days('known.last_day', -7) }}
            then
                case
                    when activity.first_date > {{ add_days('known.last_day', -7) }} then 'new'
                    when activity.was_active_before then 'returning'
                    else 'resurrecting'
                end
        when activity.was_active_before then 'dormant'
        else 'gone'
    end as lifecycle,
    case
        when subscribers.person_id is null then 'none'
        when subscribers.is_at_risk then 'high'
        when known.last_day is null then null
        when coalesce(activity.last_date <= {{ add_days('known.last_day', -14) }}, true) then 'raised'
        else 'low'
    end as churn_risk,
    case
        when received.person_id is not null and received.amount is null then null
        when ranked.person_id is null then 'none'
        when ranked.position >= 0.75 then 'high'
        when ranked.position >= 0.25 then 'middle'
        else 'low'
    end as ltv_band
from people
left join known on true
left join plans on people.person_id = plans.person_id
left join activity on people.person_id = activity.person_id
left join subscribers on people.person_id = subscribers.person_id
left join received on people.person_id = received.person_id
left join ranked on people.person_id = ranked.person_id
