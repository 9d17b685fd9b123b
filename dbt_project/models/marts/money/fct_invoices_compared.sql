{{ config(materialized='view') }}

with invoices as (

    select * from {{ ref('stg_stripe__invoices') }}
    where status = 'paid' and not is_deleted and currency is not null and paid_amount is not null

),

attempts as (

    select * from {{ ref('fct_payment_attempts') }}
    where outcome = 'succeeded' and invoice_id is not null

),

invoice_payments as (

    select * from {{ ref('stg_stripe__invoice_payments') }}

),

customers as (

    select * from {{ ref('int_customers_identified') }}

),

context as (

    select * from {{ source('config', 'run_context') }}

),

landed_days as (

    select * from {{ ref('int_source_days_landed') }}
    where is_landed and source = 'stripe' and table_name = 'invoices'

),

captured as (

    select invoice_id, currency, sum(captured_amount) as amount
    from attempts
    group by invoice_id, currency

),

paid_elsewhere as (

    select distinct invoice_id from invoice_payments
    where payment_record_id is not null

),

-- On the day the invoice was paid, whenever its charges were.
compared as (

    select
        {{ local_date('invoices.paid_at', 'context.timezone') }} as day,
        invoices.currency,
        invoices.paid_amount,
        coalesce(captured.amount, 0) as captured_amount,
        invoices.is_paid_out_of_band or paid_elsewhere.invoice_id is not null as is_paid_elsewhere,
        captured.invoice_id is null as is_without_charge
    from invoices
    cross join context
    left join customers on invoices.customer_id = customers.customer_id
    left join captured
        on
            invoices.invoice_id = captured.invoice_id
            and invoices.currency = captured.currency
    left join paid_elsewhere on invoices.invoice_id = paid_elsewhere.invoice_id
    where not coalesce(customers.is_excluded, false) and invoices.paid_at is not null

),

invoice_days as (

    select
        day,
        currency,
        sum(paid_amount) as paid,
        sum(captured_amount) as captured,
        sum(case when paid_amount <> captured_amount and is_paid_elsewhere then 1 else 0 end) as paid_elsewhere,
        sum(case when paid_amount <> captured_amount and not is_paid_elsewhere and is_without_charge then 1 else 0 end) as without_charge,
        sum(case when paid_amount <> captured_amount and not is_paid_elsewhere and not is_without_charge then 1 else 0 end) as unexplained
    from compared
    group by day, currency

)

select
    'gross_volume: paid invoices, what their charges captured' as what,
    invoice_days.day as period_start,
    invoice_days.currency,
    cast(invoice_days.paid as decimal(38, 3)) as left_value,
    cast(invoice_days.captured as decimal(38, 3)) as right_value,
    concat_ws(
        '; ',
        case when paid_elsewhere > 0 then 'invoices paid outside of Stripe: ' || cast(paid_elsewhere as varchar) end,
        case
            when without_charge > 0
                then 'invoices without a charge that is known in their currency: ' || cast(without_charge as varchar)
        end,
        case when unexplained > 0 then 'amounts that differ, why is not known: ' || cast(unexplained as varchar) end
    ) as reason
from invoice_days
inner join landed_days on invoice_days.day = landed_days.day
