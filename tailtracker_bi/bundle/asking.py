"""Asks people's own questions of a build: starts the process that answers, and waits for what it has written.

SQL is answered by `sql.py`, what is asked of events by `exploring.py`.

Who asks loads no DuckDB, and Arrow only for rows.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from tailtracker_bi.errors import TailTrackerError

if TYPE_CHECKING:
    import pyarrow as pa

# Arrow takes numpy for not installed, and does without: it is half of what that process would load.
PROGRAM = "import sys; sys.modules['numpy'] = None; from tailtracker_bi.bundle.sql import main; main()"
LOOKED_AFTER = 0.25
"""Seconds after which who waits is asked, again and again, whether the answer is still wanted."""


class QueryError(TailTrackerError):
    """A statement that is wrong, that is not answered, or that asks for too much."""

    def __init__(self, message: str, pointer: str = "") -> None:
        super().__init__(message)
        self.pointer = pointer
        """The line of the statement that is meant and, below it, a mark under the place; nothing where none is."""


class Writer(Protocol):
    """A function of a module that makes lines of rows."""

    __module__: str
    __name__: str

    def __call__(self, columns: Sequence[str], rows: Iterable[Iterable[object]]) -> Iterator[str]: ...


@dataclass(frozen=True)
class Answer:
    """The first rows of a result, with the names of the types of its columns, and whether there are more of them."""

    rows: pa.Table
    types: Sequence[str]
    is_cut: bool


def ask(build: Path, sql: str, seconds: float, write: Writer, **options: bool) -> bytes:
    """What `write`, with these options, makes of the result of one SELECT over a build's tables; UTF-8.

    All of it happens in a process of its own, which imports the writer by its name. Raises QueryError.
    """
    question = [str(build), sql, seconds, [write.__module__, write.__name__, options], 0]
    # With `/` for a directory no name leads anywhere near.
    return answered("query", PROGRAM, question, seconds, lambda: None)


def ask_for_rows(build: Path, sql: str, seconds: float, most: int, while_waiting: Callable[[], object]) -> Answer:
    """The first rows, `most` of them, of the result of one SELECT over a build's tables, from a process of its own.

    `while_waiting` is called several times a second: what it raises ends that process. Raises QueryError.
    """
    import pyarrow as pa

    question = [str(build), sql, seconds, None, most]
    with pa.ipc.open_stream(answered("query", PROGRAM, question, seconds, while_waiting)) as stream:
        rows = stream.read_all()
    # What SQL has made may be anything; what is wrong in it is to be found here and not where it is drawn.
    rows.validate(full=True)
    types = orjson.loads(rows.schema.metadata[b"types"])
    return Answer(rows.slice(0, most).replace_schema_metadata(), types, rows.num_rows > most)


def answered(
    name: str,
    program: str,
    question: Sequence[Any],
    seconds: float,
    while_waiting: Callable[[], object],
    folder: str = "/",
) -> bytes:
    """What a program of this room writes to stdout, in a process of its own that is given a question by stdin.

    `name` is what readers know it by. Its `folder` is all that it knows of this machine: it has no environment. What
    it writes to stderr as it ends with 1 are the arguments of the QueryError that is raised here.
    """
    try:
        unsent: bytes | None = orjson.dumps(question)
    except orjson.JSONEncodeError:
        raise QueryError(f"{name}: what is asked is not UTF-8 text") from None
    ends = monotonic() + seconds
    with subprocess.Popen(
        [sys.executable, "-I", "-c", program],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=folder, env={},
    ) as process:  # fmt: skip
        try:
            while True:
                try:
                    answer, failure = process.communicate(unsent, max(0, min(LOOKED_AFTER, ends - monotonic())))
                    break
                except subprocess.TimeoutExpired:
                    unsent = None  # It goes on with what it was given first.
                if monotonic() >= ends:
                    raise QueryError(f"{name}: it took longer than {seconds:g} s (TAILTRACKER_QUERY_SECONDS)")
                while_waiting()
        finally:
            process.kill()
    if process.returncode == 1 and failure.startswith(b"["):
        raise QueryError(*orjson.loads(failure))
    if process.returncode:
        raise QueryError(
            f"{name}: the process that was to answer died: it asked for too much, or for what kills DuckDB"
        )
    return answer
