"""DuckDB and Postgres come to the same published tables, whatever lands and in whatever order."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psycopg2
import pytest

from tailtracker_bi.bundle.parity import compare_engines
from tailtracker_bi.lake.lake import Lake
from tailtracker_bi.sources.records import each_day
from tailtracker_bi.warehouse.dbt_runner import run_dbt
from tailtracker_bi.warehouse.engines.postgres import Postgres
from tailtracker_bi.warehouse.warehouse import Warehouse
from tests.worlds.both_engines import OF_A_WORLD, Both, in_postgres
from tests.worlds.random_worlds import analytics_of, land, land_plans, random_world, settings_of, worlds_in_one
from tests.worlds.reference import World, person_of, received

PROJECT = Path(__file__).parents[2]
WORLDS = [
    range(200, 210),
    *(pytest.param(range(first, first + 40), marks=pytest.mark.slow) for first in range(0, 200, 40)),
]
"""By their seeds those that share a warehouse: it costs about the same whoever lives in it."""


def landings(world: World, seed: int, lake: Lake, home: Path) -> Iterator[None]:
    """A world that lands bit by bit: its first half, of which some is still to come; two days; a day that shrank; then
    all of it, with what came late, merges and accounts."""
    dice = random.Random(seed)
    first, last = min(world.landed_days), max(world.landed_days)
    middle = first + (last - first) // 2
    in_time = [event for event in world.events if dice.random() < 0.8]
    spool = home / "spool"
    land(lake, spool, in_time, first, middle)
    yield
    for day in dice.sample([*each_day(middle + timedelta(days=1), last)], 2):
        land(lake, spool, in_time, day, day)
    if dice.random() < 0.5:
        land_plans(lake, spool, world)
    yield
    # A day that shrank.
    land(lake, spool, in_time[::2], middle, middle)
    yield
    land_plans(lake, spool, world)
    land(lake, spool, world.events, first, last)
    yield


@pytest.mark.parametrize("seeds", WORLDS, ids=lambda seeds: f"{seeds[0]}-{seeds[-1]}")
def test_worlds_that_land_bit_by_bit_are_the_same_after_each_build(
    seeds: range, tmp_path: Path, warehouse_url: str
) -> None:
    world, lake = worlds_in_one(seeds), Lake(tmp_path)
    both = Both.of(settings_of(world, tmp_path), analytics_of(world), lake, warehouse_url)
    for number, _ in enumerate(landings(world, seeds[0], lake, tmp_path)):
        both.build()
        assert both.differences() == [], f"landing {number}: {both.unequal('marts', 'published')}"
    # What was kept from build to build is what a build in full gives.
    both.theirs.drop()
    both.theirs.prepare()
    both.theirs.build()
    assert both.unequal("intermediate", "marts", "metrics", "published") == {}


def test_worlds_that_share_a_warehouse_know_nothing_of_each_other() -> None:
    world = worlds_in_one(range(40))
    person_of_event = person_of(world)
    of_worlds = dict[str, set[str]]()
    for event in received(world):
        [name] = {*OF_A_WORLD.findall(json.dumps(event))}
        of_worlds.setdefault(name, set()).add(person_of_event(event))
    assert of_worlds.keys() == {f"w{seed}-" for seed in range(40)}
    assert all(person.startswith(name) for name, people in of_worlds.items() for person in people - {""})


def test_what_differs_is_named_and_what_was_read_again_and_had_not_changed_is_equal(
    tmp_path: Path, warehouse_url: str
) -> None:
    world, lake = worlds_in_one([3, 4]), Lake(tmp_path)
    both = Both.of(settings_of(world, tmp_path), analytics_of(world), lake, warehouse_url)
    first, last = min(world.landed_days), max(world.landed_days)
    land(lake, tmp_path / "spool", world.events, first, last)
    assert "has nothing built" in both.differences()[0]
    both.build()
    assert both.differences() == []
    land(lake, tmp_path / "spool", world.events, first, last)
    both.ours.prepare()
    both.ours.build()
    assert both.differences() == []
    verdict = compare_engines(both.ours.engine, both.theirs.engine)
    assert "17 published tables" in verdict.detail
    harms = {
        "update metric_values set value = value + 1e-6 where segment_value = 'w4-'": "rows differ",
        "delete from event_catalog where event = 'A'": "1 rows differ",
        "insert into metric_catalog select * from metric_catalog where metric_id = 'dau'": "1 rows differ",
        "update data_status set reason = 'other' where source = 'mixpanel'": "2 rows differ",
        "alter table annotations drop column url": "has other columns",
        "drop table slo_status": "is there on one side alone",
    }
    for number, (harm, told) in enumerate(harms.items(), start=1):
        with psycopg2.connect(warehouse_url) as connection, connection.cursor() as cursor:
            cursor.execute(re.sub(r"(update|from|into|table) ", r"\1 tt_unpublished.pub_", harm))
        found = both.differences()
        assert len(found) == number
        if number == 1:
            assert both.unequal("published")["published.pub_metric_values"] == ["w4-"]
        assert told in " ".join(found)
    land(lake, tmp_path / "spool", [], first, first)
    both.ours.prepare()
    both.ours.build()
    verdict = compare_engines(both.ours.engine, both.theirs.engine)
    assert "it is of landing 0 on 2024-" in verdict.findings[0].mend
    assert "and duckdb of landing 2 on 2024-" in verdict.findings[0].mend


@pytest.mark.slow
def test_what_tests_of_numbers_build_is_the_same_in_postgres() -> None:
    tests = [f"tests/metrics/test_{name}.py" for name in ("money", "churn_and_trials", "subscription_items")]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "tests.worlds.both_engines", "-m", "not slow", *tests],
        cwd=PROJECT,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout[-5000:]


@pytest.mark.slow
def test_unit_tests_hold_in_postgres(tmp_path: Path, warehouse_url: str) -> None:
    world, lake = random_world(3), Lake(tmp_path)
    land(lake, tmp_path / "spool", world.events, min(world.landed_days), max(world.landed_days))
    warehouse = Warehouse(in_postgres(settings_of(world, tmp_path), warehouse_url), analytics_of(world), lake)
    warehouse.prepare()
    warehouse.build()
    run_dbt(warehouse.engine, ["test", "--select", "test_type:unit"])


def test_the_engine_says_what_it_is(tmp_path: Path, warehouse_url: str) -> None:
    engine = Postgres(tmp_path, warehouse_url)
    assert engine.version.split(".")[0].isdigit()
    assert "schemas tt_*" in engine.where
