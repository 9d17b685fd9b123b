"""What the ledger says, in Dagster's words.

The ledger is the truth, whoever landed: a run of Dagster, the command line, or a run that was killed before it could
tell. So nothing tells Dagster of a table but what stands here, read from the ledger; a run tells it at the end of its
step, and the sensor in `jobs.py` tells the rest. How far Dagster has been told stands in Dagster: the check `landed` of
each table carries the number of the latest landing.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg
from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION

from tailtracker_bi.lake import Lake
from tailtracker_bi.runs import COUNTED
from tailtracker_bi.sources.base import DaySource, Source, Table

LANDED = "landed"

SILENT = {SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True}
"""Metadata of an output that is no event: the step is done, and what has landed is told from the ledger.

Dagster has no public word for it. Without an output all that comes after would be skipped; with a plain one, a source
that is off or a day that failed would pass for materialized.
"""


def asset_key(source: type[Source], table: Table) -> dg.AssetKey:
    """The key that the dbt project knows the table by."""
    return dg.AssetKey([f"raw_{source.name}", table.name])


def check_spec(source: type[Source], table: Table) -> dg.AssetCheckSpec:
    """The check that says whether the latest attempts on a table landed."""
    what = "each day" if issubclass(source, DaySource) else "the table"
    return dg.AssetCheckSpec(
        LANDED, asset=asset_key(source, table), description=f"The latest attempt to land {what} succeeded."
    )


def untold(
    instance: dg.DagsterInstance, lake: Lake, source: type[Source], table: Table
) -> Iterator[dg.AssetMaterialization | dg.AssetCheckEvaluation]:
    """What Dagster does not know yet of a table: what landed since, each day once, then how the attempts stand."""
    key = asset_key(source, table)
    attempts = lake.attempts(source.name, table.name)
    if not attempts:
        return
    told = _told(instance, key)
    if attempts[-1]["landing"] < told:
        told = -1  # HOME was made anew: so were its numbers
    if attempts[-1]["landing"] == told:
        return
    # By partition: a day, or None for a table that is kept as a whole.
    partitions = [str(row["day"]) if issubclass(source, DaySource) else None for row in attempts]
    latest = dict(zip(partitions, attempts, strict=True))
    landed = {partition: row for partition, row in zip(partitions, attempts, strict=True) if row["status"] == "landed"}
    for partition, row in landed.items():
        if row["landing"] > told:
            yield dg.AssetMaterialization(key, partition=partition, metadata=_metadata(row, partition is not None))
    failed = [row for row in latest.values() if row["status"] != "landed"]
    reason = {"failed": ", ".join(str(row["day"]) for row in failed), "reason": failed[-1]["reason"]} if failed else {}
    yield dg.AssetCheckEvaluation(
        asset_key=key,
        check_name=LANDED,
        passed=not failed,
        # As text: Dagster would plot a number.
        metadata={"landing": str(attempts[-1]["landing"]), **reason},
    )


def _told(instance: dg.DagsterInstance, key: dg.AssetKey) -> int:
    """The latest landing of the table that Dagster was told of; -1 for none."""
    # A run plans its checks before it makes them: those have no result yet.
    history = instance.event_log_storage.get_asset_check_execution_history(dg.AssetCheckKey(key, LANDED), limit=10)
    for record in history:
        event = record.event.dagster_event if record.event else None
        if event and event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            landing = event.asset_check_evaluation_data.metadata.get("landing")
            if landing:
                return int(str(landing.value))
    return -1


def _metadata(row: dict[str, Any], is_day: bool) -> dict[str, Any]:
    rows = "dagster/partition_row_count" if is_day else "new versions"
    moments = {name: dg.MetadataValue.timestamp(row[name].timestamp()) for name in ("landed_at", "as_of") if row[name]}
    return {rows: row["loaded"], **{name: row[name] for name in COUNTED}, **moments, "landing": row["landing"]}
