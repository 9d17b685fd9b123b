{{ config(materialized='table') }}

with source_days as (

    select * from {{ source('config', 'source_days') }}

),

landed as (

    select * from {{ ref('stg_lake__landings') }}
    where status = 'landed'

)

select
    source_days.source,
    source_days.table_name,
    source_days.day,
    count(landed.source_day) = {{ days_between('source_days.first_source_day', 'source_days.last_source_day') }} + 1 as is_landed
from source_days
left join landed
    on
        source_days.source = landed.source
        and source_days.table_name = landed.table_name
        and landed.source_day between source_days.first_source_day and source_days.last_source_day
group by
    source_days.source, source_days.table_name, source_days.day, source_days.first_source_day, source_days.last_source_day
