-- What others would say is our MRR and what they differ by, and our MRR there is the closing of the movements.
{{ config(meta={'dagster': {'ref': {'name': 'pub_mrr_modes'}}}) }}
with modes as (

    select
        period_start,
        currency,
        mode,
        case when count(amount) = count(*) then sum(case when reason = 'total' then amount else -amount end) end as left_over,
        sum(case when reason = 'ours' then amount end) as ours
    from {{ ref('pub_mrr_modes') }}
    group by period_start, currency, mode

),

closings as (

    select period_start, currency, amount from {{ ref('pub_mrr_movements') }}
    where grain = 'month' and segment = 'all' and movement = 'closing'

)

select modes.*
from modes
left join closings
    on
        modes.period_start = closings.period_start
        and modes.currency = closings.currency
where modes.left_over <> 0 or modes.ours <> coalesce(closings.amount, 0)
