-- Tables and views are made in place. dbt-duckdb makes each under another name and renames it twice, so that readers
-- never miss one; here nobody reads while a build runs, a build that broke off is done again, and renaming is a quarter
-- of its time.

{% materialization table, adapter='duckdb' %}
    {{ return(made_in_place('table')) }}
{% endmaterialization %}

{% materialization view, adapter='duckdb' %}
    {{ return(made_in_place('view')) }}
{% endmaterialization %}

{% macro made_in_place(type) -%}
    {%- set target = this.incorporate(type=type) -%}
    {{ drop_relation_if_exists(load_cached_relation(this)) }}
    {%- call statement('main') -%}
        {{ create_view_as(target, compiled_code) if type == 'view' else create_table_as(false, target, compiled_code) }}
    {%- endcall -%}
    {% do adapter.commit() %}
    {{ return({'relations': [target]}) }}
{%- endmacro %}
