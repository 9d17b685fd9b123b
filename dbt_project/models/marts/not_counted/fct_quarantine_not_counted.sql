with quarantined as (

    select * from {{ ref('stg_lake__quarantined') }}

)

select
    source,
    case when table_name like '%s' then substr(table_name, 1, length(table_name) - 1) else table_name end as object_type,
    coalesce(reason, 'set aside, for a reason that was not kept then') as what,
    'They could not be used as they came, so they are in no number. Each is kept, with its reason, in the quarantine.'
    || case
        when reason = 'not JSON' then ' One that is too broken to tell its day counts for the first day that was asked for with it.'
        else ''
    end as why,
    cast(null as varchar) as object_id,
    records as objects,
    cast(null as decimal(38, 6)) as amount,
    cast(null as varchar) as currency,
    source || '.' || table_name as left_out_of,
    source_day as day
from quarantined
