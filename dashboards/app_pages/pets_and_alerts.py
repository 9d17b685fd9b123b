"""Pets and alerts: accounts and pets, which pets are lost, how many come home and how soon."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from dashboards import data
from dashboards.components import COMPARED, explain, nothing_here, open_page, select, tiles, why_no_data
from dashboards.over_time import differences, grain_and_dates, over_time, split_by, together
from tailtracker_bi.bundle import Bundle
from tailtracker_bi.figures.catalogue import Metric

ACCOUNTS = ("sign_ups", "total_users", "pets_created", "total_pets")
ALERTS = ("lost_pet_alerts", "pets_recovered", "recovery_rate_30d")
HOURS = {"recovery_hours_avg": "Mean", "recovery_hours_median": "Median"}
STOCKS = ("total_users", "total_pets", "recovery_rate_30d")
OF_OTHER_PAGES = ("subscriptions", "payments")


def chosen_metric(build: Bundle, metrics: Mapping[str, Metric], ids: tuple[str, ...], key: str) -> tuple[Metric, str]:
    """A metric of these and what to split it by; the choices are in the address bar as `key` and `key`_by."""
    listed = {metric_id: metrics[metric_id].label for metric_id in ids if metric_id in metrics}
    with st.container(horizontal=True, vertical_alignment="top"):
        with st.container(width=240):
            metric = metrics[select("Metric", listed, key)]
        segment = split_by(build, [metrics[metric_id] for metric_id in listed], "All", f"{key}_by")
    return metric, segment


build = open_page(
    "Pets and alerts",
    "How many accounts and pets there are, how many pets are lost, and how many come home.",
    ["reconciliation"],
)
metrics = data.catalog(build)
known = [key for key in (*ACCOUNTS, *ALERTS, *HOURS) if key in metrics]
counted = [key for key in known if data.grains_of(build, key)]
if not counted:
    if known:
        why_no_data(build, metrics[known[-1]])
    else:
        nothing_here("No account, pet or alert has been counted yet.")
    st.stop()
st.header("Latest complete figures", help=COMPARED)
tiles(build, metrics, {key: "day" if key in STOCKS else "week" for key in known})
with st.container(horizontal=True, vertical_alignment="top"):
    grain, dates = grain_and_dates(build, metrics[counted[0]], "week")
if any(key in metrics for key in ACCOUNTS):
    over_time(build, *chosen_metric(build, metrics, ACCOUNTS, "accounts"), grain, dates)
if any(key in metrics for key in ALERTS):
    over_time(build, *chosen_metric(build, metrics, ALERTS, "alerts"), grain, dates)
hours = {name: metrics[key] for key, name in HOURS.items() if key in metrics}
together(build, hours, grain, dates, heading="Hours to recovery")
differences(build, ["engagement", "pets"], and_the_rest=OF_OTHER_PAGES)
explain([metrics[key] for key in known])
