"""The router: which pages there are, and what each needs. Start it with `tailtracker-bi dashboard`."""

import sys
from pathlib import Path
from typing import Any

import streamlit as st

sys.path.append(str(Path(__file__).resolve().parent.parent))

from dashboards import access, printed
from dashboards.controls import NAME, OPEN
from tailtracker_bi.access import Right

HERE = Path(__file__).resolve().parent
# By its title, the right that a page needs: the others show figures.
NEEDS = {
    "Why did it change?": Right.small_cells,
    "Explore": Right.query,
    "SQL": Right.query,
    "Access": Right.access,
}


def needed(title: str) -> Right:
    return NEEDS.get(title, Right.figures)


def page(name: str, title: str, **named: Any) -> Any:
    """A page of `app_pages/`; one that is not open to who is here is in no menu, and refused to who has its link."""
    names[title] = name
    visibility: Any = "visible" if needed(title) in rights else "hidden"
    return st.Page(f"app_pages/{name}.py", title=title, visibility=visibility, **named)


st.set_page_config(page_icon="🐾", layout="wide", initial_sidebar_state=220)
rights = access.rights()
names: dict[str, str] = {}
chosen = st.navigation(
    {
        "": [
            page("overview", "Overview", default=True),
            page("explain", "Why did it change?"),
            page("explore", "Explore"),
            page("last_hours", "Last hours"),
        ],
        "People": [
            page("active_users", "Active users"),
            page("lifecycle", "Lifecycle"),
            page("retention", "Retention"),
            page("funnels", "Funnels"),
        ],
        "Money": [
            page("revenue", "Revenue"),
            page("churn_and_ltv", "Churn and LTV"),
            page("payments", "Payments"),
        ],
        "Service": [
            page("pets_and_alerts", "Pets and alerts"),
            page("voice_and_acquisition", "Voice and acquisition"),
            page("service_levels", "Service levels"),
        ],
        "Data": [
            page("data_health", "Data health"),
            page("metric_catalogue", "Metric catalogue"),
            page("event_catalogue", "Event catalogue"),
            page("sql", "SQL"),
            page("access", "Access"),
        ],
    },
    expanded=True,
)
st.set_page_config(page_title=f"{chosen.title} · TailTracker BI")
st.html(HERE / "style.css")
access.check(needed(chosen.title), chosen.title)
st.session_state[NAME] = names[chosen.title]
st.session_state[OPEN] = {name: title for title, name in names.items() if needed(title) in rights}
printed.forget()
chosen.run()
# Below all else, as it takes a place.
st.html(HERE / "to_place.html", unsafe_allow_javascript=True)
