{{ config(
    materialized='incremental',
    incremental_strategy='replace_landed',
    unique_key='charge_id',
    meta={'replaces': 'stripe.charges'}
) }}

with charges as (

    {{ stripe_objects('charges', {
        'customer_id': 'customer',
        'payment_intent_id': 'payment_intent',
        'named_invoice_id': 'invoice',
        'status': 'status',
        'currency': 'currency',
        'amount': 'amount',
        'amount_captured': 'amount_captured',
        'amount_refunded': 'amount_refunded',
        'is_captured': 'captured',
        'failure_code': 'failure_code',
        'outcome_type': 'outcome.type',
        'outcome_reason': 'outcome.reason',
        'method': 'payment_method_details.type',
        'card_brand': 'payment_method_details.card.brand',
        'card_country': 'payment_method_details.card.country',
        'bank_country': 'payment_method_details.sepa_debit.country',
        'wallet': 'payment_method_details.card.wallet.type',
        'three_d_secure': 'payment_method_details.card.three_d_secure.result',
        'three_d_secure_version': 'payment_method_details.card.three_d_secure.version',
        'old_card_brand': 'source.brand',
        'old_card_country': 'source.country',
    }) }}

),

amounts as (

    select
        *,
        {{ major_units('amount', 'currency') }} as whole_amount,
        -- Until 2020 what was not captured stood among what was refunded.
        case
            when amount_captured is not null then {{ major_units('amount_captured', 'currency') }}
            when is_captured = 'true' then {{ major_units('amount', 'currency') }}
            else 0
        end as captured_amount,
        {{ major_units("coalesce(amount_refunded, '0')", 'currency') }} as returned_amount
    from charges

)

select
    object_id as charge_id,
    customer_id,
    payment_intent_id,
    named_invoice_id,
    status,
    coalesce(outcome_type = 'blocked', false) as is_blocked,
    is_captured = 'true' as is_captured,
    failure_code,
    case when status = 'failed' then coalesce(outcome_reason, failure_code, '(unknown)') end as decline_code,
    upper(currency) as currency,
    whole_amount as amount,
    captured_amount,
    -- What was authorised and not captured is let go, which was no payment and is no refund: it stands in both.
    case
        when returned_amount >= whole_amount - captured_amount then returned_amount - (whole_amount - captured_amount)
        else returned_amount
    end as refunded_amount,
    method as payment_method,
    case lower(coalesce(card_brand, old_card_brand))
        when 'american express' then 'amex'
        when 'diners club' then 'diners'
        else lower(coalesce(card_brand, old_card_brand))
    end as card_brand,
    upper(coalesce(card_country, bank_country, old_card_country)) as country,
    -- Who pays otherwise than by a card, or by a card alone, has no wallet.
    coalesce(wallet, case when method is not null then 'none' end) as wallet,
    coalesce(three_d_secure, case when method is not null and three_d_secure_version is null then 'none' end) as three_d_secure,
    created_at
from amounts
