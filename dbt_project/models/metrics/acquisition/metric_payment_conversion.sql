{%- set window_days = 30 %}

with sign_ups as (

    select * from {{ ref('fct_sign_up_conversions') }}

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

-- The app's accounts count, where they are connected; its events stand in for them where they are not.
told as (

    select covered.source as origin, covered.last_day
    from sources
    inner join covered
        on
            (sources.is_on and covered.source = 'app_db' and covered.table_name = 'user_profiles')
            or (not sources.is_on and covered.source = 'mixpanel' and covered.table_name = 'events')
    where sources.source = 'app_db' and sources.table_name = 'user_profiles'

),

paid as (

    select last_day from covered
    where source = 'stripe' and table_name = 'subscriptions'

),

judged as (

    select
        sign_ups.signed_up_date,
        sign_ups.segment,
        sign_ups.segment_value,
        case
            when
                sign_ups.paying_date <= paid.last_day
                and sign_ups.paying_date <= {{ add_days('sign_ups.signed_up_date', window_days) }}
                then 1
            else 0
        end as converted
    from sign_ups
    cross join paid
    inner join told
        on
            sign_ups.origin = told.origin
            and sign_ups.signed_up_date <= told.last_day

),

counted as (

    select
        day_periods.grain,
        day_periods.period_start,
        judged.segment,
        judged.segment_value,
        sum(judged.converted) as converted,
        count(*) as people
    from judged
    inner join day_periods on judged.signed_up_date = day_periods.day
    group by day_periods.grain, day_periods.period_start, judged.segment, judged.segment_value

)

select
    'payment_conversion' as metric_id,
    grain,
    period_start,
    segment,
    segment_value,
    cast(converted as double precision) as numerator,
    cast(people as double precision) as denominator,
    {{ divide('converted', 'people') }} as value
from counted
