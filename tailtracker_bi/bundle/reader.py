"""Reads the tables of a build: read-only, and with access to nothing but that build."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

from tailtracker_bi.bundle.pointer import Bundle, BundleError
from tailtracker_bi.bundle.sql import answer

if TYPE_CHECKING:
    import pandas as pd


@contextmanager
def connect(bundle: Bundle) -> Iterator[duckdb.DuckDBPyConnection]:
    """A read-only connection that can reach nothing but this build; held for one query at a time.

    Connections of one process to one file share its settings, so that all are opened with the same.
    """
    connection = duckdb.connect(str(bundle.path), read_only=True, config={"enable_external_access": "false"})
    try:
        connection.execute("set TimeZone = 'UTC'")
        yield connection
    finally:
        connection.close()


def read(bundle: Bundle, table: str, columns: Sequence[str] | None = None, **equals: object) -> pd.DataFrame:
    """Rows of a table of the bundle in which each named column equals its value, or is one of them for a list.

    Raises BundleError for a table that this build does not have.
    """
    with connect(bundle) as connection:
        if table not in tables_of(connection):
            raise BundleError(f"build {bundle.build} has no table {table}")
        relation = connection.table(f'"{table}"')
        for column, value in equals.items():
            values = value if isinstance(value, list | tuple) else [value]
            relation = relation.filter(
                duckdb.ColumnExpression(column).isin(*(duckdb.ConstantExpression(item) for item in values))
                if values
                else duckdb.ConstantExpression(False)
            )
        if columns is not None:
            relation = relation.select(*columns)
        return relation.df()


def read_if_there(bundle: Bundle, table: str) -> pd.DataFrame:
    """All rows of a table; none where the build was made before there was such a table."""
    import pandas as pd  # half a second that those who only ask SQL need not wait for

    with connect(bundle) as connection:
        is_there = table in tables_of(connection)
    return read(bundle, table) if is_there else pd.DataFrame()


def query(bundle: Bundle, sql: str) -> pa.Table:
    """The result of one SELECT over the bundle's tables, for SQL that is known. Raises QueryError."""
    return answer(bundle.path, sql)


def tables_of(connection: duckdb.DuckDBPyConnection) -> list[str]:
    return [row[0] for row in connection.execute("select table_name from duckdb_tables() order by 1").fetchall()]


def count_rows(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    row = connection.execute(f"select count(*) from {table}").fetchone()
    return int(row[0]) if row else 0
