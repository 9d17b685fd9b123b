"""Whether the warehouse can be read, took in what has landed, and keeps what its last build left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tailtracker_bi.lake import RESTORE, Finding, LedgerTable, Verdict, unreadable
from tailtracker_bi.warehouse.engines import Engine, Session
from tailtracker_bi.warehouse.warehouse import Warehouse

REBUILD = "`tailtracker-bi refresh --rebuild` makes it anew from the lake"
REFRESH = "`tailtracker-bi refresh` does it again"


def check_warehouse(warehouse: Warehouse, tables: Sequence[LedgerTable]) -> Verdict:
    """Whether all of its blocks can be read, it took in what has landed, and what it keeps is as the build left it."""
    engine = warehouse.engine
    if not engine.is_there:
        missing = [Finding(engine.where, "is not there", REFRESH)] if tables else []
        return Verdict("warehouse", "nothing has been built yet", missing)
    try:
        with engine.session(is_reader=True) as session:
            return Verdict("warehouse", *_compare_warehouse(session, warehouse, tables))
    except engine.errors as error:
        return Verdict("warehouse", "", [unreadable(engine.where, error, REBUILD, is_quoted=True)])


def _compare_warehouse(
    session: Session, warehouse: Warehouse, tables: Sequence[LedgerTable]
) -> tuple[str, list[Finding]]:
    there = {f"{schema}.{name}" for schema, name in session.tables()}
    if not {"marks.finished", "marks.built", "marks.landings"} <= there:
        return "", [Finding(warehouse.engine.where, "the last build did not finish", REFRESH)]
    findings = []
    held = {table: session.digest(table) for table in sorted(there)}
    for name, rows, digest, version in session.rows(
        f"select table_name, rows, digest, engine from {session.named('marks.built')} "
        "where digest is not null order by table_name"
    ):
        now = held.get(name)
        if now is None or now[0] != rows or (version == warehouse.engine.version and now[1] != digest):
            wrong = f"its {rows} rows are not those that the build left" if now else "is gone"
            findings.append(Finding(name, wrong, REBUILD))
    taken_in = set(
        session.rows(f"select source, table_name, source_day, landing from {session.named('marks.landings')}")
    )
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
        findings += _compare_days(session, warehouse.engine)
    outdated = warehouse.outdated(session)
    code = f"; the next refresh fills {', '.join(outdated)} in full, as SQL or settings changed" if outdated else ""
    return f"{len(held)} tables, {len(taken_in)} landings taken in{code}", findings


def _compare_days(session: Session, engine: Engine) -> Iterator[Finding]:
    """Days of events whose stored rows do not stand for as many as the lake has."""
    try:
        different = session.rows(
            f"""
            with staged as (
                select export_day, count(*) as events from {session.named("intermediate.int_events_attributed")}
                where not is_identity_event
                group by export_day
            ),

            stored as (
                select export_day, cast(sum(events) as bigint) as events
                from {session.named("intermediate.int_raw_id_days")}
                group by export_day
            )

            select export_day, coalesce(stored.events, 0), coalesce(staged.events, 0)
            from staged full outer join stored using (export_day)
            where coalesce(stored.events, 0) <> coalesce(staged.events, 0)
            order by export_day
            """
        )
    except engine.errors:
        return  # A file of the lake, which has been named.
    for day, stored, staged in different:
        yield Finding(f"mixpanel.events {day}", f"{stored} events are stored, and the lake has {staged}", REBUILD)
