"""What the pages read: tables of the published build, kept in memory by build.

A new build is a new key, so it shows on the next rerun. What the rows say is for `tailtracker_bi.figures`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

import pandas as pd
import streamlit as st

from tailtracker_bi import bundle
from tailtracker_bi.bundle import Bundle, BundleError
from tailtracker_bi.figures import catalogue, data_status, not_counted, points
from tailtracker_bi.figures.catalogue import Metric
from tailtracker_bi.figures.not_counted import LeftOut
from tailtracker_bi.settings import load_reader_settings


def current_build() -> Bundle:
    """Raises TailTrackerError where nothing is published or the settings are wrong."""
    return bundle.current(load_reader_settings().home)


def today() -> date:
    return load_reader_settings().today


def rows(build: Bundle, table: str, **equals: str) -> pd.DataFrame:
    """Rows of a table in which each named column equals its value."""
    return _rows(build, table, tuple(sorted(equals.items())))


@st.cache_data(show_spinner=False, max_entries=500)
def _rows(build: Bundle, table: str, equals: tuple[tuple[str, str], ...]) -> pd.DataFrame:
    return bundle.read(build, table, None, **dict(equals))


def lacks(build: Bundle, tables: Iterable[str]) -> bool:
    """Whether the build has not got one of the tables: it was made before they were."""
    try:
        for table in tables:
            rows(build, table)
    except BundleError:
        return True
    return False


def currency(build: Bundle) -> str:
    """The currency of totals; empty in builds from before there was money."""
    return str(rows(build, "bundle_info").iloc[0].get("currency", ""))


def as_of(build: Bundle) -> date:
    """The day that the build is as of: what had happened before it."""
    return pd.Timestamp(rows(build, "bundle_info").iloc[0]["as_of"]).date()


def origin(build: Bundle) -> dict[str, str | date]:
    """Which build a row that is handed out is from, and the day that it is as of."""
    return {"build": build.build, "as_of": as_of(build)}


def sources(build: Bundle) -> pd.DataFrame:
    """A row per source and table: how far it goes and what state it is in; no reason is an empty one."""
    return data_status.tables(rows(build, "data_status"))


def left_out(build: Bundle) -> list[LeftOut]:
    """What was received and is in no number, or not exactly; nothing in builds from before that was kept."""
    return [] if lacks(build, ["not_counted"]) else not_counted.left_out(rows(build, "not_counted").to_dict("records"))


def catalog(build: Bundle) -> dict[str, Metric]:
    """Metrics by id, by domain and label, without those that are deprecated."""
    return catalogue.catalog(rows(build, "metric_catalog"), currency(build))


def values(build: Bundle, metric_id: str, segment: str = "all", **equals: str) -> pd.DataFrame:
    """The values of a metric, for everyone or by a segment."""
    return rows(build, "metric_values", metric_id=metric_id, segment=segment, **equals)


def series(build: Bundle, metric_id: str, grain: str) -> pd.DataFrame:
    """A metric over time for everyone."""
    return points.series(values(build, metric_id, grain=grain))


def series_by_segment(build: Bundle, metric: Metric, grain: str, segment: str) -> pd.DataFrame:
    """A metric over time by segment value."""
    whole = series(build, metric.metric_id, grain)
    return points.by_segment(metric, whole, values(build, metric.metric_id, segment, grain=grain))


def segments_of(build: Bundle, metric_id: str) -> set[str]:
    """The segments that a metric is split by; `all` is one."""
    return set(rows(build, "metric_values", metric_id=metric_id)["segment"])


def grains_of(build: Bundle, metric_id: str) -> list[str]:
    """The grains in which a metric has values, the shortest first."""
    return points.grains(values(build, metric_id))
