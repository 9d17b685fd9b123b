"""Verification: what HOME holds against what it should hold, each part compared with the one that it was made from.

    ledger  >  lake, quarantine  >  warehouse  >  bundle          the sources, where they tell how much they have

Each check gives findings, which name what is corrupt and the command that mends it. Nothing is changed, but that the
quarantine of a landing is settled that a crash broke off: put in its place if the ledger knows the landing, else
dropped. What belongs here: comparisons. How the parts are laid out is known by their own modules.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from tailtracker_bi.bundle.check import check_bundles
from tailtracker_bi.bundle.parity import compare_engines
from tailtracker_bi.errors import TailTrackerError
from tailtracker_bi.lake import (
    RESTORE,
    Comparison,
    Finding,
    Lake,
    LakeError,
    LedgerTable,
    Verdict,
    check_files,
    check_ledger,
    check_quarantine,
    check_whole,
    unreadable,
)
from tailtracker_bi.runs.report import Progress
from tailtracker_bi.settings import Settings
from tailtracker_bi.sources import SOURCES, ObjectSource, Source
from tailtracker_bi.warehouse import Warehouse, check_warehouse, engine_of


def verify(
    settings: Settings,
    lake: Lake,
    warehouse: Warehouse,
    progress: Progress,
    *,
    ask_sources: bool = False,
    against: str | None = None,
) -> list[Verdict]:
    """All checks, in the order in which the parts are made. Callers hold the lock, so that nothing moves meanwhile.

    `against` names another engine, whose published tables are compared with the warehouse's, too.

    Where a part can't be read, what is compared with it is left out.
    """
    try:
        ledger = lake.ledger.landings().to_pylist()
        tables = [
            LedgerTable(source, table, lake.ledger.attempts(source.name, table.name))
            for source in SOURCES
            for table in source.tables
        ]
    except LakeError as error:
        return [Verdict("ledger", "", [Finding("lake", error.wrong, error.mend)])]
    except Exception as error:
        return [Verdict("ledger", "", [unreadable("lake/_landings", error, RESTORE)])]
    lake.settle()
    filled = [table for table in tables if table.landed]
    checks: list[tuple[str, Callable[[], Verdict]]] = [
        ("ledger", partial(check_ledger, ledger, tables)),
        ("lake", partial(check_whole, lake)),
    ]
    for table in filled:
        checks.append((f"lake {table.title}", partial(check_files, lake, table)))
    checks += [
        ("quarantine", partial(check_quarantine, lake, filled)),
        ("warehouse", partial(check_warehouse, warehouse, filled)),
        ("bundle", partial(check_bundles, settings.home, warehouse)),
    ]
    if against:
        checks.append((against, partial(compare_engines, warehouse.engine, engine_of(settings, against))))
    if ask_sources:
        on = [source for source in SOURCES if source.is_on(settings)]
        checks += [(source.name, partial(ask, source(settings), lake, filled)) for source in on]
    verdicts = []
    for number, (what, check) in enumerate(checks):
        progress.step("verify", what, number, len(checks))
        verdicts.append(check())
    progress.step("verify", "", len(checks), len(checks))
    return verdicts


def ask(source: Source, lake: Lake, tables: Sequence[LedgerTable]) -> Verdict:
    """What the source says that it has now. It may have changed since it was read: a difference is no corruption."""
    try:
        counts = source.counts()
    except TailTrackerError as error:
        mend = "`tailtracker-bi doctor` says more"
        return Verdict("source", "", [Finding(source.name, str(error), mend)])
    if counts is None:
        return Verdict("source", f"{source.name}: counts are not offered", [])
    own = [table for table in tables if table.source.name == source.name and table.name in counts]
    with TemporaryDirectory() as spool, Comparison(Path(spool)) as comparison:
        live = {
            table.name: len(lake.ids_now(table.source, table.table, "", comparison))
            for table in own
            if issubclass(table.source, ObjectSource)
        }
    different = [
        f"{name} has {counts[name]} rows now, and had {rows}" for name, rows in live.items() if counts[name] != rows
    ]
    return Verdict("source", f"{source.name}: {len(live)} tables counted; {'; '.join(different) or 'all equal'}", [])
