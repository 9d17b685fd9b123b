-- An object of its own since 2025-03; before that the invoice, the charge and the intent named each other.
with links as (

    select invoice_id, payment_intent_id, charge_id, payment_record_id from {{ ref('stg_stripe__invoice_payment_objects') }}
    union all
    select invoice_id, named_payment_intent_id, named_charge_id, cast(null as varchar) from {{ ref('stg_stripe__invoices') }}
    union all
    select named_invoice_id, payment_intent_id, cast(null as varchar), cast(null as varchar)
    from {{ ref('stg_stripe__payment_intents') }}
    union all
    select named_invoice_id, payment_intent_id, charge_id, cast(null as varchar) from {{ ref('stg_stripe__charges') }}

)

-- The charges of a payment intent are its attempts: they need no link of their own.
select distinct
    invoice_id,
    payment_intent_id,
    case when payment_intent_id is null then charge_id end as charge_id,
    payment_record_id
from links
where invoice_id is not null and coalesce(payment_intent_id, charge_id, payment_record_id) is not null
