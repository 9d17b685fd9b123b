"""People's own SQL over a build: what may be asked, and the process of its own that answers it (`asking.py` starts it).

One SELECT statement, as DuckDB itself parses it, over the build's tables: whatever else is in its parse tree is refused
before it runs. The process that answers inherits nothing of the environment, can open no file once the build is open,
and has bounds for its time, its memory and its answer. So what gets past one wall meets the next, and what kills the
process kills no other.
"""

from __future__ import annotations

import atexit
import gc
import os
import re
import resource
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from itertools import chain, count, islice
from pathlib import Path
from typing import Any, NoReturn

import duckdb
import orjson
import pyarrow as pa

from tailtracker_bi.bundle.asking import QueryError

MEMORY = "1GB"
"""What a query may use of DuckDB's memory. It writes no temporary files."""
TOO_MUCH_MEMORY = f"it needs more than {MEMORY} of memory: ask for less at once"
MOST_MEMORY = 6 << 30
"""All the addresses that its process may use, bytes; what DuckDB uses besides its own count is in it."""
LARGEST_ANSWER, LARGEST_SHOWN = 256 << 20, 16 << 20
"""Bytes in Arrow's form: of an answer for programs, which as text is several times as large, and of rows to look at."""
THREADS = 2
ROWS_AT_ONCE = 50_000
SHOWN_AROUND = 60
"""Signs of a line on each side of the place that an error is about."""
TABLE_FUNCTIONS = {
    "range", "generate_series", "unnest", "json_each", "json_tree", "duckdb_tables", "duckdb_columns",
    "pg_timezone_names",
}  # fmt: skip
"""What makes rows of values, or describes the build's tables. Others read files, tell of the machine, log or switch."""
REFUSED_FUNCTIONS = {"current_setting", "write_log"}
SCHEMAS = {"", "main", "information_schema"}
ONE_SELECT = (
    "one SELECT statement is answered, and nothing else (a PIVOT has to name its values: PIVOT ... ON column IN (...))"
)


def answer(build: Path, sql: str) -> pa.Table:
    """The result of one SELECT over a build's tables, in this process and without bounds: for SQL that is known."""
    with _answering(build, sql, ROWS_AT_ONCE) as batches:
        return pa.Table.from_batches(batches, batches.schema)


def main() -> None:
    """Answer the question that comes by stdin, as it says, by stdout; what is wrong with it goes to stderr, as JSON."""
    build, sql, seconds, writer, most = orjson.loads(sys.stdin.buffer.read())
    write = getattr(import_module(writer[0]), writer[1]) if writer else None
    at_once = ROWS_AT_ONCE if writer else min(most + 1, ROWS_AT_ONCE)
    pa.scalar(0, pa.timestamp("us", "UTC")).as_py()  # Loads its zone, while files can be opened.
    for what, limit in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_AS, MOST_MEMORY),
        (resource.RLIMIT_CPU, int(seconds * THREADS) + 1),
    ):
        resource.setrlimit(what, (limit, limit))
    os.nice(10)  # Who looks at a page is not to wait for it.
    atexit.register(gc.freeze)  # What is left goes with the process.
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    # Who asked ends it before that, unless nobody is there any more.
    signal.alarm(int(seconds) + 2)
    try:
        with _answering(Path(build), sql, at_once, closed=True) as batches:
            if write is None:
                _write_first(batches, most)
            else:
                lines = write(batches.schema.names, _rows(batches), **writer[2])
                while piece := "".join(islice(lines, ROWS_AT_ONCE)):
                    sys.stdout.buffer.write(piece.encode())
    except QueryError as error:
        _fail(str(error), error.pointer)
    except (OverflowError, ValueError) as error:
        _fail(f"query: a value can't be printed: {error}")
    except MemoryError:
        _fail(f"query: {TOO_MUCH_MEMORY}")


def _fail(*what: str) -> NoReturn:
    sys.stderr.buffer.write(orjson.dumps(what))
    sys.exit(1)


def _rows(batches: pa.RecordBatchReader) -> Iterator[tuple[object, ...]]:
    for batch in _bounded(batches, LARGEST_ANSWER):
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _write_first(batches: pa.RecordBatchReader, most: int) -> None:
    """The first rows as a stream of Arrow's; one more than `most` tells that there are more."""
    wanted = most + 1
    with pa.ipc.new_stream(sys.stdout.buffer, batches.schema) as stream:
        for batch in _bounded(batches, LARGEST_SHOWN):
            first = batch.slice(0, wanted)
            for column in first.columns:
                column.to_pylist()  # Raises for what Python has no value for, as days in the year 5,000,000.
            stream.write_batch(first)
            wanted -= batch.num_rows
            if wanted <= 0:
                break


def _bounded(batches: pa.RecordBatchReader, largest: int) -> Iterator[pa.RecordBatch]:
    read = 0
    for batch in batches:
        read += batch.nbytes
        if read > largest:
            raise QueryError(f"query: the answer has more than {largest >> 20} MiB: ask for less at once")
        yield batch


@contextmanager
def _answering(build: Path, sql: str, at_once: int, *, closed: bool = False) -> Iterator[pa.RecordBatchReader]:
    """The batches of the answer, of so many rows each, with the names of DuckDB's types in their schema's metadata.

    `closed`: from then on this process opens no file any more.
    """
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": MEMORY,
        "threads": THREADS,
        # Else DuckDB would let SQL read and write there.
        "temp_directory": "",
        # SQL is not to see Python's variables.
        "python_enable_replacements": "false",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
    }
    try:
        # Its own instance: what is locked of one that others use, too, would be locked for them.
        connection = duckdb.connect(config=config)
        connection.execute("set TimeZone = 'UTC'")
        # It would be printed into the answer.
        connection.execute("set enable_progress_bar = false")
        connection.execute("set errors_as_json = true")
        path = str(build).replace("'", "''")
        connection.execute(f"attach '{path}' as bundle (read_only)")
        connection.execute("use bundle")
        connection.execute("set enable_external_access = false")
        connection.execute("set lock_configuration = true")
    except duckdb.Error:
        raise QueryError(
            f"query: build {build.stem} can't be read: `tailtracker-bi rollback` shows the one before"
        ) from None
    try:
        if closed:
            resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
        _check(connection, sql)
        batches = connection.execute(sql).to_arrow_reader(at_once)
        names = _told_apart(batches.schema.names)
        types = [str(kind) for _, kind, *_ in connection.description or ()]
        schema = pa.schema(
            [field.with_name(name) for field, name in zip(batches.schema, names, strict=True)],
            {"types": orjson.dumps(types)},
        )
        yield pa.RecordBatchReader.from_batches(schema, (_named(batch, schema) for batch in batches))
    except duckdb.OutOfMemoryException:
        raise QueryError(f"query: {TOO_MUCH_MEMORY}") from None
    except (duckdb.Error, pa.ArrowException) as error:
        message, before = _told(error, sql)
        raise _error(message.replace(str(build.parent), ""), sql, before) from None
    finally:
        connection.close()


def _check(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Raise QueryError unless this is one SELECT, over the build's tables and functions of values."""
    if "\0" in sql:
        raise QueryError("query: the statement has a zero byte, at which DuckDB would stop to read")
    try:
        statements = connection.extract_statements(sql)
    except duckdb.PermissionException:  # IMPORT is replaced by what its files hold, before anything else.
        raise QueryError(f"query: {ONE_SELECT}") from None
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise QueryError(f"query: {ONE_SELECT}")
    # PRAGMAs pass for SELECTs, and have no parse tree of one.
    row = connection.execute("select json_serialize_sql($sql::varchar)", {"sql": sql}).fetchone()
    try:
        tree = orjson.loads(row[0]) if row else {"error": True}
    except orjson.JSONDecodeError:
        raise QueryError("query: the statement is nested too deeply") from None
    if tree["error"]:
        raise QueryError(f"query: {ONE_SELECT}")
    nodes = list(_nodes(tree))
    tables = {name for (name,) in connection.execute("select table_name from duckdb_tables()").fetchall()}
    of_the_engine = {name for (name,) in connection.execute("select view_name from duckdb_views()").fetchall()}
    named = {str(entry["key"]).lower() for node in nodes for entry in node.get("cte_map", {}).get("map", [])}
    for node in nodes:
        if node.get("type") == "BASE_TABLE":
            catalog, schema, name = (
                str(node.get(f"{part}_name") or "").lower() for part in ("catalog", "schema", "table")
            )
            is_known = name in tables or (not schema and name in named - of_the_engine)
            if (
                catalog not in {"", "bundle"}
                or schema not in SCHEMAS
                or not (is_known or schema == "information_schema")
            ):
                known = f"the bundle has no table {name}; it has: {', '.join(sorted(tables))}"
                raise _refused(known, sql, node)
        elif node.get("class") == "FUNCTION":
            name = str(node["function_name"]).lower()
            if name in REFUSED_FUNCTIONS:
                raise _refused(f"the function {name} is not offered", sql, node)
        if node.get("type") == "TABLE_FUNCTION":
            name = str(node["function"].get("function_name", "")).lower()
            if name not in TABLE_FUNCTIONS:
                raise _refused(f"the table function {name} is not offered", sql, node)


def _told(error: Exception, sql: str) -> tuple[str, str | None]:
    """An error of DuckDB's in one line, and what comes in the statement before the place that it names."""
    kind, _, told = str(error).partition(": ")
    try:
        known = orjson.loads(told)
        message, position = f"{kind}: {known['exception_message']}", int(known.get("position", -1))
    except (orjson.JSONDecodeError, KeyError, TypeError):
        message, position = (str(error).splitlines() or [type(error).__name__])[0], -1
    # What can't be parsed has its place in signs, all else in bytes.
    before = sql[:position] if isinstance(error, duckdb.ParserException) else _first_bytes(sql, position)
    return " ".join(message.split()), before if position >= 0 else None


def _first_bytes(sql: str, length: int) -> str:
    return sql.encode()[:length].decode(errors="ignore")


def _refused(what: str, sql: str, node: dict[str, Any]) -> QueryError:
    """That something of a statement is not answered, with the place where its parse tree has it."""
    return _error(what, sql, _first_bytes(sql, node["query_location"]))


def _error(message: str, sql: str, before: str | None) -> QueryError:
    """An error about the place of the statement that comes after `before`, where one is known."""
    if before is None or len(before) >= len(sql):
        return QueryError(f"query: {message}")
    line, rest = before.rpartition("\n")[2], sql[len(before) :].partition("\n")[0]
    shown = line[-SHOWN_AROUND:]
    blank = re.sub(r"[^\t]", " ", shown)  # Tabs are as wide below as they are above.
    lines = before.count("\n") + 1
    place = f"(line {lines}, column {len(line) + 1})"
    return QueryError(f"query: {message} {place}", f"{shown}{rest[:SHOWN_AROUND]}\n{blank}^")


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """All objects in a JSON value."""
    waiting = [tree]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _named(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(batch.columns, schema=schema)


def _told_apart(names: Sequence[str]) -> list[str]:
    """The names, those that stand there already with a number: a, a_1."""
    found: list[str] = []
    for name in names:
        numbered = (f"{name}_{number}" for number in count(1))
        found.append(next(new for new in chain([name], numbered) if new not in found))
    return found


if __name__ == "__main__":
    main()
