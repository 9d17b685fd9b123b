select
    subscription_id,
    subscription_item_id,
    customer_id,
    currency,
    plan,
    billing_cycle,
    country,
    mrr,
    from_date,
    to_date,
    risk,
    at_risk_from_date
from {{ ref('int_subscription_item_standings') }}
where standing = 'counted' and mrr > 0
