{{ config(
    materialized='incremental',
    incremental_strategy='replace_landed',
    unique_key='balance_transaction_id',
    meta={'replaces': 'stripe.balance_transactions'}
) }}

with balance_transactions as (

    {{ stripe_objects('balance_transactions', {
        'source_id': 'source',
        'type': 'type',
        'reporting_category': 'reporting_category',
        'currency': 'currency',
        'amount': 'amount',
        'fee': 'fee',
        'net': 'net',
        'available_on': 'available_on',
    }) }}

)

select
    object_id as balance_transaction_id,
    source_id,
    type as transaction_type,
    reporting_category,
    case
        when coalesce(reporting_category, type) in (
            'charge', 'payment', 'charge_failure', 'payment_failure_refund', 'partial_capture_reversal'
        ) then 'charge'
        when coalesce(reporting_category, type) in ('refund', 'payment_refund', 'refund_failure') then 'refund'
        when coalesce(reporting_category, type) in ('dispute', 'dispute_reversal') then 'dispute'
        when reporting_category is null and type = 'adjustment' then 'dispute'
        when coalesce(reporting_category, type) in (
            'fee', 'stripe_fee', 'stripe_fx_fee', 'network_cost', 'tax', 'tax_fee'
        ) then 'fee'
        -- It moves money that is counted already, or holds it back for a while.
        when coalesce(reporting_category, type) in (
            'payout', 'payout_cancel', 'payout_failure', 'payout_reversal', 'payout_minimum_balance_hold',
            'payout_minimum_balance_release', 'transfer', 'transfer_cancel', 'transfer_failure', 'transfer_refund',
            'transfer_reversal', 'topup', 'topup_reversal', 'reserve_transaction', 'reserved_funds',
            'risk_reserved_funds', 'connect_reserved_funds', 'connect_collection_transfer', 'advance',
            'advance_funding', 'anticipation_repayment'
        ) then 'transfer'
    end as kind,
    upper(currency) as currency,
    {{ major_units('amount', 'currency') }} as amount,
    {{ major_units('fee', 'currency') }} as fee_amount,
    {{ major_units('net', 'currency') }} as net_amount,
    created_at,
    {{ utc_of_seconds('available_on') }} as available_at
from balance_transactions
