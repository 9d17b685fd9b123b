-- Ids as they are compared: without `$device:`, and null where an id is nobody's: a placeholder that an app sent for want
-- of an id. Whatever stands under one belongs to no one in particular, and must tie nothing.
{% macro somebodys_id(sent) -%}
    {%- set bare = "case when " ~ sent ~ " like '$device:%' then substring(" ~ sent ~ " from 9) else " ~ sent ~ " end" -%}
    {%- set plain = trimmed("lower(" ~ bare ~ ")") -%}
    case
        -- Empty, or zeros and dashes only.
        when replace(replace({{ plain }}, '0', ''), '-', '') = '' then null
        when {{ plain }} in (select raw_id from {{ source('config', 'nobodys_ids') }}) then null
        else {{ bare }}
    end
{%- endmacro %}
