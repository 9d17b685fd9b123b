with landed as (

    select * from {{ ref('stg_lake__landings') }}
    where status = 'landed'

),

taken_in as (

    select * from {{ source('marks', 'landings') }}

)

select
    landed.source,
    landed.table_name,
    landed.source_day
from landed
left join taken_in
    on
        landed.source = taken_in.source
        and landed.table_name = taken_in.table_name
        and landed.source_day = taken_in.source_day
        and landed.landing = taken_in.landing
where taken_in.landing is null
