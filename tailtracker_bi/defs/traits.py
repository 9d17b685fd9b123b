"""Warehouse to Mixpanel: what was computed of people, told to their profiles. The work is that of `traits/`."""

import dagster as dg

from tailtracker_bi.defs.refresh import BUNDLE, Log
from tailtracker_bi.errors import TailTrackerError
from tailtracker_bi.settings import load_reader_settings, load_settings
from tailtracker_bi.traits import update_profiles


@dg.asset(
    key=["traits", "profiles"],
    description="Tells the Mixpanel profiles of those who consent their plan, lifecycle, churn risk and LTV band: what "
    "changed since the last time. Takes it away from who does not consent any more.",
    deps=[BUNDLE],
    group_name="traits",
    owners=["team:data"],
    kinds={"mixpanel"},
)
def profiles(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    """What `tailtracker-bi traits send` does."""
    try:
        plan = update_profiles(load_settings(), Log(context.log))
    except TailTrackerError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    if plan.too_old:
        raise dg.Failure(plan.too_old, allow_retries=False)
    return dg.MaterializeResult(metadata={"told": len(plan.told), "taken away": len(plan.removed)})


traits = dg.define_asset_job(
    "traits",
    selection=dg.AssetSelection.assets(profiles),
    description="Tell Mixpanel profiles what changed of the people who consent.",
)

traits_schedule = dg.ScheduleDefinition(
    name="traits",
    job=traits,
    cron_schedule="0 9 * * *",
    execution_timezone=load_reader_settings().timezone,
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Every day at nine in the reporting time zone, when yesterday is built; off until somebody turns it "
    "on, as it writes into Mixpanel.",
)
