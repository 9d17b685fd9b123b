"""What each metric is computed from, by dbt's manifest: the models and the tables of sources upstream of it.

All that is upstream counts, unless YAML says what for it is read. `meta.read_for` of a model says it of the model, and
`meta.reads` of the models that it refers to: a segment's name (only that segment hangs on it), `conversion` (only
totals over currencies do) or `test_accounts` (it tells whom to leave out, and no number). `meta.reads_all` names models
further up that others read for less, and on which its numbers hang all the same. A metric's `apart_from` names
models upstream of its own model that other metrics there are made of.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

ALL, EITHER = "all", "either"
IS_MARK = re.compile(r"source\.tailtracker\.marks\.").match
TEST_ACCOUNTS = "test_accounts"


class TableRead(NamedTuple):
    """A table without which a metric is not known: all its values, those of a segment, or its totals (`conversion`).

    Of those that are read for `either`, one is enough: the app's tables, and files that stand in for them.
    """

    metric_id: str
    source: str
    table_name: str
    needed_for: str


def lineage(
    manifest: Mapping[str, Any], funnel_ids: Iterable[str], off: Collection[tuple[str, str]]
) -> tuple[list[tuple[str, str]], list[TableRead]]:
    """(metric, model) and what each reads, each once; an entry for `{funnel_id}` stands for every funnel.

    A metric whose own table is `off` reads its `fallback`, in place of all that are its own or, where it says
    `fallback_for`, of that source's.
    """
    funnels = list(funnel_ids)
    models, tables = set[tuple[str, str]](), set[TableRead]()
    for name, node in manifest["nodes"].items():
        for entry in node["config"].get("meta", {}).get("metrics", []):
            upstream = set(_upstream(manifest, name, set(entry.get("apart_from", ()))))
            read = {
                (schema.removeprefix("raw_"), table, needed_for)
                for (kind, _, schema, *table_name), needed_for in ((found.split("."), what) for found, what in upstream)
                for table in table_name
                if kind == "source" and schema.startswith("raw_") and schema != "raw_lake"
            }
            needed = list(_needed(read, entry.get("fallback"), entry.get("fallback_for"), off))
            for metric_id in {entry["id"].replace("{funnel_id}", funnel) for funnel in funnels or [""]}:
                models.update((metric_id, found.split(".")[2]) for found, _ in upstream if found.startswith("model."))
                tables.update(TableRead(metric_id, *table) for table in needed)
    return sorted(models), sorted(tables)


def _needed(
    read: set[tuple[str, str, str]], fallback: str | None, fallback_for: str | None, off: Collection[tuple[str, str]]
) -> Iterator[tuple[str, str, str]]:
    always = {(source, table) for source, table, needed_for in read if needed_for == ALL}
    if fallback:
        source, _, table = fallback.partition(".")
        own = always - {(source, table)}
        replaced = {each for each in own if fallback_for in (None, each[0])}
        always = own if replaced.isdisjoint(off) else own - replaced | {(source, table)}
    files = {table for source, table in always if source == "csv_files"}
    for source, table in always:
        yield source, table, EITHER if table in files else ALL
    for source, table, needed_for in read:
        if needed_for != ALL and (source, table) not in always:
            yield source, table, needed_for


def _upstream(manifest: Mapping[str, Any], metric_model: str, apart_from: Collection[str]) -> Iterator[tuple[str, str]]:
    """A model, and all that it reads, with what for."""
    waiting = [(metric_model, ALL)]
    seen = set(waiting)
    while waiting:
        found, needed_for = waiting.pop()
        yield found, needed_for
        node = manifest["nodes"].get(found, {})
        # What tells what to do again has no say in what comes of it.
        if needed_for == TEST_ACCOUNTS or not node or any(map(IS_MARK, node["depends_on"]["nodes"])):
            continue
        purposes = node["config"].get("meta", {}).get("reads", {})
        named = [f"{found.rpartition('.')[0]}.{name}" for name in node["config"].get("meta", {}).get("reads_all", ())]
        read = [(other, ALL) for other in named]
        for other in node["depends_on"]["nodes"]:
            name = other.split(".")[2]
            if other.startswith("model.") and name in apart_from:
                continue
            meta = manifest["nodes"].get(other, {"config": {}})["config"].get("meta", {})
            purpose = purposes.get(name) or meta.get("read_for") or ALL
            read.append((other, purpose if needed_for == ALL or purpose == TEST_ACCOUNTS else needed_for))
        waiting += [each for each in dict.fromkeys(read) if each not in seen]
        seen.update(read)
