-- Every day holds as many rows as its landing loaded, and every landing accounts for all it received.
{{ config(meta={'dagster': {'ref': {'name': 'stg_mixpanel__events'}}}) }}
with events as (

    select export_day, count(*) as events
    from {{ ref('stg_mixpanel__events') }}
    group by export_day

),

landed as (

    select * from {{ ref('stg_lake__landings') }}
    where status = 'landed' and source = 'mixpanel' and table_name = 'events'

)

select landed.source_day, landed.loaded, events.events
from landed
full outer join events on landed.source_day = events.export_day
where
    landed.source_day is null
    or landed.loaded <> coalesce(events.events, 0)
    or landed.received <> landed.loaded + landed.deduplicated + landed.filtered + landed.quarantined
