with trials as (

    select * from {{ ref('fct_trials') }}

),

known_days as (

    select first_day, last_day from {{ ref('int_sources_covered') }}
    where source = 'stripe' and table_name = 'subscriptions'

),

days as (

    select day_periods.day
    from {{ source('config', 'day_periods') }} as day_periods
    inner join known_days on day_periods.day between known_days.first_day and known_days.last_day
    where day_periods.grain = 'day'

),

-- Each counts from the day on which it is decided until its end is 30 days ago.
decided as (

    select
        segment,
        segment_value,
        case when is_cancelled then end_date else greatest(end_date, paid_date) end as decided_on,
        {{ add_days('end_date', 30) }} as leaves_on,
        case when is_cancelled then 0 else 1 end as converted
    from trials
    where is_cancelled or paid_date is not null

),

steps as (

    select segment, segment_value, decided_on as step_on, converted, 1 as trials
    from decided
    where decided_on < leaves_on

    union all

    select segment, segment_value, leaves_on as step_on, -converted as converted, -1 as trials
    from decided
    where decided_on < leaves_on

),

step_days as (

    select
        steps.segment,
        steps.segment_value,
        greatest(steps.step_on, known_days.first_day) as day,
        sum(steps.converted) as converted,
        sum(steps.trials) as trials
    from steps
    cross join known_days
    group by 1, 2, 3

),

series as (

    select distinct segment, segment_value from steps
    union
    select 'all', 'all'

),

rolling as (

    {{ sums_so_far(['converted', 'trials']) }}

)

select
    'trial_conversion_rate_30d' as metric_id,
    'day' as grain,
    day as period_start,
    segment,
    segment_value,
    cast(converted as double precision) as numerator,
    cast(trials as double precision) as denominator,
    {{ divide('converted', 'trials') }} as value
from rolling
