"""What never landed is unknown: through the real lake and the project's SQL."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tailtracker_bi.sources.stripe import Stripe
from tests.integration.test_money import PRODUCTS, price, subscription
from tests.stripe_worlds import Models, Rows, Version, needed_for, sql_tables
from tests.worlds import compile_models

NOW = datetime(2024, 1, 20, 12, tzinfo=UTC)
TOLD = [Version(subscription("anna", "01-08", price(1000))), *map(Version, PRODUCTS)]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return compile_models(tmp_path_factory.mktemp("compiled"))


def active(catalog: Rows) -> set[str]:
    return {row["metric_id"] for row in catalog if row["status"] == "active"}


def test_a_metric_has_no_data_while_any_table_that_its_entry_names_never_landed(models: Models, tmp_path: Path) -> None:
    needed = needed_for(models, "pub_metric_catalog")
    whole = sql_tables([(NOW, TOLD)], needed, tmp_path / "whole")["pub_metric_catalog"]
    named = {row["metric_id"]: set(row["sources"].split(",")) for row in whole}
    assert {"mrr", "payments", "dispute_rate", "net_volume"} <= active(whole)
    for table in Stripe.tables:
        found = sql_tables([(NOW, TOLD)], needed, tmp_path / table.name, out=[table.name])["pub_metric_catalog"]
        expected = {metric for metric in active(whole) if f"stripe.{table.name}" not in named[metric]}
        assert active(found) == expected, table.name


def test_payments_are_absent_and_not_zero_where_charges_never_landed(models: Models, tmp_path: Path) -> None:
    needed = needed_for(models, "pub_metric_values")
    out = ["charges", "invoice_payments"]
    values = sql_tables([(NOW, TOLD)], needed, tmp_path, out=out)["pub_metric_values"]
    told = {row["metric_id"] for row in values}
    assert {"mrr", "subscribers"} <= told
    assert not told & {"payments", "gross_volume", "dispute_rate", "payment_success_rate", "net_volume"}
