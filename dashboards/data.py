"""What the pages read: tables of the published build, kept in memory by build, and the periods that compare.

A new build is a new key, so it shows on the next rerun.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import pandas as pd
import streamlit as st

from tailtracker_bi import bundle
from tailtracker_bi.bundle import Bundle
from tailtracker_bi.settings import load_reader_settings

GRAINS = ("day", "week", "month")
LENGTHS = {"day": pd.DateOffset(days=1), "week": pd.DateOffset(days=7), "month": pd.DateOffset(months=1)}


@dataclass(frozen=True)
class Metric:
    """A metric as the catalogue describes it."""

    metric_id: str
    label: str
    description: str
    not_for: str
    unit: str
    format: str
    bigger_is_better: bool | None
    owner: str
    decision: str
    status: str
    target: float | None
    sources: tuple[str, ...]


@dataclass(frozen=True)
class Reading:
    """The latest complete value of a metric, and the complete one it compares with."""

    value: float | None
    start: pd.Timestamp | None
    before: float | None
    before_start: pd.Timestamp | None


NOTHING_READ = Reading(None, None, None, None)


def current_build() -> Bundle:
    """Raises TailTrackerError where nothing is published or the settings are wrong."""
    return bundle.current(load_reader_settings().home)


def today() -> date:
    return load_reader_settings().today


def rows(build: Bundle, table: str, **equals: str) -> pd.DataFrame:
    """Rows of a table in which each named column equals its value."""
    return _rows(build, table, tuple(sorted(equals.items())))


@st.cache_data(show_spinner=False, max_entries=200)
def _rows(build: Bundle, table: str, equals: tuple[tuple[str, str], ...]) -> pd.DataFrame:
    return bundle.read(build, table, None, **dict(equals))


def sources(build: Bundle) -> pd.DataFrame:
    """A row per source and table: how far it goes and what state it is in; no reason is an empty one."""
    return rows(build, "data_status").fillna({"reason": "", "table_name": "", "days_missing": 0})


def catalog(build: Bundle) -> dict[str, Metric]:
    """Metrics by id, by domain and label, without those that are deprecated."""
    known = rows(build, "metric_catalog").sort_values(["domain", "label"])
    return {
        entry["metric_id"]: Metric(
            metric_id=entry["metric_id"],
            label=entry["label"],
            description=entry["description"],
            not_for=_text(entry["not_for"]),
            unit=entry["unit"],
            format=entry["format"],
            bigger_is_better=None if pd.isna(entry["bigger_is_better"]) else bool(entry["bigger_is_better"]),
            owner=_text(entry["owner"]),
            decision=_text(entry["decision"]),
            status=entry["status"],
            target=None if pd.isna(entry["target"]) else float(entry["target"]),
            sources=tuple(part.strip() for part in _text(entry["sources"]).split(",") if part.strip()),
        )
        for entry in known.to_dict("records")
        if entry["status"] != "deprecated"
    }


def _text(value: object) -> str:
    """A text column that may be null, or a list of texts."""
    if isinstance(value, str):
        return value
    return ",".join(map(str, value)) if hasattr(value, "__iter__") else ""


def series(build: Bundle, metric_id: str, grain: str) -> pd.DataFrame:
    """A metric over time for everyone: period_start, numerator, denominator, value, is_complete."""
    found = rows(build, "metric_values", metric_id=metric_id, grain=grain, segment="all")
    return _ordered(found, "period_start")[["period_start", "numerator", "denominator", "value", "is_complete"]]


def series_by_segment(build: Bundle, metric_id: str, grain: str, segment: str) -> pd.DataFrame:
    """A count over time by segment value; where a value has no row it is 0, or unknown where the whole is."""
    found = rows(build, "metric_values", metric_id=metric_id, grain=grain, segment=segment)
    whole = series(build, metric_id, grain)[["period_start", "value", "is_complete"]]
    if found.empty or whole.empty:
        return found
    values = pd.DataFrame({"segment_value": found["segment_value"].unique()})
    grid = whole.rename(columns={"value": "whole"}).merge(values, how="cross")
    found = _ordered(found, "period_start")[["period_start", "segment_value", "value"]]
    filled = grid.merge(found, on=["period_start", "segment_value"], how="left")
    filled["value"] = filled["value"].fillna(0.0).where(filled["whole"].notna())
    return filled.drop(columns="whole")


def _ordered(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    dated = frame.assign(**{column: pd.to_datetime(frame[column])})
    return dated.sort_values(column).reset_index(drop=True)


def grains_of(build: Bundle, metric_id: str) -> list[str]:
    """The grains in which a metric has values."""
    found = set(rows(build, "metric_values", metric_id=metric_id, segment="all")["grain"])
    return [grain for grain in GRAINS if grain in found]


def latest(points: pd.DataFrame, days_back: int = 0) -> Reading:
    """The latest complete value, and the last complete one at least `days_back` days before it."""
    complete = points[points["is_complete"] & points["value"].notna()]
    if complete.empty:
        return NOTHING_READ
    last = complete.iloc[-1]
    limit = last["period_start"] - pd.Timedelta(days=max(days_back, 1))
    earlier = complete[complete["period_start"] <= limit]
    if earlier.empty:
        return Reading(float(last["value"]), last["period_start"], None, None)
    before = earlier.iloc[-1]
    return Reading(float(last["value"]), last["period_start"], float(before["value"]), before["period_start"])


def pooled(points: pd.DataFrame, periods: int) -> Reading:
    """A ratio over the last complete periods and over as many before them: sum over sum."""
    complete = points[points["is_complete"] & points["denominator"].notna()]
    last, before = complete.iloc[-periods:], complete.iloc[-2 * periods : -periods]
    if last.empty:
        return NOTHING_READ
    has_before = len(before) == periods
    return Reading(
        _sum_over_sum(last),
        last["period_start"].iloc[0],
        _sum_over_sum(before) if has_before else None,
        before["period_start"].iloc[0] if has_before else None,
    )


def _sum_over_sum(points: pd.DataFrame) -> float | None:
    total = float(points["denominator"].sum())
    return float(points["numerator"].sum()) / total if total else None


def within(points: pd.DataFrame, column: str, dates: tuple[date, date], grain: str) -> pd.DataFrame:
    """The rows of periods that have a day between two dates, both included."""
    first, last = (pd.Timestamp(moment) for moment in dates)
    starts = pd.to_datetime(points[column])
    return points[(starts <= last) & (starts + LENGTHS[grain] > first)]


def retention_curve(cohorts: pd.DataFrame) -> pd.DataFrame:
    """Share of people back by period, over complete cells: sum of retained / sum of cohort sizes."""
    complete = cohorts[cohorts["is_complete"] & cohorts["retained"].notna()]
    curve = complete.groupby("period_index", as_index=False).agg(
        cohorts=("cohort_start", "nunique"), people=("cohort_size", "sum"), back=("retained", "sum")
    )
    curve["share"] = curve["back"] / curve["people"].where(curve["people"] > 0)
    return curve
