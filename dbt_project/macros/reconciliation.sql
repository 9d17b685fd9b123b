-- What two sides say of objects, summed by day and currency, for days on which a table has landed. `objects` has a row an
-- object and day with its currency, left_value, right_value, how many it is of (objects), its cause, which is null where
-- the two agree, and its object_id, which may be null. `causes` says each in words; the last one is that nobody knows. The
-- example is of what nobody can explain, if there is any.
{% macro compared_by_day(what, objects, landed_days, causes) -%}
    select
        '{{ what }}' as what,
        {{ objects }}.day as period_start,
        {{ objects }}.currency,
        cast(sum({{ objects }}.left_value) as decimal(38, 3)) as left_value,
        cast(sum({{ objects }}.right_value) as decimal(38, 3)) as right_value,
        concat_ws('; '{% for cause, words in causes.items() %}, {{ counted_cause(
            words, "sum(case when " ~ objects ~ ".cause = '" ~ cause ~ "' then " ~ objects ~ ".objects else 0 end)"
        ) }}{% endfor %}) as reason,
        coalesce(
            min(case when {{ objects }}.cause = '{{ causes.keys() | last }}' then {{ objects }}.object_id end),
            min(case when {{ objects }}.cause is not null then {{ objects }}.object_id end)
        ) as example
    from {{ objects }}
    inner join {{ landed_days }} on {{ objects }}.day = {{ landed_days }}.day
    group by {{ objects }}.day, {{ objects }}.currency
{%- endmacro %}

-- A cause in words with how many it is of; null where it is of none.
{% macro counted_cause(words, objects) -%}
    case when {{ objects }} > 0 then '{{ words }}: ' || cast(cast({{ objects }} as bigint) as varchar) end
{%- endmacro %}
