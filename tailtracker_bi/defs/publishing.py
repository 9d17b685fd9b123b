"""The refresh as one asset: the published bundle. The work is `tailtracker_bi.pipeline`'s."""

import dagster as dg

from tailtracker_bi.pipeline import Progress, refresh
from tailtracker_bi.settings import load_settings


class _Log(Progress):
    def __init__(self, context: dg.AssetExecutionContext) -> None:
        self._context = context

    def say(self, message: str) -> None:
        self._context.log.info(message)


@dg.asset(key=["published", "bundle"], group_name="publishing", owners=["team:data"], kinds={"duckdb"})
def published_bundle(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    """What readers see: all that is missing is pulled, built, checked and published, under the one lock."""
    report = refresh(load_settings(), _Log(context))
    if not report.is_success:
        raise dg.Failure("; ".join(dict.fromkeys(report.errors)), metadata={"build": report.build or "none"})
    return dg.MaterializeResult(metadata={"build": report.build or "none", "days": len(report.days)})


daily = dg.define_asset_job("daily", selection=[published_bundle])
