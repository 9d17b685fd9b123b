{#- What each counts beside ours, or does not, by the name of the part that it differs by. -#}
{%- set modes = {
    'billed': {'coupons_that_end': 'coupons_that_end'},
    'stripe_billing': {},
    'chartmogul': {'paused': 'paused_less_coupons'},
    'fivetran_dbt': {
        'coupons_kept': 'coupons_kept',
        'daily_prices': 'daily_prices',
        'paused': 'paused',
        'trials': 'trials',
        'unpaid': 'unpaid',
        'ended_early': 'ended_early',
    },
} -%}

with changes as (

    select * from {{ ref('fct_mrr_part_changes') }}

),

context as (

    select * from {{ source('config', 'run_context') }}

),

rates as (

    select * from {{ ref('fct_exchange_rates') }}

),

covered as (

    select * from {{ ref('int_metrics_covered') }}
    where metric_id = 'mrr' and needed_for = 'all'

),

months as (

    select
        day_periods.period_start,
        day_periods.period_end,
        max(day_periods.day) as last_day
    from {{ source('config', 'day_periods') }} as day_periods
    inner join covered on day_periods.day <= covered.last_day
    where day_periods.grain = 'month'
    group by day_periods.period_start, day_periods.period_end

),

in_own_currency as (

    select
        months.period_start,
        months.period_end,
        months.last_day,
        changes.currency,
        changes.part,
        sum(changes.change) as amount
    from months
    inner join changes on months.last_day >= changes.change_date
    group by months.period_start, months.period_end, months.last_day, changes.currency, changes.part

),

amounts as (

    select
        period_start,
        period_end,
        currency,
        part,
        amount
    from in_own_currency

    union all

    select
        in_own_currency.period_start,
        in_own_currency.period_end,
        'all',
        in_own_currency.part,
        case
            when count({{ in_reporting_currency('in_own_currency.amount', 'in_own_currency.currency') }}) = count(*)
                then sum({{ in_reporting_currency('in_own_currency.amount', 'in_own_currency.currency') }})
        end
    from in_own_currency
    cross join context
    left join rates
        on
            in_own_currency.last_day = rates.day
            and in_own_currency.currency = rates.currency
    group by in_own_currency.period_start, in_own_currency.period_end, in_own_currency.part

),

series as (

    select distinct period_start, period_end, currency from amounts

),

reasons (mode, reason, part) as (

    values
    {% for mode, reasons in modes.items() %}
        ('{{ mode }}', 'ours', 'ours'){{ ',' if reasons or not loop.last }}
        {% for reason, part in reasons.items() %}
            ('{{ mode }}', '{{ reason }}', '{{ part }}'){{ ',' if not loop.last }}
        {% endfor %}
        {{ ',' if reasons and not loop.last }}
    {% endfor %}

),

told as (

    select
        series.period_start,
        series.period_end,
        series.currency,
        reasons.mode,
        reasons.reason,
        case when amounts.part is null then 0 else amounts.amount end as amount
    from series
    cross join reasons
    left join amounts
        on
            series.period_start = amounts.period_start
            and series.currency = amounts.currency
            and reasons.part = amounts.part
    where reasons.reason = 'ours' or (amounts.part is not null and amounts.amount is distinct from 0)

),

whole as (

    select
        period_start,
        period_end,
        currency,
        mode,
        'total' as reason,
        case when count(amount) = count(*) then sum(amount) end as amount
    from told
    group by period_start, period_end, currency, mode

),

everything as (

    select * from told
    union all
    select * from whole

)

select
    everything.period_start,
    everything.currency,
    everything.mode,
    everything.reason,
    cast(everything.amount as decimal(38, 6)) as amount,
    coalesce(
        everything.period_start >= covered.covered_from and everything.period_end <= covered.complete_through, false
    ) as is_complete
from everything
cross join covered
