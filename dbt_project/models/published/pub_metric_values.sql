with computed as (

    {% for model in [
        'metric_active_users', 'metric_lifecycle', 'metric_events', 'metric_retention_headlines', 'metric_funnel_conversion',
        'metric_accounts_and_pets', 'metric_recovery',
        'metric_subscriptions', 'metric_subscriber_churn', 'metric_acquisition', 'metric_payments', 'metric_feedback',
        'metric_service_levels'
    ] %}
        select metric_id, grain, period_start, segment, segment_value, numerator, denominator, value
        from {{ ref(model) }}
        {% if not loop.last %}union all{% endif %}
    {% endfor %}

),

definitions as (

    select definitions.*
    from {{ ref('metric_definitions') }} as definitions
    inner join {{ ref('pub_metric_catalog') }} as catalog on definitions.metric_id = catalog.metric_id
    where catalog.status = 'active'

),

covered as (

    select * from {{ ref('int_sources_covered') }}

),

sources as (

    select * from {{ source('config', 'sources') }}

),

context as (

    select * from {{ source('config', 'run_context') }}

),

landed_days as (

    select * from {{ ref('int_source_days_landed') }}

),

day_periods as (

    select * from {{ source('config', 'day_periods') }}

),

-- A metric is covered where all the sources that it reads are.
metrics_covered as (

    select
        definitions.metric_id,
        max(covered.first_day) as first_day,
        min(covered.last_day) as last_day,
        max(covered.covered_from) as covered_from,
        min(covered.complete_through) as complete_through
    from definitions
    inner join covered on position(covered.source || '.' || covered.table_name in definitions.sources) > 0
    group by definitions.metric_id

),

-- Totals over currencies can change until the rates of their days are known, where there is another currency at all.
converted as (

    select distinct definitions.metric_id, covered.complete_through
    from definitions
    inner join covered on definitions.optional_sources = covered.source || '.' || covered.table_name
    inner join sources
        on
            covered.source = sources.source
            and covered.table_name = sources.table_name
            and sources.is_on
    cross join context
    inner join computed
        on
            definitions.metric_id = computed.metric_id
            and computed.segment = 'currency'
            and context.currency <> computed.segment_value

),

missing_days as (

    select distinct definitions.metric_id, landed_days.day
    from definitions
    inner join landed_days
        on
            position(landed_days.source || '.' || landed_days.table_name in definitions.sources) > 0
            and not landed_days.is_landed

),

-- What has landed may still be known in part.
partly_seen as (

    select metric_id, grain, period_start, segment, segment_value from {{ ref('metric_service_levels') }}
    where not is_seen

),

periods as (

    select
        grain,
        period_start,
        period_end,
        period_index,
        min(day) as first_day,
        max(day) as last_day
    from day_periods
    group by grain, period_start, period_end, period_index

),

-- Every period that a metric could have a value for, and the days that the value reads.
seen_periods as (

    select
        definitions.metric_id,
        definitions.unit,
        periods.grain,
        periods.period_start,
        case
            when definitions.trailing_days > 0 then {{ add_days('periods.period_end', '1 - definitions.trailing_days') }}
            when definitions.previous_periods > 0 then coalesce(previous_periods.period_start, {{ add_days('periods.period_start', -1) }})
            else periods.period_start
        end as reads_from,
        {{ add_days('periods.period_end', 'definitions.following_days') }} as reads_through,
        metrics_covered.covered_from,
        metrics_covered.complete_through
    from definitions
    inner join metrics_covered on definitions.metric_id = metrics_covered.metric_id
    inner join periods
        on
            position(periods.grain in definitions.grains) > 0
            and metrics_covered.last_day >= periods.first_day
            and metrics_covered.first_day <= periods.last_day
    left join periods as previous_periods
        on
            periods.grain = previous_periods.grain
            and periods.period_index = previous_periods.period_index + definitions.previous_periods
            and definitions.previous_periods > 0

),

-- The whole has a row for every period; other segments only where there is something.
spine as (

    select metric_id, grain, period_start, 'all' as segment, 'all' as segment_value
    from seen_periods
    union
    select computed.metric_id, computed.grain, computed.period_start, computed.segment, computed.segment_value
    from computed
    left join missing_days
        on
            computed.metric_id = missing_days.metric_id
            and computed.grain = 'day'
            and computed.period_start = missing_days.day
    where
        missing_days.day is null
        and (
            computed.value <> 0
            or computed.denominator > 0
            -- An amount that is there and can't be told.
            or (computed.value is null and computed.denominator is null)
        )

)

select
    spine.metric_id,
    spine.grain,
    spine.period_start,
    spine.segment,
    spine.segment_value,
    case
        when missing_days.day is not null then null
        when computed.metric_id is null then 0
        else computed.numerator
    end as numerator,
    case
        when missing_days.day is not null then null
        when computed.metric_id is null and seen_periods.unit in ('share', 'ratio', 'hours', 'milliseconds') then 0
        else computed.denominator
    end as denominator,
    case
        when missing_days.day is not null then null
        when computed.metric_id is null and seen_periods.unit not in ('share', 'ratio', 'hours', 'milliseconds') then 0
        else computed.value
    end as value,
    coalesce(
        seen_periods.reads_from >= seen_periods.covered_from
        and seen_periods.reads_through <= seen_periods.complete_through
        and (
            converted.metric_id is null
            or spine.segment = 'currency'
            or seen_periods.reads_through <= converted.complete_through
        )
        and partly_seen.metric_id is null
        -- A total that holds what can't be converted.
        and not (seen_periods.unit = 'currency' and computed.metric_id is not null and computed.numerator is null),
        false
    ) as is_complete
from spine
inner join seen_periods
    on
        spine.metric_id = seen_periods.metric_id
        and spine.grain = seen_periods.grain
        and spine.period_start = seen_periods.period_start
left join computed
    on
        spine.metric_id = computed.metric_id
        and spine.grain = computed.grain
        and spine.period_start = computed.period_start
        and spine.segment = computed.segment
        and spine.segment_value = computed.segment_value
left join missing_days
    on
        spine.metric_id = missing_days.metric_id
        and spine.grain = 'day'
        and spine.period_start = missing_days.day
left join converted on spine.metric_id = converted.metric_id
left join partly_seen
    on
        spine.metric_id = partly_seen.metric_id
        and spine.grain = partly_seen.grain
        and spine.period_start = partly_seen.period_start
        and spine.segment = partly_seen.segment
        and spine.segment_value = partly_seen.segment_value
