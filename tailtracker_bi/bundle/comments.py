"""What a table of a build is, and each of its columns: comments in the build itself."""

from __future__ import annotations

from collections.abc import Mapping

import duckdb


def comment_on(connection: duckdb.DuckDBPyConnection, table: str, about: str, columns_about: Mapping[str, str]) -> None:
    """Say what a table is, and its columns by their names."""
    columns = {f'column {table}."{column}"': text for column, text in columns_about.items()}
    for on, text in {f"table {table}": about, **columns}.items():
        # Takes no parameters.
        connection.execute(f"comment on {on} is {literal(' '.join(text.split()))}")


def literal(text: str) -> str:
    """A text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"
