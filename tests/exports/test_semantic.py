"""What the metrics are in the words of semantic layers is what the catalogue says, and gives the published numbers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from tailtracker_bi import bundle
from tailtracker_bi.bundle import Bundle
from tailtracker_bi.errors import TailTrackerError
from tailtracker_bi.exports import semantic
from tests.worlds import sample_bundle
from tests.worlds.sample_bundle import changed

OSSIE = Path(__file__).parent / "ossie-schema.json"
"""core-spec/ossie-schema.json of Apache Ossie (https://github.com/apache/ossie, Apache-2.0), as of October 2026."""
LAST = """
    select metric_id || '_' || grain as name, value, period_start
    from metric_values
    where is_complete and segment = 'all'
    qualify row_number() over (partition by metric_id, grain order by period_start desc) = 1
"""


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return sample_bundle.publish(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def for_dbt(build: Bundle) -> dict[str, Any]:
    return dict(yaml.safe_load(semantic.metricflow(build)))


def test_every_metric_and_grain_is_there_with_what_the_catalogue_says(build: Bundle, for_dbt: dict[str, Any]) -> None:
    entries = {row["metric_id"]: row for row in bundle.query(build, "from metric_catalog").to_pylist()}
    published = {
        (row["metric_id"], row["grain"]): (row["parts"], "ratio" if row["is_ratio"] else "simple")
        for row in bundle.query(
            build,
            "select metric_id, grain, bool_or(segment <> 'all') as parts, bool_or(denominator is not null) as is_ratio "
            "from metric_values group by all",
        ).to_pylist()
    }
    metrics = {one["name"]: one for one in for_dbt["metrics"]}
    for (metric_id, grain), (parts, kind) in published.items():
        told = metrics.pop(f"{metric_id}_{grain}")
        by_part = metrics.pop(f"{metric_id}_{grain}_by_part", None)
        assert (by_part is not None, told["type"]) == (parts, kind)
        entry, meta = entries[metric_id], told["config"]["meta"]
        assert told["description"].startswith(entry["description"])
        assert entry["label"] in told["label"]
        assert (meta["metric_id"], meta["grain"], meta["unit"], meta["not_for"]) == (
            metric_id, grain, entry["unit"], entry["not_for"]
        )  # fmt: skip
        assert (entry["caveat"] or "") in told["description"]
    # What is left are the two numbers of each ratio.
    assert {re.sub(r"_(numerator|denominator)_", "_", name).removesuffix("_by_part") for name in metrics} <= {
        f"{metric_id}_{grain}" for metric_id, grain in published
    }


def test_dbt_itself_takes_it(for_dbt: dict[str, Any]) -> None:
    import dbt.cli.main  # noqa: F401 - its modules can't be loaded one by one
    from dbt.contracts.graph.unparsed import UnparsedMetric, UnparsedSemanticModel

    for one in for_dbt["semantic_models"]:
        UnparsedSemanticModel.validate(one)
    for one in for_dbt["metrics"]:
        UnparsedMetric.validate(one)


def test_what_dbt_would_not_have_is_not_written(build: Bundle, tmp_path: Path) -> None:
    change = "set metric_id = 'metric__time' where metric_id = 'dau'"
    own = changed(build, tmp_path, f"update metric_values {change}", f"update metric_catalog {change}")
    with pytest.raises(TailTrackerError, match="metric__time_day"):
        semantic.metricflow(own)


def test_a_metric_of_dbt_is_the_last_complete_value_that_is_published(build: Bundle, for_dbt: dict[str, Any]) -> None:
    """As MetricFlow computes it: the rows of the filter, of the last period, added up; of a ratio both terms."""
    metrics = {one["name"]: one for one in for_dbt["metrics"]}

    def simple(name: str) -> str:
        where = re.sub(r"\{\{ Dimension\('value_row__(\w+)'\) \}\}", r"\1", metrics[name]["filter"])
        measure = metrics[name]["type_params"]["measure"]
        return (
            f"(select sum({measure}) from metric_values where {where} and period_start = "
            f"(select max(period_start) from metric_values where {where}))"
        )

    def computed(name: str) -> str:
        params = metrics[name]["type_params"]
        if metrics[name]["type"] == "simple":
            return simple(name)
        return f"{simple(params['numerator']['name'])} / nullif({simple(params['denominator']['name'])}, 0)"

    expected = {row["name"]: row["value"] for row in bundle.query(build, LAST).to_pylist()}
    assert len(expected) > 100
    [found] = bundle.query(build, "select " + ", ".join(f"{computed(name)} as {name}" for name in expected)).to_pylist()
    assert found == pytest.approx(expected, nan_ok=True)


def test_the_draft_of_ossie_holds_and_its_expressions_give_the_published_numbers(build: Bundle) -> None:
    told = yaml.safe_load(semantic.ossie(build))
    schema = json.loads(OSSIE.read_text())
    assert [error.message for error in Draft202012Validator(schema).iter_errors(told)] == []
    [dataset] = told["datasets"]
    [table] = [one for one in bundle.describe(build) if one.name == "metric_values"]
    assert {field["name"] for field in dataset["fields"]} == {column.name for column in table.columns}
    expressions = {one["name"]: one["expression"]["dialects"][0]["expression"] for one in told["metrics"]}
    last = {row["name"]: row for row in bundle.query(build, LAST).to_pylist()}
    assert expressions.keys() >= last.keys()
    grouped = bundle.query(
        build,
        "select period_start, "
        + ", ".join(f"{expressions[name]} as {name}" for name in last)
        + " from metric_values group by period_start",
    )
    found = {row["period_start"]: row for row in grouped.to_pylist()}
    assert {name: found[row["period_start"]][name] for name, row in last.items()} == pytest.approx(
        {name: row["value"] for name, row in last.items()}, nan_ok=True
    )
    unfinished = "select metric_id || '_' || grain as name, period_start from metric_values where not is_complete"
    told_too_soon = {
        row["name"]
        for row in bundle.query(build, f"{unfinished} and segment = 'all'").to_pylist()
        if found[row["period_start"]].get(row["name"]) is not None
    }
    assert told_too_soon == set()
