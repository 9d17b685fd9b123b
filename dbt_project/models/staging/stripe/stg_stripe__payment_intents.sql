{{ config(
    materialized='incremental',
    incremental_strategy='replace_landed',
    unique_key='payment_intent_id',
    meta={'replaces': 'stripe.payment_intents'}
) }}

with payment_intents as (

    {{ stripe_objects('payment_intents', {
        'customer_id': 'customer',
        'named_invoice_id': 'invoice',
        'status': 'status',
        'currency': 'currency',
        'amount': 'amount',
        'amount_received': 'amount_received',
        'cancellation_reason': 'cancellation_reason',
        'canceled_at': 'canceled_at',
    }) }}

)

select
    object_id as payment_intent_id,
    customer_id,
    named_invoice_id,
    status,
    upper(currency) as currency,
    {{ major_units('amount', 'currency') }} as amount,
    {{ major_units('amount_received', 'currency') }} as received_amount,
    cancellation_reason,
    created_at,
    {{ utc_of_seconds('canceled_at') }} as canceled_at
from payment_intents
