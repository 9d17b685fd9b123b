"""Metric catalogue: every metric, what it means, what it is not for, who owns it, and its latest value."""

from dashboards.opening import show
from dashboards.sections import MetricCatalogue

show(
    "Metric catalogue",
    "Every metric: what it means, what it is not for, who owns it, what it helps to decide, and its latest value.",
    MetricCatalogue(),
)
