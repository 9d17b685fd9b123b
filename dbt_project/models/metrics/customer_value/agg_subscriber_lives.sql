with lives as (

    select * from {{ ref('fct_subscriber_lives') }}

),

months as (

    select day, period_start from {{ source('config', 'day_periods') }}
    where grain = 'month'

)

select
    lives.segment,
    lives.segment_value,
    began.period_start as began_month,
    ended.period_start as ended_month,
    count(*) as customers
from lives
inner join months as began on lives.began_date = began.day
left join months as ended on lives.ended_date = ended.day
group by lives.segment, lives.segment_value, began.period_start, ended.period_start
