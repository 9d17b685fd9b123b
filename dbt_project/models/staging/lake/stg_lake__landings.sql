with source as (

    select * from {{ source('raw_lake', 'landings') }}

),

filled_tables as (

    select * from {{ source('config', 'sources') }}

),

-- Of days each has its own landings; objects are all brought up to date together.
units as (

    select
        source.*,
        filled_tables.is_daily,
        case when filled_tables.is_daily then source.day end as landed_day
    from source
    inner join filled_tables
        on
            source.source = filled_tables.source
            and source.table_name = filled_tables.table_name

),

numbered as (

    select
        *,
        row_number() over (partition by source, table_name, landed_day, status order by landing desc) as latest,
        row_number() over (partition by source, table_name, landed_day order by landing desc) as latest_attempt,
        sum(case when is_daily then 0 else loaded end) over (partition by source, table_name) as versions,
        min(case when status = 'landed' then as_of end) over (partition by source, table_name) as first_landed_as_of
    from units

)

select
    source,
    table_name,
    is_daily,
    day as source_day,
    landing,
    received,
    loaded,
    deduplicated,
    filtered,
    quarantined,
    case when is_daily then loaded else versions end as rows_kept,
    status,
    reason,
    coalesce(set_aside, quarantined) as set_aside,
    set_aside_for,
    landed_at,
    as_of,
    first_landed_as_of,
    latest_attempt = 1 as is_latest_attempt
from numbered
where latest = 1
