-- The only place where engines differ. Each macro has a one-row test in tests/dialect.sql, which is run on all of them. Where
-- they differ, `default__` is DuckDB's.

-- Where the schema of a layer or of a source is: a database that holds other things, too, has it under a prefix. What others
-- read there as `published` is put there once it is audited.
{% macro schema_there(name) -%}
    {{ return(adapter.dispatch('schema_there')(name)) }}
{%- endmacro %}

{% macro default__schema_there(name) -%}
    {{ return(name) }}
{%- endmacro %}

{% macro postgres__schema_there(name) -%}
    {{ return(target.schema ~ '_' ~ ('unpublished' if name == 'published' else name)) }}
{%- endmacro %}

-- dbt's own, which unit tests ask for the columns of a source: its schema is looked for where it is.
{% macro postgres__get_columns_in_relation(relation) -%}
    {%- set is_there = not relation.schema or relation.schema.startswith(target.schema ~ '_') -%}
    {%- set there = relation if is_there else relation.replace_path(schema=schema_there(relation.schema)) -%}
    {{ return(dbt.postgres__get_columns_in_relation(there)) }}
{%- endmacro %}

-- Text of a property of a JSON object, null where it is missing or null. The key is any text, from a column or literal.
{% macro json_text(json, key) -%}
    {{ adapter.dispatch('json_text')(json, key) }}
{%- endmacro %}

{% macro default__json_text(json, key) -%}
    json_extract_string({{ json }}, '/' || replace(replace({{ key }}, '~', '~0'), '/', '~1'))
{%- endmacro %}

{% macro postgres__json_text(json, key) -%}
    (cast({{ json }} as json) ->> ({{ key }}))
{%- endmacro %}

-- A value of a property as text by which values are compared: a number is written plainly (5, 5.0 and 5e0 are 5, to
-- its last digit), a text is itself. The key is a property's own name or, where there is none, a path of names with dots
-- between into nested objects; not into arrays. Null where it is missing or null.
{% macro json_value(json, key) -%}
    {{ adapter.dispatch('json_value')(json, key) }}
{%- endmacro %}

{% macro default__json_value(json, key) -%}
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

-- A text that JSON has inside keeps its spaces, which those between names and values are told from.
{% macro postgres__json_value(json, key) -%}
    (
        select
            case
                when json_typeof(found) in ('object', 'array') then regexp_replace(text, '("(?:[^"\\]|\\.)*")|\s+', '\1', 'g')
                when json_typeof(found) = 'number' and cast(text as numeric) = 0 then '0'
                when json_typeof(found) <> 'number' or abs(cast(text as numeric)) not between 1e-100 and 1e28 - 1 then text
                when cast(text as double precision) = cast(cast(text as decimal(38, 10)) as double precision)
                    then rtrim(rtrim(cast(cast(text as decimal(38, 10)) as text), '0'), '.')
                else text
            end
        from (
            select found, found #>> '{}' as text
            from (
                select
                    coalesce(
                        json -> key,
                        case when key ~ '^[^.]+([.][^.]*[^.0-9][^.]*)+$' then json #> string_to_array(key, '.') end
                    ) as found
                from (select cast({{ json }} as json) as json, {{ key }} as key) as asked
            ) as looked_up
        ) as answered
    )
{%- endmacro %}

-- A text without the spaces and quotation marks around it. DuckDB finds out ten times sooner whether there are any.
{% macro trimmed(text) -%}
    {{ adapter.dispatch('trimmed')(text) }}
{%- endmacro %}

{% macro default__trimmed(text) -%}
    case
        when regexp_matches({{ text }}, '^[ \t\r\n"'']|[ \t\r\n"'']$') then trim({{ text }}, e' \t\r\n"''')
        else {{ text }}
    end
{%- endmacro %}

{% macro postgres__trimmed(text) -%}
    btrim({{ text }}, e' \t\r\n"''')
{%- endmacro %}

-- Text of an item (from 0) of an array that is a property of a JSON object.
{% macro json_array_text(json, key, position) -%}
    {{ adapter.dispatch('json_array_text')(json, key, position) }}
{%- endmacro %}

{% macro default__json_array_text(json, key, position) -%}
    json_extract_string({{ json }}, '/' || replace(replace({{ key }}, '~', '~0'), '/', '~1') || '/{{ position }}')
{%- endmacro %}

{% macro postgres__json_array_text(json, key, position) -%}
    (cast({{ json }} as json) -> ({{ key }}) ->> {{ position }})
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
    {{ adapter.dispatch('seconds_between')(earlier, later) }}
{%- endmacro %}

{% macro default__seconds_between(earlier, later) -%}
    cast(epoch({{ later }} - {{ earlier }}) as double precision)
{%- endmacro %}

{% macro postgres__seconds_between(earlier, later) -%}
    cast(extract(epoch from {{ later }} - {{ earlier }}) as double precision)
{%- endmacro %}

-- A ratio as a double; null where the denominator is 0 or null.
{% macro divide(numerator, denominator) -%}
    (cast({{ numerator }} as double precision) / nullif(cast({{ denominator }} as double precision), 0))
{%- endmacro %}

-- A number from its text, with up to 10 digits behind the point; null where it has more than 28 before it.
{% macro to_decimal(text) -%}
    {{ try_decimal(text, 38, 10) }}
{%- endmacro %}

-- Texts at some paths inside a JSON value, which is parsed once. A path is names and positions (from 0), with dots between;
-- the empty path is the whole. Read by text_at.
{% macro json_texts(json, paths) -%}
    {{ adapter.dispatch('json_texts')(json, paths) }}
{%- endmacro %}

{% macro default__json_texts(json, paths) -%}
    json_extract_string({{ json }}, [{% for path in paths %}'{{ '/' ~ path.replace('.', '/') if path else '' }}'{{ ', ' if not loop.last }}{% endfor %}])
{%- endmacro %}

{% macro postgres__json_texts(json, paths) -%}
    (
        select array[{% for path in paths %}parsed.json #>> '{{ '{' ~ path.replace('.', ',') ~ '}' }}'{{ ', ' if not loop.last }}{% endfor %}]
        from (select cast({{ json }} as jsonb) as json offset 0) as parsed
    )
{%- endmacro %}

-- One of the texts that json_texts gave, by its position from 0.
{% macro text_at(texts, position) -%}
    {{ texts }}[{{ position + 1 }}]
{%- endmacro %}

-- The elements, as JSON, of an array inside a JSON value: a column of a select, which gives a row for each.
{% macro json_elements(json, path) -%}
    {{ adapter.dispatch('json_elements')(json, path) }}
{%- endmacro %}

-- Found by a wildcard they are parsed once; a cast of the array would parse it again.
{% macro default__json_elements(json, path) -%}
    unnest(json_extract({{ json }}, '$.{{ path }}[*]'))
{%- endmacro %}

{% macro postgres__json_elements(json, path) -%}
    cast(jsonb_array_elements({{ postgres__json_array(json, path) }}) as text)
{%- endmacro %}

-- The places, from 1, of these elements: a column beside that of json_elements, in step with it.
{% macro json_positions(json, path) -%}
    {{ adapter.dispatch('json_positions')(json, path) }}
{%- endmacro %}

{% macro default__json_positions(json, path) -%}
    unnest(range(1, cast(json_array_length({{ json }}, '/{{ path.replace('.', '/') }}') as bigint) + 1))
{%- endmacro %}

{% macro postgres__json_positions(json, path) -%}
    generate_series(1, jsonb_array_length({{ postgres__json_array(json, path) }}))
{%- endmacro %}

{% macro postgres__json_array(json, path) -%}
    (
        select case when jsonb_typeof(array_there) = 'array' then array_there end
        from (select cast({{ json }} as jsonb) #> '{{ '{' ~ path.replace('.', ',') ~ '}' }}' as array_there offset 0) as found
    )
{%- endmacro %}

-- The names of the properties of a JSON object, which may be text: a column of a select, which gives a row for each.
{% macro json_names(json) -%}
    {{ adapter.dispatch('json_names')(json) }}
{%- endmacro %}

{% macro default__json_names(json) -%}
    unnest(json_keys({{ json }}))
{%- endmacro %}

{% macro postgres__json_names(json) -%}
    jsonb_object_keys(cast({{ json }} as jsonb))
{%- endmacro %}

-- A decimal from its text; null where it is no number, or has more digits before the point.
{% macro try_decimal(text, precision, scale) -%}
    {{ adapter.dispatch('try_decimal')(text, precision, scale) }}
{%- endmacro %}

-- One of more than 18 digits takes a hundred times as long: most texts are shorter.
{% macro default__try_decimal(text, precision, scale) -%}
    {%- if scale >= 6 and precision - scale >= 12 -%}
    case
        when regexp_full_match({{ text }}, '-?[0-9]{1,12}([.][0-9]{1,6})?')
            then cast(cast({{ text }} as decimal(18, 6)) as decimal({{ precision }}, {{ scale }}))
        else try_cast({{ text }} as decimal({{ precision }}, {{ scale }}))
    end
    {%- else -%}
    try_cast({{ text }} as decimal({{ precision }}, {{ scale }}))
    {%- endif -%}
{%- endmacro %}

-- The text of a literal is read before the case asks for it, unless it is a text first.
{% macro postgres__try_decimal(literal_or_column, precision, scale) -%}
    {%- set text = 'cast(' ~ literal_or_column ~ ' as text)' -%}
    case
        when {{ text }} !~ '^\s*[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]{1,3})?\s*$' then null
        when abs(round(cast({{ text }} as numeric), {{ scale }})) < 1e{{ precision - scale }}
            then cast({{ text }} as decimal({{ precision }}, {{ scale }}))
    end
{%- endmacro %}

-- A whole number of up to 64 bits from its text, as a decimal.
{% macro whole_number(text) -%}
    {{ adapter.dispatch('whole_number')(text) }}
{%- endmacro %}

{% macro default__whole_number(text) -%}
    cast(cast({{ text }} as bigint) as decimal(19, 0))
{%- endmacro %}

{% macro postgres__whole_number(text) -%}
    cast({{ text }} as decimal(19, 0))
{%- endmacro %}

-- The texts of a group, in order, with commas between.
{% macro sorted_list(text) -%}
    {{ adapter.dispatch('sorted_list')(text) }}
{%- endmacro %}

{% macro default__sorted_list(text) -%}
    string_agg({{ text }}, ',' order by {{ text }})
{%- endmacro %}

{% macro postgres__sorted_list(text) -%}
    string_agg({{ text }}, ',' order by {{ text }} collate "C")
{%- endmacro %}

-- A UTC timestamp of whole seconds since 1970, which may be text.
{% macro utc_of_seconds(seconds) -%}
    {{ adapter.dispatch('utc_of_seconds')(seconds) }}
{%- endmacro %}

{% macro default__utc_of_seconds(seconds) -%}
    make_timestamp(cast({{ seconds }} as bigint) * 1000000)
{%- endmacro %}

{% macro postgres__utc_of_seconds(seconds) -%}
    (timestamp '1970-01-01' + cast({{ seconds }} as bigint) * interval '1 second')
{%- endmacro %}

-- A whole number divided by another, neither negative, without the rest: a division of decimals gives a double.
{% macro whole_quotient(whole, divisor) -%}
    {{ adapter.dispatch('whole_quotient')(whole, divisor) }}
{%- endmacro %}

{% macro default__whole_quotient(whole, divisor) -%}
    ({{ whole }}) // ({{ divisor }})
{%- endmacro %}

{% macro postgres__whole_quotient(whole, divisor) -%}
    div({{ whole }}, nullif({{ divisor }}, 0))
{%- endmacro %}

-- A decimal as a whole number of its 15th decimals.
{% macro whole_digits(amount) -%}
    {{ adapter.dispatch('whole_digits')(amount) }}
{%- endmacro %}

{% macro default__whole_digits(amount) -%}
    cast(replace(cast(cast({{ amount }} as decimal(38, 15)) as varchar), '.', '') as hugeint)
{%- endmacro %}

{% macro postgres__whole_digits(amount) -%}
    trunc(cast({{ amount }} as decimal(38, 15)) * 1000000000000000)
{%- endmacro %}

-- A date that the run was given, of the connection alone; null where it was given none.
{% macro run_date(name) -%}
    {{ adapter.dispatch('run_date')(name) }}
{%- endmacro %}

{% macro default__run_date(name) -%}
    getvariable('{{ name }}')
{%- endmacro %}

{% macro postgres__run_date(name) -%}
    cast(nullif(current_setting('tailtracker.{{ name }}', true), '') as date)
{%- endmacro %}

-- Whether a date is one of those that the run was given.
{% macro is_run_date(column, name) -%}
    {{ adapter.dispatch('is_run_date')(column, name) }}
{%- endmacro %}

{% macro default__is_run_date(column, name) -%}
    {{ column }} in getvariable('{{ name }}')
{%- endmacro %}

{% macro postgres__is_run_date(column, name) -%}
    {{ column }} = any(cast(nullif(current_setting('tailtracker.{{ name }}', true), '') as date[]))
{%- endmacro %}

-- Whether the run was told that it is so; false where it was told nothing.
{% macro is_run(name) -%}
    {{ adapter.dispatch('is_run')(name) }}
{%- endmacro %}

{% macro default__is_run(name) -%}
    coalesce(getvariable('{{ name }}'), false)
{%- endmacro %}

{% macro postgres__is_run(name) -%}
    (coalesce(current_setting('tailtracker.{{ name }}', true), '') = 'true')
{%- endmacro %}

-- Whether a text is in a column of a small relation. Never an `in (select ...)` on DuckDB, which makes a join of it, and joins
-- even where nobody asks for the answer.
{% macro is_in_column(text, relation, column) -%}
    {{ adapter.dispatch('is_in_column')(text, relation, column) }}
{%- endmacro %}

{% macro default__is_in_column(text, relation, column) -%}
    coalesce(list_contains((select list({{ column }}) from {{ relation }}), {{ text }}), false)
{%- endmacro %}

{% macro postgres__is_in_column(text, relation, column) -%}
    coalesce({{ text }} in (select {{ column }} from {{ relation }}), false)
{%- endmacro %}

-- Whether a condition holds for any row of a small relation, which it calls `name`. Never an `exists` on DuckDB, which makes a
-- join of it that tells apart all values that the condition names, be it all of an event's JSON.
{% macro holds_for_any(relation, name, condition) -%}
    {{ adapter.dispatch('holds_for_any')(relation, name, condition) }}
{%- endmacro %}

{% macro default__holds_for_any(relation, name, condition) -%}
    coalesce(len(list_filter((select list({{ name }}) from {{ relation }} as {{ name }}), lambda {{ name }}: {{ condition }})) > 0, false)
{%- endmacro %}

{% macro postgres__holds_for_any(relation, name, condition) -%}
    exists (select from {{ relation }} as {{ name }} where {{ condition }})
{%- endmacro %}
