with not_counted as (

    select * from {{ ref('fct_not_counted') }}

),

definitions as (

    select * from {{ ref('metric_definitions') }}

),

titles as (

    select distinct source, title from {{ source('config', 'sources') }}

),

-- What a metric may lack something of: a model, a table of a source, or itself.
names as (

    select metric_id, model as name from {{ source('config', 'metric_models') }}
    union
    select metric_id, source || '.' || table_name as name from {{ source('config', 'metric_tables') }}
    union
    select metric_id, metric_id as name from definitions

),

places as (

    select distinct source, left_out_of from not_counted

),

-- What lacks no more than a rate is missing from amounts: counts are whole.
concerned as (

    select distinct
        places.source,
        places.left_out_of,
        names.metric_id
    from places
    inner join names on position(',' || names.name || ',' in ',' || places.left_out_of || ',') > 0
    inner join definitions on names.metric_id = definitions.metric_id
    where places.source <> 'exchange_rates' or definitions.is_of_money

),

metrics as (

    select
        source,
        left_out_of,
        {{ sorted_list('metric_id') }} as metric_ids
    from concerned
    group by source, left_out_of

)

select
    not_counted.source,
    not_counted.object_type,
    not_counted.what,
    not_counted.why,
    cast(sum(not_counted.objects) as bigint) as objects,
    case
        when count(not_counted.amount) = count(*) then cast(sum(not_counted.amount) as decimal(38, 6))
    end as amount,
    not_counted.currency,
    min(not_counted.object_id) as example,
    coalesce(metrics.metric_ids, '') as metric_ids,
    min(not_counted.day) as first_day,
    max(not_counted.day) as last_day,
    titles.title as source_title
from not_counted
left join titles on not_counted.source = titles.source
left join metrics
    on
        not_counted.source = metrics.source
        and not_counted.left_out_of = metrics.left_out_of
group by
    not_counted.source,
    not_counted.object_type,
    not_counted.what,
    not_counted.why,
    not_counted.currency,
    coalesce(metrics.metric_ids, ''),
    titles.title
having sum(not_counted.objects) > 0
