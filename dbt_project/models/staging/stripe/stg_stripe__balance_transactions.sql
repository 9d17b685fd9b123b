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
    upper(currency) as currency,
    {{ major_units('amount', 'currency') }} as amount,
    {{ major_units('fee', 'currency') }} as fee_amount,
    {{ major_units('net', 'currency') }} as net_amount,
    created_at,
    {{ utc_of_seconds('available_on') }} as available_at
from balance_transactions
