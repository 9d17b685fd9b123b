-- Distinct people of a day are among those of its week, and those among its month's.
with counts as (

    select
        period_start,
        segment,
        segment_value,
        max(case when metric_id = 'dau' then value end) as dau,
        max(case when metric_id = 'wau' then value end) as wau,
        max(case when metric_id = 'mau' then value end) as mau
    from {{ ref('metric_active_users') }}
    where grain = 'day'
    group by period_start, segment, segment_value

)

select * from counts
where coalesce(dau, 0) > wau or wau > mau
