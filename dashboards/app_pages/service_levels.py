"""Service levels: what services promise, whether they keep it, and how much may still fail."""

from dashboards.opening import show
from dashboards.sections import Row, ServiceLevels, Tiles, Trend

show(
    "Service levels",
    "What services promise, whether they keep it, and how much may still fail this month.",
    Tiles("availability", "latency_p95_ms", "error_rate", "error_budget_remaining"),
    ServiceLevels(),
    Row(Trend("availability", from_zero=False), Trend("latency_p95_ms")),
    Row(Trend("error_rate"), Trend("error_budget_remaining")),
    needs=["slo_status"],
)
