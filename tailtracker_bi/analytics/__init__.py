"""`analytics.yml`: what counts, who is left out, which retentions, funnels and service levels are computed.

What belongs here: the rules, and telling each mistake in the file with its line. What does not: how they are computed,
which is SQL.
"""

from tailtracker_bi.analytics.mistakes import load_analytics
from tailtracker_bi.analytics.rules import Analytics, MetricNotes, ServiceLevel

__all__ = ["Analytics", "MetricNotes", "ServiceLevel", "load_analytics"]
