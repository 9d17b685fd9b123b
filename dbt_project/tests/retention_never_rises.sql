-- Unbounded retention never rises with the period, and nothing exceeds its cohort.
with cells as (

    select
        *,
        lag(retained) over (
            partition by retention_id, mode, cohort_grain, cohort_start, segment, segment_value
            order by period_index
        ) as retained_before
    from {{ ref('agg_retention_cohorts') }}

)

select * from cells
where retained > cohort_size or (mode = 'unbounded' and retained > retained_before)
