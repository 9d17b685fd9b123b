"""The one lock of HOME, and what HOME is made of."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

from filelock import FileLock, Timeout

from tailtracker_bi.durable import OWNER_ALONE
from tailtracker_bi.errors import SettingsError, TailTrackerError
from tailtracker_bi.runs.report import Progress

LOCK_SECONDS = 3600.0
FOLDERS = {
    "lake",
    "quarantine",
    "aside",
    "published",
    "reports",
    "runs",
    "dbt",
    "dagster",
    "sandbox",
    "spool",
    "readers",
    "recent",
}
FILES = {
    "warehouse.duckdb", "warehouse.duckdb.wal", "rate_limits.sqlite", "refresh.lock", "first_run", "hash.key",
}  # fmt: skip
FILES_WITHIN = {"lake/head.json", "lake/hash_key.check", "published/current", "dbt/profiles.yml"}
"""What HOME is made of; of what its folders hold, the files that are written anew in their place."""
MAY_LOOK_OR_WRITE = 0o066
"""The rights of others that HOME does not give. One may let them pass through it (`chmod 710`) to `published/`."""


class LockedError(TailTrackerError):
    """Another run works on the same HOME."""


def check_home(home: Path) -> None:
    """Raise SettingsError unless HOME is, or can be made, a directory of one's own that one may write to."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        with TemporaryFile(dir=home):
            pass
        _close(home)
    except OSError as error:
        raise SettingsError(f"TAILTRACKER_HOME: can't write to {home}: {error.strerror}") from None


def _close(home: Path) -> None:
    """Take from others what rights they have in HOME, but to pass through it to the published files.

    A directory with other things in it is left as it is: it may be anybody's.
    """
    mode = stat.S_IMODE(home.stat().st_mode)
    names = {entry.name for entry in home.iterdir()}
    own = names & (FOLDERS | FILES)
    for name in own:
        if (home / name).is_dir() != (name in FOLDERS):
            wanted = "folder" if name in FOLDERS else "file"
            raise SettingsError(f"TAILTRACKER_HOME: {home / name} is no {wanted}: move it away, and run this again")
    for name in FILES_WITHIN:
        if (home / name).is_dir():
            raise SettingsError(f"TAILTRACKER_HOME: {home / name} is no file: move it away, and run this again")
    if mode & MAY_LOOK_OR_WRITE:
        if names and not own:
            raise SettingsError(
                f"TAILTRACKER_HOME: {home} holds other things, and others may look into it: name a directory of its "
                f"own, or `chmod 700 {home}`"
            )
        home.chmod(0o700)
    # Of the key nobody can say who has read it: `settings` refuses it. What readers write may be another account's.
    for entry in (home / name for name in own - {"published", "readers", "recent", "hash.key"}):
        if not entry.is_symlink() and (mode := stat.S_IMODE(entry.stat().st_mode)) & 0o077:
            entry.chmod(mode & 0o700)


@contextmanager
def locked(home: Path, progress: Progress, patience: float = LOCK_SECONDS) -> Iterator[None]:
    """The one lock of HOME, held by whoever writes. It goes with its process, however that ends.

    Waits for another holder for that many seconds, then raises LockedError. What is written under it is for its owner
    alone.
    """
    os.umask(OWNER_ALONE)
    check_home(home)
    lock = FileLock(home / "refresh.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        progress.say("waiting for another run that works on the same data")
        try:
            lock.acquire(timeout=patience)
        except Timeout:
            raise LockedError(f"another run has held {lock.lock_file} for {patience:.0f} s: is it stuck?") from None
    try:
        yield
    finally:
        lock.release()


def is_held(home: Path) -> bool:
    """Whether a run works on HOME at this moment."""
    try:
        with FileLock(home / "refresh.lock").acquire(timeout=0):
            return False
    except Timeout:
        return True
