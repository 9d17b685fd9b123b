-- Schemas are named after layers, the same in every environment: each has a warehouse of its own.
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ custom_schema_name or target.schema }}
{%- endmacro %}
