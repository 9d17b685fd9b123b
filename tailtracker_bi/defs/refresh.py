"""What the steps of one run share: settings, the lock of HOME, the lake, and the run report.

All steps of a run are executed in one process, one after the other, so that a run is to its HOME what a
`tailtracker-bi refresh` is: it holds the one lock from its first step to its last, and writes one run report.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import dagster as dg

from tailtracker_bi.analytics import Analytics, load_analytics
from tailtracker_bi.crash_points import arm
from tailtracker_bi.errors import TailTrackerError
from tailtracker_bi.lake import Lake
from tailtracker_bi.runs import Progress, RunReport, check_home_is_whole, check_sources, locked, new_report
from tailtracker_bi.settings import Settings, load_settings, note_first_run

BUNDLE = dg.AssetKey(["published", "bundle"])
REPORT_TAG = "tailtracker/report"
"""Of a run: the name of its report in HOME."""
FIRST = {"dagster/priority": "1"}
"""The tag of steps that run before all that don't depend on them."""


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
    def failing_for_its_own(self) -> Iterator[None]:
        """Fail the step in the end for what went wrong in it: errors noted and records held since it began.

        What other steps failed of is theirs to show. What breaks a step off is noted in the run report, too.
        """
        report = self.report
        known = len(report.errors), len(report.held)
        try:
            yield
        except dg.Failure:
            raise
        except TailTrackerError as error:
            report.errors.append(str(error))
        except Exception as error:
            report.errors.append(type(error).__name__)  # its text may hold values
            raise
        wrong = dict.fromkeys([*report.errors[known[0] :], *report.held[known[1] :]])
        if wrong:
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
