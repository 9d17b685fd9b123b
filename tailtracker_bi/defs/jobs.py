"""When things run, and who is told: the daily run, the sensors for the ledger and for failures."""

from pathlib import Path
from typing import Any

import dagster as dg

from tailtracker_bi.bundle import builds
from tailtracker_bi.defs.ingestion import source_key
from tailtracker_bi.defs.intraday import last_hours
from tailtracker_bi.defs.ledger import untold, untold_lag
from tailtracker_bi.defs.publishing import bundle_metadata, published_bundle
from tailtracker_bi.defs.refresh import BUNDLE, REPORT_TAG
from tailtracker_bi.defs.transformation import models
from tailtracker_bi.delivery import Ledger, tell_owner
from tailtracker_bi.lake import Lake
from tailtracker_bi.runs import LockedError, Progress, locked
from tailtracker_bi.settings import load_reader_settings, load_report_settings
from tailtracker_bi.sources import SOURCES

daily = dg.define_asset_job(
    "daily",
    selection=dg.AssetSelection.assets(*map(source_key, SOURCES), models, published_bundle),
    description="Pull what is missing or may have changed, build, check, publish. It asks for no partition: the ledger "
    "says which days are needed.",
)

daily_schedule = dg.ScheduleDefinition(
    name="daily",
    job=daily,
    cron_schedule="0 6 * * *",
    execution_timezone=load_reader_settings().timezone,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every day at six in the reporting time zone, when yesterday is over.",
)


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Tells Dagster of what the command line landed and published, and of what a killed run could not tell.",
)
def ledger(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Tells of what the command line landed and published, and of what a killed run could not tell."""
    home = load_reader_settings().home
    lake = Lake(home)
    events: list[dg.AssetMaterialization | dg.AssetObservation | dg.AssetCheckEvaluation] = []
    try:
        # Under the lock, so that nothing is told twice: a run of Dagster tells by itself before it lets go.
        with locked(home, Progress(), patience=0):
            for source in SOURCES:
                for table in source.tables:
                    events += untold(context.instance, lake, source, table)
            events += _untold_builds(context.instance, home)
            events += untold_lag(context.instance, home, lake)
    except LockedError:
        return dg.SkipReason("a run is at work on the same data")
    return dg.SensorResult(asset_events=events) if events else dg.SkipReason("everything is told")


def _untold_builds(instance: dg.DagsterInstance, home: Path) -> list[dg.AssetMaterialization]:
    """The newest build, where Dagster's latest is another."""
    newest = builds(home)[-1:]
    latest = instance.get_latest_materialization_event(BUNDLE)
    known = latest.asset_materialization.metadata.get("build") if latest and latest.asset_materialization else None
    return [
        dg.AssetMaterialization(BUNDLE, metadata=bundle_metadata(bundle))
        for bundle in newest
        if known is None or known.value != bundle.build
    ]


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    monitored_jobs=[daily],
    request_job=daily,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Builds and publishes what a re-run of failed sources alone has landed.",
)
def rerun(context: dg.RunStatusSensorContext) -> dg.RunRequest | dg.SkipReason:
    """Builds and publishes what a re-run of failed sources alone has landed."""
    run = context.dagster_run
    if run.parent_run_id is None or context.instance.get_run_step_stats(run.run_id, [models.op.name]):
        return dg.SkipReason("the run has built and published by itself")
    return dg.RunRequest(run_key=run.run_id, asset_selection=[*models.keys, BUNDLE])


@dg.run_failure_sensor(
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Says in one line, in the log and to the owner, which run failed, at what, and where its report is.",
)
def failure(context: dg.RunFailureSensorContext) -> None:
    """Says in one line which run failed, at what, and where its report is."""
    run = context.dagster_run
    causes = [
        f"{event.step_key}: {_reason(event.step_failure_data.error)}" for event in context.get_step_failure_events()
    ]
    # A run that died before its first step: settings that are wrong, a sandbox that is down.
    early = context.failure_event.job_failure_data.error
    said = (
        f"{run.job_name} failed, run {run.run_id}: "
        f"{'; '.join(causes) or (_reason(early) if early else context.failure_event.message)}; "
        f"report: {run.tags.get(REPORT_TAG, 'none')}"
    )
    context.log.error(said)
    if run.job_name == last_hours.name:
        # A turn that failed is followed by another one soon, and the page says how old it is.
        return
    settings = load_report_settings()
    tell_owner(settings, Ledger(settings.home), settings.now, f"run {run.run_id}", said)


def _reason(error: Any) -> str:
    """The words of the error at the bottom: Dagster wraps it in others, and puts its class before it."""
    while error.cause:
        error = error.cause
    said = str(error.message).strip().partition(f"{error.cls_name}: ")
    return (said[2] or said[0]).splitlines()[0]
