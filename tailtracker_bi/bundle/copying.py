"""A copy of a build for whoever may not see all of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import duckdb
import pandas as pd

from tailtracker_bi.bundle.comments import comment_on, literal
from tailtracker_bi.bundle.pointer import Bundle
from tailtracker_bi.bundle.reader import describe


def copy_of(build: Bundle, folder: Path, seen: Callable[[str, pd.DataFrame], pd.DataFrame | None]) -> Bundle:
    """A build of the same name in another folder, with nothing in it but what `seen` gives of each table.

    It is given a table's name and rows, and gives those that stay, with their index. Where a column of it has nothing,
    there is nothing in the copy; a column that it adds is added; a table for which it gives None is not there. All else
    is as it was, to the last digit, with what the build says that it is.
    """
    copy = Bundle(build.build, folder / build.path.name)
    described = describe(build)
    comments = {}
    with closing(duckdb.connect(str(copy.path))) as connection:
        connection.execute("set enable_progress_bar = false")
        connection.execute(f"attach {literal(str(build.path))} as original (read_only)")
        for table in described:
            rows = connection.execute(f"select rowid as place, * from original.{table.name}").df().set_index("place")
            told = seen(table.name, rows)
            if told is not None:
                _copy(connection, table.name, rows, told)
                comments[table.name] = table.description, {each.name: each.description for each in table.columns}
        comment_on(connection, comments)
    return copy


def _copy(connection: duckdb.DuckDBPyConnection, table: str, rows: pd.DataFrame, told: pd.DataFrame) -> None:
    """Which values stay the frame tells; they come from the original, as a frame has no decimals."""
    kept_of = rows.loc[told.index]
    emptied = [name for name in rows if (told[name].isna() & kept_of[name].notna()).any()]
    added = [name for name in told if name not in rows]
    kept = told[added].assign(place=told.index, **{f"no {name}": told[name].isna() for name in emptied})
    columns = [
        f'case when not kept."no {name}" then rows."{name}" end as "{name}"' if name in emptied else f'rows."{name}"'
        for name in rows
    ]
    columns += [f'kept."{name}"' for name in added]
    connection.register("kept", kept)
    connection.execute(
        f"create table {table} as select {', '.join(columns)} from original.{table} as rows "
        "join kept on rows.rowid = kept.place order by kept.place"
    )
    connection.unregister("kept")
