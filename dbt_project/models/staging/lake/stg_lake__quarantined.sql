with landings as (

    select * from {{ ref('stg_lake__landings') }}
    where status = 'landed' and set_aside > 0

),

parts as (

    select
        source,
        table_name,
        {{ json_elements('set_aside_for', 'told') }} as part
    from landings

),

told as (

    select
        source,
        table_name,
        {{ json_texts('part', ['day', 'reason', 'records']) }} as texts
    from parts

)

select
    source,
    table_name,
    cast({{ text_at('texts', 0) }} as date) as source_day,
    {{ text_at('texts', 1) }} as reason,
    cast({{ text_at('texts', 2) }} as bigint) as records
from told

union all

-- Landed before reasons were kept in the ledger.
select
    source,
    table_name,
    case when is_daily then source_day end as source_day,
    cast(null as varchar) as reason,
    set_aside as records
from landings
where set_aside_for is null
