"""What the ledger says, in Dagster's words.

The ledger is the truth, whoever landed: a run of Dagster, the command line, or a run that was killed before it could
tell. So nothing tells Dagster of a table but what stands here, read from the ledger; a run tells it at the end of its
step, and the sensor in `jobs.py` tells the rest. How far Dagster has been told stands in Dagster: the check `landed` of
each table carries the number of the latest landing.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg

from tailtracker_bi.bundle import NoBundleError, current
from tailtracker_bi.defs.refresh import BUNDLE
from tailtracker_bi.lake import READ, Lake
from tailtracker_bi.runs import landed_since
from tailtracker_bi.sources import COUNTED, DaySource, Source, Table

LANDED = "landed"
UP_TO_DATE = "up_to_date"


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
    """What Dagster does not know yet of a table: what was read since, each day once, then how the attempts stand.

    A day that was read again and had not changed is told, too: a backfill waits to be told of each that it asked for.
    """
    key = asset_key(source, table)
    attempts = lake.ledger.attempts(source.name, table.name)
    if not attempts:
        return
    known = _told(instance, key)
    if attempts[-1]["landing"] < known:
        known = -1  # HOME was made anew: so were its numbers
    if attempts[-1]["landing"] == known:
        return
    # By partition: a day, or None for a table that is kept as a whole.
    partitions = [str(row["day"]) if issubclass(source, DaySource) else None for row in attempts]
    latest = dict(zip(partitions, attempts, strict=True))
    read = {partition: row for partition, row in zip(partitions, attempts, strict=True) if row["status"] in READ}
    for partition, row in read.items():
        if row["landing"] > known:
            yield dg.AssetMaterialization(key, partition=partition, metadata=_metadata(row, partition is not None))
    failed = [row for row in latest.values() if row["status"] not in READ]
    reason = {"failed": ", ".join(str(row["day"]) for row in failed), "reason": failed[-1]["reason"]} if failed else {}
    yield dg.AssetCheckEvaluation(
        asset_key=key,
        check_name=LANDED,
        passed=not failed,
        # As text: Dagster would plot a number.
        metadata={"landing": str(attempts[-1]["landing"]), **reason},
    )


def untold_lag(instance: dg.DagsterInstance, home: Path, lake: Lake) -> Iterator[dg.AssetCheckEvaluation]:
    """Whether the published build holds all that has landed, where Dagster was last told otherwise."""
    try:
        result = lag(home, lake)
    except NoBundleError:
        return
    last = _last_check(instance, dg.AssetCheckKey(BUNDLE, UP_TO_DATE))
    if last is None or (last.passed, last.metadata) != (result.passed, result.metadata):
        yield dg.AssetCheckEvaluation(
            asset_key=BUNDLE, check_name=UP_TO_DATE, passed=result.passed, metadata=result.metadata
        )


def lag(home: Path, lake: Lake) -> dg.AssetCheckResult:
    """The check `up_to_date` of the published build. Raises NoBundleError."""
    build = current(home)
    tables = landed_since(build, lake)
    behind = {"landed since": ", ".join(tables), "what to do": "materialize models and bundle"} if tables else {}
    return dg.AssetCheckResult(
        asset_key=BUNDLE, check_name=UP_TO_DATE, passed=not tables, metadata={"build": build.build, **behind}
    )


def _told(instance: dg.DagsterInstance, key: dg.AssetKey) -> int:
    """The latest landing of the table that Dagster was told of; -1 for none."""
    check = _last_check(instance, dg.AssetCheckKey(key, LANDED))
    landing = check.metadata.get("landing") if check else None
    return int(str(landing.value)) if landing else -1


def _last_check(instance: dg.DagsterInstance, key: dg.AssetCheckKey) -> dg.AssetCheckEvaluation | None:
    """The last result of a check; a run plans its checks before it makes them, and those have none yet."""
    for record in instance.event_log_storage.get_asset_check_execution_history(key, limit=10):
        event = record.event.dagster_event if record.event else None
        if event and event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            return event.asset_check_evaluation_data
    return None


def _metadata(row: dict[str, Any], is_day: bool) -> dict[str, Any]:
    rows = "dagster/partition_row_count" if is_day else "new versions"
    moments = {name: dg.MetadataValue.timestamp(row[name].timestamp()) for name in ("landed_at", "as_of") if row[name]}
    counts = {rows: row["loaded"], **{name: row[name] for name in COUNTED}}
    return {**counts, **moments, "status": row["status"], "landing": row["landing"]}
