-- Opening and what moved give closing, for every period, currency, segment and value, to the last decimal; of customers, too.
-- Only exchange rates (fx) may take away; whose MRR they change neither come nor go.
with signed as (

    select
        *,
        case
            when movement in ('contraction', 'churn', 'switched_out', 'closing') then -1
            else 1
        end as direction
    from {{ ref('agg_mrr_movements') }}

)

select
    grain,
    period_start,
    currency,
    segment,
    segment_value,
    sum(direction * amount) as amount_left,
    sum(case when movement in ('expansion', 'contraction', 'fx') then 0 else direction * customers end) as customers_left
from signed
group by grain, period_start, currency, segment, segment_value
having
    (count(amount) = count(*) and sum(direction * amount) <> 0)
    or sum(case when movement in ('expansion', 'contraction', 'fx') then 0 else direction * customers end) <> 0
    or min(case when movement <> 'fx' then amount end) < 0
