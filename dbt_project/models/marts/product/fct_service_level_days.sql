with intervals as (

    select * from {{ ref('stg_prometheus__service_levels') }}

),

service_levels as (

    select * from {{ source('config', 'service_levels') }}

),

context as (

    select * from {{ source('config', 'run_context') }}

)

select
    intervals.slo,
    intervals.service,
    {{ local_date('intervals.starts_at', 'context.timezone') }} as measured_date,
    intervals.upper_bound,
    sum(intervals.numerator) as numerator,
    sum(intervals.denominator) as denominator,
    sum(case when intervals.unknown_because is null then 1 else 0 end) as intervals,
    sum(case when intervals.unknown_because is null then intervals.seconds else 0 end) as measured_seconds,
    -- A counter that began anew is an ordinary restart: its interval is left out, and nothing else is in doubt.
    sum(case when coalesce(intervals.unknown_because, 'reset') = 'reset' then intervals.seconds else 0 end) as seen_seconds
from intervals
inner join service_levels
    on
        intervals.slo = service_levels.slo
        and intervals.service = service_levels.service
cross join context
group by 1, 2, 3, 4
