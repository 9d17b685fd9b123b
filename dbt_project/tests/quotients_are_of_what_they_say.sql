-- What a metric is said to be the quotient of is what it divides, in every period and segment value that all three have.
with catalog as (

    select
        metric_id,
        trim(split_part(quotient_of, ',', 1)) as over,
        trim(split_part(quotient_of, ',', 2)) as under
    from {{ ref('pub_metric_catalog') }}
    where quotient_of is not null

),

published as (

    select * from {{ ref('pub_metric_values') }}

)

select
    quotients.metric_id,
    quotients.grain,
    quotients.period_start,
    quotients.segment,
    quotients.segment_value
from catalog
inner join published as quotients on catalog.metric_id = quotients.metric_id
inner join published as numerators
    on
        catalog.over = numerators.metric_id
        and quotients.grain = numerators.grain
        and quotients.period_start = numerators.period_start
        and quotients.segment = numerators.segment
        and quotients.segment_value = numerators.segment_value
inner join published as denominators
    on
        catalog.under = denominators.metric_id
        and quotients.grain = denominators.grain
        and quotients.period_start = denominators.period_start
        and quotients.segment = denominators.segment
        and quotients.segment_value = denominators.segment_value
where quotients.numerator <> numerators.value or quotients.denominator <> denominators.value
