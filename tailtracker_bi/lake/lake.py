"""The lake: what was received, and the ledger that says what is there.

    lake/<source>/<table>   Delta tables: days of events, partitioned by the source's own day, of which a day replaces a
                            day; or versions of objects, to which what differs is added
    lake/_landings          the ledger: one row for each day and attempt; the latest `landed` row of a day is that day.
                            One that is read again and has not changed gets a row that says so, and nothing else.
                            Of objects a row for each time they were brought up to date, under the UTC day of that
    lake/head.json          the last landing, as the ledger's chain has it: a ledger that lacks it lost its end
    lake/hash_key.check     what tells the key of the pseudonyms from another
    quarantine/<source>/<table>/<day>.jsonl   records set aside, with their reason; of objects each once
    aside/                  what the ledger does not know and a landing found in its way; nothing reads it

Data is committed first, its ledger rows after: a day exists only by its row. Every reader takes the version that the
ledger names, so a commit without rows, left by a crash, is invisible, and the next landing rolls it back.

A crash leaves at most one such commit of a table. Where more is unknown, or what the ledger names is not there, the
lake was copied in part or is put together from several: nothing is written to it (`Lake.check`).

What comes whole but looks wrong beside what is there (`guards.py`) is held: the ledger says so, nothing else changes.
"""

from __future__ import annotations

import getpass
import hashlib
import hmac
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pyarrow.compute as pc
from deltalake import DeltaTable

from tailtracker_bi import durable
from tailtracker_bi.crash_points import reached
from tailtracker_bi.lake import integrity
from tailtracker_bi.lake.guards import doubtful_days
from tailtracker_bi.lake.ledger import LakeError, Ledger
from tailtracker_bi.lake.quarantine import Quarantine, SetAside
from tailtracker_bi.lake.tables import (
    commit_of,
    damage_of,
    files_of,
    replace_days,
    rows_without,
    sync_commit,
    version_of,
)
from tailtracker_bi.lake.versions import Comparison
from tailtracker_bi.privacy import mask_text
from tailtracker_bi.sources import Days, ObjectSource, Remark, Table

LONGEST_REASON = 200
"""Characters that the ledger keeps of why a record was set aside: a reason may quote what came."""

NEW_KEY = (
    "put back the right one, from a backup; if it is lost, move lake/ and quarantine/ away and "
    "`tailtracker-bi refresh --rebuild`: the sources tell what they still know"
)
"""What to do where the key of the pseudonyms is not the one that the lake was filled with."""
KEEP_OLD_FILES = timedelta(days=7)


@dataclass(frozen=True)
class Outcome:
    """What became of days that came, besides those that landed."""

    held: Mapping[date, str]
    """Those that are held back, each with why."""
    unchanged: Collection[date]
    """Those that were there already, as they came."""


class Lake:
    """The lake below `home`. One process writes at a time: callers hold the lock of `runs.locked`."""

    def __init__(self, home: Path) -> None:
        self.root = home / "lake"
        self.ledger = Ledger(self.root)
        self._quarantine = home / "quarantine"
        self._key_check = self.root / "hash_key.check"
        self._written: set[Path] = set()
        """The tables that were written to."""

    def check(self) -> None:
        """Raise LakeError unless this is the lake that its last landing left, or what a crash made of it.

        Whoever writes asks first: a landing rolls back what the ledger does not know, and `tidy` deletes its files.
        """
        integrity.check(self.ledger, self.root)

    @property
    def knows_hash_key(self) -> bool:
        """Whether anything has landed under a key of the pseudonyms that can be told from others."""
        return self._key_check.exists()

    def check_hash_key(self, key: bytes) -> None:
        """Raise LakeError for another key of the pseudonyms than that of the lake, which is the first it is told."""
        mark = hmac.new(key, b"the key of this lake", hashlib.sha256).hexdigest()
        if not self.knows_hash_key:
            self.root.mkdir(parents=True, exist_ok=True)
            durable.write(self._key_check, mark.encode())
            return
        try:
            is_same = self._key_check.read_bytes().strip() == mark.encode()
        except OSError as error:
            raise LakeError(f"lake/{self._key_check.name} can't be read ({error.strerror})") from None
        if not is_same:
            raise LakeError(
                "the key of the pseudonyms (hash.key in HOME, or TAILTRACKER_HASH_KEY) is not the one that this lake "
                "was filled with, and under another one people would be counted twice",
                NEW_KEY,
            )

    def land(
        self,
        source: str,
        table: str,
        days: Days,
        as_of: datetime | None = None,
        accepted: Mapping[date, str] | None = None,
    ) -> Outcome:
        """Replace these days, all in one commit, and then write their ledger rows; what was held back, and why, and
        what is there already.

        `as_of` is the business time at which they were read. `accepted` are days not held for this very reason.
        """
        for day, counts in days.counts.items():
            counts.check(f"{source}.{table} {day}")
        path = self.table_path(source, table)
        self.make_ready(source, table)
        known = set(self.files(source, table))
        shape = None if days.shape is None else as_json(days.shape)
        # Days that were asked for otherwise are no measure.
        there = {day: row for day, row in self.ledger.days(source, table).items() if row["shape"] == shape}
        doubts = doubtful_days(days.counts, {day: row["loaded"] for day, row in there.items()})
        held = {day: reason for day, reason in doubts.items() if reason != (accepted or {}).get(day)}
        unchanged = {
            day
            for day in days.counts.keys() & there.keys() - held.keys()
            if _is_same(days, day, there[day]) and self._is_whole(source, table, there[day])
        }
        landing = sorted(days.counts.keys() - held.keys() - unchanged)
        set_aside = SetAside()
        if landing:
            replace_days(path, rows_without(days.rows, held.keys() | unchanged), landing)
            self.keep(path)
        reached("lake.day.committed")
        if landing:
            records = rows_without(days.quarantine, held.keys() | unchanged)
            set_aside = self.quarantine(source, table).draft_days(self.ledger.next_landing(), landing, records)
        reached("lake.day.set_aside")
        version = version_of(path) if landing else None
        digests = {} if version is None else self.digests_of_new(path, version, known)
        moment = as_of.replace(tzinfo=None) if as_of else None
        about = {"source": source, "table_name": table, "as_of": moment}
        read: dict[date, dict[str, object]] = {
            day: {**about, "day": day, "status": "unchanged", **asdict(counts)}
            | remarked([*days.remarks.get(day, []), *accepted_against(doubts.get(day))])
            for day, counts in days.counts.items()
        }
        rows = [read[day] for day in sorted(unchanged)]
        rows += [
            read[day]
            | {"status": "landed", "version": version, "shape": shape, "content": days.content.get(day)}
            | {"set_aside": days.counts[day].quarantined, "set_aside_for": reasons_of(set_aside, day)}
            | {"digests": as_json({name: digest for name, digest in digests.items() if f"day={day}/" in name})}
            for day in landing
        ]
        rows += [{**about, "day": day, "status": "held", "reason": reason} for day, reason in sorted(held.items())]
        self.ledger.record(rows)
        reached("lake.day.recorded")
        self.settle_table(source, table)
        return Outcome(held, unchanged)

    def make_ready(self, source: str, table: str) -> None:
        """Make good of a table what a landing that broke off has left of it. Raises LakeError where it left more."""
        self.settle_table(source, table)
        self._roll_back_unrecorded(source, table)

    def note_failure(self, source: str, table: str, days: Iterable[date], reason: str, status: str = "failed") -> None:
        """Record that these days were tried and did not land, or are held; what landed before stays."""
        self.ledger.record(
            {"source": source, "table_name": table, "day": day, "status": status, "reason": reason} for day in days
        )
        reached("lake.failure.recorded")

    def files(self, source: str, table: str) -> list[str]:
        """The Parquet files that hold what the ledger says is there; `day` stands in their paths."""
        versions = self.ledger.landed(source, table)["version"]
        if not len(versions):
            return []
        return files_of(self.table_path(source, table), pc.max(versions).as_py())

    def digests(self, source: str, table: str) -> dict[str, str]:
        """The SHA-256 of the files as they were written, by the names that `files` gives them."""
        root = self.table_path(source, table)
        noted = self.ledger.landed(source, table)["digests"].drop_null().to_pylist()
        return {str(root / name): digest for one in noted for name, digest in orjson.loads(one).items()}

    def damage(self, source: str, table: str) -> dict[str, str]:
        """What is wrong with files that the ledger names, by their names; those that are sound are left out."""
        digests = self.digests(source, table)
        found = {name: damage_of(Path(name), digests.get(name)) for name in self.files(source, table)}
        return {name: problem for name, problem in found.items() if problem}

    def quarantine(self, source: str, table: str) -> Quarantine:
        """The records of a table that were set aside."""
        return Quarantine(self._quarantine / source / table)

    def ids_now(self, source: type[ObjectSource], table: Table, condition: str, comparison: Comparison) -> set[str]:
        """The objects of a table that are not deleted and, as they are now, meet an SQL condition on its columns.

        A condition that is empty is met by all.
        """
        files = self.files(source.name, table.name)
        return comparison.ids_now(files, source.raw_schema(table), condition) if files else set()

    def keep(self, path: Path) -> None:
        """Have the disk keep a table's latest commit."""
        sync_commit(path)
        self._written.add(path)

    def tidy(self) -> None:
        """Compact the ledger and drop files that no reader can still be using.

        A table is looked through when it was written to, and once more when what its last commit replaced is old.
        """
        self.ledger.compact()
        self.settle()
        for path in (log.parent for log in self.root.glob("[!_]*/*/_delta_log")):
            # Else a commit left by a crash would pass for the table's state, and what the ledger names for old.
            self._roll_back_unrecorded(path.parent.name, path.name)
            version = version_of(path)
            if version is None:
                continue
            quiet_since = datetime.fromtimestamp(commit_of(path, version).stat().st_mtime, UTC)
            has_old_files = KEEP_OLD_FILES <= datetime.now(UTC) - quiet_since < 2 * KEEP_OLD_FILES
            if path in self._written or has_old_files:
                # In full: files that a killed landing left are in no commit.
                hours = int(KEEP_OLD_FILES.total_seconds() // 3600)
                DeltaTable(path).vacuum(retention_hours=hours, dry_run=False, full=True)
        self._written.clear()

    def settle(self) -> None:
        """Put in place what a crash left of the quarantine of landings that the ledger knows; drop that of others."""
        for folder in self._quarantine.glob("*/*"):
            self.settle_table(folder.parent.name, folder.name)

    def _roll_back_unrecorded(self, source: str, table: str) -> None:
        path = self.table_path(source, table)
        version, recorded = version_of(path), self.ledger.recorded(source, table)
        if version is not None and version == recorded:
            return
        integrity.check_table(self.ledger, self.root, source, table)
        if recorded is None:
            if path.exists():
                self._move_aside(path)
        elif version is not None and version > recorded and {*files_of(path, version)} != {*files_of(path, recorded)}:
            # Else it is rolled back already.
            DeltaTable(path).restore(recorded)

    def _is_whole(self, source: str, table: str, landed: Mapping[str, Any]) -> bool:
        """Whether a day is there as it landed: else it is mended by landing anew, as `verify` says."""
        digests = orjson.loads(landed["digests"])
        path = self.table_path(source, table)
        if any(damage_of(path / name, digest) for name, digest in digests.items()):
            return False
        try:
            set_aside = self.quarantine(source, table).lines(landed["day"])
        except (OSError, ValueError):
            return False
        return len(set_aside) == int(landed["quarantined"])

    def check_set_aside(self, source: str, table: str) -> None:
        """Raise LakeError where records of objects that were set aside are gone: only a full list tells them again."""
        noted = self.ledger.landed(source, table)["set_aside"].drop_null()
        wanted = noted[-1].as_py() if len(noted) else 0
        found = self.quarantine(source, table).records() if wanted else 0
        if found < wanted:
            raise LakeError(
                f"quarantine/{source}/{table} has {found} of the {wanted} records that were set aside",
                "restore quarantine/ from a backup, or have it told again: `tailtracker-bi refresh --relist`",
            )

    def _move_aside(self, path: Path) -> None:
        """Take a folder out of the lake without deleting what is in it."""
        home = self.root.parent
        target = home / "aside" / f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid4().hex[:6]}" / path.relative_to(home)
        target.parent.mkdir(parents=True)
        path.rename(target)

    def settle_table(self, source: str, table: str) -> None:
        """The same of one table."""

        def is_known(landing: int) -> bool:
            return landing in self.ledger.landed(source, table)["landing"].to_pylist()

        try:
            self.quarantine(source, table).settle(is_known)
        except IsADirectoryError as error:
            where = f"quarantine/{source}/{table} has a folder where a file of records belongs"
            raise LakeError(where, f"move away {error.filename2}") from None

    def digests_of_new(self, path: Path, version: int, known: Container[str]) -> dict[str, str]:
        """The SHA-256 of a version's files that are not known: Parquet as it is written here has no checksums."""
        found = {}
        for name in files_of(path, version):
            if name not in known:
                with Path(name).open("rb") as file:
                    found[str(Path(name).relative_to(path))] = hashlib.file_digest(file, "sha256").hexdigest()
        return found

    def table_path(self, source: str, table: str) -> Path:
        """Where a table is."""
        return self.root / source / table


def _is_same(days: Days, day: date, landed: Mapping[str, Any]) -> bool:
    """Whether a day came as it had landed, by the digest and the counts of both."""
    content = days.content.get(day)
    is_same = all(landed[name] == count for name, count in asdict(days.counts[day]).items())
    return is_same and content is not None and content == landed["content"]


def as_json(content: Mapping[str, str]) -> str:
    """How the ledger keeps a mapping."""
    return orjson.dumps(dict(content), option=orjson.OPT_SORT_KEYS).decode()


def reasons_of(set_aside: SetAside, of: date | None = None) -> str | None:
    """Why so many records were set aside, of one day or of all; None where none was."""
    counted = [
        {"day": str(day), "reason": mask_text(reason)[:LONGEST_REASON], "records": records}
        for (day, reason), records in sorted(set_aside.items())
        if of in {None, day}
    ]
    return orjson.dumps({"told": counted}).decode() if counted else None


def remarked(remarks: Sequence[Remark]) -> dict[str, object]:
    """What the ledger keeps of remarks."""
    return {
        "remark": "; ".join(map(str, remarks)) or None,
        "is_alarm": any(remark.is_alarm for remark in remarks),
    }


def accepted_against(doubt: str | None) -> list[Remark]:
    """Who took in, against what doubt: the ledger keeps it."""
    return [Remark(f"accepted by {getpass.getuser()}, though {doubt}")] if doubt else []
