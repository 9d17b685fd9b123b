{{ config(
    materialized='incremental',
    incremental_strategy='replace_landed',
    unique_key='subscription_id',
    meta={'replaces': 'stripe.subscriptions'}
) }}

{%- set fields = {
    'item_id': 'id',
    'is_deleted': 'deleted',
    'quantity': 'quantity',
    'price_id': 'price.id',
    'product_id': 'price.product',
    'currency': 'price.currency',
    'unit_amount': 'price.unit_amount',
    'unit_amount_decimal': 'price.unit_amount_decimal',
    'billing_interval': 'price.recurring.interval',
    'interval_count': 'price.recurring.interval_count',
    'usage_type': 'price.recurring.usage_type',
    'tax_behavior': 'price.tax_behavior',
    'divide_by': 'price.transform_quantity.divide_by',
    'divide_round': 'price.transform_quantity.round',
    'plan_id': 'plan.id',
    'plan_product_id': 'plan.product',
    'plan_currency': 'plan.currency',
    'plan_amount': 'plan.amount',
    'plan_amount_decimal': 'plan.amount_decimal',
    'plan_interval': 'plan.interval',
    'plan_interval_count': 'plan.interval_count',
    'plan_usage_type': 'plan.usage_type',
} %}

with versions as (

    {{ stripe_subscription_versions() }}

),

elements as (

    select
        object_id,
        version,
        {{ json_elements('content', 'items.data') }} as element
    from versions

),

parsed as (

    select
        object_id,
        version,
        {{ json_texts('element', fields.values() | list) }} as texts
    from elements

),

items as (

    select
        object_id,
        version,
        {{ named_texts(fields) }}
    from parsed

),

-- What a price is called in the oldest shapes: a plan.
priced as (

    select
        object_id as subscription_id,
        version,
        item_id as subscription_item_id,
        coalesce(price_id, plan_id) as price_id,
        coalesce(product_id, plan_product_id) as product_id,
        upper(coalesce(currency, plan_currency)) as currency,
        coalesce(unit_amount_decimal, unit_amount, plan_amount_decimal, plan_amount) as minor_units,
        cast(coalesce(quantity, '1') as bigint) as quantity,
        cast(divide_by as bigint) as divide_by,
        divide_round,
        coalesce(billing_interval, plan_interval) as billing_interval,
        cast(coalesce(interval_count, plan_interval_count, '1') as integer) as interval_count,
        coalesce(usage_type, plan_usage_type, 'licensed') as usage_type,
        coalesce(tax_behavior = 'inclusive', false) as has_tax_inside
    from items
    where coalesce(is_deleted, 'false') <> 'true'

)

select
    subscription_id,
    version,
    subscription_item_id,
    price_id,
    product_id,
    currency,
    {{ major_units_of_price('minor_units', 'currency') }} as unit_amount,
    minor_units is not null as has_unit_amount,
    -- Prices by the package count packages.
    cast(case
        when divide_by is null then quantity
        when divide_round = 'up' then (quantity + divide_by - 1 - (quantity + divide_by - 1) % divide_by) / divide_by
        else (quantity - quantity % divide_by) / divide_by
    end as bigint) as quantity,
    billing_interval,
    interval_count,
    usage_type,
    has_tax_inside
from priced
