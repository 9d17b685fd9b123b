"""Named steps of a refresh or delivery at which the process can be made to kill itself, to try out what that leaves.

TAILTRACKER_CRASH_AT names the step; `tailtracker-bi doctor --steps` lists them. Where it is not set, nothing happens.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping

STEPS = {
    "pull.planned": "it is decided what to ask for",
    "lake.day.committed": "days that changed, if any, are in the Delta table, the ledger does not know",
    "lake.day.set_aside": "their quarantine is written, too",
    "lake.day.recorded": "the ledger knows them, and those that did not change",
    "lake.version.committed": "new versions of a table, if any, are in the Delta table, the ledger does not know",
    "lake.version.set_aside": "their quarantine is written, too",
    "lake.version.recorded": "the ledger knows those of all tables of a source",
    "lake.failure.recorded": "the ledger knows of a failure",
    "pull.finished": "all that was asked for has been tried",
    "pull.tidied": "old files of the lake are gone",
    "build.prepared": "configuration and views are written, outdated tables dropped",
    "build.first_model": "dbt has made one model",
    "build.half": "dbt has done half of its work",
    "build.ran": "dbt is done, nothing is marked as taken in",
    "build.finished": "what was taken in is marked, and the build as finished",
    "publish.copied": "the tables are in a draft",
    "publish.wrote_events": "the events beside it are in a draft, too",
    "publish.checked": "the draft is checked",
    "publish.renamed_events": "the events have their name, the build has not",
    "publish.renamed": "the build has its name, the pointer is the old one",
    "publish.drafted_pointer": "the new pointer is written beside the old one",
    "publish.pointed": "the pointer names the build",
    "publish.released": "readers of the warehouse's own database, if it has any, see it, too",
    "publish.tidied": "old builds are gone",
    "refresh.reported": "the run report is written",
    "delivery.begun": "a report to somebody is noted as begun, and not sent",
    "delivery.sent": "it is sent, and not noted as sent",
    "traits.sent": "a batch of profiles was taken, and is not noted",
}
"""By name, what has just happened. Sources declare their own."""

_chosen: str | None = None


def declare(steps: Mapping[str, str]) -> None:
    """Add the steps of a source."""
    STEPS.update(steps)


def arm(step: str | None) -> None:
    """Choose the step at which this process is to die; None for no step."""
    global _chosen
    _chosen = step


def reached(step: str) -> None:
    """Die here, at once and without a word, if this is the chosen step."""
    if step not in STEPS:
        raise LookupError(f"unknown step {step!r}")
    if step == _chosen:
        os.kill(os.getpid(), signal.SIGKILL)
