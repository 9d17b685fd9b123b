-- The segments that people are counted by. A person counts in every value they had, and once in `all`.
{% macro segments() -%}
    (values ('all'), ('platform'), ('country'), ('app_version'), ('plan')) as segments (segment)
{%- endmacro %}

-- The value of the segment at hand, of a row that has one column a segment.
{% macro segment_value(row) -%}
    case segments.segment
        when 'platform' then {{ row }}.platform
        when 'country' then {{ row }}.country
        when 'app_version' then {{ row }}.app_version
        when 'plan' then {{ row }}.plan
        else 'all'
    end
{%- endmacro %}

-- What `measures` of step_days come to by the end of each of `days`, for each segment value of `series`.
{% macro sums_so_far(measures) -%}
    select
        days.day,
        series.segment,
        series.segment_value{% for measure in measures %},
        sum(coalesce(step_days.{{ measure }}, 0)) over series_so_far as {{ measure }}{% endfor %}
    from series
    cross join days
    left join step_days
        on
            series.segment = step_days.segment
            and series.segment_value = step_days.segment_value
            and days.day = step_days.day
    window series_so_far as (partition by series.segment, series.segment_value order by days.day)
{%- endmacro %}
