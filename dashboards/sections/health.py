"""What services promise, and whether they keep it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from dashboards import data
from dashboards.components import card, download, draw, nothing_here, remark, show_table
from dashboards.controls import select
from dashboards.page import Page, Section
from tailtracker_bi.figures import charts
from tailtracker_bi.figures.catalogue import Metric
from tailtracker_bi.figures.wording import number, period, promise, words

SIGNS = {"normal": "✓", "halt": "!", "freeze": "‖", "emergency": "✕"}
"""The policy is read in words; the sign makes it found."""


@dataclass(frozen=True)
class ServiceLevels(Section):
    """The promises of one month: target, value, and how much of the error budget is left and how fast it goes."""

    def metric_ids(self, known: Mapping[str, Metric]) -> Sequence[str]:
        return [metric_id for metric_id, metric in known.items() if metric.domain == "health"]

    def show(self, page: Page) -> None:
        found = data.rows(page.build, "slo_status")
        found = found.assign(month=pd.to_datetime(found["month"])).sort_values(["service", "slo"])
        if found.empty:
            nothing_here("No service level has been measured yet.")
            return
        months = {
            f"{month:%Y-%m-%d}": period(month, "month") for month in sorted(found["month"].unique(), reverse=True)
        }
        month = select("Month", months, "month", width=180)
        own = found[found["month"] == pd.Timestamp(month)]
        names = [words(slo) + ("" if service == "all" else f", {service}") for service, slo in _kinds(own)]
        left, right = st.columns([2, 1])
        with right, card("Error budget left", "Of the minutes that the target lets fail in the month, the share left."):
            _budgets(own, names)
        with left, card("Promises", "Each service level of the month against its target."):
            _table(page, own, names)


def _kinds(own: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(own["service"], own["slo"], strict=True))


def _budgets(own: pd.DataFrame, names: Sequence[str]) -> None:
    left = own["remaining_share"].astype(float)
    rows = pd.DataFrame(
        {
            "name": names,
            "value": left.clip(lower=0),
            "text": [f"{number(share, 'percent')}{' overspent' if share < 0 else ''}" for share in left],
        }
    ).sort_values("value", kind="stable")
    is_open = "" if own["is_complete"].all() else " Some minutes of the month are not known, see the table."
    draw(charts.bars(rows, label="share of the error budget left", what="Service level"), f"Least first.{is_open}")


def _table(page: Page, own: pd.DataFrame, names: Sequence[str]) -> None:
    slos = list(own["slo"])
    table = pd.DataFrame(
        {
            "Policy": [f"{SIGNS.get(policy, '?')} {policy}" for policy in own["policy"]],
            "Service level": names,
            "Target": [promise(target, slo) for target, slo in zip(own["target"], slos, strict=True)],
            "Value": [promise(value, slo) for value, slo in zip(own["value"], slos, strict=True)],
            "Budget used": [
                f"{number(used, 'decimal')} of {number(budget, 'decimal')} min"
                for used, budget in zip(own["consumed_minutes"], own["budget_minutes"], strict=True)
            ],
            "Burn (min an hour)": [number(burn, "decimal") for burn in own["burn_per_hour"]],
            "State": [charts.STATES[bool(done)] for done in own["is_complete"]],
        }
    )
    show_table(
        table,
        "Service levels of the month",
        right=["Target", "Value"],
    )
    remark(
        "Burn: budget minutes that an hour of the last day used. Policy: from a quarter of the budget used, risky "
        "deployments halt; from half, features freeze; from three quarters, it is an emergency."
    )
    download(page.build, own, "service_levels")
