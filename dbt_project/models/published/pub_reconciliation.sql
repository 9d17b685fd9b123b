{%- set comparisons = [
    'fct_objects_compared',
    'fct_subscribers_compared',
    'fct_volumes_compared',
    'fct_invoices_compared',
    'fct_bills_compared',
    'fct_payouts_compared',
    'fct_conversions_compared',
] %}

with compared as (

    {% for comparison in comparisons %}
        select what, period_start, currency, left_value, right_value, reason, example from {{ ref(comparison) }}
        {% if not loop.last %}union all{% endif %}
    {% endfor %}

)

select
    what,
    period_start,
    currency,
    left_value,
    right_value,
    cast(left_value - right_value as decimal(38, 3)) as difference,
    case when left_value <> right_value then coalesce(nullif(reason, ''), 'not known') end as reason,
    case when left_value <> right_value then example end as example
from compared
