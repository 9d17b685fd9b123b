with cells as (

    select * from {{ ref('agg_retention_cohorts') }}

),

retentions as (

    select * from {{ source('config', 'retentions') }}

)

select
    cells.retention_id,
    cells.mode,
    cells.cohort_grain,
    cells.cohort_start,
    cells.segment,
    cells.segment_value,
    cells.period_index,
    cells.cohort_size,
    cells.retained,
    cells.is_complete,
    retentions.label
from cells
inner join retentions on cells.retention_id = retentions.retention_id
