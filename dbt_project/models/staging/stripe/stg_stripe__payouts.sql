{{ config(
    materialized='incremental',
    incremental_strategy='replace_landed',
    unique_key='payout_id',
    meta={'replaces': 'stripe.payouts'}
) }}

with payouts as (

    {{ stripe_objects('payouts', {
        'status': 'status',
        'is_automatic': 'automatic',
        'reconciliation_status': 'reconciliation_status',
        'currency': 'currency',
        'amount': 'amount',
        'balance_transaction_ids': 'balance_transactions',
    }) }}

)

select
    object_id as payout_id,
    status,
    is_automatic = 'true' as is_automatic,
    reconciliation_status,
    upper(currency) as currency,
    {{ major_units('amount', 'currency') }} as amount,
    balance_transaction_ids,
    created_at
from payouts
