"""Whether a bundle says what is true of a story."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from tailtracker_bi import bundle as bundles
from tailtracker_bi.bundle import Bundle
from tailtracker_bi.sandbox.story.story import Story
from tailtracker_bi.sandbox.truth.frame import Value
from tailtracker_bi.sandbox.truth.metrics import UNKNOWABLE, quotients, truth

Key = tuple[str, str, date]
"""Metric, grain, period start."""


@dataclass(frozen=True)
class Difference:
    """A value that is published as complete and is not true."""

    metric_id: str
    grain: str
    period_start: date
    truth: Value
    published: float | None


@dataclass(frozen=True)
class Comparison:
    """What came of a comparison."""

    compared: dict[str, int]
    """By metric: how many values."""
    differences: list[Difference]
    unknown: dict[str, str]
    """Published metrics that were not compared, and why."""


def differences(story: Story, as_of: datetime, bundle: Bundle, readings: Sequence[datetime] = ()) -> Comparison:
    """Compare all complete values of whole metrics with the truth at `as_of`, when the sources were read last.

    `readings` are all the moments at which the app's database was read, where that was more often than then.
    """
    rows = list(truth(story, as_of, readings))
    rows += quotients(rows, _quotients_of(bundle))
    known: dict[Key, Value] = {(row.metric_id, row.grain, row.period_start): row.value for row in rows}
    metrics = {metric_id for metric_id, _, _ in known}
    compared: Counter[str] = Counter()
    found = []
    unknown = {}
    for (metric_id, grain, start), published in _published(bundle):
        if metric_id not in metrics:
            unknown[metric_id] = UNKNOWABLE.get(metric_id, "the story has no truth for it")
            continue
        compared[metric_id] += 1
        # Before its first day there was nothing.
        value = known.get((metric_id, grain, start), 0.0 if start < story.plot.first else None)
        if not _is_equal(value, published):
            found.append(Difference(metric_id, grain, start, value, published))
    return Comparison({metric_id: compared[metric_id] for metric_id in sorted(metrics)}, found, unknown)


def _quotients_of(bundle: Bundle) -> dict[str, tuple[str, str]]:
    """The metrics that the catalogue says divide one metric by another, and which."""
    entries = bundles.read(bundle, "metric_catalog", ["metric_id", "quotient_of"]).dropna()
    parts = entries["quotient_of"].str.split(",").map(lambda both: (both[0].strip(), both[1].strip()))
    return dict(zip(entries["metric_id"], parts, strict=True))


def _published(bundle: Bundle) -> Iterator[tuple[Key, float | None]]:
    columns = ["metric_id", "grain", "period_start", "value", "is_complete"]
    rows = bundles.read(bundle, "metric_values", columns, segment="all")
    for metric_id, grain, start, value, is_complete in rows.itertuples(index=False):
        if is_complete:
            yield (metric_id, grain, start.date()), None if math.isnan(value) else float(value)


def _is_equal(value: Value, published: float | None) -> bool:
    """To the last of the digits that a double holds of sums of money."""
    if value is None or published is None:
        return value is None and published is None
    return math.isclose(value, published, rel_tol=1e-12, abs_tol=1e-9)
