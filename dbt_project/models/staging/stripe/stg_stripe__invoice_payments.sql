-- An object of its own since 2025-03; before that the invoice, the charge and the intent named each other.
with invoice_payments as (

    {{ stripe_objects('invoice_payments', {
        'invoice_id': 'invoice',
        'payment_intent_id': 'payment.payment_intent',
        'charge_id': 'payment.charge',
        'payment_record_id': 'payment.payment_record',
    }) }}

),

invoices as (

    {{ stripe_objects('invoices', {'payment_intent_id': 'payment_intent', 'charge_id': 'charge'}) }}

),

payment_intents as (

    {{ stripe_objects('payment_intents', {'invoice_id': 'invoice'}) }}

),

charges as (

    {{ stripe_objects('charges', {'invoice_id': 'invoice', 'payment_intent_id': 'payment_intent'}) }}

),

links as (

    select invoice_id, payment_intent_id, charge_id, payment_record_id from invoice_payments
    union all
    select object_id, payment_intent_id, charge_id, cast(null as varchar) from invoices
    union all
    select invoice_id, object_id, cast(null as varchar), cast(null as varchar) from payment_intents
    union all
    select invoice_id, payment_intent_id, object_id, cast(null as varchar) from charges

)

-- The charges of a payment intent are its attempts: they need no link of their own.
select distinct
    invoice_id,
    payment_intent_id,
    case when payment_intent_id is null then charge_id end as charge_id,
    -- What was paid outside of Stripe.
    payment_record_id
from links
where invoice_id is not null and coalesce(payment_intent_id, charge_id, payment_record_id) is not null
