"""Active users: how many people are active, how often, and what they do."""

from dashboards.opening import show
from dashboards.sections import Chosen, DaysActive, Row, Tiles, Trend

OTHERS = ("events", "sign_ups", "total_users", "users_new_share", "dau", "wau", "mau")

show(
    "Active users",
    "How many people are active by day, week and month, and how often they come.",
    Tiles("dau", "wau", "mau", "stickiness"),
    Row(Trend("active_users"), Trend("stickiness")),
    Row(Chosen(OTHERS, "Another metric"), DaysActive()),
    needs=["stickiness"],
    grain="day",
)
