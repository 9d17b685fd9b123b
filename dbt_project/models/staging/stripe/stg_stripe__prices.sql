with prices as (

    {{ stripe_objects('prices', {
        'product_id': 'product',
        'currency': 'currency',
        'unit_amount': 'unit_amount',
        'unit_amount_decimal': 'unit_amount_decimal',
        'billing_scheme': 'billing_scheme',
        'billing_interval': 'recurring.interval',
        'interval_count': 'recurring.interval_count',
        'usage_type': 'recurring.usage_type',
        'is_active': 'active',
    }) }}

)

select
    object_id as price_id,
    product_id,
    upper(currency) as currency,
    {{ major_units_of_price('coalesce(unit_amount_decimal, unit_amount)', 'currency') }} as unit_amount,
    billing_scheme,
    billing_interval,
    cast(interval_count as integer) as interval_count,
    usage_type,
    is_active = 'true' as is_active,
    is_deleted,
    created_at
from prices
