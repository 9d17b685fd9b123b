-- Schemas are named after layers, the same in every environment.
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ schema_there(custom_schema_name) if custom_schema_name else target.schema }}
{%- endmacro %}
