with objects as (

    select * from {{ ref('fct_objects_of_people') }}

)

select
    origin,
    kind,
    change_date,
    segment,
    segment_value,
    cast(sum(created) as bigint) as created,
    cast(sum(change) as bigint) as change
from objects
group by origin, kind, change_date, segment, segment_value
