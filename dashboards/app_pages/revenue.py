"""Revenue: what subscriptions pay a month, what moved it, and how many subscribers stay."""

from dashboards.opening import show
from dashboards.sections import (
    Agreement,
    Chosen,
    ExactSince,
    MrrMovements,
    OtherTools,
    Row,
    Stacks,
    Tiles,
    Trend,
    Trials,
)
from tailtracker_bi.figures import charts

OTHERS = (
    "subscriber_churn_rate_30d", "subscriber_churn_rate", "subscribers_new", "subscribers_churned",
    "mrr_net_new", "mrr_new", "mrr_reactivation", "mrr_expansion", "mrr_contraction", "mrr_churn", "mrr_billed", "arr",
    "mrr_at_risk", "subscribers_at_risk", "subscription_conversions",
)  # fmt: skip

show(
    "Revenue",
    "What subscribers pay a month, what moved it, and whether they stay.",
    Tiles("mrr", "arr", "subscribers", "subscriber_churn_rate"),
    ExactSince("mrr"),
    Row(Trend("mrr"), Trend("subscribers")),
    MrrMovements(),
    Stacks(
        "Why customers leave",
        {
            "churn_voluntary": ("Asked to cancel", charts.BLUE),
            "churn_involuntary": ("Payment failed or disputed", charts.VERMILION),
            "churn_unknown": ("Unknown", charts.GREY),
        },
        note="Customers whose last subscription ended, by why it did.",
    ),
    Stacks(
        "MRR at risk",
        {
            "mrr_cancelling": ("To end", charts.BLUE),
            "mrr_past_due": ("Payment overdue", charts.VERMILION),
        },
        note="What may soon be lost, at the end of each period.",
    ),
    Row(Trials(), Trend("trial_conversion_rate_30d")),
    Chosen(OTHERS, "Another metric"),
    OtherTools(),
    Agreement(["subscriptions"]),
    needs=["mrr_movements", "trials", "reconciliation", "mrr_modes"],
)
