-- What the incremental models have taken in is what landed, day by day.
{{ config(meta={'dagster': {'ref': {'name': 'int_raw_id_days'}}}) }}
with taken_in as (

    select export_day, sum(events) as events
    from {{ ref('int_raw_id_days') }}
    group by export_day

),

staged as (

    select export_day, sum(case when is_identity_event then 0 else 1 end) as events
    from {{ ref('int_events_attributed') }}
    group by export_day

)

select *
from taken_in
full outer join staged on taken_in.export_day = staged.export_day
where coalesce(taken_in.events, 0) <> coalesce(staged.events, 0)
