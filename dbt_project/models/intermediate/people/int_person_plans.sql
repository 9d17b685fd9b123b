{{ config(materialized='table') }}

with profiles as (

    select * from {{ ref('stg_app_db__user_profiles') }}

),

subscriptions as (

    select * from {{ ref('stg_app_db__subscriptions') }}

),

recorded_changes as (

    select *, created_at as changed_at from {{ ref('stg_app_db__subscription_history') }}
    where is_current and action in ('upgrade', 'downgrade', 'reactivate', 'period_end')

),

identities as (

    select * from {{ ref('int_identities_resolved') }}

),

context as (

    select * from {{ source('config', 'run_context') }}

),

first_recorded_changes as (

    select
        subscription_id,
        from_tier,
        changed_at,
        row_number() over (partition by subscription_id order by changed_at, subscription_history_id) as change_number
    from recorded_changes

),

-- An account begins on the free plan.
accounts as (

    select user_id, created_at as changed_at, 'free' as plan, 1 as precedence
    from profiles
    where is_first_version

),

-- What the app recorded of the time before it was first looked at.
before_first_change as (

    select
        subscriptions.user_id,
        subscriptions.created_at as changed_at,
        first_recorded_changes.from_tier as plan,
        2 as precedence
    from subscriptions
    inner join first_recorded_changes
        on
            subscriptions.subscription_id = first_recorded_changes.subscription_id
            and first_recorded_changes.change_number = 1
    where
        subscriptions.is_first_version
        and first_recorded_changes.from_tier is not null
        and subscriptions.created_at < first_recorded_changes.changed_at

),

recorded as (

    select user_id, changed_at, to_tier as plan, 3 as precedence
    from recorded_changes
    where to_tier is not null

),

-- The first time that a subscription is seen says what it has been since the change before, or since it began.
observed as (

    select
        subscriptions.user_id,
        case
            when subscriptions.is_first_version and first_recorded_changes.changed_at is null then subscriptions.created_at
            else subscriptions.observed_at
        end as changed_at,
        case
            when not subscriptions.is_deleted and subscriptions.status in ('active', 'past_due') then subscriptions.tier
            else 'free'
        end as plan,
        4 as precedence
    from subscriptions
    left join first_recorded_changes
        on
            subscriptions.subscription_id = first_recorded_changes.subscription_id
            and first_recorded_changes.change_number = 1
            and subscriptions.observed_at >= first_recorded_changes.changed_at

),

changes as (

    select * from accounts
    union all
    select * from before_first_change
    union all
    select * from recorded
    union all
    select * from observed

),

-- The plan of a day is the one at its end.
last_of_the_day as (

    select
        coalesce(identities.person_id, changes.user_id) as person_id,
        {{ local_date('changes.changed_at', 'context.timezone') }} as from_date,
        changes.plan,
        row_number() over (
            partition by
                coalesce(identities.person_id, changes.user_id),
                {{ local_date('changes.changed_at', 'context.timezone') }}
            order by changes.changed_at desc, changes.precedence desc, changes.plan desc
        ) as change_number
    from changes
    cross join context
    left join identities on changes.user_id = identities.raw_id
    where changes.changed_at is not null

),

real_changes as (

    select
        person_id,
        from_date,
        plan,
        lag(plan) over (partition by person_id order by from_date) as plan_before
    from last_of_the_day
    where change_number = 1

)

select
    person_id,
    plan,
    from_date,
    -- Never null: a condition with `or` would keep engines from joining by person.
    coalesce(lead(from_date) over (partition by person_id order by from_date), date '9999-12-31') as to_date
from real_changes
where plan_before is null or plan_before <> plan
