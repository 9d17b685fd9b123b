"""Today so far, beside all that is daily: an asset of its own, and a schedule that somebody turns on."""

import dagster as dg

from tailtracker_bi.analytics import load_analytics
from tailtracker_bi.errors import TailTrackerError
from tailtracker_bi.recent import file_in
from tailtracker_bi.runs import update_recent
from tailtracker_bi.settings import load_reader_settings, load_settings

UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


@dg.asset(
    key=["recent", "activity"],
    description="Activity of the last hours: today so far, partial. Nothing daily is made of it, nor it of anything "
    "daily: it takes no lock that a refresh waits for, and leaves its turn out while one is at work.",
    group_name="recent",
    owners=["team:data"],
    kinds={"parquet"},
)
def activity(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    """What `tailtracker-bi recent` does."""
    settings = load_settings()
    try:
        is_new = update_recent(settings, load_analytics(settings.analytics_path), context.log.info)
    except TailTrackerError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    return dg.MaterializeResult(metadata={"file": dg.MetadataValue.path(file_in(settings.home)), "replaced": is_new})


last_hours = dg.define_asset_job(
    "last_hours",
    selection=dg.AssetSelection.assets(activity),
    description="Read today so far, for the page Last hours.",
)


@dg.schedule(
    name="last_hours",
    job=last_hours,
    cron_schedule="*/15 * * * *",
    execution_timezone=load_reader_settings().timezone,
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Every quarter of an hour; off until somebody turns it on, as it asks sources 4 times an hour.",
)
def last_hours_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """A turn, unless the one before waits still: runs queue behind a refresh, however long that takes."""
    if context.instance.get_runs_count(dg.RunsFilter(job_name=last_hours.name, statuses=UNDER_WAY)):
        return dg.SkipReason("the turn before is not over")
    return dg.RunRequest()
