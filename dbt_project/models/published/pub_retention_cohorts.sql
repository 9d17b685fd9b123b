select
    retention_id,
    mode,
    cohort_grain,
    cohort_start,
    segment,
    segment_value,
    period_index,
    cohort_size,
    retained,
    is_complete
from {{ ref('metric_retention_cells') }}
