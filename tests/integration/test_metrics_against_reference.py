"""The SQL against the obvious slow version, on random small worlds: every row of every metric of what people do."""

from pathlib import Path

import pytest

from tests.reference import funnel_rows, metric_values, retention_cells
from tests.worlds import by_key, compile_models, differences, random_world, sql_tables

WORLDS = [*range(8), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(8, 100))]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str, str]]:
    return compile_models(tmp_path_factory.mktemp("compiled"))


@pytest.mark.parametrize("seed", WORLDS)
def test_sql_gives_the_answers_of_the_slow_version(
    seed: int, models: list[tuple[str, str, str]], tmp_path: Path
) -> None:
    world = random_world(seed)
    tables = sql_tables(world, models, tmp_path)

    expected = metric_values(world)
    known = {metric_id for metric_id, *_ in expected}
    metrics = by_key(
        [row for row in tables["metric_values"] if row["metric_id"] in known],
        ("metric_id", "grain", "period_start", "segment", "segment_value"),
        ("numerator", "denominator", "value", "is_complete"),
    )
    assert differences(metrics, expected) == {}

    cells = by_key(
        tables["retention_cohorts"],
        ("retention_id", "mode", "cohort_grain", "cohort_start", "segment", "segment_value", "period_index"),
        ("cohort_size", "retained", "is_complete"),
    )
    assert differences(cells, retention_cells(world)) == {}

    funnels = by_key(
        tables["funnel_steps"],
        ("funnel_id", "entry_grain", "entry_start", "segment", "segment_value", "step_index"),
        ("users", "avg_seconds_from_previous", "median_seconds_from_previous"),
    )
    assert differences(funnels, funnel_rows(world)) == {}
