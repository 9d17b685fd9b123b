"""Overview: the latest complete figures, how they got there, and every metric in one table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta

import pandas as pd
import streamlit as st

from dashboards import data, people_charts
from dashboards.components import (
    COMPARED,
    GRAINS,
    INCOMPLETE_NOTE,
    download,
    draw,
    explain,
    nothing_here,
    open_page,
    say_what_is_left_out,
    select,
    show_table,
    switch,
    table_behind,
    tile,
    tiles,
    why_no_data,
)
from dashboards.over_time import by_period
from tailtracker_bi.bundle import Bundle
from tailtracker_bi.figures import charts
from tailtracker_bi.figures.catalogue import Metric
from tailtracker_bi.figures.exported import as_data, readings_as_data
from tailtracker_bi.figures.not_counted import beside
from tailtracker_bi.figures.points import within
from tailtracker_bi.figures.readings import COHORTS, Reading
from tailtracker_bi.figures.wording import NO_DATA, day, period, words

# The others go by day, where they are counted by day: each figure compares with one whose days do not overlap its own;
# a day, with the same weekday.
BY_WEEK = {"users_new", "lost_pet_alerts", "payments", "payment_success_rate", "gross_volume"}
RANGES = {"7": "7 days", "30": "30 days", "90": "90 days", "all": "All"}


def headline_tiles(build: Bundle, metrics: Mapping[str, Metric]) -> None:
    st.header("Latest complete figures", help=COMPARED)
    by_domain: dict[str, dict[str, str]] = {}
    for metric in sorted(metrics.values(), key=lambda metric: metric.headline_rank or 0):
        grains = data.grains_of(build, metric.metric_id)
        if metric.headline_rank and grains:
            grain = "week" if metric.metric_id in BY_WEEK else grains[0]
            by_domain.setdefault(metric.domain, {})[metric.metric_id] = grain
    if not by_domain:
        nothing_here("The build was made before first figures were chosen: run `tailtracker-bi refresh`.")
    for domain, own in by_domain.items():
        st.subheader(words(domain))
        tiles(build, metrics, own)


def trend(build: Bundle, metrics: Mapping[str, Metric]) -> None:
    st.header("Trend")
    with st.container(horizontal=True, vertical_alignment="top"):
        with st.container(width=300):
            choices = [key for key in ("dau", *metrics) if key in metrics and metrics[key].status == "active"]
            metric = metrics[select("Metric", labels(metrics), "metric", (choices or ["dau"])[0])]
        chosen_range = switch("Range", RANGES, "range", "30")
        grain = switch("By", GRAINS, "grain", "day")
    grains = data.grains_of(build, metric.metric_id)
    if not grains:
        why_no_data(build, metric)
        return
    if grain not in grains:
        st.caption(f"{metric.label} is not counted by {grain}; shown by {grains[0]}.")
        grain = grains[0]
    points = data.series(build, metric.metric_id, grain)
    if chosen_range != "all":
        last = points["period_start"].max().date()
        first = last - timedelta(days=int(chosen_range) - 1)
        points = within(points, "period_start", (first, last), grain)
    draw(
        charts.trend(
            points,
            label=metric.label,
            unit=metric.unit,
            form=metric.format,
            grain=grain,
            target=metric.target,
        ),
        INCOMPLETE_NOTE,
    )
    say_what_is_left_out(build, [metric])
    table = by_period(points.assign(segment_value=metric.label), grain, {metric.label: metric.format})
    rows = as_data(metric, points, grain)
    table_behind(build, table, rows, f"{metric.metric_id}_by_{grain}", metric.label)


def funnels(build: Bundle, metrics: Mapping[str, Metric]) -> None:
    st.header("Funnels", help="People who entered in the latest week whose time to convert is over.")
    steps = data.rows(build, "funnel_steps", entry_grain="week", segment="all")
    if steps.empty:
        nothing_here("No funnel has been entered yet.")
        return
    for funnel_id in steps["funnel_id"].unique():
        metric = metrics.get(f"{funnel_id}_conversion")
        own = steps[(steps["funnel_id"] == funnel_id) & steps["is_complete"]].sort_values("step_index")
        if metric is None:
            continue
        st.subheader(metric.label)
        if own.empty:
            nothing_here("No week of entries is complete yet: its people still have time to convert.")
            continue
        start = pd.Timestamp(own["entry_start"].max())
        left, right = st.columns([1, 3])
        with left:
            reading = data.latest(build, metric.metric_id, "week")
            tile(build, reading, grain="week", label="Conversion")
        with right:
            draw(people_charts.funnel(own[pd.to_datetime(own["entry_start"]) == start], start))


def all_metrics(build: Bundle, metrics: Mapping[str, Metric]) -> None:
    st.header(
        "All metrics",
        help="Metrics that are not counted by the chosen period are shown by day; "
        f"retention over {COHORTS} daily cohorts.",
    )
    grain = switch("Compare by", GRAINS, "compare", "week")
    readings = [latest_reading(build, metric, grain) for metric in metrics.values()]
    table = pd.DataFrame([in_the_table(build, reading, used) for reading, used in readings])
    show_table(table, "All metrics with their latest complete value", right=["Latest", "Before", "Change", "Target"])
    known = [(reading, used) for reading, used in readings if reading.now.period_start is not None]
    if known:
        download(build, readings_as_data(known), f"all_metrics_by_{grain}")


def in_the_table(build: Bundle, reading: Reading, grain: str) -> dict[str, str]:
    metric, start, span = reading.metric, reading.now.period_start, NO_DATA
    if start is not None:
        span = f"cohorts from {day(start)}" if metric.cohort_days else period(start, grain)
    return {
        "Area": words(metric.domain),
        "Metric": metric.label,
        "Latest": reading.shown,
        "Before": reading.shown_before,
        "Change": reading.change,
        "Judged": reading.judged,
        "Of": reading.sample,
        "Target": reading.target,
        "Period": span,
        "Not counted": beside([metric.metric_id], data.left_out(build)),
        "Owner": metric.owner,
        "What it is": metric.about,
    }


def latest_reading(build: Bundle, metric: Metric, grain: str) -> tuple[Reading, str]:
    """The latest value and the grain that it is of; cohorts of one day are too small to compare."""
    used = grain if grain in data.grains_of(build, metric.metric_id) and not metric.cohort_days else "day"
    reading = data.latest(build, metric.metric_id, used)
    return reading, f"{COHORTS} daily cohorts" if metric.cohort_days else used


def labels(metrics: Mapping[str, Metric]) -> dict[str, str]:
    """Labels by id; one that several metrics have says what it is about."""
    shared = Counter(metric.label for metric in metrics.values())
    return {
        metric_id: f"{metric.label} ({metric.domain})" if shared[metric.label] > 1 else metric.label
        for metric_id, metric in metrics.items()
    }


build = open_page("Overview", "How many people use TailTracker, whether they come back and pay, and where they stop.")
metrics = data.catalog(build)
headline_tiles(build, metrics)
trend(build, metrics)
funnels(build, metrics)
all_metrics(build, metrics)
explain(list(metrics.values()))
