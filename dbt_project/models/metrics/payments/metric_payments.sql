{%- set segments = ['currency', 'card_brand', 'country', 'wallet', 'three_d_secure'] -%}
{%- set columns = segments | join(', ') %}

-- Many payments are told apart by nothing that is asked of them here: they are counted once, and not for each metric.
with payments as (

    select
        first_attempt_date,
        {{ columns }},
        outcome,
        first_attempt_outcome,
        is_recurring,
        count(*) as payments,
        sum(succeeded_attempts) as succeeded_attempts,
        sum(failed_attempts) as failed_attempts
    from {{ ref('fct_payments') }}
    group by 1, 2, 3, 4, 5, 6, 7, 8, 9

),

attempts as (

    select * from {{ ref('fct_payment_attempts') }}

),

disputed_charges as (

    select distinct charge_id from {{ ref('fct_disputes') }}

),

known_days as (

    select last_day from {{ ref('int_sources_covered') }}
    where source = 'stripe' and table_name = 'charges'

),

day_periods as (

    select day_periods.* from {{ source('config', 'day_periods') }} as day_periods
    inner join known_days on day_periods.day <= known_days.last_day

),

captured_charges as (

    select
        attempts.attempt_date,
        {{ columns }},
        count(*) as charges,
        sum(case when attempts.refunded_amount > 0 then 1 else 0 end) as refunded,
        count(disputed_charges.charge_id) as disputed
    from attempts
    left join disputed_charges on attempts.charge_id = disputed_charges.charge_id
    where attempts.captured_amount > 0
    group by 1, 2, 3, 4, 5, 6

),

-- So many of so many; a count has no second number.
facts as (

    select
        'payments' as metric_id, first_attempt_date as day, {{ columns }},
        payments as numerator,
        cast(null as bigint) as denominator
    from payments

    union all

    select
        'payment_success_rate', first_attempt_date, {{ columns }},
        case when outcome in ('first_attempt', 'recovered') then payments else 0 end,
        payments
    from payments
    where outcome in ('first_attempt', 'recovered', 'failed')

    union all

    select
        'first_attempt_success_rate', first_attempt_date, {{ columns }},
        case when first_attempt_outcome = 'succeeded' then payments else 0 end,
        payments
    from payments
    where first_attempt_outcome in ('succeeded', 'failed')

    union all

    select
        'attempt_success_rate', first_attempt_date, {{ columns }},
        succeeded_attempts,
        succeeded_attempts + failed_attempts
    from payments

    union all

    select
        'recovery_rate', first_attempt_date, {{ columns }},
        case when outcome = 'recovered' then payments else 0 end,
        payments
    from payments
    where is_recurring and first_attempt_outcome = 'failed'

    union all

    select 'refund_rate', attempt_date, {{ columns }}, refunded, charges
    from captured_charges

    union all

    select 'dispute_rate', attempt_date, {{ columns }}, disputed, charges
    from captured_charges

),

fact_days as (

    select
        metric_id,
        day,
        {{ columns }},
        sum(numerator) as numerator,
        sum(denominator) as denominator
    from facts
    group by 1, 2, 3, 4, 5, 6, 7

),

counts_by_segment as (

    select
        fact_days.metric_id,
        fact_days.day,
        segments.segment,
        {{ money_segment_value('fact_days', segments) }} as segment_value,
        sum(fact_days.numerator) as numerator,
        sum(fact_days.denominator) as denominator
    from fact_days
    cross join {{ money_segments(segments) }}
    group by 1, 2, 3, 4

),

counted as (

    select
        counts_by_segment.metric_id,
        day_periods.grain,
        day_periods.period_start,
        counts_by_segment.segment,
        counts_by_segment.segment_value,
        sum(counts_by_segment.numerator) as numerator,
        sum(counts_by_segment.denominator) as denominator
    from counts_by_segment
    inner join day_periods on counts_by_segment.day = day_periods.day
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
