"""Files that a power cut leaves as they were or as they are now, never empty or half; only their owner reads them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


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
