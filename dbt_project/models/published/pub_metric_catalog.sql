with definitions as (

    select * from {{ ref('metric_definitions') }}

),

notes as (

    select * from {{ source('config', 'metric_notes') }}

),

covered as (

    select * from {{ ref('int_sources_covered') }}

),

sources as (

    select * from {{ source('config', 'sources') }}

),

-- What never landed is unknown and not zero, whatever else of it has.
waiting as (

    select distinct definitions.metric_id
    from definitions
    inner join sources on position(sources.source || '.' || sources.table_name in definitions.sources) > 0
    left join covered
        on
            sources.source = covered.source
            and sources.table_name = covered.table_name
    where
        covered.last_day is null
        and position(sources.source || '.' || sources.table_name in coalesce(definitions.either_of, '')) = 0

),

declared_retentions as (

    select modes.retention_id
    from {{ source('config', 'retention_modes') }} as modes
    inner join {{ source('config', 'retention_grains') }} as grains on modes.retention_id = grains.retention_id
    where modes.mode = 'n_day' and grains.grain = 'day'

),

landings as (

    select * from {{ ref('stg_lake__landings') }}

),

context as (

    select * from {{ source('config', 'run_context') }}

),

-- What the app deleted before a table of its database was first read, nobody can count.
first_readings as (

    select definitions.metric_id, max({{ local_date('landings.first_landed_as_of', 'context.timezone') }}) as day
    from definitions
    inner join landings
        on
            landings.source = 'app_db'
            and position(landings.source || '.' || landings.table_name in definitions.sources) > 0
    cross join context
    group by definitions.metric_id

),

either_landed as (

    select definitions.metric_id
    from definitions
    inner join covered on position(covered.source || '.' || covered.table_name in definitions.either_of) > 0
    where covered.last_day is not null

),

landed as (

    select distinct definitions.metric_id
    from definitions
    inner join covered on position(covered.source || '.' || covered.table_name in definitions.sources) > 0
    where
        covered.last_day is not null
        and definitions.metric_id not in (select waiting.metric_id from waiting)
        and (
            definitions.either_of is null
            or definitions.metric_id in (select either_landed.metric_id from either_landed)
        )
        and (
            definitions.retention_id is null
            or definitions.retention_id in (select declared_retentions.retention_id from declared_retentions)
        )

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
    case when landed.metric_id is null then 'no_data' else 'active' end as status,
    cast(notes.target as double) as target,
    definitions.sources,
    definitions.grains,
    first_readings.day as exact_since,
    cast(
        'Deletions are known from ' || cast(first_readings.day as varchar) || ' on, when the app database was first read. '
        || 'What was deleted before, or made and deleted between two readings, is not counted.' as varchar
    ) as caveat
from definitions
left join notes on definitions.metric_id = notes.metric_id
left join landed on definitions.metric_id = landed.metric_id
left join first_readings on definitions.metric_id = first_readings.metric_id
