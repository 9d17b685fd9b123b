with counted as (

    select * from {{ ref('fct_objects_counted') }}

),

sources as (

    select * from {{ source('config', 'sources') }}

),

covered as (

    select * from {{ ref('int_sources_covered') }}

),

day_periods as (

    select * from {{ source('config', 'day_periods') }}

),

-- The app's own tables count, where they are connected; its events stand in for them where they are not.
kinds as (

    select
        kinds.kind,
        kinds.created_metric_id,
        kinds.total_metric_id,
        covered.source as origin,
        covered.first_day,
        covered.last_day
    from
        (
            values
            ('account', 'sign_ups', 'total_users', 'user_profiles'),
            ('pet', 'pets_created', 'total_pets', 'pets'),
            ('alert', 'lost_pet_alerts', null, 'lost_pet_reports'),
            ('recovery', 'pets_recovered', null, 'lost_pet_reports')
        ) as kinds (kind, created_metric_id, total_metric_id, table_name)
    inner join sources on kinds.table_name = sources.table_name and sources.source = 'app_db'
    inner join covered
        on
            (sources.is_on and covered.source = 'app_db' and kinds.table_name = covered.table_name)
            or (not sources.is_on and covered.source = 'mixpanel' and covered.table_name = 'events')

),

chosen as (

    select
        kinds.created_metric_id,
        kinds.total_metric_id,
        kinds.first_day,
        kinds.last_day,
        counted.change_date,
        counted.segment,
        counted.segment_value,
        counted.created,
        counted.change
    from counted
    inner join kinds
        on
            counted.kind = kinds.kind
            and counted.origin = kinds.origin
            and counted.change_date <= kinds.last_day

),

created as (

    select
        chosen.created_metric_id as metric_id,
        day_periods.grain,
        day_periods.period_start,
        chosen.segment,
        chosen.segment_value,
        sum(chosen.created) as objects
    from chosen
    inner join day_periods on chosen.change_date = day_periods.day
    group by 1, 2, 3, 4, 5
    having sum(chosen.created) > 0

),

segment_values as (

    select distinct total_metric_id, segment, segment_value, first_day, last_day
    from chosen
    where total_metric_id is not null

),

changes_by_day as (

    select total_metric_id, segment, segment_value, change_date, sum(change) as change
    from chosen
    group by 1, 2, 3, 4

),

totals_by_day as (

    select
        segment_values.total_metric_id as metric_id,
        day_periods.day,
        segment_values.segment,
        segment_values.segment_value,
        sum(coalesce(changes_by_day.change, 0)) over (
            partition by segment_values.total_metric_id, segment_values.segment, segment_values.segment_value
            order by day_periods.day
        ) as objects
    from segment_values
    inner join day_periods
        on
            day_periods.grain = 'day'
            and day_periods.day between segment_values.first_day and segment_values.last_day
    left join changes_by_day
        on
            segment_values.total_metric_id = changes_by_day.total_metric_id
            and segment_values.segment = changes_by_day.segment
            and segment_values.segment_value = changes_by_day.segment_value
            and day_periods.day = changes_by_day.change_date

),

-- A total of a week or month is that at its end, or at the last day there is.
ends as (

    select kinds.total_metric_id as metric_id, day_periods.grain, day_periods.period_start, max(day_periods.day) as last_day
    from day_periods
    inner join kinds on day_periods.day between kinds.first_day and kinds.last_day
    group by 1, 2, 3

),

totals as (

    select
        totals_by_day.metric_id,
        ends.grain,
        ends.period_start,
        totals_by_day.segment,
        totals_by_day.segment_value,
        totals_by_day.objects
    from totals_by_day
    inner join ends
        on
            totals_by_day.metric_id = ends.metric_id
            and totals_by_day.day = ends.last_day

),

counts as (

    select * from created
    union all
    select * from totals

)

select
    metric_id,
    grain,
    period_start,
    segment,
    segment_value,
    cast(objects as double precision) as numerator,
    cast(null as double precision) as denominator,
    cast(objects as double precision) as value
from counts
