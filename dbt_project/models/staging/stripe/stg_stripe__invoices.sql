{{ config(
    materialized='incremental',
    incremental_strategy='replace_landed',
    unique_key='invoice_id',
    meta={'replaces': 'stripe.invoices'}
) }}

with invoices as (

    {{ stripe_objects('invoices', {
        'customer_id': 'customer',
        'old_subscription_id': 'subscription',
        'new_subscription_id': 'parent.subscription_details.subscription',
        'named_payment_intent_id': 'payment_intent',
        'named_charge_id': 'charge',
        'status': 'status',
        'billing_reason': 'billing_reason',
        'currency': 'currency',
        'amount_due': 'amount_due',
        'amount_paid': 'amount_paid',
        'total': 'total',
        'is_paid_out_of_band': 'paid_out_of_band',
        'finalized_at': 'status_transitions.finalized_at',
        'paid_at': 'status_transitions.paid_at',
    }) }}

)

select
    object_id as invoice_id,
    customer_id,
    coalesce(old_subscription_id, new_subscription_id) as subscription_id,
    named_payment_intent_id,
    named_charge_id,
    status,
    billing_reason,
    upper(currency) as currency,
    {{ major_units('amount_due', 'currency') }} as due_amount,
    {{ major_units('amount_paid', 'currency') }} as paid_amount,
    {{ major_units('total', 'currency') }} as total_amount,
    coalesce(is_paid_out_of_band = 'true', false) as is_paid_out_of_band,
    is_deleted,
    created_at,
    {{ utc_of_seconds('finalized_at') }} as finalized_at,
    {{ utc_of_seconds('paid_at') }} as paid_at
from invoices
