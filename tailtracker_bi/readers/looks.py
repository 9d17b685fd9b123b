"""Which builds a reader looked at: what was restated since is told from the one that they know.

A build is known some hours after it was first looked at, or when its reader says so; until then what it restated is
news.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from tailtracker_bi.readers.store import Store

KNOWN_AFTER = timedelta(hours=8)
"""A working day: who came in the morning still has the news after lunch, and not on the next day."""


@dataclass(frozen=True)
class Look:
    """A build that somebody looked at, the day that it is as of, and when they first did."""

    build: str
    as_of: date
    seen_at: datetime


def look(store: Store, reader: str, build: str, as_of: date, now: datetime) -> Look:
    """Note that a reader looks at a build, and give the one that they know: at their first look, this one.

    Written is when they look at a build for the first time. Raises StoreError.
    """
    looks = _looks(store, reader)
    if build not in {one.build for one in looks}:
        with store.writing() as connection:
            connection.execute(
                "insert or ignore into looks values (?, ?, ?, ?)", [reader, build, str(as_of), _moment(now)]
            )
            # Those before the one that is known by now have no say any more.
            for one in looks[: looks.index(_known(looks, now))] if looks else []:
                connection.execute("delete from looks where reader = ? and build = ?", [reader, one.build])
        looks = [*looks, Look(build, as_of, now)]
    return _known(looks, now)


def look_anew(store: Store, reader: str, build: str, as_of: date, now: datetime) -> None:
    """Note that a reader knows a build. Raises StoreError."""
    with store.writing() as connection:
        connection.execute("delete from looks where reader = ?", [reader])
        connection.execute("insert into looks values (?, ?, ?, ?)", [reader, build, str(as_of), _moment(now)])


def _known(looks: list[Look], now: datetime) -> Look:
    """The latest one that was looked at for long enough, else the first one."""
    return ([one for one in looks if now - one.seen_at >= KNOWN_AFTER] or looks[:1])[-1]


def _looks(store: Store, reader: str) -> list[Look]:
    """In the order in which they were first looked at."""
    found = store.rows("select build, as_of, seen_at from looks where reader = ? order by seen_at, build", reader)
    return store.understood(
        lambda row: Look(row[0], date.fromisoformat(row[1]), datetime.fromisoformat(row[2]).astimezone(UTC)), found
    )


def _moment(now: datetime) -> str:
    return now.astimezone(UTC).isoformat(timespec="microseconds")
