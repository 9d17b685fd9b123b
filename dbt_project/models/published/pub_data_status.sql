{%- set most_reasons = 3 %}

with sources as (

    select * from {{ source('config', 'sources') }}

),

context as (

    select * from {{ source('config', 'run_context') }}

),

covered as (

    select * from {{ ref('int_sources_covered') }}

),

landings as (

    select * from {{ ref('stg_lake__landings') }}

),

landed as (

    select
        source,
        table_name,
        sum(case when source_day >= context.history_start then 1 else 0 end) as wanted_days,
        cast(sum(rows_kept) as bigint) as rows_kept,
        cast(sum(set_aside) as bigint) as quarantined,
        max(seen_at) as loaded_at
    from landings
    cross join context
    where status = 'landed'
    group by source, table_name

),

troubled_days as (

    select
        landings.source,
        landings.table_name,
        landings.status,
        landings.reason,
        count(*) as days,
        case
            when not sources.is_daily then ''
            when count(*) = 1 then cast(min(landings.source_day) as varchar) || ': '
            else
                cast(count(*) as varchar) || ' days between ' || cast(min(landings.source_day) as varchar) || ' and '
                || cast(max(landings.source_day) as varchar) || ': '
        end as which,
        row_number() over (
            partition by landings.source, landings.table_name
            order by count(*) desc, min(landings.source_day), landings.reason
        ) as place
    from landings
    inner join sources
        on
            landings.source = sources.source
            and landings.table_name = sources.table_name
    where landings.status <> 'landed' and landings.is_latest_attempt
    group by landings.source, landings.table_name, landings.status, landings.reason, sources.is_daily

),

-- Each reason with its own days; of many the most frequent. `failed` sorts before `held`.
troubled as (

    select
        source,
        table_name,
        min(status) as status,
        string_agg(case when place <= {{ most_reasons }} then which || reason end, '; ' order by place)
        || case
            when count(*) > {{ most_reasons }}
                then
                    '; ' || cast(sum(case when place > {{ most_reasons }} then days else 0 end) as varchar)
                    || ' more for other reasons'
            else ''
        end as reason
    from troubled_days
    group by source, table_name

),

-- Of what was read in the last week, alarms first.
remarked as (

    select
        remarks.source,
        remarks.table_name,
        remarks.remark,
        remarks.is_alarm,
        row_number() over (
            partition by remarks.source, remarks.table_name
            order by remarks.is_alarm desc, remarks.landing desc, remarks.source_day desc
        ) as place
    from {{ ref('stg_lake__remarks') }} as remarks
    cross join context
    where cast(remarks.as_of as date) > {{ add_days('context.as_of', -7) }}

),

excluded as (

    select 'mixpanel' as source, 'events' as table_name, cast(sum(events) as bigint) as rows_excluded
    from {{ ref('fct_event_days') }}
    where is_excluded

    union all

    select 'stripe' as source, 'customers' as table_name, count(*) as rows_excluded
    from {{ ref('int_customers_identified') }}
    where is_excluded

),

described as (

    select
        sources.source,
        sources.table_name,
        sources.title,
        sources.is_on,
        sources.why_off,
        sources.is_daily,
        covered.last_day,
        covered.complete_through,
        cast(landed.wanted_days as bigint) as landed_days,
        {{ days_between('context.history_start', 'sources.last_source_day') }} + 1 as wanted_days,
        landed.rows_kept,
        landed.quarantined,
        excluded.rows_excluded as excluded,
        landed.loaded_at,
        troubled.status as trouble,
        troubled.reason as trouble_reason,
        remarked.remark,
        coalesce(remarked.is_alarm, false) as is_alarm,
        sources.last_whole_day
    from sources
    cross join context
    left join covered
        on
            sources.source = covered.source
            and sources.table_name = covered.table_name
    left join landed
        on
            sources.source = landed.source
            and sources.table_name = landed.table_name
    left join troubled
        on
            sources.source = troubled.source
            and sources.table_name = troubled.table_name
    left join remarked
        on
            sources.source = remarked.source
            and sources.table_name = remarked.table_name
            and remarked.place = 1
    left join excluded
        on
            sources.source = excluded.source
            and sources.table_name = excluded.table_name

)

select
    source,
    table_name,
    last_day,
    case
        when loaded_at is null then null
        when is_daily then greatest(wanted_days - landed_days, 0)
        else greatest({{ days_between('complete_through', 'last_whole_day') }}, 0)
    end as days_missing,
    coalesce(rows_kept, 0) as rows,
    coalesce(quarantined, 0) as quarantined,
    loaded_at,
    case
        when not is_on then 'off'
        when trouble is not null then trouble
        when loaded_at is null then 'empty'
        when is_alarm then 'suspect'
        when complete_through is null or complete_through < last_whole_day then 'late'
        else 'ok'
    end as status,
    case
        when not is_on then why_off
        when trouble is not null then trouble_reason
        when loaded_at is null then 'nothing has landed yet'
        when is_alarm then remark
        when complete_through is null then 'no day since history start has landed whole'
        when complete_through < last_whole_day
            then
                'complete through '
                || cast(complete_through as varchar)
                || '; the last day that is over is '
                || cast(last_whole_day as varchar)
        else remark
    end as reason,
    complete_through,
    coalesce(excluded, 0) as excluded,
    title as source_title
from described
