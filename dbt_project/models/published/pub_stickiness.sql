with person_days as (

    select * from {{ ref('fct_person_days') }}
    where segment = 'all'

),

day_periods as (

    select * from {{ source('config', 'day_periods') }}
    where grain in ('week', 'month')

),

covered as (

    select * from {{ ref('int_sources_covered') }}
    where source = 'mixpanel' and table_name = 'events'

),

landed_days as (

    select * from {{ ref('int_source_days_landed') }}
    where source = 'mixpanel' and table_name = 'events'

),

days_of_people as (

    select
        day_periods.grain,
        day_periods.period_start,
        day_periods.period_end,
        person_days.person_id,
        count(*) as days_active
    from person_days
    inner join day_periods on person_days.event_date = day_periods.day
    group by day_periods.grain, day_periods.period_start, day_periods.period_end, person_days.person_id

)

select
    days_of_people.grain,
    days_of_people.period_start,
    days_of_people.days_active,
    count(*) as users,
    coalesce(
        days_of_people.period_start >= covered.covered_from and days_of_people.period_end <= landed_days.landed_through,
        false
    ) as is_complete
from days_of_people
cross join covered
left join landed_days on days_of_people.period_start = landed_days.day
where days_of_people.period_start <= covered.last_day and days_of_people.period_end >= covered.first_day
group by
    days_of_people.grain,
    days_of_people.period_start,
    days_of_people.period_end,
    days_of_people.days_active,
    covered.covered_from,
    landed_days.landed_through
