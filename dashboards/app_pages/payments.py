"""Payments: whether they succeed and at which try, why they fail, and what is left of them."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from dashboards import data
from dashboards.components import (
    COMPARED,
    download,
    draw,
    explain,
    nothing_here,
    open_page,
    say_what_is_left_out,
    select,
    show_table,
    table_behind,
    tiles,
    why_no_data,
)
from dashboards.over_time import (
    Dates,
    by_period,
    differences,
    grain_and_dates,
    over_time,
    say_where_there_is_no_total,
    split_by,
    together,
)
from tailtracker_bi.bundle import Bundle
from tailtracker_bi.figures import charts
from tailtracker_bi.figures.catalogue import Metric
from tailtracker_bi.figures.exported import each_as_data, of_metric
from tailtracker_bi.figures.points import longest_complete_grain, within
from tailtracker_bi.figures.wording import number, words

RATES = {
    "payment_success_rate": "Payments",
    "first_attempt_success_rate": "First attempts",
    "attempt_success_rate": "All attempts",
}
VOLUME = {"gross_volume": charts.BLUE, "refunds": charts.ORANGE, "disputes": charts.VERMILION, "fees": charts.PURPLE}
TILES = ("payments", *RATES, "recovery_rate", "gross_volume", "refunds", "fees", "net_volume")
OVER_TIME = (*TILES, "disputes", "refund_rate", "dispute_rate")
# In the order in which they are stacked.
OUTCOMES = {
    "first_attempt": charts.BLUE,
    "recovered": charts.SKY,
    "failed": charts.VERMILION,
    "pending": charts.ORANGE,
    "blocked": charts.GREY,
}


def outcomes(build: Bundle, payments: Metric, grain: str, dates: Dates) -> None:
    st.header(
        "How payments ended",
        help="Booked on the day of the first attempt. Recovered: the first attempt failed and a later one succeeded.",
    )
    found = of_all_currencies(data.rows(build, "payment_outcomes", grain=grain))
    found = within(found, "period_start", dates, grain)
    if found.empty:
        nothing_here("No payment between these dates.")
        return
    counted = found.groupby(["period_start", "outcome"], as_index=False).agg(
        value=("payments", "sum"), is_complete=("is_complete", "all")
    )
    counted["group"] = counted["outcome"].map(words)
    say_what_is_left_out(build, [payments])
    colors = {words(outcome): color for outcome, color in OUTCOMES.items()}
    draw(
        charts.stacks(counted, colors, label="Payments", unit=payments.unit, form="integer", grain=grain),
        "Pale: not complete yet, so payments may still succeed.",
    )
    every = pd.MultiIndex.from_product([sorted(counted["period_start"].unique()), counted["group"].unique()])
    rows = counted.set_index(["period_start", "group"])[["value"]].reindex(every, fill_value=0).reset_index()
    rows.columns = pd.Index(["period_start", "segment_value", "value"])
    rows["is_complete"] = rows["period_start"].map(counted.groupby("period_start")["is_complete"].all())
    order = [name for name in colors if name in set(rows["segment_value"])]
    rows = rows.sort_values("segment_value", key=lambda names: names.map(order.index), kind="stable")
    forms = dict.fromkeys(order, "integer")
    exported = of_metric(payments, found)
    table_behind(build, by_period(rows, grain, forms), exported, f"payment_outcomes_by_{grain}", "How payments ended")


def of_all_currencies(found: pd.DataFrame) -> pd.DataFrame:
    """Each payment once: the rows of all currencies together where there are such, else those of each."""
    together = found[found["currency"] == "all"]
    rows = found if together.empty else together
    return rows.assign(period_start=pd.to_datetime(rows["period_start"]))


def decline_codes(build: Bundle, payments: Metric, dates: Dates) -> None:
    st.header(
        "Why first attempts fail",
        help="The decline code of a payment's first failure, over the complete days between the dates.",
    )
    found = of_all_currencies(data.rows(build, "payment_outcomes", grain="day"))
    found = within(found[found["is_complete"]], "period_start", dates, "day")
    declined = found[found["outcome"].isin(["failed", "recovered"])].fillna({"decline_code": "(unknown)"})
    if declined.empty:
        nothing_here("No payment failed between these dates.")
        return
    by_code = declined.pivot_table(
        index="decline_code", columns="outcome", values="payments", aggfunc="sum", fill_value=0
    ).reindex(columns=["failed", "recovered"], fill_value=0)
    ranked = by_code.assign(payments=by_code.sum(axis="columns")).sort_values(
        "payments", ascending=False, kind="stable"
    )
    ranked["share"] = ranked["payments"] / ranked["payments"].sum()
    ranked["recovered_share"] = ranked["recovered"] / ranked["payments"]
    ranked = ranked.reset_index()
    table = pd.DataFrame(
        {
            "Decline code": [words(code) for code in ranked["decline_code"]],
            "Payments": [number(count, "integer") for count in ranked["payments"]],
            "Share": [number(share, "percent") for share in ranked["share"]],
            "Recovered": [number(count, "integer") for count in ranked["recovered"]],
            "Recovered share": [number(share, "percent") for share in ranked["recovered_share"]],
        }
    )
    show_table(table, "Decline codes by number of payments", right=list(table.columns[1:]))
    exported = ranked[["decline_code", "payments", "share", "recovered", "recovered_share"]]
    exported = exported.assign(first_day=dates[0], last_day=dates[1], is_complete=True)
    download(build, of_metric(payments, exported), "decline_codes")


def volume(build: Bundle, metrics: Mapping[str, Metric], grain: str, dates: Dates) -> None:
    known = [metrics[key] for key in VOLUME if key in metrics]
    net = metrics.get("net_volume")
    st.header(
        "What came in and what went out",
        help="Each on its own date: a refund counts on the day it was paid back, whenever the payment was.",
    )
    parts = [data.series(build, metric.metric_id, grain).assign(group=metric.label) for metric in known]
    points = within(pd.concat(parts), "period_start", dates, grain) if parts else pd.DataFrame()
    if points.empty:
        nothing_here("No payment between these dates.")
        return
    say_where_there_is_no_total(build, known[0], grain, dates)
    say_what_is_left_out(build, known)
    if points["value"].isna().all():
        nothing_here("There is no total to draw: split gross volume by currency.")
        return
    draw(
        charts.stacks(
            points,
            {metrics[key].label: color for key, color in VOLUME.items() if key in metrics},
            label="Volume",
            unit=known[0].unit,
            form=known[0].format,
            grain=grain,
            below=[metrics[key].label for key in VOLUME if key != "gross_volume" and key in metrics],
        ),
        "Above zero: gross volume. Below: refunds, disputes and fees; a dispute that was won comes back above zero. "
        "Pale: not complete yet.",
    )
    if net is not None:
        own = within(data.series(build, net.metric_id, grain), "period_start", dates, grain)
        points = pd.concat([points, own.assign(group=net.label)])
    points = points.rename(columns={"group": "segment_value"})
    forms = dict.fromkeys(points["segment_value"].unique(), known[0].format)
    named = {metric.label: metric for metric in (*known, *([net] if net else []))}
    rows = each_as_data(named, points, grain)
    table_behind(
        build, by_period(points, grain, forms), rows, f"volume_by_{grain}", "Volume, refunds, disputes and fees"
    )


build = open_page(
    "Payments",
    "Whether payments succeed and at which try, why they fail, and what is left of them.",
    ["payment_outcomes", "reconciliation"],
)
metrics = data.catalog(build)
known = [key for key in OVER_TIME if key in metrics and data.grains_of(build, key)]
payments = metrics.get("payments")
if payments is None:
    nothing_here("No payment has been counted yet.")
elif "payments" not in known:
    why_no_data(build, payments)
if not known:
    st.stop()
longest = longest_complete_grain(
    {grain: data.series(build, known[0], grain) for grain in data.grains_of(build, known[0])}
)
st.header("Latest complete figures", help=COMPARED)
tiles(build, metrics, dict.fromkeys(TILES, longest))
with st.container(horizontal=True, vertical_alignment="top"):
    grain, dates = grain_and_dates(build, metrics[known[0]], "week")
rates = {name: metrics[key] for key, name in RATES.items() if key in known}
together(build, rates, grain, dates, heading="Success rates", from_zero=False)
if payments is not None and "payments" in known:
    outcomes(build, payments, grain, dates)
    decline_codes(build, payments, dates)
volume(build, {key: metrics[key] for key in known}, grain, dates)
listed = {key: metrics[key].label for key in OVER_TIME if key in metrics}
first = "payment_success_rate" if "payment_success_rate" in known else known[0]
with st.container(horizontal=True, vertical_alignment="top"):
    with st.container(width=240):
        metric = metrics[select("Metric", listed, "metric", first)]
    segment = split_by(build, [metrics[key] for key in listed], "All payments")
over_time(build, metric, segment, grain, dates)
differences(build, ["payments"])
explain([metrics[key] for key in OVER_TIME if key in metrics])
