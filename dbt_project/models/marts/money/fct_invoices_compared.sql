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
        invoices.invoice_id as object_id,
        invoices.paid_amount as left_value,
        coalesce(captured.amount, 0) as right_value,
        1 as objects,
        case
            when invoices.paid_amount = coalesce(captured.amount, 0) then null
            when invoices.is_paid_out_of_band or paid_elsewhere.invoice_id is not null then 'paid elsewhere'
            when captured.invoice_id is null then 'without charge'
            else 'unexplained'
        end as cause
    from invoices
    cross join context
    left join customers on invoices.customer_id = customers.customer_id
    left join captured
        on
            invoices.invoice_id = captured.invoice_id
            and invoices.currency = captured.currency
    left join paid_elsewhere on invoices.invoice_id = paid_elsewhere.invoice_id
    where not coalesce(customers.is_excluded, false) and invoices.paid_at is not null

)

{{ compared_by_day('gross_volume: paid invoices, what their charges captured', 'compared', 'landed_days', {
    'paid elsewhere': 'invoices paid outside of Stripe',
    'without charge': 'invoices without a charge that is known in their currency',
    'unexplained': 'amounts that differ, why is not known',
}) }}
