"""Sections that several pages have: metrics over time, whole or split, and what differs between two sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import pandas as pd
import streamlit as st

from dashboards import data
from dashboards.components import (
    GRAINS,
    INCOMPLETE_NOTE,
    date_range,
    definition,
    download,
    draw,
    nothing_here,
    say_what_is_left_out,
    select,
    several,
    show_table,
    switch,
    table_behind,
    why_no_data,
)
from tailtracker_bi.bundle import Bundle
from tailtracker_bi.figures import charts
from tailtracker_bi.figures.catalogue import Metric
from tailtracker_bi.figures.exported import as_data, each_as_data
from tailtracker_bi.figures.points import within, without_total
from tailtracker_bi.figures.reconciliation import titled
from tailtracker_bi.figures.wording import day, is_money, number, period, plain, words

SEGMENTS = {
    "all": "Everyone",
    "platform": "Platform",
    "country": "Country",
    "plan": "Plan",
    "app_version": "App version",
    "billing_cycle": "Billing cycle",
    "card_brand": "Card brand",
    "currency": "Currency",
    "species": "Species",
    "urgency": "Urgency",
}
DEFAULT_DAYS, TOP_VALUES, MOST_VALUES, MOST_DIFFERENCES = 90, 5, 8, 20

Dates = tuple[date, date]


def grain_and_dates(build: Bundle, metric: Metric, default_grain: str = "day") -> tuple[str, Dates]:
    """The period to count by, and the dates to show, within those that the metric has."""
    starts = data.series(build, metric.metric_id, data.grains_of(build, metric.metric_id)[0])["period_start"]
    bounds = (starts.min().date(), starts.max().date())
    grain = switch("By", GRAINS, "grain", default_grain)
    with st.container(width=260):
        default = (max(bounds[0], bounds[1] - timedelta(days=DEFAULT_DAYS - 1)), bounds[1])
        return grain, date_range("Dates", "dates", default, bounds)


def split_by(build: Bundle, metrics: Sequence[Metric], whole: str = SEGMENTS["all"], key: str = "segment") -> str:
    """A segment that some of the metrics are split by."""
    known = {"all"}.union(*(data.segments_of(build, metric.metric_id) for metric in metrics))
    with st.container(width=180):
        named = {name: SEGMENTS[name] for name in SEGMENTS if name in known}
        others = {name: words(name) for name in sorted(known) if name not in SEGMENTS}
        return select("Split by", named | others | {"all": whole}, key)


def over_time(build: Bundle, metric: Metric, segment: str, grain: str, dates: Dates) -> None:
    """One metric, as a line for the whole or a line for each value of a segment."""
    st.header(metric.label, help=definition(metric))
    grains = data.grains_of(build, metric.metric_id)
    if not grains:
        why_no_data(build, metric)
        return
    if grain not in grains:
        st.caption(f"{metric.label} is not counted by {grain}; shown by {grains[0]}.")
        grain = grains[0]
    if segment not in data.segments_of(build, metric.metric_id):
        st.caption(f"{metric.label} is not split by {SEGMENTS.get(segment, words(segment)).lower()}; shown as a whole.")
        segment = "all"
    if segment == "all":
        points = data.series(build, metric.metric_id, grain).assign(segment_value=metric.label)
    else:
        points = data.series_by_segment(build, metric, grain, segment)
        chosen = _chosen_values(points, segment)
        points = points[points["segment_value"].isin(chosen)].sort_values(
            "segment_value", key=lambda values: values.map(chosen.index), kind="stable"
        )
    points = within(points, "period_start", dates, grain)
    if points.empty:
        nothing_here("Nothing to show: choose other values or dates.")
        return
    say_where_there_is_no_total(build, metric, grain, dates)
    say_what_is_left_out(build, [metric])
    forms = _forms(points, metric, segment)
    if len(set(forms.values())) > 1:
        for value, form in forms.items():
            one = points[points["segment_value"] == value]
            draw(charts.trend(one, label=metric.label, unit=metric.unit, form=form, grain=grain, height=200))
        st.caption(f"Each currency has its own scale. {INCOMPLETE_NOTE}")
    else:
        form = next(iter(forms.values()))
        draw(
            charts.trend(points, label=metric.label, unit=metric.unit, form=form, grain=grain),
            INCOMPLETE_NOTE,
        )
    rows = as_data(metric, points, grain, segment)
    name = f"{metric.metric_id}_by_{grain}_{segment}"
    table_behind(build, by_period(points, grain, forms), rows, name, metric.label)


def _forms(points: pd.DataFrame, metric: Metric, segment: str) -> dict[str, str]:
    """How each line's numbers are written: a single currency's money is in that currency."""
    own = is_money(metric.format) and segment == "currency"
    return {value: f"money {value}" if own else metric.format for value in points["segment_value"].unique()}


def _chosen_values(points: pd.DataFrame, segment: str) -> list[str]:
    by_size = points.groupby("segment_value")["size"].sum().sort_values(ascending=False, kind="stable")
    values = [str(value) for value in by_size.index]
    return several(f"{SEGMENTS.get(segment, words(segment))}: which", values, segment, values[:TOP_VALUES], MOST_VALUES)


def together(
    build: Bundle, named: Mapping[str, Metric], grain: str, dates: Dates, *, heading: str, from_zero: bool = True
) -> None:
    """Metrics of one unit as lines of one chart, each by its name in it."""
    if not named:
        return
    st.header(heading, help="\n\n".join(f"**{name}:** {definition(metric)}" for name, metric in named.items()))
    parts = [data.series(build, metric.metric_id, grain).assign(segment_value=name) for name, metric in named.items()]
    points = within(pd.concat(parts), "period_start", dates, grain)
    first = next(iter(named.values()))
    if not any(data.grains_of(build, metric.metric_id) for metric in named.values()):
        why_no_data(build, first)
        return
    if points["value"].isna().all():
        nothing_here(f"Nothing to show by {grain} between these dates.")
        return
    draw(
        charts.trend(points, label=heading, unit=first.unit, form=first.format, grain=grain, from_zero=from_zero),
        INCOMPLETE_NOTE if from_zero else f"The scale does not begin at zero. {INCOMPLETE_NOTE}",
    )
    say_what_is_left_out(build, list(named.values()))
    forms = {name: metric.format for name, metric in named.items()}
    rows = each_as_data(named, points, grain)
    table_behind(
        build, by_period(points, grain, forms), rows, f"{heading.lower().replace(' ', '_')}_by_{grain}", heading
    )


def by_period(rows: pd.DataFrame, grain: str, forms: Mapping[str, str]) -> pd.DataFrame:
    """A row per period, newest first, and a column per line of the chart, written in its form."""
    wide = rows.pivot(index="period_start", columns="segment_value", values="value").sort_index(ascending=False)
    complete = rows.groupby("period_start")["is_complete"].all()
    table = pd.DataFrame({"Period": [period(start, grain) for start in wide.index]})
    for name in rows["segment_value"].unique():
        table[name] = [number(value, forms[name]) for value in wide[name]]
    return table.assign(State=[charts.STATES[complete[start]] for start in wide.index])


def say_where_there_is_no_total(build: Bundle, metric: Metric, grain: str, dates: Dates) -> None:
    """That a total over currencies is missing in some periods, and which exchange rates it would need."""
    if not is_money(metric.format):
        return
    parts = data.parts(build, metric.metric_id, grain, "currency")
    whole = data.series(build, metric.metric_id, grain)
    untold = within(without_total(metric, whole, parts), "period_start", dates, grain)
    if untold.empty:
        return
    starts, foreign = untold["period_start"].unique(), sorted(untold["segment_value"].unique())
    span = period(starts[0], grain)
    if len(starts) > 1:
        span = f"{len(starts)} periods from {span} to {period(starts[-1], grain)}"
    st.warning(
        f"**{metric.label} has no total in {data.currency(build)} for {span}:** an exchange rate is missing. "
        f"It needs the rates of {', '.join(map(plain, foreign))}. "
        "The amounts in each currency are known: choose a currency, or split by currency.",
        icon=":material/currency_exchange:",
    )


def differences(build: Bundle, domains: Sequence[str] | None = None, *, and_the_rest: Sequence[str] = ()) -> None:
    """What two sources say about the same metric, where they differ; newest first. Without domains: all.

    A comparison belongs to the domain of the metric that `what` begins with. One that begins with no metric is shown
    with those that are left over: where `and_the_rest` names the domains that other pages show.
    """
    found = titled(data.rows(build, "reconciliation"), data.catalog(build))
    if domains is not None:
        known = found["domain"].isin(domains)
        found = found[known | ~found["domain"].isin(and_the_rest)] if and_the_rest else found[known]
    if found.empty:
        return
    st.header("Do the sources agree?", help="The same thing counted from two sources. No figure above depends on it.")
    apart = found[found["difference"].isna() | (found["difference"] != 0)]
    for what, compared in found.groupby("title", sort=False):
        own = apart[apart["title"] == what]
        newest = f"; the newest is {day(own['period_start'].max())}" if len(own) else ""
        st.markdown(f"**{plain(what)}:** {len(own):,} of {len(compared):,} compared differ{newest}.")
    if apart.empty:
        return
    shown = apart.head(MOST_DIFFERENCES)
    is_one = found["title"].nunique() == 1
    # A title may name what was compared, in the order of the values.
    named = found["title"].iloc[0].partition(": ")[2].split(", ")
    sides = named if is_one and len(named) == 2 else ["First", "Second"]
    columns = dict(zip([*sides, "Difference"], ["left_value", "right_value", "difference"], strict=True))
    table = pd.DataFrame(
        {
            "What": shown["title"],
            "Day": shown["period_start"].map(day),
            **{
                title: [number(row[column], row["form"]) for _, row in shown.iterrows()]
                for title, column in columns.items()
            },
            "Why": shown["reason"].fillna(""),
        }
    )
    if is_one:
        table = table.drop(columns="What")
    show_table(table, "The newest days on which two sources differ", right=[*columns])
    if len(apart) > MOST_DIFFERENCES:
        st.caption(f"The newest {MOST_DIFFERENCES} of {len(apart):,}. The CSV holds all.")
    exported = ["metric_id", "what", "period_start", "currency", "left_value", "right_value", "difference", "reason"]
    download(build, apart[exported], "differences")
