"""Active users and retention: how many people are active, who came and who left, and who comes back."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from dashboards import data, people_charts
from dashboards.components import (
    GRAINS,
    draw,
    explain,
    nothing_here,
    open_page,
    say_what_is_left_out,
    select,
    switch,
    table_behind,
)
from dashboards.over_time import Dates, by_period, grain_and_dates, over_time, split_by
from tailtracker_bi.bundle import Bundle
from tailtracker_bi.figures import charts
from tailtracker_bi.figures.catalogue import Metric
from tailtracker_bi.figures.exported import each_as_data
from tailtracker_bi.figures.points import within
from tailtracker_bi.figures.readings import retention_curve
from tailtracker_bi.figures.wording import number, period, words

ACTIVE = ("active_users", "dau", "wau", "mau")
GROUPS = {
    "users_new": "New",
    "users_returning": "Returning",
    "users_resurrecting": "Resurrecting",
    "users_dormant": "Dormant",
}
# In the order in which they are stacked, from zero on.
LIFECYCLE_COLORS = {
    "Returning": charts.BLUE,
    "Resurrecting": charts.SKY,
    "New": charts.GREEN,
    "Dormant": charts.VERMILION,
}
MODES = {
    "n_day": "In that period",
    "unbounded": "In that period or later",
    "rolling_24h": "Counted from each person's own start",
}
MOST_PERIODS = {"day": 30, "week": 26, "month": 24}


def who_came_and_who_left(build: Bundle, metrics: Mapping[str, Metric], grain: str, dates: Dates) -> None:
    st.header(
        "Who came and who left",
        help="\n\n".join(f"**{name}:** {metrics[key].description}" for key, name in GROUPS.items() if key in metrics),
    )
    points = pd.concat(data.series(build, key, grain).assign(group=name) for key, name in GROUPS.items())
    points = within(points, "period_start", dates, grain)
    if points.empty:
        nothing_here("No activity between these dates.")
        return
    say_what_is_left_out(build, [metrics[key] for key in GROUPS if key in metrics])
    draw(
        charts.stacks(
            points,
            LIFECYCLE_COLORS,
            label="Who came and who left",
            unit="people",
            form="integer",
            grain=grain,
            below=["Dormant"],
        ),
        "Below zero: people who were active in the period before and were not in this one. "
        "Pale: not complete yet. A gap: no data was received.",
    )
    points = points.rename(columns={"group": "segment_value"})
    forms = dict.fromkeys(GROUPS.values(), "integer")
    rows = each_as_data({name: metrics[key] for key, name in GROUPS.items() if key in metrics}, points, grain)
    table_behind(build, by_period(points, grain, forms), rows, f"lifecycle_by_{grain}", "Who came and who left")


def days_active(build: Bundle) -> None:
    found = data.rows(build, "stickiness", grain="month")
    complete = found[found["is_complete"]]
    month = pd.to_datetime(complete["period_start"]).max()
    about = "How many people were active on how many days of the last complete month."
    st.header("Days active in a month" if complete.empty else f"Days active in {month:%B %Y}", help=about)
    if complete.empty:
        nothing_here("No month is complete yet.")
        return
    people = complete[pd.to_datetime(complete["period_start"]) == month].sort_values("days_active")
    draw(people_charts.days_active(people), about)
    table = pd.DataFrame(
        {
            "Days active": people["days_active"].astype(str),
            "People": [number(users, "integer") for users in people["users"]],
        }
    )
    exported = people[["grain", "period_start", "days_active", "users", "is_complete"]]
    table_behind(build, table, exported, "days_active", "Days active")


def retention(build: Bundle, dates: Dates) -> None:
    st.header("Retention", help="Of the people who started in a period (a cohort), the share who came back later.")
    kinds = data.rows(build, "retention_cohorts", segment="all")
    if kinds.empty:
        nothing_here("No cohort has started yet.")
        return
    with st.container(horizontal=True, vertical_alignment="top"):
        with st.container(width=220):
            retention_id = select("Of whom", dict(zip(kinds["retention_id"], kinds["label"], strict=True)), "retention")
        own = kinds[kinds["retention_id"] == retention_id]
        modes = {key: MODES.get(key, words(key)) for key in sorted(own["mode"].unique())}
        with st.container(width=280):
            mode = select("Came back", modes, "mode")
        grains = {key: GRAINS[key] for key in GRAINS if key in set(own["cohort_grain"])}
        grain = switch("Cohorts by", grains, "cohorts", "week" if "week" in grains else next(iter(grains)))
    cohorts = own[(own["mode"] == mode) & (own["cohort_grain"] == grain)]
    cohorts = within(cohorts, "cohort_start", dates, grain).sort_values(["cohort_start", "period_index"])
    cohorts = cohorts.assign(cohort_start=pd.to_datetime(cohorts["cohort_start"]))
    starts = sorted(cohorts["cohort_start"].unique())[-MOST_PERIODS[grain] :]
    drawn = cohorts[cohorts["cohort_start"].isin(starts) & (cohorts["period_index"] <= MOST_PERIODS[grain])]
    if drawn[drawn["period_index"] > 0].empty:
        nothing_here("No cohort in this range is old enough to have come back: choose an earlier start.")
        return
    st.subheader("Average of the cohorts")
    curve = retention_curve(cohorts)
    if curve[curve["period_index"] > 0].empty:
        nothing_here("No later period is complete yet.")
    else:
        draw(
            people_charts.retention_curve(curve, grain),
            "All who came back divided by all in the cohorts, over complete periods only. "
            "Later points rest on fewer cohorts.",
        )
    st.subheader("Cohorts")
    dash = ", with a dash" if people_charts.has_numbers(drawn) else ""
    draw(
        people_charts.retention_heat_map(drawn, grain),
        f"Percent of each cohort (size in brackets) who came back. Grey{dash}: that {grain} is not over yet, or its "
        f"data is missing. Drawn: the newest {MOST_PERIODS[grain]} cohorts.",
    )
    name = f"retention_{retention_id}_{mode}_by_{grain}"
    table_behind(build, retention_table(drawn, grain), cohorts.drop(columns="label"), name, "Cohorts")


def retention_table(cohorts: pd.DataFrame, grain: str) -> pd.DataFrame:
    shares = (cohorts["retained"] / cohorts["cohort_size"]).where(cohorts["is_complete"])
    wide = cohorts.assign(share=shares).pivot(index="cohort_start", columns="period_index", values="share")
    sizes = cohorts.groupby("cohort_start")["cohort_size"].first()
    table = pd.DataFrame({"Cohort": [period(start, grain) for start in wide.index]})
    table["People"] = [number(sizes[start], "integer") for start in wide.index]
    for index in sorted(set(cohorts["period_index"]) - {0}):
        table[f"{grain.capitalize()} {index}"] = [
            "" if pd.isna(share) else number(share, "percent") for share in wide[index]
        ]
    return table.iloc[::-1]


build = open_page("Active users and retention", "How many people are active, who came and left, and who comes back.")
metrics = data.catalog(build)
active = {key: metrics[key].label for key in ACTIVE if key in metrics}
if not active or not data.grains_of(build, "dau"):
    nothing_here("No activity has been counted yet.")
    st.stop()
with st.container(horizontal=True, vertical_alignment="top"):
    with st.container(width=240):
        metric = metrics[select("Metric", active, "metric", "active_users")]
    segment = split_by(build, [metrics[key] for key in active])
    grain, dates = grain_and_dates(build, metrics["dau"])
over_time(build, metric, segment, grain, dates)
who_came_and_who_left(build, metrics, grain, dates)
days_active(build)
retention(build, dates)
say_what_is_left_out(build, [metrics[key] for key in metrics if key.startswith("retention_d")])
explain([metrics[key] for key in (*ACTIVE, *GROUPS, "stickiness", "retention_d7") if key in metrics])
