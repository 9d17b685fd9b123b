with pending_days as (

    select * from {{ ref('stg_lake__pending_days') }}

),

identities as (

    select * from {{ ref('int_identities_resolved') }}

),

identities_before as (

    select * from {{ source('marks', 'identities') }}

),

covered_before as (

    select * from {{ source('marks', 'covered') }}
    where source = 'mixpanel' and table_name = 'events'

),

moved_ids as (

    select coalesce(identities.raw_id, identities_before.raw_id) as raw_id
    from identities
    full outer join identities_before on identities.raw_id = identities_before.raw_id
    where
        coalesce(identities.person_id, identities.raw_id, identities_before.raw_id)
        <> coalesce(identities_before.person_id, identities_before.raw_id, identities.raw_id)
        or coalesce(identities.is_excluded, false) <> coalesce(identities_before.is_excluded, false)

),

plans as (

    select person_id, from_date, plan from {{ ref('int_person_plans') }}

),

plans_before as (

    select person_id, from_date, plan from {{ source('marks', 'plans') }}

),

changed_plans as (

    select coalesce(plans.from_date, plans_before.from_date) as from_date
    from plans
    full outer join plans_before
        on
            plans.person_id = plans_before.person_id
            and plans.from_date = plans_before.from_date
            and plans.plan = plans_before.plan
    where plans.person_id is null or plans_before.person_id is null

),

days as (

    select * from {{ ref('int_raw_id_days') }}

),

touched_dates as (

    -- Time zones lie up to 26 hours apart, so a day of the source can hold events of two reporting days before it.
    select {{ add_days('min(source_day)', -2) }} as first_date
    from pending_days
    where source = 'mixpanel' and table_name = 'events'
    union all
    select min(days.event_date)
    from days
    inner join moved_ids on days.raw_id = moved_ids.raw_id
    union all
    select min(from_date) from changed_plans
    union all
    -- What lay after the last whole day had to wait.
    select {{ add_days('last_day', 1) }}
    from covered_before

),

first_dates as (

    select min(first_date) as first_date
    from touched_dates

)

-- Periods that began before it are over before it, too.
select
    first_dates.first_date,
    coalesce(min(day_periods.period_start), first_dates.first_date) as first_period_start
from first_dates
left join {{ source('config', 'day_periods') }} as day_periods on first_dates.first_date = day_periods.day
group by first_dates.first_date
