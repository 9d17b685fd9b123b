select
    grain,
    period_start,
    days_active,
    users,
    is_complete
from {{ ref('metric_stickiness_days') }}
