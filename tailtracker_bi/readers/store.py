"""The file that holds what readers write: made when it is first asked, shared by all sessions and processes.

    readers/readers.sqlite3    and -wal and -shm beside it, while somebody has it open
    readers/opening.lock       held while a process opens it, so that one of them makes it

A reader is a keyed hash of who the provider says they are; the key is in the file. What was read is kept until somebody
writes, in this process or another.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import RLock
from time import monotonic
from typing import Any, TypeVar

from filelock import FileLock, Timeout

from tailtracker_bi.errors import TailTrackerError
from tailtracker_bi.privacy import hash_personal_id

FILE = "readers/readers.sqlite3"
"""In HOME."""
T = TypeVar("T")
PATIENCE = 2.0
"""Seconds that somebody who writes waits for another."""
TRIED_AGAIN_AFTER = 5.0
"""Seconds: meanwhile a file that could not be opened is not tried for each session."""
SCHEMA = (
    """
    create table secret (key blob not null);
    insert into secret values (randomblob(32));

    create table notes (
        note_id integer primary key autoincrement,
        reader text not null,
        title text not null,
        first_day text not null,
        last_day text,
        metric_id text,
        page text,
        written_at text not null
    ) strict;

    create table views (
        view_id integer primary key autoincrement,
        reader text not null,
        name text not null,
        page text not null,
        query text not null,
        saved_at text not null,
        unique (reader, name)
    ) strict;

    create table looks (
        reader text not null,
        build text not null,
        as_of text not null,
        seen_at text not null,
        primary key (reader, build)
    ) strict, without rowid;
    """,
)
"""What brings a file from each version to the next: a step that has been released is never changed."""


class StoreError(TailTrackerError):
    """What readers write can't be read or kept at the moment."""


class UnfitError(TailTrackerError):
    """What a reader wrote can't be taken as it is, with what is wrong with it."""


class Store:
    """One file of SQLite and what brings it up to date; by default what the readers of a HOME wrote.

    May be used by many threads at once; each method raises StoreError.
    """

    def __init__(self, home: Path, name: str = FILE, schema: Sequence[str] | None = None) -> None:
        self.file, self._schema = home / name, SCHEMA if schema is None else schema
        self._alone = RLock()
        self._connection: sqlite3.Connection | None = None
        self._opened: tuple[int, int] = (0, 0)
        self._version = 0
        self._kept: dict[tuple[object, ...], list[tuple[Any, ...]]] = {}
        self._failed: tuple[float, str] = (0.0, "")

    def rows(self, sql: str, *of: object) -> list[tuple[Any, ...]]:
        """The rows of a query, kept until something is written."""
        with self._alone, self._said():
            connection = self._current()
            [(version,)] = connection.execute("pragma data_version")
            if version != self._version:
                self._version = version
                self._kept.clear()
            if (sql, *of) not in self._kept:
                self._kept[sql, *of] = connection.execute(sql, of).fetchall()
            return self._kept[sql, *of]

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """All that is written within, or none of it where something is raised; nobody else writes meanwhile."""
        with self._alone, self._said():
            connection = self._current()
            connection.execute("begin immediate")
            try:
                yield connection
                connection.execute("commit")
                _settle(connection)
            finally:
                # Others are told by their connections that something changed, and this one is not.
                self._kept.clear()
                if connection.in_transaction:
                    connection.execute("rollback")

    def understood(self, made: Callable[[tuple[Any, ...]], T], rows: Iterable[tuple[Any, ...]]) -> list[T]:
        """What rows stand for; one that stands for nothing is told as damage."""
        with self._said():
            return [made(row) for row in rows]

    def reader(self, identity: str) -> str:
        """Who somebody is here, by who they are to the provider."""
        [(key,)] = self.rows("select key from secret")
        return hash_personal_id(identity, key)

    def close(self) -> None:
        """Let the file go; whoever asks for something opens it again."""
        with self._alone:
            self._kept.clear()
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _current(self) -> sqlite3.Connection:
        """The connection to the file that is there now, which may be another than before."""
        until, why = self._failed
        if monotonic() < until:
            raise StoreError(why)
        if self._connection is not None and _identity(self.file) == self._opened:
            return self._connection
        self.close()
        try:
            with self._said():
                self._connection = self._open()
        except StoreError as error:
            self._failed = (monotonic() + TRIED_AGAIN_AFTER, str(error))
            raise
        self._opened = _identity(self.file)
        return self._connection

    def _open(self) -> sqlite3.Connection:
        self.file.parent.mkdir(mode=0o700, exist_ok=True)
        with FileLock(self.file.with_name("opening.lock"), timeout=PATIENCE, mode=0o600):
            if not self.file.exists():
                # What is left of a file that was taken away would be taken for a part of the new one.
                for part in ("-wal", "-shm"):
                    self.file.with_name(self.file.name + part).unlink(missing_ok=True)
                os.close(os.open(self.file, os.O_RDWR | os.O_CREAT, 0o600))
            elif (found := self.file.stat()).st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) & 0o077:
                self.file.chmod(0o600)
            connection = sqlite3.connect(
                self.file, timeout=PATIENCE, isolation_level=None, check_same_thread=False, cached_statements=32
            )
            try:
                connection.execute("pragma journal_mode = wal")
                connection.execute("pragma cell_size_check = on")
                self._bring_up_to_date(connection)
            except BaseException:
                connection.close()
                raise
        return connection

    def _bring_up_to_date(self, connection: sqlite3.Connection) -> None:
        [(version,)] = connection.execute("pragma user_version")
        if version > len(self._schema):
            raise StoreError(
                f"{self.file} was written by a later version of TailTracker BI: run that one, or move the file away"
            )
        for step in self._schema[version:]:
            version += 1
            connection.executescript(f"begin immediate; {step} pragma user_version = {version}; commit;")
        _settle(connection)

    @contextmanager
    def _said(self) -> Iterator[None]:
        """What the file or its folder is like, in words."""
        try:
            yield
        except (sqlite3.OperationalError, OSError, Timeout) as error:
            if isinstance(error, Timeout) or "locked" in str(error):
                raise StoreError(f"{self.file} is being written by another process: try again") from None
            why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise StoreError(
                f"{self.file} can't be read and written ({why}): let the account of whoever uses it write to its folder"
            ) from None
        except sqlite3.IntegrityError:
            raise
        except (sqlite3.DatabaseError, ValueError, TypeError) as error:
            with suppress(sqlite3.Error):
                self.close()
            raise StoreError(
                f"{self.file} is damaged ({error}): put a copy of it back, or move it away and a new one is begun"
            ) from None


_stores: dict[Path, Store] = {}
_one_at_a_time = RLock()


def store_of(home: Path) -> Store:
    """The store of a HOME, the same for the whole process; of another HOME than before, that one is let go."""
    with _one_at_a_time:
        if home not in _stores:
            for other in _stores.values():
                other.close()
            _stores.clear()
            _stores[home] = Store(home)
        return _stores[home]


def _settle(connection: sqlite3.Connection) -> None:
    """Leave all in the file itself: a copy of it is whole, and one that is put back is not mixed with what came later.

    While another process is at it, that one will.
    """
    connection.execute("pragma wal_checkpoint(truncate)").fetchall()


def _identity(file: Path) -> tuple[int, int]:
    try:
        found = file.stat()
    except OSError:
        return (0, 0)
    return found.st_dev, found.st_ino
