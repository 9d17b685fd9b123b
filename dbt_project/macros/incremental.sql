-- Incremental by what landed. Whole days, or all of an object, are replaced, never rows merged, so a day that shrank or became
-- empty is right too, and an incremental build equals a full one. The strategies below are named in the models' configuration.
--
-- What a refresh runs is compiled once, and told at run time which dates are its own (`models.py`): an engine that knows
-- them as it plans opens the files of these days and no other. `dbt build` by hand looks them up in the same SQL.

-- Rows of the source's own days that landed since the last finished build; all rows in a full build.
{% macro where_pending(source, table_name, column) -%}
    {%- set pending_days = ref('stg_lake__pending_days') -%}
    {%- if var('for_refresh', false) -%}
    where {{ is_run_date(column, 'pending_days') }}
    {%- elif is_incremental() -%}
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

-- Versions of those objects of a source's table of which some landed since the last finished build; all in a full build.
{% macro where_landed(source, table_name) -%}
    {%- set landed = ref('stg_' ~ source ~ '__objects_landed') -%}
    {%- if var('for_refresh', false) or is_incremental() -%}
    where {{ 'not ' ~ is_run('in_part') ~ ' or' if var('for_refresh', false) }} object_id in (
        select object_id from {{ landed }} where table_name = '{{ table_name }}'
    )
    {%- endif -%}
{%- endmacro %}

-- Whether only objects of which some versions landed are read, and not all.
{% macro is_in_part() -%}
    {{ is_run('in_part') if var('for_refresh', false) else is_incremental() | lower }}
{%- endmacro %}

-- Strategy `replace_landed`: delete the objects of `where_landed` and insert them anew. The unique key names the object.
{% macro get_incremental_replace_landed_sql(arguments) -%}
    {%- set origin = config.get('meta')['replaces'].split('.') -%}
    delete from {{ arguments['target_relation'] }}
    where {{ arguments['unique_key'] }} in (
        select object_id from {{ ref('stg_' ~ origin[0] ~ '__objects_landed') }} where table_name = '{{ origin[1] }}'
    );
    {{ insert_all(arguments) }}
{%- endmacro %}

-- The first date that this build has to do again (`first_date`), or the beginning of the earliest period that holds it
-- (`first_period_start`).
{% macro rebuild_start(which='first_date') -%}
    {%- if var('for_refresh', false) -%}
    {{ run_date(which) }}
    {%- else -%}
    (select {{ which }} from {{ ref('int_rebuild_start') }})
    {%- endif -%}
{%- endmacro %}

-- Rows on or after the first date that this build has to do again; all rows in a full build.
{% macro and_from_rebuild_start(column) -%}
    {%- set read_by_dbt_as_it_parses = ref('int_rebuild_start') -%}
    {%- if is_incremental() -%}
    and {{ column }} >= {{ rebuild_start() }}
    {%- endif -%}
{%- endmacro %}

-- Rows from so many days before the periods that this build has to do again; all rows in a full build.
{% macro and_from_rebuilt_period(column, days_before=0) -%}
    {%- set read_by_dbt_as_it_parses = ref('int_rebuild_start') -%}
    {%- if is_incremental() -%}
    and {{ column }} >= {{ add_days(rebuild_start('first_period_start'), -days_before) }}
    {%- endif -%}
{%- endmacro %}

-- Strategies `replace_from` and `replace_from_period`: delete what these do again and insert it. The unique key names the
-- date, or the period's beginning.
{% macro get_incremental_replace_from_sql(arguments) -%}
    {{ replaced_from(arguments, 'first_date') }}
{%- endmacro %}

{% macro get_incremental_replace_from_period_sql(arguments) -%}
    {{ replaced_from(arguments, 'first_period_start') }}
{%- endmacro %}

{% macro replaced_from(arguments, which) -%}
    delete from {{ arguments['target_relation'] }}
    where {{ arguments['unique_key'] }} >= (select {{ which }} from {{ ref('int_rebuild_start') }});
    {{ insert_all(arguments) }}
{%- endmacro %}

{% macro insert_all(arguments) -%}
    {%- set columns = arguments['dest_columns'] | map(attribute='quoted') | join(', ') -%}
    insert into {{ arguments['target_relation'] }} ({{ columns }})
    select {{ columns }} from {{ arguments['temp_relation'] }};
{%- endmacro %}
