"""What the pages read: tables of the published build, kept in memory by build, and the periods that compare.

A new build is a new key, so it shows on the next rerun.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

import pandas as pd
import streamlit as st

from tailtracker_bi import bundle
from tailtracker_bi.bundle import Bundle, BundleError
from tailtracker_bi.figures import catalogue, data_status, not_counted, readings
from tailtracker_bi.figures.catalogue import Metric
from tailtracker_bi.figures.not_counted import LeftOut
from tailtracker_bi.figures.readings import GRAINS, LENGTHS, NOT_KNOWN, Figure, figure, ordered
from tailtracker_bi.figures.wording import is_money
from tailtracker_bi.settings import load_reader_settings


@dataclass(frozen=True)
class Reading:
    """The latest complete figure of a metric, and the complete one it compares with."""

    now: Figure = NOT_KNOWN
    start: pd.Timestamp | None = None
    before: Figure = NOT_KNOWN
    before_start: pd.Timestamp | None = None


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
    return [] if lacks(build, ["not_counted"]) else not_counted.left_out(rows(build, "not_counted"))


def catalog(build: Bundle) -> dict[str, Metric]:
    """Metrics by id, by domain and label, without those that are deprecated."""
    return catalogue.catalog(rows(build, "metric_catalog"), currency(build))


def series(build: Bundle, metric_id: str, grain: str) -> pd.DataFrame:
    """A metric over time for everyone: period_start, numerator, denominator, value, is_complete."""
    return readings.series(rows(build, "metric_values", metric_id=metric_id, grain=grain, segment="all"))


def series_by_segment(build: Bundle, metric: Metric, grain: str, segment: str) -> pd.DataFrame:
    """A metric over time by segment value: as `series`, with segment_value and size.

    Where a value has no row, a count and money are 0, and a share or an average is unknown. In a period of which
    nothing is known, all are unknown. `size` is how much a value stands for, to rank it by.
    """
    found = rows(build, "metric_values", metric_id=metric.metric_id, grain=grain, segment=segment)
    whole = series(build, metric.metric_id, grain)[["period_start", "value", "is_complete"]]
    if found.empty or whole.empty:
        return found.assign(size=found["value"])
    found = ordered(found, "period_start").assign(has_row=True)
    is_known = whole["value"].notna() | whole["period_start"].isin(found.dropna(subset=["value"])["period_start"])
    values = pd.DataFrame({"segment_value": found["segment_value"].unique()})
    grid = whole.assign(is_known=is_known).drop(columns="value").merge(values, how="cross")
    own = found[["period_start", "segment_value", "numerator", "denominator", "value", "has_row"]]
    filled = grid.merge(own, on=["period_start", "segment_value"], how="left")
    if metric.format == "integer" or is_money(metric.format):
        filled["value"] = filled["value"].mask(filled["has_row"].isna() & filled["is_known"], 0.0)
    filled["size"] = filled["denominator"].fillna(filled["value"])
    return filled[["period_start", "segment_value", "numerator", "denominator", "value", "size", "is_complete"]]


def without_total(build: Bundle, metric: Metric, grain: str) -> dict[pd.Timestamp, list[str]]:
    """Periods with amounts in single currencies but no total, as a rate was missing; with their foreign currencies."""
    whole = series(build, metric.metric_id, grain)
    untold = whole[whole["value"].isna()]["period_start"]
    parts = rows(build, "metric_values", metric_id=metric.metric_id, grain=grain, segment="currency")
    parts = ordered(parts.dropna(subset=["value"]), "period_start")
    parts = parts[parts["period_start"].isin(untold) & (parts["segment_value"] != currency(build))]
    return {
        start: sorted(parts[parts["period_start"] == start]["segment_value"])
        for start in parts["period_start"].unique()
    }


def segments_of(build: Bundle, metric_id: str) -> set[str]:
    """The segments that a metric is split by; `all` is one."""
    return set(rows(build, "metric_values", metric_id=metric_id)["segment"])


def grains_of(build: Bundle, metric_id: str) -> list[str]:
    """The grains in which a metric has values."""
    found = set(rows(build, "metric_values", metric_id=metric_id, segment="all")["grain"])
    return [grain for grain in GRAINS if grain in found]


def longest_complete_grain(build: Bundle, metric_id: str) -> str:
    """The longest grain of which a period is complete, a day where none is."""
    found = rows(build, "metric_values", metric_id=metric_id, segment="all")
    complete = set(found[found["is_complete"]]["grain"])
    return next((grain for grain in reversed(GRAINS) if grain in complete), "day")


def latest(points: pd.DataFrame, days_back: int = 0) -> Reading:
    """The latest complete value, and the last complete one at least `days_back` days before it."""
    complete = points[points["is_complete"] & points["value"].notna()]
    if complete.empty:
        return Reading()
    last = complete.iloc[-1]
    limit = last["period_start"] - pd.Timedelta(days=max(days_back, 1))
    earlier = complete[complete["period_start"] <= limit]
    if earlier.empty:
        return Reading(figure(last), last["period_start"])
    before = earlier.iloc[-1]
    return Reading(figure(last), last["period_start"], figure(before), before["period_start"])


def pooled(points: pd.DataFrame, periods: int) -> Reading:
    """A ratio over the last complete periods and over as many before them: sum over sum."""
    complete = points[points["is_complete"] & points["denominator"].notna()]
    last, before = complete.iloc[-periods:], complete.iloc[-2 * periods : -periods]
    if last.empty:
        return Reading()
    if len(before) < periods:
        return Reading(readings.pooled(last), last["period_start"].iloc[0])
    return Reading(
        readings.pooled(last), last["period_start"].iloc[0], readings.pooled(before), before["period_start"].iloc[0]
    )


def as_data(build: Bundle, metric: Metric, points: pd.DataFrame, grain: str, segment: str = "all") -> pd.DataFrame:
    """Values of a metric as they are handed out: each row says of what it is, in which unit, and how exact."""
    total = currency(build)
    value_of = points["segment_value"] if segment != "all" else pd.Series("all", index=points.index)
    own = value_of if segment == "currency" else pd.Series(total, index=points.index)
    return pd.DataFrame(
        {
            "metric_id": metric.metric_id,
            "unit": metric.unit,
            "currency": own if is_money(metric.format) else None,
            "grain": grain,
            "period_start": points["period_start"],
            "segment": segment,
            "segment_value": value_of,
            **{name: points[name] for name in ("numerator", "denominator", "value", "is_complete")},
            "exact_since": metric.exact_since,
            "caveat": metric.caveat,
        },
        index=points.index,
    )


def of_metric(metric: Metric, rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of another table than the metrics' values, which begin with the metric that they break down."""
    told = {"metric_id": metric.metric_id, "unit": metric.unit}
    named = rows.assign(**told)
    return named[[*told, *rows.columns]]


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


def reconciliation(build: Bundle) -> pd.DataFrame:
    """What was compared between sources, newest first, with the domain of the metric that `what` begins with."""
    found = rows(build, "reconciliation")
    known = catalog(build)
    about = found["what"].astype(str).str.extract(r"^(\w+)", expand=False)
    domains = about.map(lambda name: known[name].domain if name in known else "")
    titles = [
        str(what).replace(name, known[name].label, 1) if name in known else str(what)
        for what, name in zip(found["what"], about, strict=True)
    ]
    forms = [
        f"money {currency}" if isinstance(currency, str) and currency else "integer" for currency in found["currency"]
    ]
    dated = found.assign(
        metric_id=about.where(about.isin(list(known))),
        period_start=pd.to_datetime(found["period_start"]),
        domain=domains,
        form=forms,
        title=titles,
    )
    return dated.sort_values(["period_start", "what"], ascending=[False, True]).reset_index(drop=True)
