"""Reports made from a published build: which there are, and how one becomes a file.

A report takes a Bundle, reads it through `bundle.read` and nothing else, and goes by the day the build is as of or the
one it is given: so any report can be made again, to the byte, from a build that is kept.

What belongs here: what a report says, in which order, and its template; pages and charts on paper. What does not:
reading and judging figures, which pages do in the same way (`figures/`), and sending it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path

from tailtracker_bi.bundle import Bundle
from tailtracker_bi.errors import SettingsError
from tailtracker_bi.reports import weekly
from tailtracker_bi.reports.paper import Block, Chart, Heading, Paper, Part, Said, Table, Tile, png, print_paper
from tailtracker_bi.reports.rendering import Report
from tailtracker_bi.reports.week import NoWeekError

__all__ = [
    "REPORTS", "Block", "Chart", "Heading", "NoWeekError", "Paper", "Part", "Said", "Table", "Tile", "png",
    "print_paper", "write_report",
]  # fmt: skip

REPORTS: Mapping[str, Callable[[Bundle, date | None], Report]] = {"weekly": weekly.make}
"""By name. The day is the one that the report is made on; without it, the one that the build is as of."""


def write_report(name: str, bundle: Bundle, folder: Path, as_of: date | None = None) -> Path:
    """Make a report and write it whole or not at all, as `<name>-<start of its period>-<build>.html`.

    Raises SettingsError where there is no such report, TailTrackerError where the build has no complete period by
    then. A day after the build's own tells readers how old the data is: what is sent should name the day it is sent on.
    """
    if name not in REPORTS:
        raise SettingsError(f"there is no report {name!r}; there are: {', '.join(REPORTS)}")
    report = REPORTS[name](bundle, as_of)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}-{report.period_start}-{bundle.build}.html"
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        draft.write_text(report.page, encoding="utf-8")
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
    return file
