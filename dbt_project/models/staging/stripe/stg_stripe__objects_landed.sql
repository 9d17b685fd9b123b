{%- set tables = [
    'balance_transactions',
    'charges',
    'customers',
    'disputes',
    'invoice_payments',
    'invoices',
    'payment_intents',
    'payouts',
    'prices',
    'products',
    'refunds',
    'subscriptions',
] %}

with taken_in as (

    select table_name, landing from {{ source('marks', 'landings') }}
    where source = 'stripe'

),

versions as (

    {% for table in tables %}
        select '{{ table }}' as table_name, object_id, landing from {{ source('raw_stripe', table) }}
        {% if not loop.last %}union all{% endif %}
    {% endfor %}

)

select distinct
    versions.table_name,
    versions.object_id
from versions
left join taken_in on versions.table_name = taken_in.table_name
where taken_in.landing is null or versions.landing > taken_in.landing
