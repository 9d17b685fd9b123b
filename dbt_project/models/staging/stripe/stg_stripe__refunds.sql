{{ config(
    materialized='incremental',
    incremental_strategy='replace_landed',
    unique_key='refund_id',
    meta={'replaces': 'stripe.refunds'}
) }}

with refunds as (

    {{ stripe_objects('refunds', {
        'charge_id': 'charge',
        'status': 'status',
        'reason': 'reason',
        'currency': 'currency',
        'amount': 'amount',
    }) }}

)

select
    object_id as refund_id,
    charge_id,
    status,
    reason,
    upper(currency) as currency,
    {{ major_units('amount', 'currency') }} as amount,
    created_at
from refunds
