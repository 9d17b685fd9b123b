-- dbt's own, but that a source's schema is where the engine has it; a unit test's rows in its place are in none.
{% macro source(source_name, table_name) %}
    {% set found = builtins.source(source_name, table_name) %}
    {{ return(found.replace_path(schema=schema_there(found.schema)) if found.schema else found) }}
{% endmacro %}
