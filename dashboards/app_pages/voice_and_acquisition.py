"""Voice and acquisition: what people say, what they need help with, who comes to pay, and what that costs."""

from dashboards.opening import show
from dashboards.sections import Row, Tiles, Trend

show(
    "Voice and acquisition",
    "What people say about TailTracker, what they need help with, who comes to pay, and what that costs.",
    Tiles("nps", "app_store_rating", "support_tickets", "cac"),
    Row(Trend("nps"), Trend("app_store_rating")),
    Row(Trend("payment_conversion"), Trend("cac")),
    Trend("support_tickets"),
)
