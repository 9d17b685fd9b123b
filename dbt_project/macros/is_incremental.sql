-- dbt's own question, whether rows are there to go on from; what a refresh runs always goes on, from an empty table if need
-- be, and is compiled where there is none.
{% macro is_incremental() %}
    {{ return(var('for_refresh', false) or dbt.is_incremental()) }}
{% endmacro %}
