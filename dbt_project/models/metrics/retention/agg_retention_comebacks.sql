{{ config(
    materialized='incremental',
    incremental_strategy='replace_from_period',
    unique_key='period_start',
    contract={'enforced': true},
    on_schema_change='fail'
) }}

with cohorts as (

    select * from {{ ref('fct_retention_cohorts') }}

),

returns as (

    select * from {{ ref('fct_retention_returns') }}
    where true {{ and_from_rebuilt_period('period_start') }}

)

-- Who came back in a period that is over had begun before it: a day adds its own comebacks, to cohorts of any age.
select
    cohorts.retention_id,
    cohorts.cohort_grain,
    cohorts.cohort_index,
    cohorts.segment,
    cohorts.segment_value,
    returns.period_start,
    returns.period_index - cohorts.cohort_index as period_number,
    count(*) as people
from cohorts
inner join returns
    on
        cohorts.retention_id = returns.retention_id
        and cohorts.cohort_grain = returns.grain
        and cohorts.person_id = returns.person_id
        and cohorts.cohort_index < returns.period_index
where cohorts.cohort_grain <> 'day' or returns.period_index - cohorts.cohort_index <= {{ last_daily_period() }}
group by
    cohorts.retention_id,
    cohorts.cohort_grain,
    cohorts.cohort_index,
    cohorts.segment,
    cohorts.segment_value,
    returns.period_start,
    returns.period_index - cohorts.cohort_index
