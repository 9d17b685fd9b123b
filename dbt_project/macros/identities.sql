-- Ids as they are compared: without `$device:`, and null where an id is nobody's: a placeholder that an app sent for want
-- of an id. Whatever stands under one belongs to no one in particular, and must tie nothing.
{% macro somebodys_id(sent) -%}
    {{ unless_nobodys(bare_id(sent), plain_id(bare_id(sent))) }}
{%- endmacro %}

-- The same in steps, each a column of its own, where there are many rows: an engine works an expression out as often as
-- it stands there.
{% macro bare_id(sent) -%}
    case when {{ sent }} like '$device:%' then substring({{ sent }} from 9) else {{ sent }} end
{%- endmacro %}

{% macro plain_id(bare) -%}
    {{ trimmed("lower(" ~ bare ~ ")") }}
{%- endmacro %}

{% macro unless_nobodys(bare, plain) -%}
    case
        -- Empty, or zeros and dashes only.
        when replace(replace({{ plain }}, '0', ''), '-', '') = '' then null
        when {{ is_in_column(plain, source('config', 'nobodys_ids'), 'raw_id') }} then null
        else {{ bare }}
    end
{%- endmacro %}
