"""What a build says about its metrics, for pages and reports alike: the catalogue's entries, and values over time.

Pure: frames in, frames out. Who reads them, and whether they are kept in memory, is the reader's business.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

GRAINS = ("day", "week", "month")
LENGTHS = {"day": pd.DateOffset(days=1), "week": pd.DateOffset(days=7), "month": pd.DateOffset(months=1)}


@dataclass(frozen=True)
class Metric:
    """A metric as the catalogue describes it; the format of money names its currency: `money EUR`."""

    metric_id: str
    label: str
    description: str
    not_for: str
    unit: str
    format: str
    bigger_is_better: bool | None
    owner: str
    domain: str
    decision: str
    status: str
    target: float | None
    sources: tuple[str, ...]

    @property
    def cohort_days(self) -> int | None:
        """N of `retention_dN`, the share of those who started on one day: too few to compare alone."""
        named = re.fullmatch(r"retention_d(\d+)", self.metric_id)
        return int(named[1]) if named else None


def catalog(entries: pd.DataFrame, currency: str) -> dict[str, Metric]:
    """Metrics by id, by domain and label, without those that are deprecated; totals are in this currency."""
    return {
        entry["metric_id"]: Metric(
            metric_id=entry["metric_id"],
            label=entry["label"],
            description=entry["description"],
            not_for=_text(entry["not_for"]),
            unit=entry["unit"],
            format=f"money {currency}" if entry["format"] == "money" else entry["format"],
            bigger_is_better=None if pd.isna(entry["bigger_is_better"]) else bool(entry["bigger_is_better"]),
            owner=_text(entry["owner"]),
            domain=_text(entry["domain"]),
            decision=_text(entry["decision"]),
            status=entry["status"],
            target=None if pd.isna(entry["target"]) else float(entry["target"]),
            sources=tuple(part.strip() for part in _text(entry["sources"]).split(",") if part.strip()),
        )
        for entry in entries.sort_values(["domain", "label"]).to_dict("records")
        if entry["status"] != "deprecated"
    }


def _text(value: object) -> str:
    """A text column that may be null, or a list of texts."""
    if isinstance(value, str):
        return value
    return ",".join(map(str, value)) if hasattr(value, "__iter__") else ""


def series(values: pd.DataFrame) -> pd.DataFrame:
    """The values of one metric and grain over time: period_start, numerator, denominator, value, is_complete."""
    numbers = ["numerator", "denominator", "value"]
    known = values.assign(**{name: values[name].replace([np.inf, -np.inf], np.nan) for name in numbers})
    return ordered(known, "period_start")[["period_start", *numbers, "is_complete"]]


def ordered(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    """The rows by a column of dates, as timestamps."""
    dated = frame.assign(**{column: pd.to_datetime(frame[column])})
    return dated.sort_values(column).reset_index(drop=True)


def sum_over_sum(points: pd.DataFrame) -> float | None:
    """A ratio over several periods, which is never a mean of ratios; none where there is nothing to divide by."""
    total = float(points["denominator"].sum())
    return float(points["numerator"].sum()) / total if total else None
