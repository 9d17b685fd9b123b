"""The pages of the dashboard, what each is to show, and how to open one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from streamlit.testing.v1 import AppTest

from tailtracker_bi.access import Role

APP = Path(__file__).parents[2] / "dashboards" / "streamlit_app.py"
PAGES = {
    "Overview": "overview",
    "Active users": "active_users",
    "Lifecycle": "lifecycle",
    "Retention": "retention",
    "Funnels": "funnels",
    "Revenue": "revenue",
    "Churn and LTV": "churn_and_ltv",
    "Payments": "payments",
    "Pets and alerts": "pets_and_alerts",
    "Voice and acquisition": "voice_and_acquisition",
    "Service levels": "service_levels",
    "Why did it change?": "explain",
    "Explore": "explore",
    "Last hours": "last_hours",
    "Data health": "data_health",
    "Metric catalogue": "metric_catalogue",
    "Event catalogue": "event_catalogue",
    "SQL": "sql",
}
SECTIONS = {
    "Overview": (
        *("People", "Money", "Pets", "Health"),
        *("Active people", "MRR", "Onboarding", "Lost pet recovery"),
    ),
    "Active users": ("Active people", "Stickiness", "Another metric", "Days active in February 2025"),
    "Lifecycle": ("Who came and who left", "Pulse"),
    "Retention": ("All cohorts together", "Cohorts", "Day 1 retention", "Day 7 retention"),
    "Funnels": ("Onboarding", "Conversion over time", "Time between steps", "By app version"),
    "Revenue": (
        *("MRR", "Subscribers", "What moved MRR", "From opening to closing", "Why customers leave"),
        "MRR at risk",
        *("What became of trials", "Trial conversion, 30 days", "Another metric"),
        "What other tools would say",
        "Do the sources agree?",
    ),
    "Churn and LTV": (
        *("What a subscriber is worth", "How long subscribers stay", "Revenue retention", "Subscriber churn"),
        *("What cohorts keep paying", "ARPPU", "Another metric"),
    ),
    "Payments": (
        "Success rate",
        "How payments ended",
        "When failed payments are recovered",
        "Why first attempts fail",
        "What came in and what went out",
        "Another metric",
        "Do the sources agree?",
    ),
    "Pets and alerts": ("Lost and found", "Hours to recovery", "Pets", "Accounts", "Do the sources agree?"),
    "Voice and acquisition": ("Support tickets",),
    "Service levels": ("Promises", "Error budget left", "Availability", "Error budget remaining"),
    "Why did it change?": ("MRR", "By every segment"),
    "Explore": (),
    "Last hours": (),
    "Data health": ("Sources and tables", "Not counted", "Do the sources agree?", "Restated values", "The build"),
    "Metric catalogue": ("Metrics", "What it is", "Accounts"),
    "Event catalogue": ("Events",),
    "SQL": (),
}
CHARTS = {
    "Overview": 4, "Active users": 4, "Lifecycle": 2, "Retention": 4, "Funnels": 4, "Revenue": 9,
    "Churn and LTV": 7, "Payments": 5,
    "Pets and alerts": 4, "Voice and acquisition": 1, "Service levels": 3, "Data health": 0, "Metric catalogue": 1,
    "Event catalogue": 0, "Why did it change?": 1, "Explore": 0, "Last hours": 0, "SQL": 0,
}  # fmt: skip
NOW = "2025-03-12T07:00:00Z"
COOKIE_SECRET, CLIENT_SECRET = "cookie-secret-of-at-least-32-characters", "client-secret"
SIGN_IN = {
    "TAILTRACKER_OIDC_METADATA_URL": "https://id.tailtracker.example/.well-known/openid-configuration",
    "TAILTRACKER_OIDC_CLIENT_ID": "dashboard",
    "TAILTRACKER_OIDC_CLIENT_SECRET": CLIENT_SECRET,
    "TAILTRACKER_COOKIE_SECRET": COOKIE_SECRET,
    "TAILTRACKER_DASHBOARD_URL": "https://bi.tailtracker.example",
}
ROLES = "roles:\n" + "".join(f"  {role}: [{role}@tailtracker.example]\n" for role in Role)


def open_page(title: str, **link: Any) -> AppTest:
    page = AppTest.from_file(str(APP), default_timeout=60)
    if title != "Overview":
        page.switch_page(f"app_pages/{PAGES[title]}.py")
    page.query_params = dict(link)
    page.run()
    assert not page.exception, page.exception[0].message
    assert [heading.value for heading in page.title] == [title]
    return page
