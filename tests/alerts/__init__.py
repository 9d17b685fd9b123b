"""Declared alerts and builds to judge by them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path

from tailtracker_bi.analytics import AlertRules
from tailtracker_bi.bundle import Bundle
from tests.worlds.sample_bundle import changed


def rule(**given: object) -> AlertRules:
    return AlertRules.model_validate({"id": "one", **given})


def february(day: int) -> date:
    return date(2025, 2, day)


def with_mrr(build: Bundle, home: Path, days: Mapping[int, float | None], *further: str) -> Bundle:
    """MRR of days of February; none of any other day."""
    return with_values(build, home, "mrr", {day: (value, None) for day, value in days.items()}, *further)


def with_values(
    build: Bundle, home: Path, metric: str, days: Mapping[int, tuple[float | None, float | None]], *further: str
) -> Bundle:
    """Values of a metric, each with its denominator, of days of February; none of any other day."""
    rows = ", ".join(f"(date '2025-02-{day:02}', {_sql(value)}, {_sql(of)})" for day, (value, of) in days.items())
    return changed(
        build,
        home,
        f"delete from metric_values where metric_id = '{metric}' and segment = 'all' and grain = 'day'",
        "insert into metric_values by name "
        f"select '{metric}' as metric_id, 'day' as grain, day as period_start, 'all' as segment, 'all' as "
        "segment_value, value * denominator as numerator, denominator, value, true as is_complete "
        f"from (values {rows}) as told (day, value, denominator)",
        *further,
    )


def _sql(number: float | None) -> str:
    return "null::double" if number is None else f"{number}::double"
