-- Where a version of an object stands among its versions. Landings come in the order of arrival.
{% macro version_columns() -%}
    row_number() over (partition by object_id order by landing) as version_number,
    row_number() over (partition by object_id order by landing) = 1 as is_first_version,
    lead(landing) over (partition by object_id order by landing) is null as is_current,
    observed_at,
    lead(observed_at) over (partition by object_id order by landing) as next_observed_at,
    is_deleted
{%- endmacro %}
