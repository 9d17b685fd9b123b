"""The SQL against the obvious slow version, on random small worlds: every row of every metric of what people do."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from tailtracker_bi.sources.records import each_day
from tests.worlds.random_worlds import by_key, differences, random_world, sql_tables
from tests.worlds.reference import World, funnel_rows, metric_values, retention_cells

QUICK = {0, 3, 17, 19}
"""Between them: more than a month, a gap, time zones, weeks from both days, aliases, test accounts, plans, a crowd."""
WORLDS = [seed if seed in QUICK else pytest.param(seed, marks=pytest.mark.slow) for seed in range(30)]
CROWD = 30
"""In every other world: what a few do is seen among many, and a world costs the same whoever lives in it."""


def at_the_edge() -> World:
    """Two people whose second step comes exactly as the window ends, and a second after that; no app database."""
    day = int(datetime(2024, 3, 4, 12, tzinfo=UTC).timestamp())
    events = [
        {"event": name, "properties": {"time": day + seconds, "distinct_id": user, "$user_id": user}}
        for user, name, seconds in (("in", "A", 0), ("in", "B", 86_400), ("out", "A", 0), ("out", "B", 86_401))
    ]
    landed = set(each_day(date(2024, 3, 4), date(2024, 3, 8)))
    funnel = {"id": "edge", "steps": [{"event": "A"}, {"event": "B"}], "window": 86_400}
    return World(events, landed_days=landed, funnels=[funnel], has_app_database=False)


@pytest.mark.parametrize("seed", [*WORLDS, "edge"])
def test_sql_gives_the_answers_of_the_slow_version(
    seed: int | str, models: list[tuple[str, str, str]], tmp_path: Path
) -> None:
    world = random_world(seed, crowd=seed % 2 * CROWD) if isinstance(seed, int) else at_the_edge()
    tables = sql_tables(world, models, tmp_path)

    expected = metric_values(world)
    known = {metric_id for metric_id, *_ in expected}
    metrics = by_key(
        [row for row in tables["pub_metric_values"] if row["metric_id"] in known],
        ("metric_id", "grain", "period_start", "segment", "segment_value"),
        ("numerator", "denominator", "value", "is_complete"),
    )
    assert differences(metrics, expected) == {}

    cells = by_key(
        tables["pub_retention_cohorts"],
        ("retention_id", "mode", "cohort_grain", "cohort_start", "segment", "segment_value", "period_index"),
        ("cohort_size", "retained", "is_complete"),
    )
    assert differences(cells, retention_cells(world)) == {}

    funnels = by_key(
        tables["pub_funnel_steps"],
        ("funnel_id", "entry_grain", "entry_start", "segment", "segment_value", "step_index"),
        ("users", "avg_seconds_from_previous", "median_seconds_from_previous"),
    )
    assert differences(funnels, funnel_rows(world)) == {}

    complete = {
        (row["funnel_id"], row["entry_grain"], row["entry_start"], row["segment"], row["segment_value"]): row[
            "is_complete"
        ]
        for row in tables["pub_funnel_steps"]
        if row["entry_grain"] != "all"
    }
    conversions = {
        (metric_id.removesuffix("_conversion"), *key): row[3]
        for (metric_id, *key), row in expected.items()
        if metric_id.endswith("_conversion") and row[2] is not None
    }
    assert {key: complete[key] for key in conversions} == conversions
