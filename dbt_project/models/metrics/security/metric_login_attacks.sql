with attacks as (

    select * from {{ ref('fct_login_attacks') }}

),

covered as (

    select * from {{ ref('int_sources_covered') }}

),

day_periods as (

    select * from {{ source('config', 'day_periods') }}

),

counted as (

    select
        day_periods.grain,
        day_periods.period_start,
        cast(count(*) as double precision) as attacks
    from attacks
    inner join covered
        on
            covered.source = 'app_db'
            and covered.table_name = 'security_events'
            and attacks.attack_date <= covered.last_day
    inner join day_periods on attacks.attack_date = day_periods.day
    group by 1, 2

)

select
    'login_attacks' as metric_id,
    grain,
    period_start,
    'all' as segment,
    'all' as segment_value,
    attacks as numerator,
    cast(null as double precision) as denominator,
    attacks as value
from counted
