-- Every day holds as many rows as its landing loaded, each event with its name and time, and every landing accounts for
-- all it received.
{{ config(meta={'dagster': {'ref': {'name': 'stg_mixpanel__events'}}}) }}
with held as (

    -- One look at all events for all that is asked of each.
    select
        'mixpanel' as source,
        export_day as source_day,
        sum(case when event_name is not null and occurred_at is not null then 1 else 0 end) as rows_held
    from {{ ref('stg_mixpanel__events') }}
    group by export_day

    union all

    select 'prometheus' as source, source_day, count(*) as rows_held
    from {{ ref('stg_prometheus__service_levels') }}
    group by source_day

),

landed as (

    select * from {{ ref('stg_lake__landings') }}
    where status = 'landed' and is_daily

)

select landed.source, landed.source_day, landed.loaded, held.rows_held
from landed
full outer join held
    on
        landed.source = held.source
        and landed.source_day = held.source_day
where
    landed.source_day is null
    or landed.loaded <> coalesce(held.rows_held, 0)
    or landed.received <> landed.loaded + landed.deduplicated + landed.filtered + landed.quarantined
