"""Files that are the old one or the new one, never half of one."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import orjson


@contextmanager
def replaced(path: Path) -> Iterator[IO[bytes]]:
    """A file to write into, which takes the name when it is whole."""
    draft = path.with_name(f".{path.name}.draft")
    try:
        with draft.open("wb") as file:
            yield file
        draft.rename(path)
    finally:
        draft.unlink(missing_ok=True)


def write_lines(path: Path, objects: Iterable[Any]) -> None:
    """Objects as gzipped lines of JSON."""
    with replaced(path) as file, gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=1, mtime=0) as lines:
        batch: list[bytes] = []
        for item in objects:
            batch.append(orjson.dumps(item))
            if len(batch) == 1000:
                lines.write(b"\n".join(batch) + b"\n")
                batch.clear()
        lines.write(b"".join(line + b"\n" for line in batch))
