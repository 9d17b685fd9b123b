with tables as (

    select * from {{ source('config', 'metric_tables') }}

),

covered as (

    select * from {{ ref('int_sources_covered') }}

),

sources as (

    select * from {{ source('config', 'sources') }}

),

-- Of tables that stand in for each other those that have landed are read. What tells a segment, or converts, is asked for
-- where it is on.
tables_read as (

    select tables.metric_id, tables.source, tables.table_name, tables.needed_for
    from tables
    inner join sources
        on
            tables.source = sources.source
            and tables.table_name = sources.table_name
    where tables.needed_for = 'all' or (tables.needed_for <> 'either' and sources.is_on)
    union all
    select tables.metric_id, tables.source, tables.table_name, 'all' as needed_for
    from tables
    inner join covered
        on
            tables.source = covered.source
            and tables.table_name = covered.table_name
    where tables.needed_for = 'either' and covered.last_day is not null

)

select
    tables_read.metric_id,
    tables_read.needed_for,
    max(covered.first_day) as first_day,
    min(covered.last_day) as last_day,
    max(covered.covered_from) as covered_from,
    case when count(covered.complete_through) = count(*) then min(covered.complete_through) end as complete_through
from tables_read
left join covered
    on
        tables_read.source = covered.source
        and tables_read.table_name = covered.table_name
group by tables_read.metric_id, tables_read.needed_for
