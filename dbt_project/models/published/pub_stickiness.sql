select
    grain,
    period_start,
    days_active,
    users,
    is_complete
from {{ ref('agg_stickiness_days') }}
