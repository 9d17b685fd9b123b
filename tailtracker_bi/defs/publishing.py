"""Warehouse to bundle: what readers see. The work is `pipeline.publish`'s."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import dagster as dg

from tailtracker_bi.bundle import Bundle
from tailtracker_bi.defs.refresh import BUNDLE, Refresh
from tailtracker_bi.defs.transformation import MODELS
from tailtracker_bi.errors import TailTrackerError
from tailtracker_bi.pipeline import publish
from tailtracker_bi.warehouse import Warehouse


@dg.asset(
    key=BUNDLE,
    deps=[spec.key for spec in MODELS.values() if spec.group_name == "published"],
    group_name="publishing",
    owners=["team:data"],
    kinds={"duckdb"},
    # A day and the time that a run may take: who opens the dashboard in the morning sees yesterday.
    freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=30), warn_window=timedelta(hours=26)),
    required_resource_keys={"refresh"},
)
def published_bundle(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
    """One read-only file with all that dashboards and reports show. Made of a build that finished, or not at all."""
    refresh: Refresh = context.resources.refresh
    try:
        bundle = publish(
            refresh.settings,
            Warehouse(refresh.settings, refresh.analytics, refresh.lake),
            refresh.report,
            refresh.progress,
        )
    except TailTrackerError as error:
        refresh.report.errors.append(str(error))
    else:
        report = refresh.settings.home / "runs" / f"{refresh.report.run_id}.json"
        yield dg.MaterializeResult(metadata={**bundle_metadata(bundle), "report": dg.MetadataValue.path(report)})
    refresh.fail_if_wrong(context)


def bundle_metadata(bundle: Bundle) -> dict[str, dg.MetadataValue[Any] | str | float]:
    """What Dagster is told of a build."""
    return {
        "build": bundle.build,
        "file": dg.MetadataValue.path(bundle.path),
        "megabytes": round(bundle.path.stat().st_size / 1e6, 1),
    }
