with changes as (

    select
        *,
        case when currency = 'all' then segment else 'currency' end as own_segment,
        case when currency = 'all' then segment_value else currency end as own_value
    from {{ ref('fct_mrr_changes') }}
    where currency = 'all' or segment = 'all'

),

begun as (

    select
        own_segment,
        own_value,
        currency,
        customer_id,
        change_date
    from changes
    where movement = 'new'

),

-- The customer as a whole decides when it is over, in a currency what is paid in it.
first_ends as (

    select currency, customer_id, min(change_date) as ended_date
    from {{ ref('fct_mrr_changes') }}
    where segment = 'all' and movement = 'churn'
    group by currency, customer_id

)

select
    begun.own_segment as segment,
    begun.own_value as segment_value,
    begun.customer_id,
    begun.change_date as began_date,
    first_ends.ended_date
from begun
left join first_ends
    on
        begun.currency = first_ends.currency
        and begun.customer_id = first_ends.customer_id
