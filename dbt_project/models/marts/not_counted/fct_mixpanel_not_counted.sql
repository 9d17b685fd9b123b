{{ config(materialized='view') }}

with days as (

    select * from {{ ref('int_raw_id_days') }}

),

identities as (

    select * from {{ ref('int_identities_resolved') }}

),

nobodys as (

    select
        event_date as day,
        raw_id is null as is_nobodys_event,
        cast(sum(events) as bigint) as objects
    from days
    where raw_id is null or has_nobodys_id
    group by event_date, raw_id is null

),

crowds as (

    select
        person_id,
        count(*) - 1 as others
    from identities
    group by person_id
    having count(*) - 1 > 500

)

select
    'mixpanel' as source,
    'event' as object_type,
    case
        when is_nobodys_event then 'event of nobody'
        else 'id that is nobody''s'
    end as what,
    case
        when is_nobodys_event
            then 'It carries no id, or a placeholder such as null: it counts as an event, and in nothing that counts people.'
        else 'One of its ids is a placeholder such as undefined, which ties nobody: it counts for its other id.'
    end as why,
    cast(null as varchar) as object_id,
    cast(null as decimal(38, 6)) as amount,
    cast(null as varchar) as currency,
    case when is_nobodys_event then 'fct_event_days' else 'int_identities_resolved' end as left_out_of,
    day,
    objects
from nobodys
union all
select
    'mixpanel' as source,
    'distinct_id' as object_type,
    'id that ties more than 500 others' as what,
    'It counts as one person. Where it is a placeholder, name it in analytics.yml under identities.nobodys_ids.' as why,
    person_id as object_id,
    cast(null as decimal(38, 6)) as amount,
    cast(null as varchar) as currency,
    'int_identities_resolved' as left_out_of,
    cast(null as date) as day,
    cast(1 as bigint) as objects
from crowds
