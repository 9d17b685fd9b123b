"""A refresh runs the models and data tests whose input changed, and no others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tailtracker_bi.errors import BuildError
from tailtracker_bi.warehouse import DuckDb
from tailtracker_bi.warehouse.dbt_runner import compiled_manifest
from tailtracker_bi.warehouse.engines import Session
from tailtracker_bi.warehouse.models import Built, Given, Node, Result, nodes_of, run_models

EVENTS, MARKS = "source.tailtracker.raw.events", "source.tailtracker.marks.landings"


def node(name: str, kind: str, sql: str, *reads: str) -> Node:
    return Node(name, kind, name, "marts", sql, f"{name}.sql", reads, [], {})


NODES = [
    node("renamed", "view", "select event as name, events from raw.events", EVENTS),
    node("named", "table", "select distinct name from marts.renamed", "renamed"),
    node("counted", "table", "select count(*) as names from marts.named", "named"),
    node("summed", "table", "select sum(events) as events from marts.renamed", "renamed"),
    node("none_negative", "test", "select * from marts.summed where events < 0", "summed"),
]


class World:
    """Events, and what the models above made of them."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.before: Mapping[str, Built] = {}
        session.create_schemas(["raw", "marts"])

    def run(self, events: str, nodes: Sequence[Node] = NODES, shape: str = "1") -> list[str]:
        """The nodes that run where these are the events."""
        self.session.fill("raw", "events", f"select * from (values {events}) as rows (event, events)")
        given = {EVENTS: Given(shape, events), MARKS: Given("", "")}
        results, self.before = run_models(self.session, nodes, given, self.before, DuckDb.errors, lambda *_: None)
        return [result.node.name for result in results if result.status != "unchanged"]

    def rows(self, table: str) -> list[tuple[object, ...]]:
        return self.session.rows(f"select * from marts.{table}")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with DuckDb(tmp_path).session() as session:
        world = World(session)
        assert world.run("('a', 1), ('b', 2)") == ["renamed", "named", "counted", "summed", "none_negative"]
        yield world


def test_where_nothing_changed_nothing_runs(world: World) -> None:
    assert world.run("('a', 1), ('b', 2)") == []


def test_what_comes_to_the_same_rows_leaves_its_readers_as_they_are_and_views_stay(world: World) -> None:
    assert world.run("('b', 2), ('a', 4)") == ["named", "summed", "none_negative"]
    assert world.rows("summed") == [(6,)]
    assert world.run("('c', 6)") == ["named", "counted", "summed"]  # it adds up to the same


def test_other_sql_runs_and_what_reads_it(world: World) -> None:
    other = [replace(one, sql="select 'z' as name") if one.name == "named" else one for one in NODES]
    assert world.run("('a', 1), ('b', 2)", other) == ["named", "counted"]
    view = [
        replace(one, sql="select event as name, 7 as events from raw.events") if one.kind == "view" else one
        for one in NODES
    ]
    assert world.run("('a', 1), ('b', 2)", view) == ["renamed", "named", "counted", "summed", "none_negative"]
    assert world.rows("summed") == [(14,)]


def test_views_are_made_anew_where_what_they_read_has_other_columns(world: World) -> None:
    assert world.run("('a', 1), ('b', 2)", shape="2") == ["renamed"]


def test_a_table_that_is_gone_is_made_again(world: World) -> None:
    world.session.drop("marts.counted")
    assert world.run("('a', 1), ('b', 2)") == ["counted"]
    assert world.rows("counted") == [(2,)]


def test_what_is_marked_runs_nothing_by_itself(world: World) -> None:
    plan = node("rebuild_start", "view", "select min(events) as first from raw.events", MARKS, EVENTS)
    reader = node("kept", "table", "select name from marts.named", "named", "rebuild_start")
    nodes = [*NODES, plan, reader]
    assert world.run("('a', 1), ('b', 2)", nodes) == ["rebuild_start", "kept"]
    assert world.run("('a', 0), ('b', 3)", nodes) == ["named", "summed"]


@pytest.mark.parametrize(
    ("events", "sql", "told"),
    [
        ("('a', -1)", NODES[-1].sql, "none_negative: 1 rows fail"),
        ("('a', 1)", "select nothing", "none_negative: Binder"),
    ],
)
def test_at_the_first_that_fails_it_ends_and_says_which_and_where(
    world: World, events: str, sql: str, told: str
) -> None:
    nodes = [*NODES[:-1], replace(NODES[-1], sql=sql), node("later", "table", "select 1 as one", "summed")]
    with pytest.raises(BuildError) as caught:
        world.run(events, nodes)
    assert told in str(caught.value)
    assert "none_negative.sql" in str(caught.value)
    results: Sequence[Result] = caught.value.results
    assert [result.node.name for result in results] == [one.name for one in nodes[:-1]]
    assert results[-1].status in {"fail", "error"}


def test_every_node_of_the_project_comes_after_what_it_reads(tmp_path: Path) -> None:
    nodes = nodes_of(compiled_manifest(DuckDb(tmp_path)))
    seen = set[str]()
    for one in nodes:
        assert {name for name in one.reads if not name.startswith("source.")} <= seen
        seen.add(one.id)
    assert {one.kind for one in nodes} == {"view", "table", "incremental", "test"}
    # What a build took in is asked by those alone that tell what to do again: all else follows from the lake.
    assert {one.name for one in nodes if one.tells_what_to_do} == {
        "stg_lake__pending_days",
        "stg_stripe__objects_landed",
        "int_rebuild_start",
    }


@pytest.mark.parametrize(
    ("test", "table", "rows", "failing"),
    [
        ("primary_key_fct_payments_payment_id", "fct_payments (payment_id)", "('a'), ('b')", 0),
        ("primary_key_fct_payments_payment_id", "fct_payments (payment_id)", "('a'), ('b'), ('a'), (null)", 2),
        ("primary_key_stg_app_db__pets_", "stg_app_db__pets (pet_id, version_number)", "('a', 1), ('a', 2)", 0),
        (
            "primary_key_stg_app_db__pets_",
            "stg_app_db__pets (pet_id, version_number)",
            "('a', 1), ('a', 1), (null, 1), ('b', null)",
            3,
        ),
        (
            "filled_stg_prometheus__service_levels_",
            "stg_prometheus__service_levels (source_day, starts_at)",
            "(1, 2)",
            0,
        ),
        (
            "filled_stg_prometheus__service_levels_",
            "stg_prometheus__service_levels (source_day, starts_at)",
            "(1, 2), (null, 2), (1, null)",
            2,
        ),
    ],
)
def test_a_data_test_finds_rows_without_a_key_or_with_the_same(
    tmp_path: Path, test: str, table: str, rows: str, failing: int
) -> None:
    nodes = nodes_of(compiled_manifest(DuckDb(tmp_path)))
    [asked] = [node for node in nodes if node.name.startswith(test)]
    [about] = [node for node in nodes if node.id in asked.reads]
    assert table.startswith(f"{about.name} ")
    with DuckDb(tmp_path).session() as session:
        session.create_schemas([about.schema])
        session.fill(about.schema, about.name, f"select * from (values {rows}) as {table.replace(about.name, 'made')}")
        assert session.rows(f"select count(*) from ({asked.sql})") == [(failing,)]


def test_an_engine_is_told_how_large_the_largest_table_is_that_a_node_reads(tmp_path: Path) -> None:
    with DuckDb(tmp_path).session() as session, pytest.MonkeyPatch.context() as patch:
        told: list[int] = []
        patch.setattr(session, "expect", told.append)
        session.create_schemas(["raw", "marts"])
        session.fill("raw", "events", "select cast(range as varchar) as event, 1 as events from range(70)")
        nodes = [*NODES, node("joined", "table", "from marts.renamed cross join marts.counted", "counted", "renamed")]
        run_models(session, nodes, {EVENTS: Given("", "", 70)}, {}, DuckDb.errors, lambda *_: None)
    assert told == [70, 70, 70, 70, 1, 70]
