with source as (

    select * from {{ source('raw_annotations', 'annotations') }}

),

versions as (

    select
        *,
        row_number() over (partition by object_id order by landing desc) as recency
    from source

)

select
    object_id as annotation_id,
    kind,
    title,
    started_at,
    ended_at,
    url
from versions
where recency = 1 and not is_deleted
