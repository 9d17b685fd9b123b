"""Warehouse to bundle: what readers see. The work is that of `runs.publish`."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import dagster as dg

from tailtracker_bi.bundle import Bundle
from tailtracker_bi.defs.ledger import UP_TO_DATE, lag
from tailtracker_bi.defs.refresh import BUNDLE, Refresh
from tailtracker_bi.defs.transformation import MODELS
from tailtracker_bi.runs import publish
from tailtracker_bi.warehouse import Warehouse


@dg.asset(
    key=BUNDLE,
    deps=[spec.key for spec in MODELS.values() if spec.group_name == "published"],
    group_name="bundle",
    owners=["team:data"],
    kinds={"duckdb"},
    # A day and the time that a run may take: who opens the dashboard in the morning sees yesterday.
    freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=30), warn_window=timedelta(hours=26)),
    check_specs=[
        dg.AssetCheckSpec(
            UP_TO_DATE,
            asset=BUNDLE,
            description="The published build holds all that has landed: after a pull of single days it is behind, "
            "until models and bundle are made again.",
        )
    ],
    required_resource_keys={"refresh"},
)
def published_bundle(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
    """One read-only file with all that dashboards and reports show. Made of a build that finished, or not at all."""
    refresh: Refresh = context.resources.refresh
    without = [*refresh.report.errors, *refresh.report.held]
    with refresh.failing_for_its_own():
        bundle = publish(
            refresh.settings,
            Warehouse(refresh.settings, refresh.analytics, refresh.lake),
            refresh.report,
            refresh.progress,
        )
        report = refresh.settings.home / "runs" / f"{refresh.report.run_id}.json"
        metadata = {**bundle_metadata(bundle), "report": dg.MetadataValue.path(report)}
        if without:
            metadata["published without"] = "; ".join(without)
        yield dg.MaterializeResult(metadata=metadata, check_results=[lag(refresh.settings.home, refresh.lake)])


def bundle_metadata(bundle: Bundle) -> dict[str, dg.MetadataValue[Any] | str | float]:
    """What Dagster is told of a build."""
    return {
        "build": bundle.build,
        "file": dg.MetadataValue.path(bundle.path),
        "megabytes": round(bundle.path.stat().st_size / 1e6, 1),
    }
