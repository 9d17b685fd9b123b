"""TailTracker's numbers: pulled, checked, published and asked. Results go to stdout, progress and errors to stderr.

Exit codes: 0 all that was asked for is done; 1 a failure; 2 wrong usage or settings; 3 something is held.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Callable

import typer

from tailtracker_bi.cli import alerts, analyst, delivery, engineer, operations, sandbox, traits
from tailtracker_bi.cli.console import plain, stderr
from tailtracker_bi.durable import OWNER_ALONE
from tailtracker_bi.errors import TailTrackerError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
GROUPS: dict[str, list[Callable[..., None]]] = {
    "Analysts": [analyst.dashboard, analyst.report, analyst.export, analyst.semantic, analyst.mcp],
    "Data engineers": [engineer.refresh, engineer.recent, engineer.status, engineer.verify],
    "Operators": [operations.doctor, operations.rollback, operations.gauges, operations.monitoring],
    "Without accounts of your own": [sandbox.demo],
}
for group, commands in GROUPS.items():
    for command in commands:
        app.command(rich_help_panel=group)(command)
# A statement may begin with a comment, which looks like an option.
app.command(rich_help_panel="Analysts", context_settings={"ignore_unknown_options": True})(analyst.query)
app.add_typer(alerts.app, name="alerts", rich_help_panel="Operators")
app.add_typer(traits.app, name="traits", rich_help_panel="Operators")
app.add_typer(delivery.app, name="delivery", rich_help_panel="Operators")
app.add_typer(sandbox.app, name="sandbox", rich_help_panel="Without accounts of your own")


def main() -> None:
    """Run a command; what people are meant to read goes to stderr as one line, with its exit code."""
    os.umask(OWNER_ALONE)
    # What is left at the end goes with the process: to look for circles in it takes a fifth of what dbt takes to load.
    atexit.register(gc.freeze)
    try:
        app()
    except TailTrackerError as error:
        stderr().print(f"[red]error:[/red] {plain(error)}")
        sys.exit(error.exit_code)
    except OSError as error:
        # A full disk, a file that may not be read: where it happened tells more than a traceback.
        stderr().print(f"[red]error:[/red] {plain(error.filename or 'a file')}: {plain(error.strerror or error)}")
        sys.exit(1)
