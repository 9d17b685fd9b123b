"""Asks people's own SQL of a build: starts the process that answers (`sql.py`), and waits for what it has written.

Who asks loads neither DuckDB nor Arrow.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import orjson

from tailtracker_bi.errors import TailTrackerError

# Arrow takes numpy for not installed, and does without: it is half of what that process would load.
PROGRAM = "import sys; sys.modules['numpy'] = None; from tailtracker_bi.bundle.sql import main; main()"


class QueryError(TailTrackerError):
    """A statement that is wrong, that is not answered, or that asks for too much."""


class Writer(Protocol):
    """A function of a module that makes lines of rows."""

    __module__: str
    __name__: str

    def __call__(self, columns: Sequence[str], rows: Iterable[Iterable[object]]) -> Iterator[str]: ...


def ask(build: Path, sql: str, seconds: float, write: Writer, **options: bool) -> bytes:
    """What `write`, with these options, makes of the result of one SELECT over a build's tables; UTF-8.

    All of it happens in a process of its own, which imports the writer by its name. Raises QueryError.
    """
    try:
        question = orjson.dumps([str(build), sql, seconds, write.__module__, write.__name__, options])
    except orjson.JSONEncodeError:
        raise QueryError("query: the statement is not UTF-8 text") from None
    try:
        # Without an environment nothing of it can be told, and with `/` for a directory no name leads anywhere near.
        process = subprocess.run(
            [sys.executable, "-I", "-c", PROGRAM],
            input=question, capture_output=True, timeout=seconds, cwd="/", env={}, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise QueryError(f"query: it took longer than {seconds:g} s (TAILTRACKER_QUERY_SECONDS)") from None
    message = " ".join(process.stderr.decode(errors="replace").split())
    if process.returncode == 1 and message.startswith("query: "):
        raise QueryError(message)
    if process.returncode:
        raise QueryError("query: the process that was to answer died: it asked for too much, or for what kills DuckDB")
    return process.stdout
