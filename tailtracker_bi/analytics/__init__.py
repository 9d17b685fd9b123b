"""`analytics.yml`: what counts, who is left out, which retentions, funnels and service levels are computed, what
reports show.

What belongs here: the rules, and telling each mistake in the file with its line. What does not: how they are computed,
which is SQL.
"""

from tailtracker_bi.analytics.alerts import Alerting, AlertRules
from tailtracker_bi.analytics.mistakes import load_analytics, yaml_with_lines
from tailtracker_bi.analytics.reports import ExportRules, ReportRules
from tailtracker_bi.analytics.rules import (
    Analytics,
    Funnel,
    MetricNotes,
    PropertyFilter,
    Retention,
    ServiceLevel,
    plain_id,
)

__all__ = [
    "AlertRules",
    "Alerting",
    "Analytics",
    "ExportRules",
    "Funnel",
    "MetricNotes",
    "PropertyFilter",
    "ReportRules",
    "Retention",
    "ServiceLevel",
    "load_analytics",
    "plain_id",
    "yaml_with_lines",
]
