"""What was received and is in no number, or not exactly, in words: on pages, in `status` and in reports.

Pure: rows in, sentences out. What is left out, of which metrics and why, the models say.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tailtracker_bi.figures.wording import day, money, words

MOST_BESIDE, MOST_IN_A_LINE = 2, 6
"""Kinds that are named beside a figure, and metrics in a line; the page about the data names all."""


@dataclass(frozen=True)
class LeftOut:
    """Objects of one kind that some metrics lack, for one reason."""

    source: str
    source_title: str
    object_type: str
    what: str
    why: str
    objects: int
    amount: float | None
    currency: str
    example: str
    metric_ids: tuple[str, ...]
    days: str

    @property
    def objects_of_kind(self) -> str:
        """`3 subscription items`."""
        kind = self.object_type.replace("_", " ")
        return f"{self.objects:,} {kind if self.objects == 1 else _plural(kind)}"

    @property
    def sum(self) -> str:
        """What they amount to; empty where that is not known."""
        return "" if self.amount is None or not self.currency else money(self.amount, self.currency)

    @property
    def brief(self) -> str:
        """`3 subscription items (metered price, €12.00), 1 Mar 2025 to 6 Mar 2025`."""
        about = ", ".join(filter(None, (self.what, self.sum)))
        return ", ".join(filter(None, (f"{self.objects_of_kind} ({about})", self.days)))

    def told(self, metrics: Sequence[str]) -> str:
        """All there is to say of them; `metrics` are the names of those that lack them."""
        lacking = f"They are not, or not exactly, in: {', '.join(metrics)}." if metrics else "No metric reads them."
        return f"{self.source_title}: {self.brief}. {self.why} {lacking}"


def left_out(rows: Iterable[Mapping[Any, Any]]) -> list[LeftOut]:
    """The rows of `not_counted`, those that most metrics lack first; what is not there is None, NaN or NaT."""
    found = [
        LeftOut(
            source=row["source"],
            # Builds of earlier versions have no titles.
            source_title=row.get("source_title") or words(row["source"]),
            object_type=row["object_type"],
            what=row["what"],
            why=row["why"],
            objects=int(row["objects"]),
            amount=float(row["amount"]) if _is_there(row["amount"]) else None,
            currency=row["currency"] if isinstance(row["currency"], str) else "",
            example=row["example"] if isinstance(row["example"], str) else "",
            metric_ids=tuple(filter(None, str(row["metric_ids"]).split(","))),
            days=_days(row["first_day"], row["last_day"]),
        )
        for row in rows
    ]
    return sorted(found, key=lambda one: (-len(one.metric_ids), one.source, one.object_type, one.what, one.currency))


def beside(metric_ids: Collection[str], found: Collection[LeftOut]) -> str:
    """What a figure of these metrics says beside it: `3 subscription items (metered price)`; empty where all is in."""
    own = [one.brief for one in found if not set(metric_ids).isdisjoint(one.metric_ids)]
    return "; ".join(_first(own, MOST_BESIDE, "more kinds"))


def in_lines(found: Collection[LeftOut]) -> list[str]:
    """A line for each kind, with the ids of the first few metrics."""
    return [one.told(_first(one.metric_ids, MOST_IN_A_LINE, "more metrics")) for one in found]


def _first(names: Sequence[str], most: int, others: str) -> list[str]:
    """The first few, and how many others there are: not one alone, for which there is room."""
    return [*names] if len(names) <= most + 1 else [*names[:most], f"{len(names) - most} {others}"]


def _is_there(value: object) -> bool:
    return value is not None and value == value  # which NaN and NaT are not


def _days(began: Any, ended: Any) -> str:
    if not (_is_there(began) and _is_there(ended)):
        return ""
    return day(began) if began == ended else f"{day(began)} to {day(ended)}"


def _plural(kind: str) -> str:
    return kind if kind.endswith("s") else f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"
