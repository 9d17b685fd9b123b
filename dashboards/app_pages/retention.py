"""Retention: of the people who started, who came back."""

from dashboards.opening import show
from dashboards.sections import Retention, Row, Tiles, Trend

show(
    "Retention",
    "Of the people who started in a period (a cohort), the share who came back later.",
    Tiles("retention_d1", "retention_d7", "retention_d30", "retention_d90"),
    Retention(),
    Row(Trend("retention_d1"), Trend("retention_d7")),
    needs=["retention_cohorts"],
)
