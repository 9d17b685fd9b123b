"""Progress bars on stderr, for commands that take their time."""

from __future__ import annotations

from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as ProgressBars
from rich.table import Column

from tailtracker_bi.cli.console import plain, stderr
from tailtracker_bi.runs import Progress


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
            console=stderr(),
            expand=True,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Bars:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def say(self, message: str) -> None:
        stderr().print(plain(message))

    def step(self, stage: str, what: str, done: int, total: int) -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task("", stage=stage)
        self._bars.update(self._tasks[stage], description=what, completed=done, total=total)
