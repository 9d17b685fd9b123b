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
