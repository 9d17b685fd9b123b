"""Whether a bundle says what is true of a story."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import pandas as pd

from tailtracker_bi import bundle as bundles
from tailtracker_bi.bundle import Bundle
from tailtracker_bi.sandbox.story.story import Story
from tailtracker_bi.sandbox.truth.frame import Value
from tailtracker_bi.sandbox.truth.metrics import UNKNOWABLE, quotients, truth
from tailtracker_bi.sandbox.truth.money import FX

Key = tuple[str, str, date, str]
"""Metric, grain, period start, and the currency of an amount that is not in the reporting one, or `all`."""


@dataclass(frozen=True)
class Difference:
    """A value that is published as complete and is not true."""

    metric_id: str
    grain: str
    period_start: date
    truth: Value
    published: float | None
    currency: str = "all"


@dataclass(frozen=True)
class Comparison:
    """What came of a comparison."""

    compared: dict[str, int]
    """By metric: how many values."""
    differences: list[Difference]
    unknown: dict[str, str]
    """Published metrics that were not compared, and why."""


def differences(story: Story, as_of: datetime, bundle: Bundle, readings: Sequence[datetime] = ()) -> Comparison:
    """Compare all complete values of whole metrics, and by currency, with the truth at `as_of`, when the sources were
    read last.

    `readings` are all the moments at which the app's database was read, where that was more often than then.
    """
    rows = list(truth(story, as_of, readings, _currency_of(bundle)))
    rows += quotients(rows, _quotients_of(bundle))
    known: dict[Key, Value] = {(row.metric_id, row.grain, row.period_start, row.currency): row.value for row in rows}
    metrics = {row.metric_id for row in rows}
    compared: Counter[str] = Counter()
    found = []
    unknown = {}
    for (metric_id, grain, start, currency), published in _published(bundle):
        if metric_id not in metrics:
            unknown[metric_id] = UNKNOWABLE.get(metric_id, "the story has no truth for it")
            continue
        compared[metric_id] += 1
        # Before its first day there was nothing.
        value = known.get((metric_id, grain, start, currency), 0.0 if start < story.plot.first else None)
        if not _is_equal(value, published):
            found.append(Difference(metric_id, grain, start, value, published, currency))
    return Comparison({metric_id: compared[metric_id] for metric_id in sorted(metrics)}, found, unknown)


def _currency_of(bundle: Bundle) -> str:
    """The reporting currency, as Stripe writes it."""
    code: str = bundles.read(bundle, "bundle_info", ["currency"])["currency"].item()
    return code.lower()


def _quotients_of(bundle: Bundle) -> dict[str, tuple[str, str]]:
    """The metrics that the catalogue says divide one metric by another, and which."""
    entries = bundles.read(bundle, "metric_catalog", ["metric_id", "quotient_of"]).dropna()
    parts = entries["quotient_of"].str.split(",").map(lambda both: (both[0].strip(), both[1].strip()))
    return dict(zip(entries["metric_id"], parts, strict=True))


def _published(bundle: Bundle) -> Iterator[tuple[Key, float | None]]:
    columns = ["metric_id", "grain", "period_start", "segment_value", "value", "is_complete"]
    rows = [bundles.read(bundle, "metric_values", columns, segment=segment) for segment in ("all", "currency")]
    moved = bundles.read(
        bundle, "mrr_movements", ["grain", "period_start", "amount", "is_complete"], movement="fx", segment="all"
    )
    rows.append(moved.rename(columns={"amount": "value"}).assign(metric_id=FX, segment_value="all")[columns])
    for metric_id, grain, start, currency, value, is_complete in pd.concat(rows).itertuples(index=False):
        if is_complete:
            yield (metric_id, grain, start.date(), currency), None if math.isnan(value) else float(value)


def _is_equal(value: Value, published: float | None) -> bool:
    """To the last of the digits that a double holds of sums of money."""
    if value is None or published is None:
        return value is None and published is None
    return math.isclose(value, published, rel_tol=1e-12, abs_tol=1e-9)
