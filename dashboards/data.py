"""What the pages read: tables of the published build, each read once and kept in memory for all sessions.

A new build is a new key, so it shows on the next rerun. What the rows say is for `tailtracker_bi.figures`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from datetime import date
from functools import lru_cache, wraps
from threading import RLock
from typing import Any, Concatenate, ParamSpec, TypeVar

import pandas as pd

from tailtracker_bi import bundle
from tailtracker_bi.bundle import Bundle
from tailtracker_bi.figures import catalogue, data_status, not_counted, points, readings
from tailtracker_bi.figures.catalogue import Metric
from tailtracker_bi.figures.data_status import TablesInAState
from tailtracker_bi.figures.not_counted import LeftOut
from tailtracker_bi.figures.readings import Reading
from tailtracker_bi.settings import load_reader_settings

BUILDS, MOST_KEPT = 2, 500
"""Kept in memory: the current build and the one before, which some may still look at; of each so many answers."""
P = ParamSpec("P")
T = TypeVar("T")
_one_at_a_time = RLock()


@lru_cache(maxsize=BUILDS)
def _kept_of(build: Bundle) -> dict[Hashable, Any]:
    return {}


def once_a_build(ask: Callable[Concatenate[Bundle, P], T]) -> Callable[Concatenate[Bundle, P], T]:
    """Ask a build once in this process, and keep the answer for all sessions. Nobody can change a frame for others."""

    @wraps(ask)
    def answer(build: Bundle, /, *args: P.args, **named: P.kwargs) -> T:
        kept, key = _kept_of(build), (ask, args, frozenset(named.items()))
        try:
            found: T = kept[key]
        except KeyError:
            with _one_at_a_time:
                if key not in kept:
                    if len(kept) >= MOST_KEPT:
                        del kept[next(iter(kept))]
                    kept[key] = ask(build, *args, **named)
                found = kept[key]
        return found.copy(deep=False) if isinstance(found, pd.DataFrame) else found

    return answer


def current_build() -> Bundle:
    """Raises TailTrackerError where nothing is published or the settings are wrong."""
    return bundle.current(load_reader_settings().home)


def today() -> date:
    return load_reader_settings().today


@once_a_build
def rows(build: Bundle, /, table: str, **equals: str) -> pd.DataFrame:
    """Rows of a table in which each named column equals its value."""
    return bundle.read(build, table, None, **equals)


@once_a_build
def _tables(build: Bundle) -> frozenset[str]:
    return frozenset(bundle.tables(build))


def lacks(build: Bundle, *tables: str) -> bool:
    """Whether the build has not got one of the tables: it was made before they were."""
    return not _tables(build).issuperset(tables)


def currency(build: Bundle) -> str:
    """The currency of totals; empty in builds from before there was money."""
    return str(rows(build, "bundle_info").iloc[0].get("currency", ""))


def as_of(build: Bundle) -> date:
    """The day that the build is as of: what had happened before it."""
    return pd.Timestamp(rows(build, "bundle_info").iloc[0]["as_of"]).date()


def origin(build: Bundle) -> dict[str, str | date]:
    """Which build a row that is handed out is from, and the day that it is as of."""
    return {"build": build.build, "as_of": as_of(build)}


@once_a_build
def sources(build: Bundle) -> pd.DataFrame:
    """A row per source and table: how far it goes and what state it is in; no reason is an empty one."""
    return data_status.tables(rows(build, "data_status"))


@once_a_build
def states(build: Bundle) -> Sequence[TablesInAState]:
    """Sources in order, the worst state of each first."""
    return data_status.by_state(sources(build))


@once_a_build
def left_out(build: Bundle) -> Sequence[LeftOut]:
    """What was received and is in no number, or not exactly; nothing in builds from before that was kept."""
    return [] if lacks(build, "not_counted") else not_counted.left_out(rows(build, "not_counted").to_dict("records"))


@once_a_build
def catalog(build: Bundle) -> Mapping[str, Metric]:
    """Metrics by id, by domain and label, without those that are deprecated."""
    return catalogue.catalog(rows(build, "metric_catalog"), currency(build))


@once_a_build
def _whole(build: Bundle) -> Mapping[tuple[str, str], pd.DataFrame]:
    """All metrics over time for everyone: that is less work than a few of them one by one."""
    return points.by_metric(bundle.read(build, "metric_values", segment="all"))


def series(build: Bundle, metric_id: str, grain: str) -> pd.DataFrame:
    """A metric over time for everyone; no rows where it is not counted by this grain."""
    return _whole(build).get((metric_id, grain), points.NO_SERIES).copy(deep=False)


@once_a_build
def latest(build: Bundle, metric_id: str, grain: str, days_back: int = 0) -> Reading:
    """A metric's latest complete value, and an earlier one at least so many days before it."""
    return readings.latest(catalog(build)[metric_id], series(build, metric_id, grain), days_back)


def parts(build: Bundle, metric_id: str, grain: str, segment: str) -> pd.DataFrame:
    """The values of a metric by a segment."""
    return rows(build, "metric_values", metric_id=metric_id, grain=grain, segment=segment)


def series_by_segment(build: Bundle, metric: Metric, grain: str, segment: str) -> pd.DataFrame:
    """A metric over time by segment value."""
    whole = series(build, metric.metric_id, grain)
    return points.by_segment(metric, whole, parts(build, metric.metric_id, grain, segment))


@once_a_build
def _splits(build: Bundle) -> pd.DataFrame:
    return bundle.read_distinct(build, "metric_values", ["metric_id", "segment"])


def segments_of(build: Bundle, metric_id: str) -> set[str]:
    """The segments that a metric is split by; `all` is one."""
    splits = _splits(build)
    return set(splits.loc[splits["metric_id"] == metric_id, "segment"])


def grains_of(build: Bundle, metric_id: str) -> list[str]:
    """The grains in which a metric has values, the shortest first."""
    return [grain for grain in points.GRAINS if (metric_id, grain) in _whole(build)]
