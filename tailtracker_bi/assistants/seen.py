"""The build as assistants may see it: everyone's figures, and parts of no few people.

What is asked by whom an assistant does not know, so that all get what the least of the roles may see. It is a copy of
the build in a folder of this process: what is not in there no question brings out, SQL neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock

import pandas as pd

from tailtracker_bi import bundle
from tailtracker_bi.access import PartsNotOpenError, whole_rows, without_small
from tailtracker_bi.bundle import Bundle, BundleError
from tailtracker_bi.figures import data_status, points
from tailtracker_bi.figures.catalogue import Metric, catalog
from tailtracker_bi.figures.not_counted import LeftOut, left_out


class Seen:
    """A build as assistants may see it, and what is read of it once."""

    def __init__(self, original: Bundle, hidden_below: int) -> None:
        self.hidden_below = hidden_below
        self._folder = TemporaryDirectory(prefix="tailtracker-")
        metrics = _catalog(original)
        self.build = bundle.copy_of(
            original, Path(self._folder.name), lambda table, rows: _seen(table, rows, metrics, hidden_below)
        )

    def close(self) -> None:
        """Remove the copy."""
        self._folder.cleanup()

    @cached_property
    def metrics(self) -> Mapping[str, Metric]:
        return _catalog(self.build)

    @cached_property
    def as_of(self) -> date:
        """The day that the build is as of: what had happened before it."""
        return pd.Timestamp(bundle.read(self.build, "bundle_info").iloc[0]["as_of"]).date()

    @cached_property
    def sources(self) -> pd.DataFrame:
        """A row per source and table; reasons name no settings."""
        found = data_status.tables(bundle.read(self.build, "data_status"))
        return found.assign(reason=found["reason"].map(data_status.without_settings))

    @cached_property
    def left_out(self) -> list[LeftOut]:
        """What was received and is in no number, or not exactly."""
        try:
            return left_out(bundle.read(self.build, "not_counted").to_dict("records"))
        except BundleError:
            return []

    def over_time(self, metric_id: str) -> Mapping[str, pd.DataFrame]:
        """A metric for everyone, by the grains that it has values of, the shortest first."""
        found = points.by_metric(self.rows(metric_id, segment="all"))
        return {grain: found[metric_id, grain] for grain in points.GRAINS if (metric_id, grain) in found}

    def rows(self, metric_id: str, **equals: str) -> pd.DataFrame:
        """A metric's rows of `metric_values`; a column says of which the numbers are hidden."""
        return bundle.read(self.build, "metric_values", None, metric_id=metric_id, **equals)

    def values_of(self, metric_id: str) -> Mapping[str, list[str]]:
        """The values of each segment that a metric is split by."""
        found = bundle.read(self.build, "metric_values", ["segment", "segment_value"], metric_id=metric_id)
        parts = found[found["segment"] != "all"].drop_duplicates()
        return {str(name): sorted(own) for name, own in parts.groupby("segment")["segment_value"]}


class Sight:
    """What assistants see now: the build that is current, copied when the first question about it comes."""

    def __init__(self, home: Path, hidden_below: int) -> None:
        self._home, self._hidden_below = home, hidden_below
        self._seen: Seen | None = None
        self._one_at_a_time = Lock()

    def now(self) -> Seen:
        """Raises NoBundleError where nothing is published. Who still reads the build before has it until then."""
        with self._one_at_a_time:
            current = bundle.current(self._home)
            if self._seen is None or self._seen.build.build != current.build:
                self._seen = Seen(current, self._hidden_below)
            return self._seen

    def close(self) -> None:
        """Leave nothing behind."""
        if self._seen is not None:
            self._seen.close()


def _catalog(build: Bundle) -> Mapping[str, Metric]:
    currency = str(bundle.read(build, "bundle_info").iloc[0].get("currency", ""))
    return catalog(bundle.read(build, "metric_catalog"), currency)


def _seen(table: str, rows: pd.DataFrame, metrics: Mapping[str, Metric], hidden_below: int) -> pd.DataFrame | None:
    """The rows of a table that are seen; None where nobody has said which of them are of everyone."""
    if table == "metric_values":
        return without_small(rows, metrics, hidden_below)
    try:
        return whole_rows(table, rows)
    except PartsNotOpenError:
        return None
