"""Overview: the latest complete figures, how they got there, and every metric in one table."""

from __future__ import annotations

from datetime import timedelta
from itertools import cycle

import pandas as pd
import streamlit as st

from dashboards import charts, data, people_charts
from dashboards.components import (
    GRAINS,
    INCOMPLETE_NOTE,
    download,
    draw,
    explain,
    nothing_here,
    open_page,
    select,
    show_table,
    switch,
    table_behind,
    tile,
    why_no_data,
)
from dashboards.data import Metric, Reading
from dashboards.wording import NO_DATA, change, day, number, period
from tailtracker_bi.bundle import Bundle

# Each daily figure compares with one whose days do not overlap its own; a day, with the same weekday.
DAYS_BACK = {"dau": 7, "wau": 7, "mau": 30, "stickiness": 30}
COHORT_DAYS = 28
RANGES = {"7": "7 days", "30": "30 days", "90": "90 days", "all": "All"}


def headline_tiles(build: Bundle, metrics: dict[str, Metric]) -> None:
    st.header("Latest complete figures", help="Each is compared with an earlier, complete time of the same length.")
    places = cycle(st.columns(3) + st.columns(3))
    for metric_id, days_back in DAYS_BACK.items():
        if metric := metrics.get(metric_id):
            with next(places):
                tile(metric, data.latest(data.series(build, metric_id, "day"), days_back))
    if metric := metrics.get("users_new"):
        with next(places):
            tile(metric, data.latest(data.series(build, "users_new", "week")), grain="week")
    if metric := metrics.get("retention_d7"):
        with next(places):
            reading = data.pooled(data.series(build, "retention_d7", "day"), COHORT_DAYS)
            compared = "" if reading.before is None else f" vs the {COHORT_DAYS} before"
            tile(metric, reading, when=f"last {COHORT_DAYS} complete daily cohorts{compared}")


def trend(build: Bundle, metrics: dict[str, Metric]) -> None:
    st.header("Trend")
    with st.container(horizontal=True, vertical_alignment="top"):
        with st.container(width=300):
            metric = metrics[select("Metric", labels(metrics), "metric", "dau")]
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
        points = data.within(points, "period_start", (first, last), grain)
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
    newest_first = points.iloc[::-1]
    table = pd.DataFrame(
        {
            "Period": [period(start, grain) for start in newest_first["period_start"]],
            metric.label: [number(value, metric.format) for value in newest_first["value"]],
            "State": newest_first["is_complete"].map(charts.STATES),
        }
    )
    rows = points[["period_start", "value", "numerator", "denominator", "is_complete"]]
    table_behind(table, rows, f"{metric.metric_id}_by_{grain}", metric.label)


def funnels(build: Bundle, metrics: dict[str, Metric]) -> None:
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
            tile(
                metric,
                data.latest(data.series(build, metric.metric_id, "week")),
                grain="week",
                label="Conversion",
            )
        with right:
            draw(people_charts.funnel(own[pd.to_datetime(own["entry_start"]) == start], start))


def all_metrics(build: Bundle, metrics: dict[str, Metric]) -> None:
    st.header(
        "All metrics",
        help="Metrics that are not counted by the chosen period are shown by day; "
        f"retention over {COHORT_DAYS} daily cohorts.",
    )
    grain = switch("Compare by", GRAINS, "compare", "week")
    table = pd.DataFrame([in_the_table(build, metric, grain) for metric in metrics.values()])
    show_table(table, "All metrics with their latest complete value", right=["Latest", "Before", "Change", "Target"])
    download(table, f"all_metrics_by_{grain}")


def in_the_table(build: Bundle, metric: Metric, grain: str) -> dict[str, str]:
    reading, span = latest_reading(build, metric, grain)
    return {
        "Metric": metric.label,
        "Latest": number(reading.value, metric.format),
        "Before": number(reading.before, metric.format),
        "Change": change(reading.value, reading.before, metric.format),
        "Target": number(metric.target, metric.format) if metric.target is not None else "",
        "Period": span,
        "Owner": metric.owner,
        "What it is": metric.description,
    }


def latest_reading(build: Bundle, metric: Metric, grain: str) -> tuple[Reading, str]:
    """The latest value with the time that it is of; cohorts of one day are too small to compare."""
    grains = data.grains_of(build, metric.metric_id)
    if metric.metric_id.startswith("retention_d") and grains:
        reading = data.pooled(data.series(build, metric.metric_id, "day"), COHORT_DAYS)
        return reading, NO_DATA if reading.start is None else f"cohorts from {day(reading.start)}"
    used = grain if grain in grains else "day"
    reading = data.latest(data.series(build, metric.metric_id, used))
    return reading, NO_DATA if reading.start is None else period(reading.start, used)


def labels(metrics: dict[str, Metric]) -> dict[str, str]:
    return {metric_id: metric.label for metric_id, metric in metrics.items()}


build = open_page("Overview", "How many people use TailTracker, whether they come back, and where they stop.")
metrics = data.catalog(build)
headline_tiles(build, metrics)
trend(build, metrics)
funnels(build, metrics)
all_metrics(build, metrics)
explain(list(metrics.values()))
