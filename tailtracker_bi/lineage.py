"""What each metric is computed from, by dbt's manifest: the models and the tables of sources upstream of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

WHO_IS_WHO = "model.tailtracker.int_identities_resolved"
"""All that counts customers or objects of people reads it, to leave test accounts out: no number is made of the events
that it is made of."""
Pairs = list[tuple[str, ...]]


def lineage(manifest: Mapping[str, Any], funnel_ids: Iterable[str]) -> tuple[Pairs, Pairs]:
    """(metric, model) and (metric, source, table), each once; an entry for `{funnel_id}` stands for every funnel."""
    funnels = list(funnel_ids)
    models, tables = set[tuple[str, ...]](), set[tuple[str, ...]]()
    for name, node in manifest["nodes"].items():
        entries = [entry["id"] for entry in node["config"].get("meta", {}).get("metrics", [])]
        if not entries:
            continue
        upstream = set(_upstream(manifest, name))
        metric_ids = {entry.replace("{funnel_id}", funnel) for entry in entries for funnel in funnels or [""]}
        for parts in (found.split(".") for found in upstream):
            if parts[0] == "model":
                models.update((metric_id, parts[2]) for metric_id in metric_ids)
            elif parts[2].startswith("raw_") and parts[2] != "raw_lake":
                tables.update((metric_id, parts[2].removeprefix("raw_"), parts[3]) for metric_id in metric_ids)
    return sorted(models), sorted(tables)


def _upstream(manifest: Mapping[str, Any], name: str) -> Iterator[str]:
    """A model, and all that it reads."""
    waiting, seen = [name], {name}
    while waiting:
        found = waiting.pop()
        yield found
        read = manifest["nodes"].get(found, {}).get("depends_on", {}).get("nodes", []) if found != WHO_IS_WHO else []
        waiting += [other for other in read if other not in seen]
        seen.update(read)
