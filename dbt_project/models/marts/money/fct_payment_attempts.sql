with charges as (

    select * from {{ ref('stg_stripe__charges') }}

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

invoices_of_intents as (

    select payment_intent_id, min(invoice_id) as invoice_id
    from invoice_payments
    where payment_intent_id is not null
    group by payment_intent_id

),

invoices_of_charges as (

    select charge_id, min(invoice_id) as invoice_id
    from invoice_payments
    where charge_id is not null
    group by charge_id

),

attempts as (

    select
        charges.charge_id,
        coalesce(charges.payment_intent_id, invoices_of_charges.invoice_id, charges.charge_id) as payment_id,
        coalesce(invoices_of_intents.invoice_id, invoices_of_charges.invoice_id) as invoice_id,
        charges.customer_id,
        case
            when charges.is_blocked then 'blocked'
            else charges.status
        end as outcome,
        case when charges.status = 'succeeded' then charges.captured_amount else 0 end as captured_amount,
        charges.refunded_amount,
        charges.decline_code,
        charges.currency,
        charges.amount,
        coalesce(charges.card_brand, '(unknown)') as card_brand,
        coalesce(charges.country, customers.country, '(unknown)') as country,
        coalesce(charges.wallet, '(unknown)') as wallet,
        coalesce(charges.three_d_secure, '(unknown)') as three_d_secure,
        charges.created_at,
        {{ local_date('charges.created_at', 'context.timezone') }} as attempt_date
    from charges
    cross join context
    left join customers on charges.customer_id = customers.customer_id
    left join invoices_of_intents on charges.payment_intent_id = invoices_of_intents.payment_intent_id
    left join invoices_of_charges
        on
            case when charges.payment_intent_id is null then charges.charge_id end = invoices_of_charges.charge_id
    where
        not coalesce(customers.is_excluded, false)
        and charges.currency is not null
        and charges.amount is not null

),

-- Nearly all payments are one attempt: only where there are several is there something to be put in order.
repeated as (

    select payment_id from attempts
    group by payment_id
    having count(*) > 1

),

numbered as (

    select
        attempts.charge_id,
        row_number() over (
            partition by attempts.payment_id
            order by attempts.created_at, case when attempts.outcome = 'succeeded' then 1 else 0 end, attempts.charge_id
        ) as attempt_number
    from attempts
    inner join repeated on attempts.payment_id = repeated.payment_id

)

select
    attempts.*,
    coalesce(numbered.attempt_number, 1) as attempt_number
from attempts
left join numbered on attempts.charge_id = numbered.charge_id
