with event_days as (

    select * from {{ ref('fct_event_days') }}
    where not is_excluded

),

covered as (

    select * from {{ ref('int_sources_covered') }}
    where source = 'mixpanel' and table_name = 'events'

),

seen as (

    select
        event_name,
        min(event_date) as first_day,
        max(event_date) as last_day,
        cast(sum(events) as bigint) as events,
        count(distinct person_id) as people
    from event_days
    group by event_name

)

select
    seen.event_name as event,
    seen.first_day,
    seen.last_day,
    seen.events,
    seen.people,
    cast(null as varchar) as property,
    cast(null as double precision) as filled_share,
    seen.first_day > {{ add_days('covered.last_day', -7) }} and seen.first_day > covered.first_day as is_new
from seen
cross join covered
