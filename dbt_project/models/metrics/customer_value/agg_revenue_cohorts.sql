with lives as (

    select * from {{ ref('fct_subscriber_lives') }}

),

changes as (

    select * from {{ ref('fct_mrr_changes') }}
    where segment = 'all'

),

receipts as (

    select * from {{ ref('fct_balance_changes') }}
    where kind in ('charge', 'refund', 'dispute') and customer_id is not null

),

rates as (

    select * from {{ ref('fct_exchange_rates') }}

),

context as (

    select * from {{ source('config', 'run_context') }}

),

known_days as (

    select first_day, last_day from {{ ref('int_sources_covered') }}
    where source = 'stripe' and table_name = 'subscriptions'

),

month_days as (

    select day_periods.day, day_periods.period_start
    from {{ source('config', 'day_periods') }} as day_periods
    inner join known_days on day_periods.day between known_days.first_day and known_days.last_day
    where day_periods.grain = 'month'

),

months as (

    select period_start, max(day) as last_day
    from month_days
    group by period_start

),

members as (

    select
        lives.segment,
        lives.segment_value,
        lives.customer_id,
        month_days.period_start as cohort_month
    from lives
    inner join month_days on lives.began_date = month_days.day

),

cells as (

    select
        cohorts.segment,
        cohorts.segment_value,
        cohorts.cohort_month,
        cohorts.customers,
        months.period_start,
        months.last_day
    from (
        select segment, segment_value, cohort_month, count(*) as customers
        from members
        group by segment, segment_value, cohort_month
    ) as cohorts
    inner join months on cohorts.cohort_month <= months.period_start

),

receipt_days as (

    select
        customer_id,
        currency,
        charged_currency,
        change_date,
        cast(sum(amount) as decimal(38, 6)) as amount
    from receipts
    group by customer_id, currency, charged_currency, change_date

),

converted_receipts as (

    select
        receipt_days.*,
        {{ in_reporting_currency('receipt_days.amount', 'receipt_days.currency') }} as converted_amount
    from receipt_days
    cross join context
    left join rates
        on
            receipt_days.change_date = rates.day
            and receipt_days.currency = rates.currency

),

-- What was paid before the subscription began is of its first month. What was charged in one currency and came in as
-- another is not known in the first.
received as (

    select
        members.segment,
        members.segment_value,
        members.cohort_month,
        greatest(month_days.period_start, members.cohort_month) as period_start,
        sum(case
            when members.segment <> 'currency' then converted_receipts.converted_amount
            when converted_receipts.currency = members.segment_value then converted_receipts.amount
        end) as amount,
        sum(case
            when members.segment <> 'currency' and converted_receipts.converted_amount is null then 1
            when members.segment = 'currency' and converted_receipts.currency <> members.segment_value then 1
            else 0
        end) as unconverted
    from converted_receipts
    inner join members
        on
            converted_receipts.customer_id = members.customer_id
            and (members.segment <> 'currency' or converted_receipts.charged_currency = members.segment_value)
    inner join month_days on converted_receipts.change_date = month_days.day
    group by
        members.segment,
        members.segment_value,
        members.cohort_month,
        greatest(month_days.period_start, members.cohort_month)

),

steps as (

    select
        members.segment,
        members.segment_value,
        members.cohort_month,
        changes.currency,
        month_days.period_start,
        sum(changes.change) as change,
        sum(changes.customer_change) as customer_change
    from changes
    inner join members
        on
            changes.customer_id = members.customer_id
            and (
                members.segment <> 'currency'
                or changes.currency = members.segment_value
            )
    inner join month_days on changes.change_date = month_days.day
    group by members.segment, members.segment_value, members.cohort_month, changes.currency, month_days.period_start

),

currencies as (

    select distinct segment, segment_value, cohort_month, currency
    from steps

),

balances as (

    select
        cells.segment,
        cells.segment_value,
        cells.cohort_month,
        cells.period_start,
        cells.last_day,
        currencies.currency,
        sum(coalesce(steps.change, 0)) over so_far as amount,
        sum(coalesce(steps.customer_change, 0)) over so_far as customers
    from cells
    inner join currencies
        on
            cells.segment = currencies.segment
            and cells.segment_value = currencies.segment_value
            and cells.cohort_month = currencies.cohort_month
    left join steps
        on
            currencies.segment = steps.segment
            and currencies.segment_value = steps.segment_value
            and currencies.cohort_month = steps.cohort_month
            and currencies.currency = steps.currency
            and cells.period_start = steps.period_start
    window
        so_far as (
            partition by currencies.segment, currencies.segment_value, currencies.cohort_month, currencies.currency
            order by cells.period_start
        )

),

-- Each currency at the rate of the month's last day; in the whole of all of them a customer counts once.
converted_balances as (

    select
        balances.segment,
        balances.segment_value,
        balances.cohort_month,
        balances.period_start,
        sum(case
            when balances.segment = 'currency' then balances.amount
            when balances.currency <> 'all' then {{ in_reporting_currency('balances.amount', 'balances.currency') }}
        end) as mrr,
        sum(case
            when balances.segment = 'currency' or balances.currency = 'all' then 0
            when {{ in_reporting_currency('balances.amount', 'balances.currency') }} is null then 1
            else 0
        end) as unconverted,
        sum(case
            when balances.segment = 'currency' or balances.currency = 'all' then balances.customers
            else 0
        end) as active_customers
    from balances
    cross join context
    left join rates
        on
            balances.last_day = rates.day
            and balances.currency = rates.currency
    group by balances.segment, balances.segment_value, balances.cohort_month, balances.period_start

),

together as (

    select
        cells.segment,
        cells.segment_value,
        cells.cohort_month,
        cells.period_start,
        cells.customers,
        coalesce(converted_balances.active_customers, 0) as active_customers,
        case
            when coalesce(converted_balances.unconverted, 0) = 0 then coalesce(converted_balances.mrr, 0)
        end as mrr,
        sum(coalesce(received.amount, 0)) over so_far as net_revenue,
        sum(coalesce(received.unconverted, 0)) over so_far as unconverted
    from cells
    left join converted_balances
        on
            cells.segment = converted_balances.segment
            and cells.segment_value = converted_balances.segment_value
            and cells.cohort_month = converted_balances.cohort_month
            and cells.period_start = converted_balances.period_start
    left join received
        on
            cells.segment = received.segment
            and cells.segment_value = received.segment_value
            and cells.cohort_month = received.cohort_month
            and cells.period_start = received.period_start
    window so_far as (partition by cells.segment, cells.segment_value, cells.cohort_month order by cells.period_start)

)

select
    segment,
    segment_value,
    cohort_month,
    period_start,
    cast(
        12 * (extract(year from period_start) - extract(year from cohort_month))
        + extract(month from period_start) - extract(month from cohort_month)
        as bigint
    ) as month_index,
    customers,
    cast(active_customers as bigint) as active_customers,
    cast(mrr as decimal(38, 6)) as mrr,
    cast(case when unconverted = 0 then net_revenue end as decimal(38, 6)) as net_revenue_cumulative
from together
