"""What a build says about its metrics, for pages and reports alike: the catalogue's entries, and values over time.

Pure: frames in, frames out. Who reads them, and whether they are kept in memory, is the reader's business.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

GRAINS = ("day", "week", "month")
ENOUGH = 30
"""Of whatever is counted: a change of fewer is shown, and not judged."""
SURE = 1.96
"""Standard deviations that 95 of 100 chance differences stay within."""
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
    exact_since: date | None = None
    caveat: str = ""
    headline_rank: int | None = None

    @property
    def about(self) -> str:
        """What the metric is and, where not all of its values are exact, which are not."""
        return f"{self.description} {self.caveat}".strip()

    @property
    def cohort_days(self) -> int | None:
        """N of `retention_dN`, the share of those who started on one day: too few to compare alone."""
        named = re.fullmatch(r"retention_d(\d+)", self.metric_id)
        return int(named[1]) if named else None


@dataclass(frozen=True)
class Figure:
    """A value and what it was counted from: a count is its own numerator, and has no denominator."""

    value: float | None = None
    numerator: float | None = None
    denominator: float | None = None

    def size(self, form: str) -> float | None:
        """Of how many it is: n. None where nobody knows, as of an amount of money."""
        if self.denominator is not None:
            return self.denominator
        return self.value if form == "integer" else None


NOT_KNOWN = Figure()


def verdict(metric: Metric, now: Figure, before: Figure) -> str:
    """`better`, `worse`, or `may be chance`; empty where there is no change, or neither is better.

    A count is judged where one of the two is 30 or more, a ratio where both are of 30 or more. They have to be further
    apart than 95 of 100 chance differences: two counts by 1.96 times the root of their sum, two shares by the test of
    two proportions. An average or median of nobody knows how many is not judged. Money is: it is no sample.
    """
    if metric.bigger_is_better is None or now.value is None or before.value is None or now.value == before.value:
        return ""
    if _may_be_chance(metric.format, now, before):
        return "may be chance"
    return "better" if (now.value > before.value) == metric.bigger_is_better else "worse"


def _may_be_chance(form: str, now: Figure, before: Figure) -> bool:
    size, size_before = now.size(form), before.size(form)
    if size is None or size_before is None:
        return not form.startswith("money")
    if now.denominator is None:
        return max(size, size_before) < ENOUGH or abs(size - size_before) <= SURE * math.sqrt(
            abs(size) + abs(size_before)
        )
    if min(size, size_before) < ENOUGH:
        return True
    part, part_before = now.numerator or 0.0, before.numerator or 0.0
    if form != "percent" or not (0 <= part <= size and 0 <= part_before <= size_before):
        return False
    share = (part + part_before) / (size + size_before)
    chance = math.sqrt(share * (1 - share) * (1 / size + 1 / size_before))
    return abs(part / size - part_before / size_before) <= SURE * chance


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
            # Builds of earlier versions have none of these.
            exact_since=None if pd.isna(entry.get("exact_since")) else pd.Timestamp(entry["exact_since"]).date(),
            caveat=_text(entry.get("caveat")),
            headline_rank=None if pd.isna(entry.get("headline_rank")) else int(entry["headline_rank"]),
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


def figure(point: pd.Series) -> Figure:
    """The figure of a period, a row of `series`."""
    numbers = (point["value"], point["numerator"], point["denominator"])
    return Figure(*(None if pd.isna(number) else float(number) for number in numbers))


def pooled(points: pd.DataFrame) -> Figure:
    """A ratio over several periods: sum over sum, never a mean of ratios; none where nothing is to divide by."""
    over, under = float(points["numerator"].sum()), float(points["denominator"].sum())
    return Figure(over / under, over, under) if under else NOT_KNOWN
