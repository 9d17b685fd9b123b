select
    funnel_id,
    entry_grain,
    entry_start,
    segment,
    segment_value,
    step_index,
    step_name,
    users,
    avg_seconds_from_previous,
    median_seconds_from_previous,
    is_complete
from {{ ref('agg_funnel_steps') }}
