{#- Why an app has more, or fewer, than Stripe. -#}
{%- set causes = {
    'trial': 'paid plans in the app that are on trial in Stripe, without MRR yet',
    'paused': 'paid plans in the app whose collection is paused in Stripe',
    'unpaid': 'paid plans in the app that are unpaid in Stripe',
    'ended': 'paid plans in the app whose subscription ended before the period that was paid for does',
    'free': 'paid plans in the app of which coupons leave nothing to pay',
    'no customer': 'paid plans in the app of people who are no customers in Stripe',
    'nobody': 'subscribers in Stripe whose user is not known',
    'no plan': 'subscribers in Stripe of whose plan the app knows nothing',
    'several': 'people who are several subscribers in Stripe',
    'untold': 'subscribers in Stripe whose plan changed on the day on which the app was first read',
    'not paid': 'subscribers in Stripe whose plan in the app is free, paused or cancelled',
    'unexplained': 'paid plans in the app of customers who pay nothing in Stripe, why is not known',
} -%}
{%- set standings = {'on_trial': 'trials', 'paused': 'paused', 'unpaid': 'unpaid', 'ended_early': 'ended_early'} -%}
{%- set measures = ['in_app', 'in_stripe', 'untold', 'free'] + standings.keys() | list %}

with app_subscriptions as (

    select * from {{ ref('stg_app_db__subscriptions') }}

),

mrr_changes as (

    select * from {{ ref('fct_mrr_changes') }}
    where currency = 'all' and segment = 'all' and customer_change <> 0

),

item_standings as (

    select * from {{ ref('int_subscription_item_standings') }}

),

customers as (

    select * from {{ ref('int_customers_identified') }}
    where not is_excluded

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

-- A version is seen when it is read, and says itself since when the row is so.
versions as (

    select
        app_subscriptions.subscription_id,
        coalesce(identities.person_id, app_subscriptions.user_id) as person_id,
        app_subscriptions.is_first_version,
        app_subscriptions.created_at,
        app_subscriptions.observed_at,
        app_subscriptions.tier <> 'free'
        and app_subscriptions.status in ('active', 'past_due')
        and not app_subscriptions.is_deleted as is_paid,
        case
            when app_subscriptions.is_deleted then app_subscriptions.observed_at
            when
                app_subscriptions.is_first_version
                or app_subscriptions.updated_at > lag(app_subscriptions.observed_at) over by_version
                then least(app_subscriptions.updated_at, app_subscriptions.observed_at)
            else app_subscriptions.observed_at
        end as holds_from
    from app_subscriptions
    left join identities on app_subscriptions.user_id = identities.raw_id
    where not coalesce(identities.is_excluded, false)
    window by_version as (partition by app_subscriptions.subscription_id order by app_subscriptions.version_number)

),

plans as (

    select
        versions.person_id,
        versions.subscription_id,
        versions.is_paid,
        {{ local_date('versions.holds_from', 'context.timezone') }} as from_date,
        {{ local_date('lead(versions.holds_from) over (partition by versions.subscription_id order by versions.observed_at)',
                      'context.timezone') }} as to_date,
        versions.is_first_version
        and {{ local_date('versions.created_at', 'context.timezone') }}
        < {{ local_date('versions.holds_from', 'context.timezone') }} as is_untold_before
    from versions
    cross join context

),

first_reading as (

    select min({{ local_date('app_subscriptions.observed_at', 'context.timezone') }}) as day
    from app_subscriptions
    cross join context

),

-- From the last day that was over when the app was first read; what changed since that day is not known of it.
compared_days as (

    select app_days.day
    from landed_days as app_days
    cross join first_reading
    inner join landed_days as stripe_days
        on
            app_days.day = stripe_days.day
            and stripe_days.source = 'stripe'
            and stripe_days.table_name = 'subscriptions'
    where
        app_days.source = 'app_db'
        and app_days.table_name = 'subscriptions'
        and app_days.day >= {{ add_days('first_reading.day', -1) }}

),

people_in_the_app as (

    select person_id, min(subscription_id) as subscription_id
    from plans
    group by person_id

),

people_in_stripe as (

    select
        customer_id,
        coalesce(person_id, customer_id) as person_id,
        person_id is null as is_nobody
    from customers

),

-- What there is of a person in either opens with one and closes with one less.
stretches as (

    select person_id, 'in_app' as measure, from_date, to_date from plans
    where is_paid
    union all
    select plans.person_id, 'untold', {{ add_days('first_reading.day', -1) }}, plans.from_date
    from plans
    inner join first_reading on plans.from_date >= first_reading.day
    where plans.is_untold_before
    {% for measure, standing in standings.items() %}
        union all
        select people_in_stripe.person_id, '{{ measure }}', item_standings.from_date, item_standings.to_date
        from item_standings
        inner join people_in_stripe on item_standings.customer_id = people_in_stripe.customer_id
        where item_standings.standing = '{{ standing }}'
    {% endfor %}
    union all
    select people_in_stripe.person_id, 'free', item_standings.from_date, item_standings.to_date
    from item_standings
    inner join people_in_stripe on item_standings.customer_id = people_in_stripe.customer_id
    where item_standings.standing = 'counted' and item_standings.mrr = 0

),

steps as (

    select person_id, measure, from_date as day, 1 as change from stretches
    union all
    select person_id, measure, to_date, -1 from stretches
    where to_date is not null
    union all
    select people_in_stripe.person_id, 'in_stripe', mrr_changes.change_date, mrr_changes.customer_change
    from mrr_changes
    inner join people_in_stripe on mrr_changes.customer_id = people_in_stripe.customer_id

),

changes as (

    select
        {% for measure in measures %}
            sum(case when measure = '{{ measure }}' then change else 0 end) as {{ measure }},
        {% endfor %}
        person_id,
        day
    from steps
    group by person_id, day

),

states as (

    select
        {% for measure in measures %}
            sum({{ measure }}) over (partition by person_id order by day) as {{ measure }},
        {% endfor %}
        person_id,
        day as from_date,
        lead(day) over (partition by person_id order by day) as to_date
    from changes

),

whose as (

    select
        person_id,
        min(customer_id) as customer_id,
        bool_or(is_nobody) as is_nobody
    from people_in_stripe
    group by person_id

),

-- Each difference of a person has one cause, so that the causes of a day add up to its difference.
differences as (

    select
        states.from_date,
        states.to_date,
        abs(states.in_app - states.in_stripe) as objects,
        coalesce(whose.customer_id, people_in_the_app.subscription_id) as object_id,
        case
            when states.in_app > states.in_stripe and states.on_trial > 0 then 'trial'
            when states.in_app > states.in_stripe and states.paused > 0 then 'paused'
            when states.in_app > states.in_stripe and states.unpaid > 0 then 'unpaid'
            when states.in_app > states.in_stripe and states.ended_early > 0 then 'ended'
            when states.in_app > states.in_stripe and states.free > 0 then 'free'
            when states.in_app > states.in_stripe and whose.person_id is null then 'no customer'
            when states.in_app > states.in_stripe then 'unexplained'
            when whose.is_nobody then 'nobody'
            when people_in_the_app.person_id is null then 'no plan'
            when states.in_app > 0 then 'several'
            when states.untold > 0 then 'untold'
            else 'not paid'
        end as cause
    from states
    left join whose on states.person_id = whose.person_id
    left join people_in_the_app on states.person_id = people_in_the_app.person_id
    where states.in_app <> states.in_stripe

),

counted as (

    select
        day,
        in_app,
        in_stripe,
        cast(null as varchar) as cause,
        0 as objects,
        cast(null as varchar) as longest
    from changes
    union all
    select from_date, 0, 0, cause, objects, coalesce(cast(to_date as varchar), '9999-12-31') || object_id from differences
    union all
    select to_date, 0, 0, cause, -objects, cast(null as varchar) from differences
    where to_date is not null
    union all
    select day, 0, 0, cast(null as varchar), 0, cast(null as varchar) from compared_days

),

by_day as (

    select
        {% for cause in causes %}
            sum(case when cause = '{{ cause }}' then objects else 0 end) as cause_{{ loop.index }},
        {% endfor %}
        day,
        sum(in_app) as in_app,
        sum(in_stripe) as in_stripe,
        max(longest) as longest
    from counted
    group by day

),

-- Of the differences that began so far the one that lasts longest is an example, if any is one that day.
so_far as (

    select
        {% for cause in causes %}
            sum(cause_{{ loop.index }}) over days as cause_{{ loop.index }},
        {% endfor %}
        day,
        sum(in_app) over days as in_app,
        sum(in_stripe) over days as in_stripe,
        max(longest) over days as longest
    from by_day
    window days as (order by day)

)

select
    'subscribers: paid plans in the app, customers with MRR in Stripe' as what,
    so_far.day as period_start,
    cast(null as varchar) as currency,
    cast(so_far.in_app as decimal(38, 3)) as left_value,
    cast(so_far.in_stripe as decimal(38, 3)) as right_value,
    concat_ws(
        '; ',
        {% for words in causes.values() %}
            {{ counted_cause(words, 'so_far.cause_' ~ loop.index) }}{{ ',' if not loop.last }}
        {% endfor %}
    ) as reason,
    case
        when substring(so_far.longest from 1 for 10) > cast(so_far.day as varchar) then substring(so_far.longest from 11)
    end as example
from so_far
inner join compared_days on so_far.day = compared_days.day
