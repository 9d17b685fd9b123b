"""Lifecycle: who came for the first time, who stayed, who came back and who left."""

from dashboards.opening import show
from dashboards.sections import Row, Stacks, Tiles, Trend
from tailtracker_bi.figures import charts

show(
    "Lifecycle",
    "Who came for the first time, who stayed, who came back after a while, and who left.",
    Tiles("users_new", "users_returning", "users_resurrecting", "users_dormant"),
    Stacks(
        "Who came and who left",
        {
            "users_returning": ("Returning", charts.BLUE),
            "users_resurrecting": ("Resurrecting", charts.SKY),
            "users_new": ("New", charts.GREEN),
            "users_dormant": ("Dormant", charts.VERMILION),
        },
        below=["users_dormant"],
        note="Below zero: people who were active in the period before and were not in this one.",
    ),
    Row(Trend("pulse"), Trend("users_new_share")),
)
