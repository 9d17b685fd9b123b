"""Metrics as the catalogue of a build describes them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import date

import pandas as pd

AVERAGED = {"share", "ratio", "hours", "milliseconds", "currency_per_customer"}
"""Units of what is not known where there was nothing: shares, averages, percentiles. Others are numbers or amounts."""


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
    quotient_of: tuple[str, ...] = ()
    is_of_money: bool = False

    @property
    def about(self) -> str:
        """What the metric is and, where not all of its values are exact, which are not."""
        return f"{self.description} {self.caveat}".strip()

    def of_part(self, segment: str, value: str) -> Metric:
        """The metric of one segment value: money of one currency is in that currency."""
        is_in_another = segment == "currency" and self.format.startswith("money")
        return replace(self, format=f"money {value}") if is_in_another else self

    @property
    def is_sum(self) -> bool:
        """Whether it is a number or an amount: 0 where there was nothing, and made of its parts."""
        return self.unit not in AVERAGED

    @property
    def is_of_a_sample(self) -> bool:
        """Whether a denominator says of how many people or things it is, and so how sure; a share of money does not."""
        return not (self.is_of_money and self.unit in {"share", "ratio"})

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
            sources=_names(entry["sources"]),
            # Builds of earlier versions have none of these.
            exact_since=None if pd.isna(entry.get("exact_since")) else pd.Timestamp(entry["exact_since"]).date(),
            caveat=_text(entry.get("caveat")),
            headline_rank=None if pd.isna(entry.get("headline_rank")) else int(entry["headline_rank"]),
            quotient_of=_names(entry.get("quotient_of")),
            is_of_money=entry.get("is_of_money") is True,
        )
        for entry in entries.sort_values(["domain", "label"]).to_dict("records")
        if entry["status"] != "deprecated"
    }


def _names(value: object) -> tuple[str, ...]:
    return tuple(part.strip() for part in _text(value).split(",") if part.strip())


def _text(value: object) -> str:
    """A text column that may be null, or a list of texts."""
    if isinstance(value, str):
        return value
    return ",".join(map(str, value)) if hasattr(value, "__iter__") else ""
