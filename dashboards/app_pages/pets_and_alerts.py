"""Pets and alerts: accounts and pets, which pets are lost, how many come home and how soon."""

from dashboards.opening import show
from dashboards.sections import Agreement, Chosen, Lines, Row, Tiles

show(
    "Pets and alerts",
    "How many accounts and pets there are, how many pets are lost, and how many come home.",
    Tiles("total_pets", "lost_pet_alerts", "pets_recovered", "recovery_rate_30d"),
    Row(
        Chosen(("lost_pet_alerts", "pets_recovered", "recovery_rate_30d"), "Lost and found", key="alerts"),
        Lines("Hours to recovery", {"recovery_hours_avg": "Mean", "recovery_hours_median": "Median"}),
    ),
    Row(
        Chosen(("pets_created", "total_pets"), "Pets", key="pets"),
        Chosen(("sign_ups", "total_users"), "Accounts", key="accounts"),
    ),
    Agreement(["engagement", "pets"], and_the_rest=["subscriptions", "payments"]),
    needs=["reconciliation"],
)
