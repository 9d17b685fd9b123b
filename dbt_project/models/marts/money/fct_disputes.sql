{{ config(materialized='view') }}

select
    dispute_id,
    charge_id,
    status,
    reason,
    currency,
    amount,
    created_at
from {{ ref('stg_stripe__disputes') }}
where not is_inquiry
