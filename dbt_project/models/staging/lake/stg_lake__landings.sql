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
        case when filled_tables.is_daily then source.day end as landed_day,
        case when source.status = 'unchanged' then 'landed' else source.status end as outcome,
        lag(source.as_of) over (
            partition by source.source, source.table_name, source.status in ('landed', 'unchanged')
            order by source.landing
        ) as as_of_before
    from source
    inner join filled_tables
        on
            source.source = filled_tables.source
            and source.table_name = filled_tables.table_name

),

-- What landed was last seen when it landed, or when it was read again and found unchanged.
numbered as (

    select
        *,
        row_number() over (partition by source, table_name, landed_day, status order by landing desc) as latest,
        first_value(landed_at) over (partition by source, table_name, landed_day, outcome order by landing desc) as seen_at,
        first_value(as_of) over (partition by source, table_name, landed_day, outcome order by landing desc) as seen_as_of,
        max(landing) over (partition by source, table_name, landed_day, outcome) as last_of_outcome,
        max(landing) over (partition by source, table_name, landed_day) as last_attempt,
        sum(case when is_daily then 0 else loaded end) over (partition by source, table_name) as versions,
        min(case when status = 'landed' then as_of end) over (partition by source, table_name) as first_landed_as_of,
        -- After a longer while some of what changed in it is told by nobody any more.
        max(case
            when
                outcome = 'landed' and not is_daily
                and (as_of_before is null or as_of > {{ add_seconds('as_of_before', 29 * 86400) }})
                then as_of
        end) over (partition by source, table_name) as followed_since
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
    seen_at,
    seen_as_of as as_of,
    first_landed_as_of,
    followed_since,
    last_of_outcome = last_attempt as is_latest_attempt
from numbered
where latest = 1 and status <> 'unchanged'
