-- The only place where engines differ. Each macro has a one-row test in tests/dialect.

-- Text of a property of a JSON object, null where it is missing or null. The key is any text, from a column or literal.
{% macro json_text(json, key) -%}
    json_extract_string({{ json }}, '/' || replace(replace({{ key }}, '~', '~0'), '/', '~1'))
{%- endmacro %}

-- A value of a property as text by which values are compared: a number is written plainly (5, 5.0 and 5e0 are 5, to
-- its last digit), a text is itself. The key is a property's own name or, where there is none, a path of names with dots
-- between into nested objects; not into arrays. Null where it is missing or null.
{% macro json_value(json, key) -%}
    {%- set pointer = "'/' || replace(replace(" ~ key ~ ", '~', '~0'), '/', '~1')" -%}
    {%- set own = "json_extract(" ~ json ~ ", " ~ pointer ~ ")" -%}
    {%- set nested = "json_extract(" ~ json ~ ", replace(" ~ pointer ~ ", '.', '/'))" -%}
    {%- set is_path = "regexp_matches(" ~ key ~ ", '^[^.]+([.][^.]*[^.0-9][^.]*)+$')" -%}
    {%- set found = "coalesce(" ~ own ~ ", case when " ~ is_path ~ " then " ~ nested ~ " end)" -%}
    {%- set text = "json_extract_string(" ~ found ~ ", '$')" -%}
    {%- set exact = "try_cast(" ~ text ~ " as decimal(38, 10))" -%}
    case
        when regexp_matches(cast({{ found }} as varchar), '^-?[0-9]') and try_cast({{ text }} as double) = cast({{ exact }} as double)
            then rtrim(rtrim(cast({{ exact }} as varchar), '0'), '.')
        else {{ text }}
    end
{%- endmacro %}

-- A text without the spaces and quotation marks around it. DuckDB finds out ten times sooner whether there are any.
{% macro trimmed(text) -%}
    case
        when regexp_matches({{ text }}, '^[ \t\r\n"'']|[ \t\r\n"'']$') then trim({{ text }}, e' \t\r\n"''')
        else {{ text }}
    end
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

-- Texts at some paths inside a JSON value, which is parsed once. A path is names and positions (from 0), with dots between;
-- the empty path is the whole. Read by text_at.
{% macro json_texts(json, paths) -%}
    json_extract_string({{ json }}, [{% for path in paths %}'{{ '/' ~ path.replace('.', '/') if path else '' }}'{{ ', ' if not loop.last }}{% endfor %}])
{%- endmacro %}

-- One of the texts that json_texts gave, by its position from 0.
{% macro text_at(texts, position) -%}
    {{ texts }}[{{ position + 1 }}]
{%- endmacro %}

-- The elements, as JSON, of an array inside a JSON value: a column of a select, which gives a row for each.
{% macro json_elements(json, path) -%}
    unnest(cast(json_extract({{ json }}, '/{{ path.replace('.', '/') }}') as json[]))
{%- endmacro %}

-- The places, from 1, of these elements: a column beside that of json_elements, in step with it.
{% macro json_positions(json, path) -%}
    unnest(range(1, cast(json_array_length({{ json }}, '/{{ path.replace('.', '/') }}') as bigint) + 1))
{%- endmacro %}

-- The names of the properties of a JSON object, which may be text: a column of a select, which gives a row for each.
{% macro json_names(json) -%}
    unnest(json_keys({{ json }}))
{%- endmacro %}

-- A decimal from its text; null where it has more digits before the point.
{% macro try_decimal(text, precision, scale) -%}
    try_cast({{ text }} as decimal({{ precision }}, {{ scale }}))
{%- endmacro %}

-- The texts of a group, in order, with commas between.
{% macro sorted_list(text) -%}
    string_agg({{ text }}, ',' order by {{ text }})
{%- endmacro %}

-- A UTC timestamp of whole seconds since 1970, which may be text.
{% macro utc_of_seconds(seconds) -%}
    make_timestamp(cast({{ seconds }} as bigint) * 1000000)
{%- endmacro %}

-- An amount that is not negative, divided by a positive one and rounded half up to so many decimals, exactly: a division
-- of decimals gives a double.
{% macro exact_quotient(amount, divisor, decimals=6) -%}
    (cast(
        ({{ 2 * 10 ** decimals }} * {{ whole_digits(amount) }} + {{ whole_digits(divisor) }})
        // (2 * {{ whole_digits(divisor) }}) as decimal({{ 38 - decimals }}, 0)
    ) * cast({{ '0.' ~ '0' * (decimals - 1) ~ '1' }} as decimal({{ decimals }}, {{ decimals }})))
{%- endmacro %}

-- A decimal as a whole number of its 15th decimals.
{% macro whole_digits(amount) -%}
    cast(replace(cast(cast({{ amount }} as decimal(38, 15)) as varchar), '.', '') as hugeint)
{%- endmacro %}

-- A date that the run was given, of the connection alone; null where it was given none.
{% macro run_date(name) -%}
    getvariable('{{ name }}')
{%- endmacro %}

-- Whether a date is one of those that the run was given.
{% macro is_run_date(column, name) -%}
    {{ column }} in getvariable('{{ name }}')
{%- endmacro %}

-- Whether a text is in a column of a small relation. Never an `in (select ...)`: DuckDB makes a join of it, and joins even
-- where nobody asks for the answer.
{% macro is_in_column(text, relation, column) -%}
    coalesce(list_contains((select list({{ column }}) from {{ relation }}), {{ text }}), false)
{%- endmacro %}

-- Whether a condition holds for any row of a small relation, which it calls `name`. Never an `exists`: DuckDB makes a join
-- of it that tells apart all values that the condition names, be it all of an event's JSON.
{% macro holds_for_any(relation, name, condition) -%}
    coalesce(len(list_filter((select list({{ name }}) from {{ relation }} as {{ name }}), lambda {{ name }}: {{ condition }})) > 0, false)
{%- endmacro %}
