with feedback as (

    select * from {{ ref('fct_feedback') }}

),

covered as (

    select * from {{ ref('int_sources_covered') }}

),

day_periods as (

    select * from {{ source('config', 'day_periods') }}

),

-- Each fact counts as so many of so many; a count has no second number.
facts as (

    select
        feedback.feedback_date,
        feedback.platform,
        feedback.priority,
        feedback.category,
        case feedback.table_name
            when 'nps_responses' then 'nps'
            when 'app_store_ratings' then 'app_store_rating'
            else 'support_tickets'
        end as metric_id,
        case
            when feedback.table_name = 'support_tickets' then 1
            when feedback.table_name = 'app_store_ratings' then feedback.score
            when feedback.score >= 9 then 100
            when feedback.score <= 6 then -100
            else 0
        end as numerator,
        case when feedback.table_name <> 'support_tickets' then 1 end as denominator
    from feedback
    inner join covered
        on
            feedback.origin = covered.source
            and feedback.table_name = covered.table_name
            and feedback.feedback_date <= covered.last_day

),

counted as (

    select
        facts.metric_id,
        day_periods.grain,
        day_periods.period_start,
        segments.segment,
        {{ money_segment_value('facts', ['platform', 'priority', 'category']) }} as segment_value,
        sum(facts.numerator) as numerator,
        sum(facts.denominator) as denominator
    from facts
    inner join day_periods on facts.feedback_date = day_periods.day
    inner join {{ money_segments(['platform', 'priority', 'category']) }}
        on
            segments.segment = 'all'
            or (facts.metric_id = 'app_store_rating' and segments.segment = 'platform')
            or (facts.metric_id = 'support_tickets' and segments.segment in ('priority', 'category'))
    group by 1, 2, 3, 4, 5

)

select
    metric_id,
    grain,
    period_start,
    segment,
    segment_value,
    cast(numerator as double precision) as numerator,
    cast(denominator as double precision) as denominator,
    case when denominator is null then cast(numerator as double precision) else {{ divide('numerator', 'denominator') }} end as value
from counted
