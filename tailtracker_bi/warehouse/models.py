"""Runs what dbt compiled: the models and data tests whose input changed since the last build, and no others.

A node's input is its SQL and the versions of what it reads. The version of a table is a digest of its rows: where a
model that ran again came to the same rows, what reads it need not run. The version of a view is its input; what a build
is given comes with its own. Marks say what to do again, never what comes of it: they have none.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from graphlib import TopologicalSorter
from typing import Any

from tailtracker_bi.errors import BuildError
from tailtracker_bi.warehouse.engines import Session

VIEW, TABLE, INCREMENTAL, TEST = "view", "table", "incremental", "test"


@dataclass(frozen=True)
class Node:
    """A model or a data test, as dbt compiled it."""

    id: str
    kind: str
    name: str
    schema: str
    sql: str
    file: str
    """Of its SQL, below the dbt project."""
    reads: Sequence[str]
    """Nodes and sources, by dbt's ids."""
    columns: Sequence[tuple[str, str, bool]]
    """Name, type and whether it is always filled, of each column that a contract promises; none without a contract."""
    config: Mapping[str, Any]

    @property
    def table(self) -> str:
        return f"{self.schema}.{self.name}"

    @property
    def tells_what_to_do(self) -> bool:
        return any(name.startswith("source.tailtracker.marks.") for name in self.reads)


@dataclass(frozen=True)
class Given:
    """What models are shown, as hashes: its columns, and its rows; and how many these are at most."""

    shape: str
    version: str
    rows: int = 0


@dataclass(frozen=True)
class Built:
    """What a node came of and, of a table, its rows and their digest."""

    input: str
    rows: int | None = None
    digest: str | None = None


@dataclass(frozen=True)
class Result:
    """What became of a node: `success` or `pass`, `unchanged`, `error` or `fail`."""

    node: Node
    status: str
    seconds: float
    message: str | None = None


def nodes_of(manifest: Mapping[str, Any]) -> list[Node]:
    """The models and data tests of a compiled project, each after what it reads."""
    nodes = {name: _node(name, entry) for name, entry in manifest["nodes"].items()}
    upstream = {name: [other for other in nodes[name].reads if other in nodes] for name in sorted(nodes)}
    return [nodes[name] for name in TopologicalSorter(upstream).static_order()]


def run_models(
    session: Session,
    nodes: Sequence[Node],
    given: Mapping[str, Given],
    before: Mapping[str, Built],
    failures: tuple[type[Exception], ...],
    progress: Callable[[str, int, int], None],
) -> tuple[list[Result], dict[str, Built]]:
    """Bring every model up to what is given, and test what changed; what became of each node, and what it came of.

    `before` is what they came of in the last build, if that finished. Raises BuildError, with the results so far, at
    the first node that fails; `failures` are what the engine raises.
    """
    there = {*session.tables(), *session.views()}
    shapes = {name: one.shape for name, one in given.items()}
    versions = {name: one.version for name, one in given.items()}
    sizes = {name: one.rows for name, one in given.items()}
    results, built = list[Result](), dict[str, Built]()
    for number, node in enumerate(nodes, start=1):
        began = time.monotonic()
        own = [node.sql, repr(node.columns)]
        shapes[node.id] = hashed(*own, *(shapes[name] for name in node.reads))
        content = hashed(*own, *(versions[name] for name in node.reads))
        # Of a view, that of the largest table below it.
        sizes[node.id] = max((sizes[name] for name in node.reads), default=0)
        # A view stays as it is while only rows change below it.
        wanted = shapes[node.id] if node.kind == VIEW else content
        is_there = node.kind == TEST or (node.schema, node.name) in there
        now = before.get(node.id, Built(""))
        status, message = "unchanged", None
        try:
            if now.input != wanted or not is_there:
                session.expect(sizes[node.id])
                status, message = _run(session, node, is_there)
                now = Built(wanted, *(session.digest(node.table) if node.kind in {TABLE, INCREMENTAL} else ()))
        except failures as error:
            status, message = "error", " ".join(str(error).split())
        results.append(Result(node, status, time.monotonic() - began, message))
        if message is not None:
            failed = BuildError(f"build: {node.name}: {message}; its SQL: {node.file}")
            failed.results = results
            raise failed
        built[node.id] = now
        sizes[node.id] = sizes[node.id] if now.rows is None else now.rows
        versions[node.id] = "" if node.tells_what_to_do else now.digest or content
        progress(node.name, number, len(nodes))
    return results, built


def fill_from(session: Session, nodes: Sequence[Node], wanted: Sequence[str], given: Collection[str]) -> None:
    """Fill these models, `schema.name`, and those that they hang on, in a warehouse that has what is `given`, too."""
    by_table = {node.table: node for node in nodes if node.kind != TEST}
    by_id = {node.id: node for node in by_table.values()}
    needed, waiting = set[str](), list(wanted)
    while waiting:
        node = by_table[waiting.pop()]
        if node.table not in needed and node.table not in given:
            needed.add(node.table)
            waiting += [by_id[name].table for name in node.reads if name in by_id and not by_id[name].tells_what_to_do]
    session.create_schemas({node.schema for node in by_table.values()})
    for node in nodes:
        if node.kind != TEST and node.table in needed:
            _run(session, node, is_there=False)


def hashed(*content: str) -> str:
    """A hash of texts in their order."""
    digest = hashlib.sha256()
    for text in content:
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()[:32]


def _node(name: str, entry: Mapping[str, Any]) -> Node:
    has_contract = entry["config"].get("contract", {}).get("enforced", False)
    return Node(
        id=name,
        kind=entry["config"]["materialized"],
        name=entry["name"] if entry["resource_type"] == "test" else entry["alias"],
        schema=entry["schema"],
        sql=entry["compiled_code"],
        file=entry["original_file_path"],
        reads=sorted(set(entry["depends_on"]["nodes"])),
        columns=[
            (column["name"], column["data_type"], any(rule["type"] == "not_null" for rule in column["constraints"]))
            for column in entry["columns"].values()
            if has_contract
        ],
        config=entry["config"],
    )


def _run(session: Session, node: Node, is_there: bool) -> tuple[str, str | None]:
    """What became of it, and what is wrong with it."""
    if node.kind == TEST:
        [(failing,)] = session.rows(f"select count(*) from ({node.sql}\n) as failing")
        return ("fail", f"{failing} rows fail") if failing else ("pass", None)
    if node.kind == VIEW:
        session.define(node.schema, node.name, node.sql)
    elif node.kind == INCREMENTAL:
        _replace(session, node, is_there)
    else:
        session.fill(node.schema, node.name, node.sql, node.columns)
    return "success", None


def _replace(session: Session, node: Node, is_there: bool) -> None:
    """Do again the dates, or the objects, that are to be done again; where the table is not there, all of them."""
    key, strategy = node.config["unique_key"], node.config["incremental_strategy"]
    if strategy == "replace_landed":
        source, table = node.config["meta"]["replaces"].split(".")
        session.tell("in_part", is_there)
        landed = session.named(f"staging.stg_{source}__objects_landed")
        replaced = f"{key} in (select object_id from {landed} where table_name = '{table}')"
    elif strategy == "replace_pending":
        source, table = node.config["meta"]["replaces"].split(".")
        origin, landed = ("pending_days", "") if is_there else ("landings", "and status = 'landed'")
        found = session.rows(
            f"select source_day from {session.named(f'staging.stg_lake__{origin}')} "
            f"where source = '{source}' and table_name = '{table}' {landed} order by source_day"
        )
        days = [day for (day,) in found]
        session.give_dates("pending_days", days)
        replaced = f"{key} in ({', '.join(map(_literal, days))})" if days else "false"
    else:
        dates = "first_date", "first_period_start"
        origin = session.named("intermediate.int_rebuild_start")
        found = session.rows(f"select {', '.join(dates)} from {origin}") if is_there else []
        first = dict(zip(dates, *(found or [(date.min, date.min)]), strict=True))
        for name, day in first.items():
            session.give_date(name, day)
        start = first["first_date" if strategy == "replace_from" else "first_period_start"]
        replaced = f"{key} >= {_literal(start)}" if start else "false"
    if not is_there and node.columns:
        session.create(node.schema, node.name, node.columns)
    if is_there or node.columns:
        session.replace(node.schema, node.name, replaced, node.sql)
    else:
        session.fill(node.schema, node.name, node.sql)


def _literal(day: date) -> str:
    return f"cast('{day}' as date)"
