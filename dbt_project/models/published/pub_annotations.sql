select
    kind,
    title,
    started_at,
    ended_at,
    url
from {{ ref('stg_annotations__annotations') }}
