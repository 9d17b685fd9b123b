"""The same world in two warehouses, and whether they came to the same.

As a plugin of pytest (`-p tests.worlds.both_engines`) it has each world that a test builds on DuckDB built in Postgres,
too, and compared.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from tailtracker_bi.analytics.rules import Analytics
from tailtracker_bi.bundle.parity import compare_engines
from tailtracker_bi.lake.lake import Lake
from tailtracker_bi.settings.model import Settings
from tailtracker_bi.shipped import DBT_PROJECT
from tailtracker_bi.warehouse.dbt_runner import compiled_manifest
from tailtracker_bi.warehouse.engines import Session
from tailtracker_bi.warehouse.engines.postgres import Postgres
from tailtracker_bi.warehouse.models import INCREMENTAL, TABLE, TEST, Node, nodes_of
from tailtracker_bi.warehouse.warehouse import Warehouse
from tests.worlds import random_worlds

if TYPE_CHECKING:
    from tailtracker_bi.sandbox.servers.app_database import AppServer

OF_A_WORLD = re.compile(r"\bw[0-9]+-")
"""What ids of one of `worlds_in_one` begin with."""


def in_postgres(settings: Settings, url: str) -> Settings:
    """The same settings with another warehouse."""
    other = settings.model_copy(update={"warehouse": "postgres", "warehouse_url": SecretStr(url)})
    other._own, other._load_own = settings._own, settings._load_own
    return other


@dataclass
class Both:
    """A warehouse on each engine, of one lake."""

    ours: Warehouse
    theirs: Warehouse

    @classmethod
    def of(cls, settings: Settings, analytics: Analytics, lake: Lake, url: str) -> Both:
        return cls(*(Warehouse(known, analytics, lake) for known in (settings, in_postgres(settings, url))))

    def build(self) -> None:
        """As a refresh does."""
        for warehouse in (self.ours, self.theirs):
            warehouse.prepare()
            warehouse.build()

    def differences(self) -> list[str]:
        """The published tables that differ, and by how much."""
        return [
            f"{found.where}: {found.wrong}" for found in compare_engines(self.ours.engine, self.theirs.engine).findings
        ]

    def unequal(self, *layers: str) -> dict[str, list[str]]:
        """The tables of these layers that differ, each with the worlds by whose names its rows on one side begin.

        Where none is named, the first of these rows.
        """
        nodes = [node for node in nodes_of(self.ours._manifest) if node.kind in {TABLE, INCREMENTAL}]
        found = {}
        with self.ours.engine.session() as ours, self.theirs.engine.session() as theirs:
            for node in (node for node in nodes if node.schema in layers):
                mine, others = (Counter(_rows(session, node)) for session in (ours, theirs))
                # Hardly any row is not the same as it comes.
                mine, others = (Counter(map(plain, more.elements())) for more in (mine - others, others - mine))
                alone = sorted((mine - others) + (others - mine))
                if alone:
                    found[node.table] = sorted({*OF_A_WORLD.findall(" ".join(alone))}) or alone[:3]
        return found


@pytest.fixture(autouse=True)
def _in_postgres_too(app_server: AppServer) -> Iterator[None]:
    nodes = {node.name: node for node in nodes_of(compiled_manifest(Postgres(DBT_PROJECT))) if node.kind != TEST}

    def compare(warehouse: Warehouse, models: list[Node]) -> None:
        with app_server.database() as database:
            other = in_postgres(warehouse._settings, database.owner_url)
            theirs = Warehouse(other, warehouse._analytics, warehouse._lake)
            random_worlds.fill(theirs, [nodes[model.name] for model in models])
            assert different(warehouse, theirs, models) == []
            del theirs

    random_worlds.also.append(compare)
    yield
    random_worlds.also.remove(compare)


def different(ours: Warehouse, theirs: Warehouse, models: list[Node]) -> list[str]:
    """The models that differ, of warehouses that hold some of them, and of no build that finished.

    What is published has its types and is compared as such; of what leads there numbers are numbers.
    """
    rows: list[dict[str, list[str]]] = []
    for warehouse in (ours, theirs):
        with warehouse.engine.session() as session:
            session.create_schemas(["published"])
            session.fill("published", "pub_nothing", "select 1 as n")
            session.fill("marks", "finished", "select cast(1 as bigint) as landing, 'd' as definition")
            rows.append({model.table: sorted(map(plain, _rows(session, model))) for model in models})
    return [table for table in rows[0] if rows[0][table] != rows[1][table]] + Both(ours, theirs).differences()


def _rows(session: Session, model: Node) -> list[tuple[Any, ...]]:
    table = session.named(model.table)
    names = sorted(session.table(f"select * from {table} limit 0").schema.names)
    columns = ", ".join(f'"{name}"' for name in names)
    return session.rows(f"select {columns} from {table}")


def plain(row: tuple[Any, ...]) -> str:
    return repr([_plain(value) for value in row])


def _plain(value: Any) -> Any:
    if isinstance(value, int | float | Decimal):
        return f"{float(value):.9g}"
    # Each engine writes JSON in its own way.
    return json.dumps(json.loads(value), sort_keys=True) if str(value).startswith(("{", "[")) else value
