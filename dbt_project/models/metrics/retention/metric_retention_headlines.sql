with cells as (

    select * from {{ ref('agg_retention_cohorts') }}
    where retention_id = 'sign_up' and mode = 'n_day' and cohort_grain = 'day'

),

cohorts as (

    select * from cells
    where period_index = 0

),

headlines as (

    select days.period_index
    from (values (1), (7), (30), (90)) as days (period_index)

)

-- A cohort that has not reached the day yet has a size and no answer.
select
    'retention_d' || cast(headlines.period_index as varchar) as metric_id,
    'day' as grain,
    cohorts.cohort_start as period_start,
    cohorts.segment,
    cohorts.segment_value,
    cast(case when reached.cohort_start is not null then coalesce(cells.retained, 0) end as double precision) as numerator,
    cast(cohorts.cohort_size as double precision) as denominator,
    {{ divide('case when reached.cohort_start is not null then coalesce(cells.retained, 0) end', 'cohorts.cohort_size') }} as value
from cohorts
cross join headlines
left join cells
    on
        cohorts.cohort_start = cells.cohort_start
        and cohorts.segment = cells.segment
        and cohorts.segment_value = cells.segment_value
        and headlines.period_index = cells.period_index
left join cells as reached
    on
        cohorts.cohort_start = reached.cohort_start
        and reached.segment = 'all'
        and headlines.period_index = reached.period_index
