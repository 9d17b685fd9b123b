"""Runs: pull, build, publish, under the one lock of HOME, each with a report that adds up.

What belongs here: what is asked for and in which order, and what is told of it. What does not: how any step does its
work. The command line and Dagster call the same functions.
"""

from tailtracker_bi.runs.intraday import update_recent
from tailtracker_bi.runs.lock import LockedError, check_home, locked
from tailtracker_bi.runs.pipeline import (
    INTERRUPTED,
    build,
    check_home_is_whole,
    check_sources,
    landed_since,
    publish,
    refresh,
)
from tailtracker_bi.runs.planning import check_accepted, plan
from tailtracker_bi.runs.pulling import pull
from tailtracker_bi.runs.report import Progress, RunReport, new_report

__all__ = [
    "INTERRUPTED",
    "LockedError",
    "Progress",
    "RunReport",
    "build",
    "check_accepted",
    "check_home",
    "check_home_is_whole",
    "check_sources",
    "landed_since",
    "locked",
    "new_report",
    "plan",
    "publish",
    "pull",
    "refresh",
    "update_recent",
    "verification",
]
