{%- set segments = ['currency', 'card_brand', 'country'] -%}
{%- set columns = 'currency, card_brand, country' %}

with attempts as (

    select * from {{ ref('fct_payment_attempts') }}

),

-- Each day's in sum: what is asked of them below is asked of few rows.
balance_changes as (

    select
        kind,
        change_date,
        {{ columns }},
        cast(sum(amount) as decimal(38, 3)) as amount,
        cast(sum(fee_amount) as decimal(38, 3)) as fee_amount,
        cast(sum(net_amount) as decimal(38, 3)) as net_amount
    from {{ ref('fct_balance_changes') }}
    group by 1, 2, 3, 4, 5

),

known_days as (

    select last_day from {{ ref('int_sources_covered') }}
    where source = 'stripe' and table_name = 'charges'

),

day_periods as (

    select day_periods.* from {{ source('config', 'day_periods') }} as day_periods
    inner join known_days on day_periods.day <= known_days.last_day

),

rates as (

    select * from {{ ref('fct_exchange_rates') }}

),

context as (

    select * from {{ source('config', 'run_context') }}

),

amounts as (

    select 'gross_volume' as metric_id, attempt_date as day, {{ columns }}, captured_amount as amount
    from attempts
    where captured_amount > 0

    union all

    select 'refunds', change_date, {{ columns }}, -amount from balance_changes
    where kind = 'refund'

    union all

    select 'disputes', change_date, {{ columns }}, -amount from balance_changes
    where kind = 'dispute'

    union all

    select 'fees', change_date, {{ columns }}, fee_amount from balance_changes

    union all

    select 'net_volume', change_date, {{ columns }}, net_amount from balance_changes

    union all

    -- What fees are a share of, which is in their currency, and on their side of every exchange.
    select 'charges in the balance', change_date, {{ columns }}, amount from balance_changes
    where kind = 'charge'

),

amount_days as (

    select
        metric_id,
        day,
        {{ columns }},
        -- With as many decimals as what is converted has: a case cuts both to those that they share.
        cast(sum(amount) as decimal(38, 6)) as amount
    from amounts
    group by 1, 2, 3, 4, 5

),

-- Each amount at the rate of its own day.
converted_days as (

    select
        amount_days.*,
        {{ in_reporting_currency('amount_days.amount', 'amount_days.currency') }} as converted_amount
    from amount_days
    cross join context
    left join rates
        on
            amount_days.day = rates.day
            and amount_days.currency = rates.currency

),

amounts_by_segment as (

    select
        converted_days.metric_id,
        converted_days.day,
        segments.segment,
        {{ money_segment_value('converted_days', segments) }} as segment_value,
        sum(case when segments.segment = 'currency' then converted_days.amount else converted_days.converted_amount end) as amount,
        sum(case when segments.segment <> 'currency' and converted_days.converted_amount is null then 1 else 0 end) as unconverted
    from converted_days
    cross join {{ money_segments(segments) }}
    group by 1, 2, 3, 4

),

-- A total that holds what can't be converted is unknown.
summed as (

    select
        amounts_by_segment.metric_id,
        day_periods.grain,
        day_periods.period_start,
        amounts_by_segment.segment,
        amounts_by_segment.segment_value,
        case when sum(amounts_by_segment.unconverted) = 0 then sum(amounts_by_segment.amount) end as amount
    from amounts_by_segment
    inner join day_periods on amounts_by_segment.day = day_periods.day
    group by 1, 2, 3, 4, 5

),

fees_of_charges as (

    select
        fees.grain,
        fees.period_start,
        fees.segment,
        fees.segment_value,
        case when charges.metric_id is null or charges.amount is not null then fees.amount end as fees,
        case when charges.metric_id is null then 0 else charges.amount end as charged
    from summed as fees
    left join summed as charges
        on
            fees.grain = charges.grain
            and fees.period_start = charges.period_start
            and fees.segment = charges.segment
            and fees.segment_value = charges.segment_value
            and charges.metric_id = 'charges in the balance'
    where fees.metric_id = 'fees'

)

select
    metric_id,
    grain,
    period_start,
    segment,
    segment_value,
    cast(amount as double precision) as numerator,
    cast(null as double precision) as denominator,
    cast(amount as double precision) as value
from summed
where metric_id <> 'charges in the balance'

union all

select
    'effective_fee_rate' as metric_id,
    grain,
    period_start,
    segment,
    segment_value,
    cast(fees as double precision) as numerator,
    cast(charged as double precision) as denominator,
    {{ divide('fees', 'charged') }} as value
from fees_of_charges
