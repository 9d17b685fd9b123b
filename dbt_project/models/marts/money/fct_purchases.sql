with attempts as (

    select * from {{ ref('fct_payment_attempts') }}
    where captured_amount > refunded_amount and customer_id is not null

),

invoices as (

    select * from {{ ref('stg_stripe__invoices') }}

),

context as (

    select * from {{ source('config', 'run_context') }}

),

rates as (

    select * from {{ ref('fct_exchange_rates') }}

),

-- What has no invoice, or one that is of no subscription.
bought as (

    select
        attempts.customer_id,
        attempts.currency,
        attempts.attempt_date as purchase_date,
        cast(sum(attempts.captured_amount - attempts.refunded_amount) as decimal(38, 6)) as amount
    from attempts
    left join invoices on attempts.invoice_id = invoices.invoice_id
    where invoices.subscription_id is null
    group by attempts.customer_id, attempts.currency, attempts.attempt_date

),

converted as (

    select
        bought.customer_id,
        bought.purchase_date,
        {{ in_reporting_currency('bought.amount', 'bought.currency') }} as amount
    from bought
    cross join context
    left join rates
        on
            bought.purchase_date = rates.day
            and bought.currency = rates.currency

)

select
    'all' as segment,
    'all' as segment_value,
    customer_id,
    purchase_date,
    cast(case when count(amount) = count(*) then sum(amount) end as decimal(38, 6)) as amount
from converted
group by customer_id, purchase_date

union all

select
    'currency' as segment,
    currency as segment_value,
    customer_id,
    purchase_date,
    amount
from bought
