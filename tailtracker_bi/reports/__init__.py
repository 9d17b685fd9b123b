"""Reports made from a published build: those that `analytics.yml` declares, and how one becomes a file.

A report takes a Bundle, reads it through `bundle.read` and nothing else, and goes by the day the build is as of or the
one it is given: so any report can be made again, to the byte, from a build that is kept.

What belongs here: what a report says, its forms and their templates; pages and charts on paper. What does not: reading
and judging figures, which pages do in the same way (`figures/`), and sending it (`delivery/`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from tailtracker_bi.analytics import ReportRules
from tailtracker_bi.errors import SettingsError
from tailtracker_bi.reports.content import Content, content_of, one_line
from tailtracker_bi.reports.formats import FORMATS, Report, as_slack, as_text, mrkdwn, report_of
from tailtracker_bi.reports.paper import Block, Chart, Heading, Paper, Part, Said, Table, Tile, png, print_paper
from tailtracker_bi.reports.period import NoPeriodError

__all__ = [
    "FORMATS", "Block", "Chart", "Content", "Heading", "NoPeriodError", "Paper", "Part", "Report", "Said", "Table",
    "Tile", "as_slack", "as_text", "content_of", "declared", "mrkdwn", "one_line", "png", "print_paper", "report_of",
    "write_report",
]  # fmt: skip


def declared(reports: Sequence[ReportRules], name: str) -> ReportRules:
    """The report of this name. Raises SettingsError where there is none."""
    for rules in reports:
        if rules.id == name:
            return rules
    raise SettingsError(f"there is no report {name!r}; there are: {', '.join(rules.id for rules in reports)}")


def write_report(content: Content, folder: Path, form: str = "html") -> Path:
    """Write a report whole or not at all, as `<name>-<start of its period>-<build>.html`, or another form's ending."""
    ending, made = FORMATS[form]
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{content.rules.id}-{content.period.start}-{content.build}.{ending}"
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        draft.write_bytes(made(content))
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
    return file
