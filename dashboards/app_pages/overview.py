"""Overview: the first figures of everything, how they got there, and where people stop."""

from dashboards.opening import show
from dashboards.sections import FunnelSteps, Headlines, Row, Trend

show(
    "Overview",
    "How many people use TailTracker, whether they come back and pay, and where they stop.",
    Headlines(),
    Row(Trend("active_users"), Trend("mrr")),
    Row(FunnelSteps("onboarding"), FunnelSteps("lost_pet_recovery")),
)
