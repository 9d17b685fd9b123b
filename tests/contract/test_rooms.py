"""The rooms of the package: in which order they stand, through which door they are entered. Read, never run."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.contract import parsed

ROOT = Path(__file__).parents[2]
PACKAGE = "tailtracker_bi"
ROOMS = (
    # What any room may use.
    "errors", "crash_points", "durable", "shipped",
    # In the order in which data flows.
    "settings", "privacy", "analytics", "sources", "lake", "warehouse", "inference", "bundle", "recent", "runs",
    "figures", "access", "readers", "alerts", "reports", "exports", "assistants", "delivery", "gauges", "monitoring",
    "traits",
    # What people and Dagster call, and what tests and demos live by.
    "sandbox", "cli", "defs", "definitions",
)  # fmt: skip
DUCKDB_IN_MEMORY = {"tailtracker_bi/sources/", "tailtracker_bi/lake/versions.py", "tailtracker_bi/runs/pulling.py"}
"""What works through sets of rows by DuckDB, in memory; no warehouse and no build is opened there."""


@cache
def modules(package: str = PACKAGE) -> dict[str, ast.Module]:
    """A package's modules by their full names; a room's `__init__` by the room's."""
    found = {}
    for file in sorted((ROOT / package).rglob("*.py")):
        name = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        found[name] = parsed(file)
    return found


def imported(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """The module that each import statement names, and what is taken from it; wherever it stands, also for types."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.module, alias.name) for alias in node.names)


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def needed(known: Mapping[str, ast.Module], name: str) -> set[str]:
    """The modules of the package that a module imports. A name of a package may be a module in it."""
    found = set()
    for module, taken in imported(known[name]):
        if f"{module}.{taken}" in known:
            found.add(f"{module}.{taken}")
        elif module in known:
            found.add(module)
    return found - {name, PACKAGE}


def arrows_down(known: Mapping[str, ast.Module]) -> list[tuple[str, str]]:
    """Imports of a room that stands further down the list."""
    return [
        (name, other)
        for name in known
        if name != PACKAGE
        for other in needed(known, name)
        if ROOMS.index(room_of(other)) > ROOMS.index(room_of(name))
    ]


def past_the_door(known: Mapping[str, ast.Module]) -> list[tuple[str, str, str]]:
    """What is taken from another room without being among what its `__init__` lists."""
    found = []
    for name, tree in known.items():
        for module, taken in imported(tree):
            parts = module.split(".")
            if parts[0] != PACKAGE or len(parts) < 2 or parts[1] == room_of(name):
                continue
            # A room that is one file has no door.
            listed = doors(known).get(parts[1])
            at_the_door = parts[2] if len(parts) > 2 else taken
            if listed is not None and (at_the_door not in listed or taken.startswith("_")):
                found.append((name, module, taken))
    return found


def doors(known: Mapping[str, ast.Module]) -> dict[str, list[str]]:
    """What each room that is a folder lists in `__all__`: names, or modules of which all public names may be used."""
    listed = {}
    for name, tree in known.items():
        if name.count(".") != 1 or not (ROOT / name.replace(".", "/")).is_dir():
            continue
        for node in tree.body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                listed[room_of(name)] = ast.literal_eval(node.value)
    return listed


def circle(known: Mapping[str, ast.Module]) -> list[str]:
    """Modules that import each other, round and round; empty where there is no such circle."""
    try:
        TopologicalSorter({name: needed(known, name) for name in known}).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_imports_point_up_the_list_of_rooms() -> None:
    assert {room_of(name) for name in modules()} - {""} == set(ROOMS)
    assert arrows_down(modules()) == []


def test_rooms_are_entered_by_their_doors() -> None:
    assert past_the_door(modules()) == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circle(modules()) == []
    assert circle(modules("dashboards")) == []


def test_every_room_says_what_belongs_there_and_what_it_offers() -> None:
    for room, listed in doors(modules()).items():
        said = ast.get_docstring(modules()[f"{PACKAGE}.{room}"]) or ""
        assert "What belongs here:" in said, room
        assert "What does not:" in said.replace("\n", " "), room
        assert listed == sorted(listed, key=lambda name: (not name.isupper(), not name[0].isupper(), name)), room
    # Dagster alone enters its own folder, and loads every module of it.
    assert set(doors(modules())) == {room for room in ROOMS if (ROOT / PACKAGE / room).is_dir()} - {"defs"}


def strangers_to_the_sandbox(known: Mapping[str, ast.Module]) -> set[str]:
    """Modules that import the sandbox and are neither its own nor the command line's."""
    return {
        name
        for name in known
        if room_of(name) not in {"sandbox", "cli"}
        if any(room_of(other) == "sandbox" for other in needed(known, name))
    }


def test_doors_offer_nothing_that_nobody_takes() -> None:
    users = modules() | {
        file.relative_to(ROOT).as_posix(): parsed(file)
        for folder in ("dashboards", "benchmarks", "tests")
        for file in (ROOT / folder).rglob("*.py")
    }
    taken = {
        (parts[1], parts[2] if len(parts) > 2 else name)
        for user, tree in users.items()
        for module, name in imported(tree)
        if (parts := module.split("."))[0] == PACKAGE and len(parts) > 1
        if user not in modules() or room_of(user) != parts[1]
    } | {
        # `from tailtracker_bi import bundle`, and then `bundle.read`.
        (node.value.id.removesuffix("s") if node.value.id == "bundles" else node.value.id, node.attr)
        for tree in users.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    offered = {(room, name) for room, listed in doors(modules()).items() for name in listed}
    assert offered - taken == set()


def test_a_warehouse_or_a_build_is_opened_in_its_place() -> None:
    """Elsewhere DuckDB works in memory."""
    openers = {
        name
        for name, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "duckdb.connect" and node.args
    }
    assert {
        name for name in openers if not name.startswith((f"{PACKAGE}.warehouse.engines", f"{PACKAGE}.bundle"))
    } == set()
    assert openers


def test_only_the_command_line_knows_of_the_sandbox() -> None:
    assert strangers_to_the_sandbox(modules()) == set()


def test_what_stands_beside_the_package_enters_by_the_doors_too() -> None:
    beside = {
        file.relative_to(ROOT).as_posix(): parsed(file)
        for folder in ("dashboards", "benchmarks")
        for file in (ROOT / folder).rglob("*.py")
    }
    assert len(beside) > 10
    package = modules()
    found = [item for item in past_the_door({**beside, **package}) if item[0] in beside]
    assert found == []
    # What is measured may be measured on the sandbox.
    shown = {path: tree for path, tree in beside.items() if path.startswith("dashboards")}
    assert not {
        path for path, tree in shown.items() for module, _ in imported(tree) if module.startswith(f"{PACKAGE}.sandbox")
    }


@pytest.mark.parametrize(
    ("clients", "places"),
    [
        ({"duckdb"}, {"tailtracker_bi/warehouse/engines/", "tailtracker_bi/bundle/", *DUCKDB_IN_MEMORY}),
        ({"dbt"}, {"tailtracker_bi/warehouse/", "tailtracker_bi/defs/"}),
        ({"deltalake"}, {"tailtracker_bi/lake/", "tailtracker_bi/runs/"}),
        (
            {"psycopg2", "adbc_driver_postgresql"},
            {"tailtracker_bi/sources/app_db", "tailtracker_bi/sandbox/servers/", "tailtracker_bi/warehouse/engines/"},
        ),
    ],
)  # fmt: skip
def test_what_talks_to_an_engine_stands_in_its_place(clients: set[str], places: set[str]) -> None:
    found = {
        name.replace(".", "/") + ("/" if (ROOT / name.replace(".", "/")).is_dir() else ".py")
        for name, tree in modules().items()
        if any(module.split(".")[0] in clients for module, _ in imported(tree))
    }
    assert found
    assert {path for path in found if not path.startswith(tuple(places))} == set()


def changed(name: str, statement: str) -> dict[str, ast.Module]:
    """The modules with one more statement in one of them."""
    known = modules(name.split(".", maxsplit=1)[0])
    return {**known, name: ast.parse(ast.unparse(known[name]) + f"\n{statement}")}


@pytest.mark.parametrize(
    ("name", "statement", "wall"),
    [
        ("tailtracker_bi.lake.guards", "from tailtracker_bi.runs import locked", arrows_down),
        ("tailtracker_bi.runs.pipeline", "from tailtracker_bi.sandbox import home", arrows_down),
        ("tailtracker_bi.settings.model", "def f():\n    import tailtracker_bi.bundle", arrows_down),
        ("tailtracker_bi.runs.pulling", "from tailtracker_bi.lake.ledger import chained", past_the_door),
        ("tailtracker_bi.cli.engineer", "from tailtracker_bi.warehouse import marks", past_the_door),
        ("tailtracker_bi.bundle.check", "from tailtracker_bi.lake.lake import Lake", past_the_door),
        ("tailtracker_bi.reports.content", "from tailtracker_bi.figures.wording import _shown", past_the_door),
        ("tailtracker_bi.defs.jobs", "from tailtracker_bi.sandbox import home", strangers_to_the_sandbox),
        ("tailtracker_bi.sandbox.story.plot", "from tailtracker_bi.sandbox.shown import recording", circle),
        ("tailtracker_bi.lake.tables", "from tailtracker_bi.lake.ledger import chained", circle),
        ("dashboards.page", "from dashboards.notes import list_notes", circle),
    ],
)
def test_each_wall_is_seen_to_stand(name: str, statement: str, wall: object) -> None:
    assert callable(wall)
    assert wall(changed(name, statement))
