{{ config(
    materialized='incremental',
    incremental_strategy='replace_landed',
    unique_key='dispute_id',
    meta={'replaces': 'stripe.disputes'}
) }}

with disputes as (

    {{ stripe_objects('disputes', {
        'charge_id': 'charge',
        'status': 'status',
        'reason': 'reason',
        'currency': 'currency',
        'amount': 'amount',
    }) }}

)

select
    object_id as dispute_id,
    charge_id,
    status,
    -- A bank that only asks has taken nothing back.
    status like 'warning%' as is_inquiry,
    reason,
    upper(currency) as currency,
    {{ major_units('amount', 'currency') }} as amount,
    created_at
from disputes
