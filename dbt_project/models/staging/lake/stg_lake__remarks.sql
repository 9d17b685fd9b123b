with source as (

    select * from {{ source('raw_lake', 'landings') }}
    where status in ('landed', 'unchanged')

),

filled_tables as (

    select * from {{ source('config', 'sources') }}

),

numbered as (

    select
        source.*,
        filled_tables.is_daily,
        row_number() over (
            partition by source.source, source.table_name, source.day
            order by source.landing desc
        ) as place
    from source
    inner join filled_tables
        on
            source.source = filled_tables.source
            and source.table_name = filled_tables.table_name

)

select
    source,
    table_name,
    day as source_day,
    landing,
    as_of,
    remark,
    coalesce(is_alarm, false) as is_alarm
from numbered
where remark is not null and (place = 1 or not is_daily)
