"""Verification: what HOME holds against what it should hold, each part compared with the one that it was made from.

    ledger  >  lake, quarantine  >  warehouse  >  bundle          the sources, where they tell how much they have

Each check gives findings, which name what is corrupt and the command that mends it. Nothing is changed, but that the
quarantine of a landing is settled that a crash broke off: put in its place if the ledger knows the landing, else
dropped. What belongs here: comparisons. How the parts are laid out is known by their own modules.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import orjson
import pyarrow.parquet as pq

from tailtracker_bi import bundle
from tailtracker_bi.errors import TailTrackerError
from tailtracker_bi.lake import RESTORE, Lake, LakeError, broken_links
from tailtracker_bi.runs import COUNTED, Progress
from tailtracker_bi.settings import Settings
from tailtracker_bi.sources import SOURCES
from tailtracker_bi.sources.base import DaySource, ObjectSource, Source, Table
from tailtracker_bi.warehouse import Warehouse, table_digest

REBUILD = "`tailtracker-bi refresh --rebuild` makes it anew from the lake"
REFRESH = "`tailtracker-bi refresh` does it again"
PUBLISH = "`tailtracker-bi refresh` publishes anew; until then `tailtracker-bi rollback` shows the build before"


@dataclass(frozen=True)
class Finding:
    """Something that is wrong."""

    where: str
    wrong: str
    mend: str
    """What to do about it."""


@dataclass(frozen=True)
class Verdict:
    """What one check found; `detail` says what was compared."""

    what: str
    detail: str
    findings: Sequence[Finding] = ()


@dataclass(frozen=True)
class _Table:
    """A table of the lake, and what the ledger says of it."""

    source: type[Source]
    table: Table
    attempts: list[dict[str, Any]]

    @property
    def name(self) -> str:
        return self.table.name

    @property
    def is_daily(self) -> bool:
        return issubclass(self.source, DaySource)

    @property
    def title(self) -> str:
        return f"{self.source.name}.{self.name}"

    @property
    def landed(self) -> list[dict[str, Any]]:
        return [row for row in self.attempts if row["status"] == "landed"]

    @property
    def latest(self) -> dict[date, dict[str, Any]]:
        """By day, what landed last."""
        return {row["day"]: row for row in self.landed}

    def mend(self, day: date) -> str:
        """What brings a day back. Of objects only the lake knows what they were."""
        if not self.is_daily:
            return RESTORE
        return f"`tailtracker-bi refresh --source {self.source.name} --from {day} --to {day}` pulls it again"


def verify(
    settings: Settings, lake: Lake, warehouse: Warehouse, progress: Progress, *, ask_sources: bool = False
) -> list[Verdict]:
    """All checks, in the order in which the parts are made. Callers hold the lock, so that nothing moves meanwhile.

    Where a part can't be read, what is compared with it is left out.
    """
    try:
        ledger = lake.landings().to_pylist()
        tables = [
            _Table(source, table, lake.attempts(source.name, table.name))
            for source in SOURCES
            for table in source.tables
        ]
    except LakeError as error:
        return [_verdict("ledger", "", [Finding("lake", error.wrong, error.mend)])]
    except Exception as error:
        return [_verdict("ledger", "", [_unreadable("lake/_landings", error, RESTORE)])]
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
    if ask_sources:
        on = [source for source in SOURCES if source.is_on(settings)]
        checks += [(source.name, partial(ask, source(settings), lake, filled)) for source in on]
    verdicts = []
    for number, (what, check) in enumerate(checks):
        progress.step("verify", what, number, len(checks))
        verdicts.append(check())
    progress.step("verify", "", len(checks), len(checks))
    return verdicts


def check_ledger(ledger: Sequence[dict[str, Any]], tables: Sequence[_Table]) -> Verdict:
    """Whether it is as it was written, oldest first, and its rows add up."""
    findings = [
        Finding("lake/_landings", f"{where}, or the one before it, is not as it was written", RESTORE)
        for where in broken_links(ledger)
    ]
    landed_at: dict[int, Any] = {}
    _, *parts = COUNTED
    for table in tables:
        seen = set()
        for row in table.attempts:
            where = f"{table.title} {row['day']}"
            if row["status"] == "landed" and (
                row["version"] is None or row["received"] != sum(row[part] or 0 for part in parts)
            ):
                findings.append(Finding(where, f"landing {row['landing']} does not add up", RESTORE))
            if (row["day"], row["landing"]) in seen or landed_at.setdefault(row["landing"], row["landed_at"]) != (
                row["landed_at"]
            ):
                findings.append(Finding(where, f"landing {row['landing']} is there twice", RESTORE))
            seen.add((row["day"], row["landing"]))
    return _verdict("ledger", f"{len(ledger)} rows, each landing as it was written", findings)


def check_whole(lake: Lake) -> Verdict:
    """Whether ledger and tables belong together: else no refresh writes to the lake."""
    try:
        lake.check()
    except LakeError as error:
        return _verdict("lake", "", [Finding("lake", error.wrong, error.mend)])
    return _verdict("lake", "ledger and tables belong together", [])


def check_files(lake: Lake, table: _Table) -> Verdict:
    """Whether the files that the ledger names are there as they were written, with as many rows as it says."""
    try:
        files, damage = lake.files(table.source.name, table.name), lake.damage(table.source.name, table.name)
    except Exception as error:
        return _verdict("lake", "", [_unreadable(f"lake/{table.source.name}/{table.name}", error, RESTORE)])
    rows: dict[date | None, int] = defaultdict(int)
    findings, broken = [], set()
    for name in files:
        file = Path(name)
        day = _day_of(file) if table.is_daily else None
        if name in damage:
            broken.add(day)
            where = f"{table.title} {day}" if day else table.title
            findings.append(Finding(where, f"{file.name} {damage[name]}", table.mend(day) if day else RESTORE))
        else:
            rows[day] += pq.ParquetFile(file).metadata.num_rows
    latest = table.latest
    wanted: dict[date | None, int] = (
        {day: row["loaded"] for day, row in latest.items()}
        if table.is_daily
        else {None: sum(row["loaded"] for row in table.landed)}
    )
    for day in sorted({*rows, *wanted} - broken, key=str):
        if rows.get(day, 0) != wanted.get(day, 0):
            where = f"{table.title} {day}" if day else table.title
            wrong = f"{rows.get(day, 0)} rows, and the ledger says {wanted.get(day, 0)}"
            findings.append(Finding(where, wrong, table.mend(day) if day else RESTORE))
    days = f"{len(latest)} days, " if table.is_daily else ""
    return _verdict("lake", f"{table.title}: {days}{len(files)} files, {sum(rows.values())} rows", findings)


def check_quarantine(lake: Lake, tables: Sequence[_Table]) -> Verdict:
    """Whether what was set aside is there: of objects, all that ever was, each record once."""
    findings, records = [], 0
    for table in tables:
        latest, last = table.latest, table.landed[-1]
        quarantine = lake.quarantine(table.source.name, table.name)
        days = {*latest} if table.is_daily else quarantine.days()
        found: dict[date, list[bytes]] = {}
        for day in sorted(days):
            file = quarantine.file(day)
            where = f"{table.title} {day}"
            mend = table.mend(day) if table.is_daily else RESTORE
            try:
                found[day] = file.read_bytes().splitlines() if file.exists() else []
                for line in found[day]:
                    orjson.loads(line)
            except (OSError, ValueError) as error:
                findings.append(_unreadable(where, error, mend))
                continue
            if table.is_daily and len(found[day]) != latest[day]["quarantined"]:
                wrong = f"{len(found[day])} records in {file.name}, and the ledger says {latest[day]['quarantined']}"
                findings.append(Finding(where, wrong, mend))
        distinct = len({line for lines in found.values() for line in lines})
        if not table.is_daily and distinct != (last["set_aside"] or 0):
            wrong = f"{distinct} records set aside, and the ledger says {last['set_aside'] or 0}"
            findings.append(Finding(table.title, wrong, RESTORE))
        records += sum(map(len, found.values()))
    return _verdict("quarantine", f"{records} records", findings)


def check_warehouse(warehouse: Warehouse, tables: Sequence[_Table]) -> Verdict:
    """Whether all of its blocks can be read, it took in what has landed, and what it keeps is as the build left it."""
    if not warehouse.path.exists():
        missing = [Finding(warehouse.path.name, "is not there", REFRESH)] if tables else []
        return _verdict("warehouse", "nothing has been built yet", missing)
    try:
        with duckdb.connect(str(warehouse.path), read_only=True) as connection:
            connection.execute("set TimeZone = 'UTC'")
            return _verdict("warehouse", *_compare_warehouse(connection, warehouse, tables))
    except duckdb.Error as error:
        return _verdict("warehouse", "", [_unreadable(warehouse.path.name, error, REBUILD)])


def _compare_warehouse(
    connection: duckdb.DuckDBPyConnection, warehouse: Warehouse, tables: Sequence[_Table]
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


def check_bundles(home: Path, warehouse: Warehouse) -> Verdict:
    """Whether the pointer is sound, all builds can be read, and the current one equals the warehouse it is from."""
    builds = bundle.builds(home)
    if not builds:
        return _verdict("bundle", "nothing has been published yet", [])
    current, findings = bundle.current(home), []
    if not bundle.is_pointer_sound(home):
        mend = f"`tailtracker-bi rollback --to {builds[-1].build}` writes it anew"
        findings.append(Finding(f"published/{bundle.POINTER}", "names no build that is there", mend))
    detail = ""
    for one in builds:
        try:
            with bundle.connect(one) as connection:
                for (table,) in connection.execute("select table_name from duckdb_tables()").fetchall():
                    table_digest(connection, table)
            if one == current:
                detail, differences = _compare_bundle(one, warehouse.path)
                findings += differences
        except duckdb.Error as error:
            mend = PUBLISH if one == current else f"remove published/{one.path.name}: it can't be gone back to"
            findings.append(_unreadable(one.path.name, error, mend))
    return _verdict("bundle", f"{current.build}{detail}; {len(builds)} builds can be read", findings)


def _compare_bundle(one: bundle.Bundle, warehouse: Path) -> tuple[str, list[Finding]]:
    with duckdb.connect() as connection:
        for path, name in ((one.path, "bundle"), (warehouse, "warehouse")):
            quoted = str(path).replace("'", "''")
            try:
                connection.execute(f"attach '{quoted}' as {name} (read_only)")
            except duckdb.Error:
                return "", []  # Named where that file is read by itself.
        connection.execute("use bundle")
        missing = connection.execute(
            "select distinct metric_id from metric_values anti join metric_catalog using (metric_id) union "
            "select metric_id from metric_catalog anti join metric_values using (metric_id) where status = 'active'"
        ).fetchall()
        findings = [Finding(f"metric {name}", "has no catalogue entry, or no values", PUBLISH) for (name,) in missing]
        try:
            is_same = connection.execute(
                "select b.finished_at = w.finished_at from bundle_info as b cross join warehouse.marks.finished as w"
            ).fetchone()
        except duckdb.CatalogException:
            is_same = None  # The last build did not finish.
        if is_same != (True,):
            return ", which is older than the last build and was not compared with it", findings
        for (origin,) in connection.execute(
            "select table_name from duckdb_tables() where database_name = 'warehouse' and schema_name = 'published'"
        ).fetchall():
            table, of = origin.removeprefix("pub_"), f"warehouse.published.{origin}"
            # Of ids the bundle holds hashes.
            columns = f"* exclude ({bundle.HASHED[table]})" if table in bundle.HASHED else "*"
            ours, theirs = f"select {columns} from {of}", f"select {columns} from {table}"
            try:
                row = connection.execute(
                    f"select (select count(*) from ({ours} except all {theirs})) "
                    f"+ (select count(*) from ({theirs} except all {ours}))"
                ).fetchone()
            except duckdb.CatalogException:
                findings.append(Finding(f"{one.path.name} {table}", "is not there", PUBLISH))
                continue
            except duckdb.IOException:
                continue  # Named where that file is read by itself.
            if row and row[0]:
                findings.append(
                    Finding(f"{one.path.name} {table}", f"{row[0]} rows differ from the warehouse", PUBLISH)
                )
    return ", equal to the warehouse", findings


def ask(source: Source, lake: Lake, tables: Sequence[_Table]) -> Verdict:
    """What the source says that it has now. It may have changed since it was read: a difference is no corruption."""
    try:
        counts = source.counts()
    except TailTrackerError as error:
        mend = "`tailtracker-bi doctor` says more"
        return _verdict("source", "", [Finding(source.name, str(error), mend)])
    if counts is None:
        return _verdict("source", f"{source.name}: counts are not offered", [])
    own = [table for table in tables if table.source.name == source.name and table.name in counts]
    with TemporaryDirectory() as spool:
        live = {
            table.name: len(lake.ids_now(table.source, table.table, "", Path(spool)))
            for table in own
            if issubclass(table.source, ObjectSource)
        }
    different = [
        f"{name} has {counts[name]} rows now, and had {rows}" for name, rows in live.items() if counts[name] != rows
    ]
    return _verdict("source", f"{source.name}: {len(live)} tables counted; {'; '.join(different) or 'all equal'}", [])


def _day_of(file: Path) -> date:
    return date.fromisoformat(file.parent.name.removeprefix("day="))


def _unreadable(where: str, error: Exception, mend: str) -> Finding:
    told = str(error).splitlines()[0] if isinstance(error, duckdb.Error) else type(error).__name__
    return Finding(where, f"can't be read: {told}", mend)


def _verdict(what: str, detail: str, findings: Sequence[Finding]) -> Verdict:
    return Verdict(what, detail, tuple(findings))
