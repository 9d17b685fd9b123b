{{ config(
    materialized='incremental',
    incremental_strategy='replace_landed',
    unique_key='invoice_payment_id',
    meta={'replaces': 'stripe.invoice_payments'}
) }}

with invoice_payments as (

    {{ stripe_objects('invoice_payments', {
        'invoice_id': 'invoice',
        'payment_intent_id': 'payment.payment_intent',
        'charge_id': 'payment.charge',
        'payment_record_id': 'payment.payment_record',
    }) }}

)

select
    object_id as invoice_payment_id,
    invoice_id,
    payment_intent_id,
    charge_id,
    -- What was paid outside of Stripe.
    payment_record_id
from invoice_payments
