{{ config(
    materialized='incremental',
    incremental_strategy='replace_landed',
    unique_key='invoice_id',
    meta={'replaces': 'stripe.invoices'}
) }}

{%- set fields = {
    'line_id': 'id',
    'new_type': 'parent.type',
    'old_type': 'type',
    'new_subscription_id': 'parent.subscription_item_details.subscription',
    'new_subscription_id_of_item': 'parent.invoice_item_details.subscription',
    'old_subscription_id': 'subscription',
    'new_subscription_item_id': 'parent.subscription_item_details.subscription_item',
    'old_subscription_item_id': 'subscription_item',
    'new_is_proration': 'parent.subscription_item_details.proration',
    'new_is_proration_of_item': 'parent.invoice_item_details.proration',
    'old_is_proration': 'proration',
    'new_price_id': 'pricing.price_details.price',
    'old_price_id': 'price.id',
    'plan_id': 'plan.id',
    'new_product_id': 'pricing.price_details.product',
    'old_product_id': 'price.product',
    'plan_product_id': 'plan.product',
    'new_unit_amount': 'pricing.unit_amount_decimal',
    'old_unit_amount_decimal': 'price.unit_amount_decimal',
    'old_unit_amount': 'price.unit_amount',
    'plan_amount_decimal': 'plan.amount_decimal',
    'plan_amount': 'plan.amount',
    'currency': 'currency',
    'quantity': 'quantity',
    'amount': 'amount',
    'first_discount': 'discount_amounts.0.amount',
    'period_start': 'period.start',
    'period_end': 'period.end',
} %}

with invoices as (

    {{ stripe_current_versions('invoices') }}

),

elements as (

    select
        object_id,
        created_at,
        {{ json_elements('content', 'lines.data') }} as element
    from invoices
    where not is_deleted

),

parsed as (

    select
        object_id,
        created_at,
        element,
        {{ json_texts('element', fields.values() | list) }} as texts
    from elements

),

lines as (

    select
        object_id,
        created_at,
        element,
        {{ named_texts(fields) }}
    from parsed

),

-- Of each discount that the line has.
discounts as (

    select
        object_id,
        line_id,
        {{ json_elements('element', 'discount_amounts') }} as discount
    from lines
    where first_discount is not null

),

taken_off as (

    select
        object_id,
        line_id,
        sum({{ whole_number(json_text('discount', "'amount'")) }}) as amount
    from discounts
    group by object_id, line_id

)

-- Where it belongs stands in `parent` since 2025-03, and what it cost in `pricing`.
select
    lines.line_id as invoice_line_id,
    lines.object_id as invoice_id,
    case coalesce(new_type, old_type)
        when 'subscription_item_details' then 'subscription'
        when 'invoice_item_details' then 'invoiceitem'
        else coalesce(new_type, old_type)
    end as line_type,
    coalesce(new_subscription_id, new_subscription_id_of_item, old_subscription_id) as subscription_id,
    coalesce(new_subscription_item_id, old_subscription_item_id) as subscription_item_id,
    coalesce(new_is_proration, new_is_proration_of_item, old_is_proration, 'false') = 'true' as is_proration,
    coalesce(new_price_id, old_price_id, plan_id) as price_id,
    coalesce(new_product_id, old_product_id, plan_product_id) as product_id,
    upper(currency) as currency,
    {{ major_units_of_price(
        'coalesce(new_unit_amount, old_unit_amount_decimal, old_unit_amount, plan_amount_decimal, plan_amount)', 'currency'
    ) }} as unit_amount,
    cast(quantity as bigint) as quantity,
    {{ major_units('lines.amount', 'currency') }} as amount,
    {{ major_units('coalesce(taken_off.amount, 0)', 'currency') }} as discount_amount,
    created_at as invoiced_at,
    {{ utc_of_seconds('period_start') }} as period_start_at,
    {{ utc_of_seconds('period_end') }} as period_end_at
from lines
left join taken_off
    on
        lines.object_id = taken_off.object_id
        and lines.line_id = taken_off.line_id
