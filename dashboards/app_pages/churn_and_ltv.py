"""Churn and LTV: how long subscribers stay, and what they are worth."""

from dashboards.opening import show
from dashboards.sections import Chosen, ExactSince, Lines, RevenueCohorts, Row, Staying, Tiles, Trend, Worth

OTHERS = (
    "quick_ratio", "quick_ratio_with_reactivation", "arpu", "ltv_realised", "ltv_to_cac", "cac_payback_months",
    "subscriber_churn_rate_30d",
)  # fmt: skip

show(
    "Churn and LTV",
    "How long subscribers stay, what they are worth, and what it cost to win them.",
    Tiles("ltv_predicted", "ltv_realised", "nrr", "ltv_to_cac"),
    ExactSince("nrr"),
    Row(Worth(), Staying()),
    Row(
        Lines("Revenue retention", {"nrr": "Net", "grr": "Gross"}, from_zero=False),
        Trend("subscriber_churn_rate"),
    ),
    RevenueCohorts(),
    Row(Trend("ltv_predicted"), Trend("arppu", from_zero=False)),
    Chosen(OTHERS, "Another metric"),
    grain="month",
    needs=["ltv_predictions", "subscriber_survival", "revenue_cohorts"],
)
