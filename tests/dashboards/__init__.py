"""The pages of the dashboard, what each is to show, and how to open one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from streamlit.testing.v1 import AppTest

APP = Path(__file__).parents[2] / "dashboards" / "streamlit_app.py"
PAGES = {
    "Overview": "overview",
    "Active users and retention": "active_users_and_retention",
    "Revenue": "revenue",
    "Payments": "payments",
    "Pets and alerts": "pets_and_alerts",
    "Data status": "data_status",
}
SECTIONS = {
    "Overview": ("Latest complete figures", "Trend", "Funnels", "All metrics"),
    "Active users and retention": (
        "Active people",
        "Who came and who left",
        "Days active in February 2025",
        "Retention",
    ),
    "Revenue": ("Latest complete figures", "MRR", "What moved MRR", "Do the sources agree?"),
    "Payments": (
        "Latest complete figures",
        "Success rates",
        "How payments ended",
        "Why first attempts fail",
        "What came in and what went out",
        "Payment success",
        "Do the sources agree?",
    ),
    "Pets and alerts": (
        "Latest complete figures",
        "Sign-ups",
        "Lost pet alerts",
        "Hours to recovery",
        "Do the sources agree?",
    ),
    "Data status": ("Sources and tables", "Not counted", "Do the sources agree?", "Restated values", "The build"),
}
NOW = "2025-03-12T07:00:00Z"


def open_page(title: str, **link: Any) -> AppTest:
    page = AppTest.from_file(str(APP), default_timeout=60)
    if title != "Overview":
        page.switch_page(f"app_pages/{PAGES[title]}.py")
    page.query_params = dict(link)
    page.run()
    assert not page.exception, page.exception[0].message
    assert [heading.value for heading in page.title] == [title]
    return page
