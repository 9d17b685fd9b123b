"""What commands share: messages on stderr, tables on stdout, how days are given.

A command imports what it needs as it runs: whoever asks for help, or for one number, waits for nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING

from tailtracker_bi.errors import visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from tailtracker_bi.analytics import Analytics
    from tailtracker_bi.bundle import Bundle

WIDEST = 10_000
DAY_FORMAT = ["%Y-%m-%d"]


@cache
def stderr() -> Console:
    """For what is no result: progress, news, errors."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


def plain(error: object) -> str:
    """A text whose brackets are no markup, and in which nothing is obeyed by a terminal."""
    return visible(error).replace("[", r"\[")


def print_table(table: Table) -> None:
    """As wide as it needs to be, where no terminal sets the width."""
    from rich.console import Console

    console = Console(soft_wrap=True)
    if not console.is_terminal:
        console.width = WIDEST
    console.print(table)


def print_rows(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Texts as a table, none of them obeyed."""
    from rich.table import Column, Table
    from rich.text import Text

    table = Table(*(Column(Text(visible(name)), overflow="fold") for name in columns))
    for row in rows:
        table.add_row(*(Text(visible(text)) for text in row))
    print_table(table)


def events_never_seen(analytics: Analytics, found: Bundle) -> list[str]:
    """The events that analytics.yml names and that never came, where any came at all: maybe a slip of the pen."""
    from tailtracker_bi import bundle

    seen = {row["event"] for row in bundle.query(found, "select event from event_catalog").to_pylist()}
    unseen = sorted(analytics.named_events - seen) if seen else []
    return [f"names events that never came in all of history: {', '.join(unseen)}"] if unseen else []
