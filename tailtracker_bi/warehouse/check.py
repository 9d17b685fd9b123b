"""Whether the warehouse can be read, took in what has landed, and keeps what its last build left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import duckdb

from tailtracker_bi.lake import RESTORE
from tailtracker_bi.lake.check import Finding, LedgerTable, Verdict, unreadable
from tailtracker_bi.warehouse.warehouse import Warehouse, table_digest

REBUILD = "`tailtracker-bi refresh --rebuild` makes it anew from the lake"
REFRESH = "`tailtracker-bi refresh` does it again"


def check_warehouse(warehouse: Warehouse, tables: Sequence[LedgerTable]) -> Verdict:
    """Whether all of its blocks can be read, it took in what has landed, and what it keeps is as the build left it."""
    if not warehouse.path.exists():
        missing = [Finding(warehouse.path.name, "is not there", REFRESH)] if tables else []
        return Verdict("warehouse", "nothing has been built yet", missing)
    try:
        with duckdb.connect(str(warehouse.path), read_only=True) as connection:
            connection.execute("set TimeZone = 'UTC'")
            return Verdict("warehouse", *_compare_warehouse(connection, warehouse, tables))
    except duckdb.Error as error:
        return Verdict("warehouse", "", [unreadable(warehouse.path.name, error, REBUILD)])


def _compare_warehouse(
    connection: duckdb.DuckDBPyConnection, warehouse: Warehouse, tables: Sequence[LedgerTable]
) -> tuple[str, list[Finding]]:
    there = {
        f"{schema}.{name}"
        for schema, name in connection.execute("select schema_name, table_name from duckdb_tables()").fetchall()
    }
    if not {"marks.finished", "marks.stored", "marks.landings"} <= there:
        return "", [Finding(warehouse.path.name, "the last build did not finish", REFRESH)]
    findings = []
    held = {table: table_digest(connection, table) for table in sorted(there)}
    for name, rows, digest, engine in connection.execute("from marks.stored").fetchall():
        now = held.get(name)
        if now is None or now[0] != rows or (engine == duckdb.__version__ and now[1] != digest):
            wrong = f"its {rows} rows are not those that the build left" if now else "is gone"
            findings.append(Finding(name, wrong, REBUILD))
    taken_in = set(connection.execute("select source, table_name, source_day, landing from marks.landings").fetchall())
    landed = {
        (table.source.name, table.name, row["day"], row["landing"])
        for table in tables
        for row in (table.latest.values() if table.is_daily else table.landed[-1:])
    }
    newest = max((landing for *_, landing in landed), default=-1)
    for source, table, day, landing in sorted(landed - taken_in):
        findings.append(Finding(f"{source}.{table} {day}", f"landing {landing} has not been built", REFRESH))
    for source, table, day, landing in sorted(taken_in - landed):
        if landing > newest or not any((source, table, day) == other[:3] for other in landed):
            wrong = f"landing {landing} was built, and the ledger does not have it"
            # A ledger that lost its end: a refresh would roll back what it does not know.
            findings.append(Finding(f"{source}.{table} {day}", wrong, RESTORE if landing > newest else REBUILD))
    if not landed - taken_in:
        findings += _compare_days(connection)
    outdated = warehouse.outdated(connection)
    code = f"; the next refresh fills {', '.join(outdated)} in full, as SQL or settings changed" if outdated else ""
    return f"{len(held)} tables, {len(taken_in)} landings taken in{code}", findings


def _compare_days(connection: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    """Days of events whose stored rows do not stand for as many as the lake has."""
    try:
        different = connection.execute(
            """
            with staged as (
                select export_day, count(*) as events from intermediate.int_events_attributed
                where not is_identity_event
                group by export_day
            ),

            stored as (
                select export_day, sum(events) as events from intermediate.int_raw_id_days
                group by export_day
            )

            select export_day, coalesce(stored.events, 0), coalesce(staged.events, 0)
            from staged full outer join stored using (export_day)
            where coalesce(stored.events, 0) <> coalesce(staged.events, 0)
            order by export_day
            """
        ).fetchall()
    except duckdb.IOException:
        return  # A file of the lake, which has been named.
    for day, stored, staged in different:
        yield Finding(f"mixpanel.events {day}", f"{stored} events are stored, and the lake has {staged}", REBUILD)
