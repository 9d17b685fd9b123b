{%- set fields = {
    'payment_method_id': 'invoice_settings.default_payment_method',
    'payment_source_id': 'default_source',
} %}

with versions as (

    select
        object_id,
        effective_at,
        position('"default_payment_method":' in content) > 0 as tells_payment_method,
        {{ json_texts('content', fields.values() | list) }} as texts,
        row_number() over (
            partition by object_id
            order by
                effective_at,
                case origin when 'before' then 0 when 'event' then 1 else 2 end,
                landing,
                content_hash
        ) as version
    from {{ source('raw_stripe', 'customers') }}

),

customers as (

    select
        object_id,
        version,
        effective_at,
        tells_payment_method,
        {{ named_texts(fields) }}
    from versions

)

select
    object_id as customer_id,
    version,
    effective_at,
    {{ stripe_has_payment_method() }} as has_payment_method
from customers
