"""What commands share: progress bars and messages on stderr, tables on stdout, how days are given."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as ProgressBars
from rich.table import Column, Table

from tailtracker_bi import bundle
from tailtracker_bi.analytics import Analytics
from tailtracker_bi.runs import Progress
from tailtracker_bi.sources import visible

err = Console(stderr=True, highlight=False, soft_wrap=True)
WIDEST = 10_000
DAY_FORMAT = ["%Y-%m-%d"]


def plain(error: object) -> str:
    """A text whose brackets are no markup, and in which nothing is obeyed by a terminal."""
    return visible(error).replace("[", r"\[")


class Bars(Progress):
    """Progress bars on stderr, one a stage."""

    def __init__(self) -> None:
        self._bars = ProgressBars(
            TextColumn("{task.fields[stage]:<8}"),
            BarColumn(20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            # A long name gives way, not the columns before it.
            TextColumn("{task.description}", table_column=Column(ratio=1, no_wrap=True)),
            console=err,
            expand=True,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Bars:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def say(self, message: str) -> None:
        err.print(plain(message))

    def step(self, stage: str, what: str, done: int, total: int) -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task("", stage=stage)
        self._bars.update(self._tasks[stage], description=what, completed=done, total=total)


def print_table(table: Table) -> None:
    """As wide as it needs to be, where no terminal sets the width."""
    console = Console(soft_wrap=True)
    if not console.is_terminal:
        console.width = WIDEST
    console.print(table)


def events_never_seen(analytics: Analytics, found: bundle.Bundle) -> list[str]:
    """The events that analytics.yml names and that never came, where any came at all: maybe a slip of the pen."""
    seen = {row["event"] for row in bundle.query(found, "select event from event_catalog").to_pylist()}
    unseen = sorted(analytics.named_events - seen) if seen else []
    return [f"names events that never came in all of history: {', '.join(unseen)}"] if unseen else []
