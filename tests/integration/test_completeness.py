"""What never landed, or stopped landing, is unknown: through the real lake and the project's SQL.

One world in which every table of Stripe holds something that counts. Of each metric either a table is named by its
catalogue entry, and then there is no complete value without it; or the table has no say, and then nothing moves.
"""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from tailtracker_bi.configuration import period_of
from tailtracker_bi.sources.stripe import Stripe
from tests.integration.test_money import NOW, PREMIUM, STORY, subscription
from tests.stripe_worlds import Models, Rows, Version, needed_for, sql_tables
from tests.worlds import compile_models

TABLES = [table.name for table in Stripe.tables]
TELLING = {"charges", "disputes", "prices", "subscriptions"}
"""Those that `make test` takes out; `make soak` takes out every one."""
EARLIER = NOW - timedelta(days=20)
TIERS = {**PREMIUM, "id": "price_tiers", "billing_scheme": "tiered", "unit_amount": None, "unit_amount_decimal": None}
WORLD = [
    *STORY,
    Version(subscription("tiers", "02-01", TIERS)),
    Version({**TIERS, "tiers_mode": "volume", "tiers": [{"up_to": None, "unit_amount": 700}]}),
]
"""What the tables hold; the price in tiers is one that nothing but the list of prices tells."""


def each_table() -> list[Any]:
    return [name if name in TELLING else pytest.param(name, marks=pytest.mark.slow) for name in TABLES]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    compiled = compile_models(tmp_path_factory.mktemp("compiled"))
    return needed_for(compiled, "pub_metric_values", "pub_metric_catalog")


@pytest.fixture(scope="module")
def whole(models: Models, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Rows]:
    return sql_tables([(NOW, WORLD)], models, tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def readers(whole: dict[str, Rows]) -> dict[str, set[str]]:
    """Of each metric that has values the tables that its entry names."""
    return {
        row["metric_id"]: set(row["sources"].split(","))
        for row in whole["pub_metric_catalog"]
        if row["status"] == "active"
    }


def complete_days(values: Rows, metric_id: str) -> list[date]:
    """The last days of the periods of which a complete value is told."""
    return [
        period_of(row["period_start"], row["grain"], "monday")[1]
        for row in values
        if row["metric_id"] == metric_id and row["is_complete"]
    ]


def totals(values: Rows, metric_id: str) -> dict[tuple[str, date], tuple[Any, ...]]:
    return {
        (row["grain"], row["period_start"]): (row["numerator"], row["denominator"], row["value"], row["is_complete"])
        for row in values
        if row["metric_id"] == metric_id and row["segment"] == "all"
    }


@pytest.mark.parametrize("table", each_table())
def test_a_table_that_never_landed_leaves_what_reads_it_without_data_and_all_else_as_it_is(
    table: str, models: Models, whole: dict[str, Rows], readers: dict[str, set[str]], tmp_path: Path
) -> None:
    found = sql_tables([(NOW, WORLD)], models, tmp_path, out=[table])
    status = {row["metric_id"]: row["status"] for row in found["pub_metric_catalog"]}
    values = found["pub_metric_values"]
    told = {row["metric_id"] for row in values}
    reading = {metric for metric, tables in readers.items() if f"stripe.{table}" in tables}
    assert {metric for metric in readers if status[metric] == "no_data"} == reading
    assert told & reading == set(), "what is not known has no value, and no 0"
    moved = {
        metric
        for metric in readers.keys() - reading
        if totals(values, metric) != totals(whole["pub_metric_values"], metric)
    }
    assert moved == set()


@pytest.mark.parametrize("table", each_table())
def test_a_table_that_stops_landing_leaves_what_reads_it_incomplete_from_then_on(
    table: str, models: Models, readers: dict[str, set[str]], tmp_path: Path
) -> None:
    found = sql_tables([(EARLIER, WORLD), (NOW, WORLD)], models, tmp_path, stopped=[table])
    values = found["pub_metric_values"]
    reading = {metric for metric, tables in readers.items() if f"stripe.{table}" in tables}
    late = {metric for metric in readers if max(complete_days(values, metric), default=date.min) >= EARLIER.date()}
    assert late & reading == set()
    assert readers.keys() - reading == late, "all else goes on"
