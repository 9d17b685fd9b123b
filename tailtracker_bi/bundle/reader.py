"""Reads the tables of a build: read-only, and with access to nothing but that build."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

from tailtracker_bi.bundle.pointer import Bundle, BundleError
from tailtracker_bi.bundle.sql import answer

if TYPE_CHECKING:
    import pandas as pd

_lock = Lock()
_held: dict[tuple[Path, int, int], duckdb.DuckDBPyConnection] = {}
"""By its file, the connection to the build that this process read last; no other."""


@dataclass(frozen=True)
class Column:
    """A column of a table; what it is is empty where nobody has said it, or the build is older than that."""

    name: str
    type: str
    description: str


@dataclass(frozen=True)
class Table:
    """A table of a build, as who asks SQL of it has to know it."""

    name: str
    description: str
    rows: int
    columns: Sequence[Column]

    @property
    def first_rows(self) -> str:
        """The SQL that shows some of it."""
        return f"from {self.name}\nlimit 100"


@contextmanager
def connect(bundle: Bundle) -> Iterator[duckdb.DuckDBPyConnection]:
    """A read-only connection of its own that can reach nothing but this build, closed afterwards."""
    with closing(_opened(bundle)) as connection:
        yield _settled(connection)


@contextmanager
def _reading(bundle: Bundle) -> Iterator[duckdb.DuckDBPyConnection]:
    """The same over the connection that is held, in any thread: to open a build takes longer than to read a table.

    One that is held to another build is let go, so that its file can be removed; so is one to a file that is gone, or
    has changed since.
    """
    with _lock:
        file = _identity(bundle.path)
        if file not in _held:
            # Not closed: who still reads there has a cursor, and the file is closed with the last of them.
            _held.clear()
            _held[file] = _opened(bundle)
        cursor = _held[file].cursor()
    with closing(cursor):
        yield _settled(cursor)


def _identity(path: Path) -> tuple[Path, int, int]:
    try:
        found = path.stat()
    except OSError:
        return path, 0, 0  # DuckDB tells what is wrong with it.
    return path, found.st_ino, found.st_mtime_ns


def _opened(bundle: Bundle) -> duckdb.DuckDBPyConnection:
    """Connections of one process to one file share its settings, so that all are opened with the same."""
    return duckdb.connect(str(bundle.path), read_only=True, config={"enable_external_access": "false"})


def _settled(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """Times in UTC, and no bar on stdout, where the results of commands go."""
    return connection.execute("set TimeZone = 'UTC'; set enable_progress_bar = false")


def tables(bundle: Bundle) -> list[str]:
    """The names of its tables."""
    with _reading(bundle) as connection:
        return tables_of(connection)


def describe(bundle: Bundle) -> list[Table]:
    """Its tables by name, with their columns and what both are, as the build itself says."""
    with _reading(bundle) as connection:
        columns = connection.execute(
            "select table_name, column_name, data_type, coalesce(comment, '') from duckdb_columns() "
            "where not internal order by table_name, column_index"
        ).fetchall()
        tables = connection.execute(
            "select table_name, coalesce(comment, ''), estimated_size from duckdb_tables() order by table_name"
        ).fetchall()
    return [
        Table(name, comment, rows, [Column(*column) for table, *column in columns if table == name])
        for name, comment, rows in tables
    ]


def read(bundle: Bundle, table: str, columns: Sequence[str] | None = None, **equals: object) -> pd.DataFrame:
    """Rows of a table of the bundle in which each named column equals its value, or is one of them for a list.

    Raises BundleError for a table that this build does not have.
    """
    with _reading(bundle) as connection:
        return _rows(bundle, connection, table, columns, equals).df()


def read_distinct(bundle: Bundle, table: str, columns: Sequence[str]) -> pd.DataFrame:
    """What there is of values of these columns together, each once. Raises BundleError as `read` does."""
    with _reading(bundle) as connection:
        return _rows(bundle, connection, table, columns, {}).distinct().df()


def _rows(
    bundle: Bundle,
    connection: duckdb.DuckDBPyConnection,
    table: str,
    columns: Sequence[str] | None,
    equals: Mapping[str, object],
) -> duckdb.DuckDBPyRelation:
    try:
        relation = connection.table(f'"{table}"')
    except duckdb.CatalogException:
        raise BundleError(f"build {bundle.build} has no table {table}") from None
    for column, value in equals.items():
        values = value if isinstance(value, list | tuple) else [value]
        relation = relation.filter(
            duckdb.ColumnExpression(column).isin(*(duckdb.ConstantExpression(item) for item in values))
            if values
            else duckdb.ConstantExpression(False)
        )
    return relation if columns is None else relation.select(*columns)


def read_if_there(bundle: Bundle, table: str) -> pd.DataFrame:
    """All rows of a table; none where the build was made before there was such a table."""
    import pandas as pd  # half a second that those who only ask SQL need not wait for

    try:
        return read(bundle, table)
    except BundleError:
        return pd.DataFrame()


def query(bundle: Bundle, sql: str) -> pa.Table:
    """The result of one SELECT over the bundle's tables, for SQL that is known. Raises QueryError."""
    return answer(bundle.path, sql)


def tables_of(connection: duckdb.DuckDBPyConnection) -> list[str]:
    return [row[0] for row in connection.execute("select table_name from duckdb_tables() order by 1").fetchall()]


def count_rows(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    row = connection.execute(f"select count(*) from {table}").fetchone()
    return int(row[0]) if row else 0
