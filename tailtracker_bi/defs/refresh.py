"""What the steps of one run share: settings, the lock of HOME, the lake, and the run report.

All steps of a run are executed in one process, one after the other, so that a run is to its HOME what a
`tailtracker-bi refresh` is: it holds the one lock from its first step to its last, and writes one run report.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import dagster as dg

from tailtracker_bi.analytics import Analytics, load_analytics
from tailtracker_bi.configuration import note_first_run
from tailtracker_bi.crash_points import arm
from tailtracker_bi.lake import Lake
from tailtracker_bi.pipeline import check_home_is_whole, check_sources
from tailtracker_bi.runs import Progress, RunReport, locked, new_report
from tailtracker_bi.settings import Settings, load_settings

BUNDLE = dg.AssetKey(["published", "bundle"])
REPORT_TAG = "tailtracker/report"
"""Of a run: the name of its report in HOME."""


class Log(Progress):
    """Progress into the log of a run."""

    def __init__(self, log: dg.DagsterLogManager) -> None:
        self._log = log

    def say(self, message: str) -> None:
        self._log.info(message)

    def step(self, stage: str, what: str, done: int, total: int) -> None:
        self._log.debug(f"{stage} {done}/{total}: {what}")


@dataclass(frozen=True)
class Refresh:
    """A run that is under way."""

    settings: Settings
    analytics: Analytics
    lake: Lake
    report: RunReport
    progress: Progress

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Note in the run report what breaks a step off, which the run itself would not tell it."""
        try:
            yield
        except dg.Failure:
            raise
        except Exception as error:
            self.report.errors.append(str(error) or type(error).__name__)
            raise

    def fail_if_wrong(self, context: dg.AssetExecutionContext) -> None:
        """Fail the step for all that went wrong so far, unless this run has yet to publish.

        As in a refresh by the command line: what could not be pulled keeps nobody from what could. So a run publishes
        first, and then says that it failed.
        """
        publishes = BUNDLE in context.job_def.asset_layer.executable_asset_keys
        wrong = dict.fromkeys([*self.report.errors, *self.report.held])
        if wrong and (BUNDLE in context.selected_asset_keys or not publishes):
            raise dg.Failure("; ".join(wrong), allow_retries=False)


@dg.resource(description="The lock of HOME, the lake and the run report, from a run's first step to its last.")
def refresh(context: dg.InitResourceContext) -> Iterator[Refresh]:
    log = context.log
    if log is None or context.instance is None or context.run is None:
        raise RuntimeError("a refresh needs a run")
    progress = Log(log)
    with locked(load_settings().home, progress):
        settings = load_settings()
        arm(settings.crash_at)
        check_sources(settings)
        analytics = load_analytics(settings.analytics_path)
        note_first_run(settings)
        lake = Lake(settings.home)
        check_home_is_whole(settings, analytics, lake)
        report = new_report()
        context.instance.add_run_tags(context.run.run_id, {REPORT_TAG: f"{report.run_id}.json"})
        try:
            yield Refresh(settings, analytics, lake, report, progress)
        finally:
            report.write(settings.home)


@dg.definitions
def shared() -> dg.Definitions:
    return dg.Definitions(resources={"refresh": refresh}, executor=dg.in_process_executor)
