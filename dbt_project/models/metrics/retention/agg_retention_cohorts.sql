{{ config(schema='published', alias='pub_retention_cohorts', contract={'enforced': true}) }}

with cohorts as (

    select * from {{ ref('fct_retention_cohorts') }}

),

returns as (

    select * from {{ ref('fct_retention_returns') }}

),

retentions as (

    select * from {{ source('config', 'retentions') }}

),

modes as (

    select * from {{ source('config', 'retention_modes') }}

),

day_periods as (

    select * from {{ source('config', 'day_periods') }}

),

covered as (

    select * from {{ ref('int_sources_covered') }}
    where source = 'mixpanel' and table_name = 'events'

),

plans_covered as (

    select * from {{ ref('int_metrics_covered') }}
    where metric_id = 'active_users' and needed_for = 'plan'

),

-- The part of the calendar that has been seen.
seen_periods as (

    select distinct
        day_periods.grain,
        day_periods.period_start,
        day_periods.period_end,
        day_periods.period_index
    from day_periods
    cross join covered
    where day_periods.day between covered.first_day and covered.last_day

),

sizes as (

    select
        cohorts.retention_id,
        cohorts.cohort_grain,
        cohorts.cohort_start,
        cohorts.cohort_index,
        cohorts.segment,
        cohorts.segment_value,
        count(*) as cohort_size,
        row_number() over (
            order by
                cohorts.retention_id, cohorts.cohort_grain, cohorts.cohort_index, cohorts.segment, cohorts.segment_value
        ) as cohort_number
    from cohorts
    inner join seen_periods
        on
            cohorts.cohort_grain = seen_periods.grain
            and cohorts.cohort_index = seen_periods.period_index
    group by
        cohorts.retention_id,
        cohorts.cohort_grain,
        cohorts.cohort_start,
        cohorts.cohort_index,
        cohorts.segment,
        cohorts.segment_value

),

cells as (

    select
        sizes.*,
        seen_periods.period_end,
        seen_periods.period_index - sizes.cohort_index as period_number
    from sizes
    inner join seen_periods
        on
            sizes.cohort_grain = seen_periods.grain
            and sizes.cohort_index <= seen_periods.period_index
    where sizes.cohort_grain <> 'day' or seen_periods.period_index - sizes.cohort_index <= {{ last_daily_period() }}

),

-- The last period in which a person came back: with it, those who came back in a period or later are counted without a
-- look at each of their periods.
last_returns as (

    select
        returns.retention_id,
        returns.grain,
        returns.person_id,
        max(returns.period_index) as period_index
    from returns
    inner join seen_periods
        on
            returns.grain = seen_periods.grain
            and returns.period_index = seen_periods.period_index
    group by returns.retention_id, returns.grain, returns.person_id

),

members as (

    select
        sizes.cohort_number,
        cohorts.retention_id,
        cohorts.cohort_grain,
        cohorts.cohort_index,
        cohorts.person_id
    from cohorts
    inner join sizes
        on
            cohorts.retention_id = sizes.retention_id
            and cohorts.cohort_grain = sizes.cohort_grain
            and cohorts.cohort_index = sizes.cohort_index
            and cohorts.segment = sizes.segment
            and cohorts.segment_value = sizes.segment_value

),

came_back as (

    select sizes.cohort_number, comebacks.period_number, comebacks.people
    from {{ ref('agg_retention_comebacks') }} as comebacks
    inner join sizes
        on
            comebacks.retention_id = sizes.retention_id
            and comebacks.cohort_grain = sizes.cohort_grain
            and comebacks.cohort_index = sizes.cohort_index
            and comebacks.segment = sizes.segment
            and comebacks.segment_value = sizes.segment_value

),

last_comebacks as (

    select
        members.cohort_number,
        case members.cohort_grain
            when 'day' then least(last_returns.period_index - members.cohort_index, {{ last_daily_period() }})
            else last_returns.period_index - members.cohort_index
        end as period_number
    from members
    inner join last_returns
        on
            members.retention_id = last_returns.retention_id
            and members.cohort_grain = last_returns.grain
            and members.person_id = last_returns.person_id
            and members.cohort_index < last_returns.period_index

),

came_back_last as (

    select cohort_number, period_number, count(*) as people
    from last_comebacks
    group by cohort_number, period_number

),

retained as (

    select
        cells.*,
        coalesce(came_back.people, 0) as retained_in_period,
        cast(sum(coalesce(came_back_last.people, 0)) over (
            partition by cells.cohort_number
            order by cells.period_number desc
        ) as bigint) as retained_until_period
    from cells
    left join came_back
        on
            cells.cohort_number = came_back.cohort_number
            and cells.period_number = came_back.period_number
    left join came_back_last
        on
            cells.cohort_number = came_back_last.cohort_number
            and cells.period_number = came_back_last.period_number

),

by_mode as (

    select
        retained.*,
        modes.mode,
        case
            when retained.period_number = 0 then retained.cohort_size
            when modes.mode = 'n_day' then retained.retained_in_period
            when modes.mode = 'unbounded' then retained.retained_until_period
        end as retained
    from retained
    inner join modes on retained.retention_id = modes.retention_id

)

select
    by_mode.retention_id,
    by_mode.mode,
    by_mode.cohort_grain,
    by_mode.cohort_start,
    by_mode.segment,
    by_mode.segment_value,
    by_mode.period_number as period_index,
    by_mode.cohort_size,
    by_mode.retained,
    coalesce(
        by_mode.cohort_start >= covered.covered_from
        and by_mode.period_end <= covered.complete_through
        and (plans_covered.metric_id is null or by_mode.period_end <= plans_covered.complete_through),
        false
    ) as is_complete,
    retentions.label
from by_mode
inner join retentions on by_mode.retention_id = retentions.retention_id
cross join covered
left join plans_covered on by_mode.segment = plans_covered.needed_for
where by_mode.segment = 'all' or by_mode.retained > 0
