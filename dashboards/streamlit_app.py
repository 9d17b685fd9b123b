"""The router: which pages there are. Start it with `tailtracker-bi dashboard`."""

import sys
from pathlib import Path

import streamlit as st

sys.path.append(str(Path(__file__).resolve().parent.parent))

page = st.navigation(
    [
        st.Page("app_pages/overview.py", title="Overview", default=True),
        st.Page("app_pages/active_users_and_retention.py", title="Active users and retention"),
        st.Page("app_pages/revenue.py", title="Revenue"),
        st.Page("app_pages/payments.py", title="Payments"),
        st.Page("app_pages/pets_and_alerts.py", title="Pets and alerts"),
        st.Page("app_pages/data_status.py", title="Data status"),
    ]
)
st.set_page_config(page_title=f"{page.title} · TailTracker BI", page_icon="🐾", layout="wide")
page.run()
