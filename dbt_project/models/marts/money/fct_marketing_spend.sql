{{ config(materialized='view') }}

-- What is spent by both origins adds up. A row that is gone was none.
{% for origin in ['app_db', 'csv_files'] %}
    select
        '{{ origin }}' as origin,
        marketing_spend_id,
        spend_date,
        channel,
        spend_amount,
        currency
    from {{ ref('stg_' ~ origin ~ '__marketing_metrics') }}
    where is_current and not is_deleted and spend_amount is not null
    {% if not loop.last %}union all{% endif %}
{% endfor %}
