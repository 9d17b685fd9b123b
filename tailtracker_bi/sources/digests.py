"""Digests of what came: the same for the same rows in any order, and for others, in practice, never.

Each row is written as one text, in which null is not empty and no column runs into the next, and hashed to 128 bits. A
digest is how many rows there are and the sum of their hashes: rows that stand twice count twice, digests of parts add
up, and rows can be taken away again.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from functools import cache

import duckdb
import pyarrow as pa

SUMS = "count(*), sum((row_hash & 18446744073709551615)::ubigint), sum((row_hash >> 64)::ubigint)"
"""SQL of the rows, and the sums of the lower and the upper halves of their `row_hash`: a sum of the whole would be a
double."""


def row_hash(columns: Iterable[str]) -> str:
    """SQL of the hash of a row, by its columns, in DuckDB's dialect."""
    parts = (f"""coalesce(strlen("{name}"::varchar), -1), ' ', "{name}", ' '""" for name in columns)
    return f"md5_number(concat({', '.join(parts)}))"


def digest(rows: int = 0, lower: int | None = None, upper: int | None = None) -> str:
    """A digest of what `SUMS` gives; without rows the sums are None."""
    return f"{rows}:{((lower or 0) + ((upper or 0) << 64)) % (1 << 128):032x}"


def digests_by_day(rows: pa.Table, days: Iterable[date]) -> dict[date, str]:
    """The digest of each of these days, by the rows of a table with a column `day`; days without rows have one, too."""
    with _engine().cursor() as connection:
        connection.register("rows_now", rows)
        hashed = f"select day, {row_hash(rows.schema.names)} as row_hash from rows_now"
        found = connection.execute(f"select day, {SUMS} from ({hashed}) group by day").fetchall()
    of_day = {day: digest(*sums) for day, *sums in found}
    return {day: of_day.get(day, digest()) for day in days}


@cache
def _engine() -> duckdb.DuckDBPyConnection:
    """One for the process: to start it takes longer than to hash a day. What each cursor registers is its own."""
    connection = duckdb.connect()
    connection.execute("set enable_progress_bar = false")
    return connection
