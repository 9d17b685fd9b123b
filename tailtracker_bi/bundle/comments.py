"""What a table of a build is, and each of its columns: comments in the build itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import duckdb

Described: TypeAlias = Mapping[str, tuple[str, Mapping[str, str]]]
"""By table, what it is, and what its columns are of which that is said."""


def comment_on(connection: duckdb.DuckDBPyConnection, described: Described) -> None:
    """Say what each of these tables is, and its columns by their names."""
    # To commit hundreds of them one by one takes longer than all else.
    connection.begin()
    for table, (about, columns_about) in described.items():
        columns = {f'column {table}."{column}"': text for column, text in columns_about.items()}
        for on, text in {f"table {table}": about, **columns}.items():
            # Takes no parameters.
            connection.execute(f"comment on {on} is {literal(' '.join(text.split()))}")
    connection.commit()


def literal(text: str) -> str:
    """A text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"
