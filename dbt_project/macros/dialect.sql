-- The only place where engines differ. Each macro has a one-row test in tests/dialect.

-- Text of a property of a JSON object, null where it is missing or null. The key is any text, from a column or literal.
{% macro json_text(json, key) -%}
    json_extract_string({{ json }}, '/' || replace(replace({{ key }}, '~', '~0'), '/', '~1'))
{%- endmacro %}

-- Text of an item (from 0) of an array that is a property of a JSON object.
{% macro json_array_text(json, key, position) -%}
    json_extract_string({{ json }}, '/' || replace(replace({{ key }}, '~', '~0'), '/', '~1') || '/{{ position }}')
{%- endmacro %}

-- A wall-clock timestamp of a time zone, as a UTC timestamp.
{% macro to_utc(wall_clock, timezone) -%}
    case
        when {{ timezone }} = 'UTC' then {{ wall_clock }}
        else timezone('UTC', timezone({{ timezone }}, {{ wall_clock }}))
    end
{%- endmacro %}

-- The date that a UTC timestamp falls on in a time zone.
{% macro local_date(utc, timezone) -%}
    cast(case
        when {{ timezone }} = 'UTC' then {{ utc }}
        else timezone({{ timezone }}, timezone('UTC', {{ utc }}))
    end as date)
{%- endmacro %}

-- Whole days from one date to another.
{% macro days_between(earlier, later) -%}
    ({{ later }} - {{ earlier }})
{%- endmacro %}

-- A date so many days later.
{% macro add_days(start, days) -%}
    cast({{ start }} + cast({{ days }} as integer) as date)
{%- endmacro %}

-- A timestamp so many seconds later.
{% macro add_seconds(start, seconds) -%}
    ({{ start }} + {{ seconds }} * interval '1 second')
{%- endmacro %}

-- Seconds from one timestamp to another, as a double.
{% macro seconds_between(earlier, later) -%}
    cast(epoch({{ later }} - {{ earlier }}) as double)
{%- endmacro %}

-- A ratio as a double; null where the denominator is 0 or null.
{% macro divide(numerator, denominator) -%}
    (cast({{ numerator }} as double) / nullif(cast({{ denominator }} as double), 0))
{%- endmacro %}

-- A number from its text, with up to 10 digits behind the point; null where it has more than 28 before it.
{% macro to_decimal(text) -%}
    try_cast({{ text }} as decimal(38, 10))
{%- endmacro %}
