-- The MRR that is published for a day is that of the items whose spells the day lies in. One day a week is looked at.
{{ config(meta={'dagster': {'ref': {'name': 'pub_metric_values'}}}) }}
with published as (

    select
        metric_values.period_start as day,
        metric_values.segment_value as currency,
        metric_values.value as mrr
    from {{ ref('pub_metric_values') }} as metric_values
    inner join {{ source('config', 'day_periods') }} as day_periods
        on
            metric_values.period_start = day_periods.day
            and day_periods.grain = 'day'
            and day_periods.period_index % 7 = 0
    where metric_values.metric_id = 'mrr' and metric_values.grain = 'day' and metric_values.segment = 'currency'

),

spells as (

    select * from {{ ref('int_subscription_item_spells') }}

)

select
    published.day,
    published.currency,
    published.mrr,
    sum(spells.mrr) as added
from published
left join spells
    on
        published.currency = spells.currency
        and published.day >= spells.from_date
        and published.day < coalesce(spells.to_date, date '9999-12-31')
group by published.day, published.currency, published.mrr
having published.mrr <> coalesce(cast(sum(spells.mrr) as double precision), 0)
