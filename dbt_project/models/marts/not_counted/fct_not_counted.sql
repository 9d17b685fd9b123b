{% for model in [
    'fct_app_db_not_counted', 'fct_exchange_rates_not_counted', 'fct_mixpanel_not_counted', 'fct_quarantine_not_counted',
    'fct_stripe_not_counted'
] %}
    select
        source,
        object_type,
        what,
        why,
        object_id,
        objects,
        amount,
        currency,
        left_out_of,
        day
    from {{ ref(model) }}
    {% if not loop.last %}union all{% endif %}
{% endfor %}
