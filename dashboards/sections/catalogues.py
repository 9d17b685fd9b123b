"""What there is to look at: every metric with its latest value, and every event."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from dashboards import data
from dashboards.components import card, definition, download, nothing_here, remark, say, show_table
from dashboards.controls import find, select
from dashboards.page import Page, Section
from dashboards.sections.over_time import Trend
from tailtracker_bi.figures.catalogue import Metric
from tailtracker_bi.figures.exported import readings_as_data
from tailtracker_bi.figures.not_counted import beside
from tailtracker_bi.figures.readings import COHORTS, Reading
from tailtracker_bi.figures.wording import NO_DATA, day, number, period, words


@dataclass(frozen=True)
class MetricCatalogue(Section):
    """Every metric with its latest complete value, found by a word; one of them in full, with its way there."""

    def metric_ids(self, known: Iterable[str]) -> list[str]:
        return [*known]

    def show(self, page: Page) -> None:
        asked = find("Find a metric", "find", "A word of its name, what it is, or who owns it")
        found = [metric for metric in page.metrics.values() if _has(metric, asked)]
        if not found:
            nothing_here("No metric has that word: choose another.")
            return
        with card("Metrics", "Each with its latest complete value, compared as chosen above."):
            readings = [_latest(page, metric) for metric in found]
            rows = pd.DataFrame([_in_the_table(page, reading, grain) for reading, grain in readings])
            show_table(rows, "Metrics with their latest complete value", right=["Latest", "Before", "Change", "Target"])
            known = [(reading, grain) for reading, grain in readings if reading.now.period_start is not None]
            if known:
                download(page.build, readings_as_data(known), f"all_metrics_by_{page.view.grain}")
        named = {metric.metric_id: metric.label for metric in found}
        chosen = page.metrics[select("Metric in full", named, "metric", width=300)]
        left, right = st.columns(2)
        with left, card("What it is"):
            _in_full(page, chosen)
        with right:
            Trend(chosen.metric_id).show(page)


def _has(metric: Metric, asked: str) -> bool:
    said = [metric.metric_id, metric.label, metric.about, metric.not_for, metric.decision, metric.owner, metric.domain]
    return all(word in " ".join(said).lower() for word in asked.lower().split())


def _latest(page: Page, metric: Metric) -> tuple[Reading, str]:
    """The latest value and the grain that it is of; cohorts of one day are too small to compare."""
    grain = page.grain_of(metric.metric_id)
    known = page.view.of if page.covers(metric) else None
    if known is None:
        return Reading(metric), grain
    reading = data.reading(page.build, metric.metric_id, grain, known, page.view.against, page.view.dates[1])
    return reading, f"{COHORTS} daily cohorts" if metric.cohort_days else grain


def _in_the_table(page: Page, reading: Reading, grain: str) -> dict[str, str]:
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
        "Not counted": beside([metric.metric_id], data.left_out(page.build)),
        "Owner": metric.owner,
        "What it is": metric.about,
    }


def _in_full(page: Page, metric: Metric) -> None:
    say(f"**{metric.label}** (`{metric.metric_id}`)\n\n{definition(metric)}")
    splits = sorted(data.segments_of(page.build, metric.metric_id) - {"all"})
    facts = {
        "Area": words(metric.domain),
        "Unit": metric.unit,
        "Counted by": ", ".join(data.grains_of(page.build, metric.metric_id)) or NO_DATA,
        "Split by": ", ".join(map(words, splits)) or "nothing",
        "Reads": ", ".join(metric.sources),
        "Owner": metric.owner or "nobody is named",
    }
    say("\n".join(f"- **{name}:** {text}" for name, text in facts.items()))


@dataclass(frozen=True)
class EventCatalogue(Section):
    """Every event that was received, how often and of how many people; of one, its properties."""

    def show(self, page: Page) -> None:
        rows = data.rows(page.build, "event_catalog")
        asked = find("Find an event", "find", "A word of its name").lower()
        events = rows[rows["property"].isna()]
        events = events[events["event"].str.lower().str.contains(asked, regex=False)]
        if events.empty:
            nothing_here("No event has been received that is called so.")
            return
        events = events.sort_values("events", ascending=False, kind="stable")
        with card("Events", "Counted over all days that were received. New: first seen in the last seven days."):
            table = pd.DataFrame(
                {
                    "Event": events["event"],
                    "Events": [number(count, "integer") for count in events["events"]],
                    "People": [number(count, "integer") for count in events["people"]],
                    "First day": events["first_day"].map(day),
                    "Last day": events["last_day"].map(day),
                    "New": ["new" if is_new else "" for is_new in events["is_new"]],
                }
            )
            show_table(table, "Events, the most frequent first", right=["Events", "People"])
            download(page.build, events, "events")
            if rows["property"].isna().all():
                remark("Which properties events have is not published yet.")
