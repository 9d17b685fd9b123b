"""Why did it change: which values of which segment made a metric's change between two periods."""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd
import streamlit as st

from dashboards import data
from dashboards.components import (
    definition,
    download,
    draw,
    heading,
    nothing_here,
    offer_print,
    open_page,
    remark,
    say,
    say_what_is_left_out,
    show_table,
    why_no_data,
)
from dashboards.controls import GRAINS, select, switch
from tailtracker_bi.bundle import Bundle
from tailtracker_bi.figures import charts
from tailtracker_bi.figures.catalogue import Metric
from tailtracker_bi.figures.explain import Explanation
from tailtracker_bi.figures.explained import (
    as_data,
    bars,
    cause_in_words,
    change_in_words,
    shown_total,
    table,
    terms_in_words,
    why_no_cause,
)
from tailtracker_bi.figures.readings import complete
from tailtracker_bi.figures.wording import period, plain, words

FIRST_METRIC = "mrr"
HOW = (
    "What each value of a segment did to the change: they add up to it, with what is counted in several values, or in "
    "none, as a row of its own. A ratio is changed by a value's own rate and by its weight (mix). A value stands out "
    "where it made more of the change than its size would, beyond chance. The segment in which few values made most "
    "comes first."
)


def two_periods(build: Bundle, metric: Metric, grain: str) -> tuple[pd.Timestamp, pd.Timestamp] | None:
    """The periods to compare, of those that are complete: at first the last and the one before."""
    starts = list(complete(data.series(build, metric.metric_id, grain))["period_start"])[::-1]
    if len(starts) < 2:
        return None
    named = {str(start.date()): period(start, grain) for start in starts}
    later, earlier = list(named)[:2]
    for key in ("later", "earlier"):
        _forget_unknown(key, named)
    with st.container(width=200):
        before = select("Between", named, "earlier", earlier)
    with st.container(width=200):
        now = select("And", named, "later", later)
    return pd.Timestamp(now), pd.Timestamp(before)


def what_made_it(build: Bundle, explanation: Explanation, grain: str) -> None:
    metric = explanation.reading.metric
    heading(metric.label, definition(metric))
    say(f"{plain(change_in_words(explanation, grain))} {plain(_cause(explanation))}")
    if explanation.is_ratio:
        remark(plain(terms_in_words(explanation, data.catalog(build))))
    say_what_is_left_out(build, [metric])
    told = {one.segment: one for one in explanation.segmentations if not one.why_not}
    if not told:
        return
    _forget_unknown("segment", told)
    with st.container(width=200):
        chosen = told[select("By segment", {name: words(name) for name in told}, "segment")]
    total, text = shown_total(explanation)
    draw(charts.waterfall(bars(explanation, chosen), label=metric.label, total=total, total_text=text))


def by_every_segment(build: Bundle, explanation: Explanation, grain: str) -> None:
    heading("By every segment", HOW)
    rows = table(explanation)
    if len(rows):
        show_table(rows, "What each value of every segment did to the change", right=list(rows.columns[2:-1]))
    for one in explanation.segmentations:
        if one.why_not:
            remark(f"Not by {words(one.segment).lower()}: {plain(one.why_not)}.")
    download(build, as_data(explanation, grain), f"why_{explanation.reading.metric.metric_id}_changed")


def _forget_unknown(key: str, options: Collection[str]) -> None:
    """What was chosen for another metric or grain may be no choice for this one."""
    if key in st.session_state and st.session_state[key] not in options:
        del st.session_state[key]


def _cause(explanation: Explanation) -> str:
    return cause_in_words(explanation) or why_no_cause(explanation)


build = open_page(
    "Why did it change?", "Which segments made a figure rise or fall between two periods, and by how much."
)
metrics = data.catalog(build)
with st.container(horizontal=True, vertical_alignment="top"):
    with st.container(width=260):
        named = {key: f"{one.label} ({one.domain})" for key, one in metrics.items()}
        metric = metrics[select("Metric", named, "metric", FIRST_METRIC)]
    grains = data.grains_of(build, metric.metric_id)
    if not grains:
        why_no_data(build, metric)
        st.stop()
    grain = switch("By", GRAINS, "grain", "week")
    if grain not in grains:
        nothing_here(f"{metric.label} is not counted by {grain}: choose another period.")
        st.stop()
    chosen = two_periods(build, metric, grain)
if chosen is None:
    nothing_here(f"There are no two complete periods by {grain} to compare.")
    st.stop()
explanation = data.explanation(build, metric.metric_id, grain, *chosen)
if explanation.why_not:
    nothing_here(plain(change_in_words(explanation, grain)))
    st.stop()
what_made_it(build, explanation, grain)
if explanation.segmentations:
    by_every_segment(build, explanation, grain)
offer_print(build)
