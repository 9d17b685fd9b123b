-- Each name in `left_out_of` is that of a model, a table of a source or a metric: of another no metric would be told.
{{ config(meta={'dagster': {'ref': {'name': 'pub_not_counted'}}}) }}
with places as (

    select distinct left_out_of from {{ ref('fct_not_counted') }}

),

names as (

    {% if execute %}
        {% for node in graph.nodes.values() if node.resource_type == 'model' %}
            select '{{ node.name }}' as name
            union all
        {% endfor %}
    {% endif %}
    select source || '.' || table_name as name from {{ source('config', 'sources') }}
    union all
    select metric_id as name from {{ ref('metric_definitions') }}

)

select places.left_out_of
from places
left join names on position(',' || names.name || ',' in ',' || places.left_out_of || ',') > 0
group by places.left_out_of
having length(replace(places.left_out_of, ',', '')) <> coalesce(sum(length(names.name)), 0)
