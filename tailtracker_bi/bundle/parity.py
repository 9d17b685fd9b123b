"""Whether two engines came to the same published tables, row by row: builds nothing, and changes nothing.

Decimals, counts, days and texts are equal or they are not; doubles, which are sums in any order, to nine digits.
"""

from __future__ import annotations

import duckdb

from tailtracker_bi.lake import Finding, Verdict, unreadable
from tailtracker_bi.warehouse import Engine

TOLERANCE = 1e-9
_DOUBLE = "DOUBLE"

# Rows that agree in all but their doubles are told apart by these.
_UNEQUAL = """
    with ours as (select *, row_number() over (partition by {exact} order by {doubles}) as place from ours.{table}),
    theirs as (select *, row_number() over (partition by {exact} order by {doubles}) as place from theirs.{table})
    select count(*) from ours full outer join theirs on {same_place}
    where ours.place is null or theirs.place is null or {far_apart}
"""


def compare_engines(ours: Engine, theirs: Engine) -> Verdict:
    """The tables that differ between the last builds of two engines, which have to be of the same landings and day."""
    what, refresh = f"against {theirs.name}", f"`TAILTRACKER_WAREHOUSE={theirs.name} tailtracker-bi refresh` builds it"
    for engine in (ours, theirs):
        try:
            if not engine.is_there:
                return Verdict(what, "", [Finding(engine.name, "has nothing built", refresh)])
        except engine.errors as error:
            return Verdict(
                what, "", [unreadable(engine.name, error, "`tailtracker-bi doctor` says more", is_quoted=True)]
            )
    with duckdb.connect() as connection:
        connection.execute("set enable_progress_bar = false")
        for alias, engine in (("ours", ours), ("theirs", theirs)):
            unreachable: tuple[type[Exception], ...] = (duckdb.Error, *engine.errors)
            try:
                wanted = ("published", "marks.finished", "config.run_context")
                engine.attach(connection, alias, dict.fromkeys(wanted, ""))
            except unreachable as error:
                mend = "`tailtracker-bi verify` says what mends it"
                return Verdict(what, "", [unreadable(engine.name, error, mend, is_quoted=True)])
        states = [_state(connection, alias) for alias in ("ours", "theirs")]
        ours_now, theirs_now = states
        if ours_now is None or theirs_now is None:
            unfinished = theirs.name if ours_now else ours.name
            return Verdict(what, "", [Finding(unfinished, "the last build did not finish", refresh)])
        mend, seen = "compare the table on both, and tell who maintains this", ""
        if ours_now != theirs_now:
            # What was read again and had not changed moves nothing but when it was read.
            seen = "loaded_at"
            mend = f"it is of {theirs_now}, and {ours.name} of {ours_now}: {refresh} of what the lake has now"
        tables = {alias: _tables(connection, alias) for alias in ("ours", "theirs")}
        findings, rows = [], 0
        for table in sorted({*tables["ours"], *tables["theirs"]}):
            wrong = ""
            if tables["ours"].get(table) != tables["theirs"].get(table):
                wrong = "has other columns, or is there on one side alone"
            elif count := _different(connection, table, {n: k for n, k in tables["ours"][table].items() if n != seen}):
                wrong = f"{count} rows differ"
            if wrong:
                findings.append(Finding(table, wrong, mend))
            else:
                rows += connection.execute(f"select count(*) from ours.{table}").fetchall()[0][0]
    return Verdict(what, f"{len(tables['ours'])} published tables, {rows} rows, are equal", findings)


def _state(connection: duckdb.DuckDBPyConnection, alias: str) -> str | None:
    """Of what a build is, in words; None where it did not finish."""
    try:
        row = connection.execute(
            f"select landing, definition, as_of from {alias}.marks.finished cross join {alias}.config.run_context"
        ).fetchone()
    except duckdb.CatalogException:
        return None
    return f"landing {row[0]} on {row[2]}, by SQL and settings {row[1][:8]}" if row else None


def _tables(connection: duckdb.DuckDBPyConnection, alias: str) -> dict[str, dict[str, str]]:
    """By table, its columns and their types, in the order of their names: who asks by name need not care for theirs."""
    found: dict[str, dict[str, str]] = {}
    for table, column, kind in connection.execute(
        "select schema_name || '.' || table_name, column_name, data_type from duckdb_columns() "
        "where database_name = ? and schema_name = 'published' order by column_name",
        [alias],
    ).fetchall():
        found.setdefault(table, {})[column] = kind
    return found


def _different(connection: duckdb.DuckDBPyConnection, table: str, columns: dict[str, str]) -> int:
    doubles = [f'"{column}"' for column, kind in columns.items() if kind == _DOUBLE]
    exact = [f'"{column}"' for column, kind in columns.items() if kind != _DOUBLE]
    far_apart = [
        f"(ours.{column} is distinct from theirs.{column} and coalesce(not abs(ours.{column} - theirs.{column}) "
        f"<= {TOLERANCE} * greatest(1, abs(ours.{column}), abs(theirs.{column})), true))"
        for column in doubles
    ]
    sql = _UNEQUAL.format(
        table=table,
        exact=", ".join(exact),
        doubles=", ".join(doubles) or "1",
        same_place=" and ".join(
            [*(f"ours.{column} is not distinct from theirs.{column}" for column in exact), "ours.place = theirs.place"]
        ),
        far_apart=" or ".join(far_apart) or "false",
    )
    return int(connection.execute(sql).fetchall()[0][0])
