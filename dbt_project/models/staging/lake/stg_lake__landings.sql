with source as (

    select * from {{ source('raw_lake', 'landings') }}

),

numbered as (

    select
        *,
        row_number() over (partition by source, table_name, day, status order by landing desc) as latest,
        row_number() over (partition by source, table_name, day order by landing desc) as latest_attempt
    from source

)

select
    source,
    table_name,
    day as source_day,
    landing,
    received,
    loaded,
    deduplicated,
    filtered,
    quarantined,
    status,
    reason,
    landed_at,
    latest_attempt = 1 as is_latest_attempt
from numbered
where latest = 1
