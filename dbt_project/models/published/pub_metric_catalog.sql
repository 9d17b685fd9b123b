with definitions as (

    select * from {{ ref('metric_definitions') }}

),

notes as (

    select * from {{ source('config', 'metric_notes') }}

),

covered as (

    select * from {{ ref('int_sources_covered') }}

),

tables_needed as (

    select
        tables.metric_id,
        tables.source,
        tables.table_name,
        tables.needed_for,
        tables.source || '.' || tables.table_name as name,
        covered.last_day is not null as has_landed
    from {{ source('config', 'metric_tables') }} as tables
    left join covered
        on
            tables.source = covered.source
            and tables.table_name = covered.table_name
    where tables.needed_for in ('all', 'either')

),

-- What never landed is unknown and not zero, whatever else of it has. Of tables that stand in for each other one is enough.
tables_of_metrics as (

    select
        metric_id,
        {{ sorted_list('name') }} as sources,
        sum(case when needed_for = 'all' and not has_landed then 1 else 0 end) = 0
        and (
            sum(case when needed_for = 'either' then 1 else 0 end) = 0
            or sum(case when needed_for = 'either' and has_landed then 1 else 0 end) > 0
        ) as has_landed
    from tables_needed
    group by metric_id

),

declared_retentions as (

    select modes.retention_id
    from {{ source('config', 'retention_modes') }} as modes
    inner join {{ source('config', 'retention_grains') }} as grains on modes.retention_id = grains.retention_id
    where modes.mode = 'n_day' and grains.grain = 'day'

),

-- What the app deleted before a table of its database was first read, nobody can count.
first_readings as (

    select tables_needed.metric_id, max(covered.first_read_on) as day
    from tables_needed
    inner join covered
        on
            tables_needed.source = covered.source
            and tables_needed.table_name = covered.table_name
            and covered.source = 'app_db'
    group by tables_needed.metric_id

),

-- When it is first read, Stripe tells what changed in the 30 days before, and nothing of what changed earlier. Where it
-- is younger than that, there is nothing earlier.
changes_told as (

    select models.metric_id, max({{ add_days('covered.followed_since', -29) }}) as day
    from {{ source('config', 'metric_models') }} as models
    inner join covered
        on
            models.model = 'int_subscription_spells'
            and covered.source = 'stripe'
            and covered.table_name in ('customers', 'events', 'subscriptions')
            and covered.first_day < {{ add_days('covered.followed_since', -29) }}
    group by models.metric_id

)

select
    definitions.metric_id,
    cast(coalesce(notes.label, definitions.label) as varchar) as label,
    definitions.description,
    definitions.not_for,
    definitions.unit,
    definitions.format,
    definitions.bigger_is_better,
    definitions.domain,
    cast(coalesce(notes.owner, definitions.owner) as varchar) as owner,
    definitions.decision,
    case
        when not tables_of_metrics.has_landed then 'no_data'
        when
            definitions.retention_id is not null
            and definitions.retention_id not in (select declared_retentions.retention_id from declared_retentions)
            then 'no_data'
        else 'active'
    end as status,
    cast(notes.target as double precision) as target,
    tables_of_metrics.sources,
    definitions.grains,
    greatest(first_readings.day, changes_told.day) as exact_since,
    cast(nullif(concat_ws(
        ' ',
        'Deletions are known from ' || cast(first_readings.day as varchar) || ' on, when the app database was first read. '
        || 'What was deleted before, or made and deleted between two readings, is not counted.',
        'Exact from ' || cast(changes_told.day as varchar) || ' on, as far back as Stripe told of changes. Before, a '
        || 'subscription costs what its bills say, and else counts as it was when it was first seen.'
    ), '') as varchar) as caveat,
    definitions.headline_rank,
    definitions.quotient_of,
    definitions.is_of_money
from definitions
left join notes on definitions.metric_id = notes.metric_id
left join tables_of_metrics on definitions.metric_id = tables_of_metrics.metric_id
left join first_readings on definitions.metric_id = first_readings.metric_id
left join changes_told on definitions.metric_id = changes_told.metric_id
