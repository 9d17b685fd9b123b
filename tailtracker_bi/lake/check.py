"""Whether ledger, files and quarantine agree; each finding says what mends it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tailtracker_bi.lake.lake import Lake
from tailtracker_bi.lake.ledger import READ, RESTORE, LakeError, broken_links
from tailtracker_bi.sources import COUNTED, DaySource, Source, Table


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
class LedgerTable:
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


def check_ledger(ledger: Sequence[dict[str, Any]], tables: Sequence[LedgerTable]) -> Verdict:
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
            if row["status"] in READ and (
                (row["status"] == "landed" and row["version"] is None)
                or row["received"] != sum(row[part] or 0 for part in parts)
            ):
                findings.append(Finding(where, f"landing {row['landing']} does not add up", RESTORE))
            if (row["day"], row["landing"]) in seen or landed_at.setdefault(row["landing"], row["landed_at"]) != (
                row["landed_at"]
            ):
                findings.append(Finding(where, f"landing {row['landing']} is there twice", RESTORE))
            seen.add((row["day"], row["landing"]))
    return Verdict("ledger", f"{len(ledger)} rows, each landing as it was written", findings)


def check_whole(lake: Lake) -> Verdict:
    """Whether ledger and tables belong together: else no refresh writes to the lake."""
    try:
        lake.check()
    except LakeError as error:
        return Verdict("lake", "", [Finding("lake", error.wrong, error.mend)])
    return Verdict("lake", "ledger and tables belong together", [])


def check_files(lake: Lake, table: LedgerTable) -> Verdict:
    """Whether the files that the ledger names are there as they were written, with as many rows as it says."""
    try:
        files, damage = lake.files(table.source.name, table.name), lake.damage(table.source.name, table.name)
    except Exception as error:
        return Verdict("lake", "", [unreadable(f"lake/{table.source.name}/{table.name}", error, RESTORE)])
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
    return Verdict("lake", f"{table.title}: {days}{len(files)} files, {sum(rows.values())} rows", findings)


def check_quarantine(lake: Lake, tables: Sequence[LedgerTable]) -> Verdict:
    """Whether what was set aside is there: of objects, all that ever was, each record once."""
    findings, records = [], 0
    for table in tables:
        latest, last = table.latest, table.landed[-1]
        quarantine = lake.quarantine(table.source.name, table.name)
        days = {*latest} if table.is_daily else quarantine.days()
        found: dict[date, list[bytes]] = {}
        for day in sorted(days):
            where = f"{table.title} {day}"
            mend = table.mend(day) if table.is_daily else RESTORE
            try:
                found[day] = quarantine.lines(day)
            except (OSError, ValueError) as error:
                findings.append(unreadable(where, error, mend))
                continue
            if table.is_daily and len(found[day]) != latest[day]["quarantined"]:
                wrong = f"{len(found[day])} records in {day}.jsonl, and the ledger says {latest[day]['quarantined']}"
                findings.append(Finding(where, wrong, mend))
        distinct = len({line for lines in found.values() for line in lines})
        if not table.is_daily and distinct != (last["set_aside"] or 0):
            wrong = f"{distinct} records set aside, and the ledger says {last['set_aside'] or 0}"
            findings.append(Finding(table.title, wrong, RESTORE))
        records += sum(map(len, found.values()))
    return Verdict("quarantine", f"{records} records", findings)


def _day_of(file: Path) -> date:
    return date.fromisoformat(file.parent.name.removeprefix("day="))


def unreadable(where: str, error: Exception, mend: str, *, is_quoted: bool = False) -> Finding:
    """That something can't be read; an error whose words hold no values is quoted."""
    cause = str(error).splitlines()[0] if is_quoted else type(error).__name__
    return Finding(where, f"can't be read: {cause}", mend)
