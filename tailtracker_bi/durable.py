"""Files that a power cut leaves as they were or as they are now, never empty or half; only their owner reads them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

OWNER_ALONE = 0o077
"""The umask of whatever writes to HOME."""
ROOM = 256 << 20
"""Bytes to be free on the disk for what is written next: tables of objects, a build's temporary files, the bundle."""


def lacks_room(home: Path) -> str:
    """That the disk of HOME is too full for a refresh, with what is needed; empty where it is not.

    The next build needs as much as the last one's warehouse again: for the bundle, and for what it replaces.
    """
    warehouse = home / "warehouse.duckdb"
    needed = ROOM + (warehouse.stat().st_size if warehouse.is_file() else 0)
    free = shutil.disk_usage(home).free
    if free >= needed:
        return ""
    return f"the disk of {home} has {free >> 20} MiB free, and a refresh needs {needed >> 20} MiB: make room"


def write(file: Path, content: bytes) -> None:
    """Put this content in a file's place, whole, on disk when this returns."""
    with _drafted(file, content) as draft:
        draft.rename(file)


def create(file: Path, content: bytes) -> None:
    """The same, unless the file is there: of several processes the first one's stays."""
    with _drafted(file, content) as draft, suppress(FileExistsError):
        os.link(draft, file)


@contextmanager
def _drafted(file: Path, content: bytes) -> Iterator[Path]:
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as handle:  # noqa: PTH123
            handle.write(content)
        sync(draft)
        yield draft
    finally:
        draft.unlink(missing_ok=True)
    sync(file.parent)


def sync(path: Path) -> None:
    """Have the disk keep a file's content, or a folder's names."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
