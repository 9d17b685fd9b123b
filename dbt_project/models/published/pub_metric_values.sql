-- Models can't be found by their entries: dbt wants to know what a model reads before it knows what others say of themselves.
with computed as (

    {% for model in [
        'metric_active_users', 'metric_lifecycle', 'metric_events', 'metric_retention_headlines', 'metric_funnel_conversion',
        'metric_accounts_and_pets', 'metric_recovery',
        'metric_subscriptions', 'metric_billed_mrr', 'metric_subscriber_churn', 'metric_churn_reasons', 'metric_mrr_at_risk', 'metric_trials',
        'metric_revenue_retention', 'metric_customer_value', 'metric_acquisition', 'metric_conversions', 'metric_payment_conversion',
        'metric_payments', 'metric_volumes', 'metric_feedback', 'metric_service_levels', 'metric_login_attacks'
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

context as (

    select * from {{ source('config', 'run_context') }}

),

landed_days as (

    select * from {{ ref('int_source_days_landed') }}

),

day_periods as (

    select * from {{ source('config', 'day_periods') }}

),

metrics_covered as (

    select * from {{ ref('int_metrics_covered') }}

),

-- Totals over currencies can change until the rates of their days are known, where there is another currency at all.
converted as (

    select distinct metrics_covered.metric_id, metrics_covered.complete_through
    from metrics_covered
    inner join definitions on metrics_covered.metric_id = definitions.metric_id and definitions.is_of_money
    cross join context
    inner join computed
        on
            metrics_covered.metric_id = computed.metric_id
            and computed.segment = 'currency'
            and context.currency <> computed.segment_value
    where metrics_covered.needed_for = 'conversion'

),

-- The days of the tables that all values of a metric hang on.
days_of_metrics as (

    select
        tables.metric_id,
        landed_days.day,
        min(case when landed_days.is_landed then 1 else 0 end) = 1 as is_landed,
        min(coalesce(landed_days.landed_through, {{ add_days('landed_days.day', -1) }})) as landed_through
    from {{ source('config', 'metric_tables') }} as tables
    inner join landed_days
        on
            tables.source = landed_days.source
            and tables.table_name = landed_days.table_name
    where tables.needed_for in ('all', 'either')
    group by tables.metric_id, landed_days.day

),

missing_days as (

    select metric_id, day from days_of_metrics
    where not is_landed

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
        definitions.is_of_money,
        definitions.is_zero_of_nothing,
        periods.grain,
        periods.period_start,
        definitions.reads_since,
        case
            when definitions.reads_since = 'month' then least(periods.period_start, months.period_start)
            when definitions.trailing_days > 0 then {{ add_days('periods.period_end', '1 - definitions.trailing_days') }}
            when definitions.previous_periods > 0 then coalesce(previous_periods.period_start, {{ add_days('periods.period_start', -1) }})
            else periods.period_start
        end as reads_from,
        {{ add_days('periods.period_end', 'definitions.following_days') }} as reads_through,
        metrics_covered.covered_from,
        metrics_covered.complete_through
    from definitions
    inner join metrics_covered on definitions.metric_id = metrics_covered.metric_id and metrics_covered.needed_for = 'all'
    inner join periods
        on
            position(periods.grain in definitions.grains) > 0
            and metrics_covered.last_day >= periods.first_day
            and metrics_covered.first_day <= periods.last_day
    left join day_periods as months
        on
            months.grain = 'month'
            and periods.period_end = months.day
    left join periods as previous_periods
        on
            periods.grain = previous_periods.grain
            and periods.period_index - nullif(definitions.previous_periods, 0) = previous_periods.period_index

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
            and case computed.grain when 'day' then computed.period_start end = missing_days.day
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
        when computed.metric_id is null and not seen_periods.is_zero_of_nothing then 0
        else computed.denominator
    end as denominator,
    case
        when missing_days.day is not null then null
        when computed.metric_id is null and seen_periods.is_zero_of_nothing then 0
        else computed.value
    end as value,
    coalesce(
        seen_periods.reads_from >= seen_periods.covered_from
        and seen_periods.reads_through <= case
            -- Where all of history has a say, the run has to begin with it.
            when seen_periods.reads_since = 'beginning' then seen_periods.complete_through
            else days_of_metrics.landed_through
        end
        and (segments_covered.metric_id is null or seen_periods.reads_through <= segments_covered.complete_through)
        and (
            converted.metric_id is null
            or spine.segment = 'currency'
            or seen_periods.reads_through <= converted.complete_through
        )
        and partly_seen.metric_id is null
        -- A total that holds what can't be converted.
        and not (seen_periods.is_of_money and computed.metric_id is not null and computed.numerator is null),
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
        and case spine.grain when 'day' then spine.period_start end = missing_days.day
left join days_of_metrics
    on
        seen_periods.metric_id = days_of_metrics.metric_id
        and seen_periods.reads_from = days_of_metrics.day
left join metrics_covered as segments_covered
    on
        spine.metric_id = segments_covered.metric_id
        and nullif(spine.segment, 'all') = segments_covered.needed_for
left join converted on spine.metric_id = converted.metric_id
left join partly_seen
    on
        spine.metric_id = partly_seen.metric_id
        and spine.grain = partly_seen.grain
        and spine.period_start = partly_seen.period_start
        and spine.segment = partly_seen.segment
        and spine.segment_value = partly_seen.segment_value
