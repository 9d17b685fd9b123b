-- Incremental by what landed. Whole days are replaced, never rows merged, so a day that shrank or became empty is right
-- too, and an incremental build equals a full one. The strategies below are named in the models' configuration.

-- Rows of the source's own days that landed since the last finished build; all rows in a full build.
{% macro where_pending(source, table_name, column) -%}
    {%- set pending_days = ref('stg_lake__pending_days') -%}
    {%- if is_incremental() -%}
    where {{ column }} in (
        select source_day from {{ pending_days }} where source = '{{ source }}' and table_name = '{{ table_name }}'
    )
    {%- endif -%}
{%- endmacro %}

-- Strategy `replace_pending`: delete the days of `where_pending` and insert them anew. The unique key names the day.
{% macro get_incremental_replace_pending_sql(arguments) -%}
    {%- set origin = config.get('meta')['replaces'].split('.') -%}
    delete from {{ arguments['target_relation'] }}
    where {{ arguments['unique_key'] }} in (
        select source_day from {{ ref('stg_lake__pending_days') }}
        where source = '{{ origin[0] }}' and table_name = '{{ origin[1] }}'
    );
    {{ insert_all(arguments) }}
{%- endmacro %}

-- Rows on or after the first date that this build has to do again; all rows in a full build.
{% macro and_from_rebuild_start(column) -%}
    {%- set rebuild_start = ref('int_rebuild_start') -%}
    {%- if is_incremental() -%}
    and {{ column }} >= (select first_date from {{ rebuild_start }})
    {%- endif -%}
{%- endmacro %}

-- Strategy `replace_from`: delete what `and_from_rebuild_start` does again and insert it. The unique key names the date.
{% macro get_incremental_replace_from_sql(arguments) -%}
    delete from {{ arguments['target_relation'] }}
    where {{ arguments['unique_key'] }} >= (select first_date from {{ ref('int_rebuild_start') }});
    {{ insert_all(arguments) }}
{%- endmacro %}

{% macro insert_all(arguments) -%}
    {%- set columns = arguments['dest_columns'] | map(attribute='quoted') | join(', ') -%}
    insert into {{ arguments['target_relation'] }} ({{ columns }})
    select {{ columns }} from {{ arguments['temp_relation'] }};
{%- endmacro %}
