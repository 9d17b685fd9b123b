"""The lake: what was received, and the ledger that says what is there.

    lake/<source>/<table>   Delta tables: days of events, partitioned by the source's own day, of which a day replaces a
                            day; or versions of objects, to which what differs is added
    lake/_landings          the ledger: one row for each day and attempt; the latest `landed` row of a day is that day.
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
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable, Schema, write_deltalake
from deltalake.exceptions import DeltaError
from deltalake.transaction import AddAction, create_table_with_add_actions
from pyarrow.dataset import dataset

from tailtracker_bi import durable
from tailtracker_bi.crash_points import reached
from tailtracker_bi.errors import TailTrackerError
from tailtracker_bi.lake.guards import changed_shape, doubtful_days, doubtful_deletions, doubtful_snapshot
from tailtracker_bi.lake.quarantine import Quarantine, SetAside
from tailtracker_bi.lake.versions import ids_now, new_versions
from tailtracker_bi.privacy import mask_text
from tailtracker_bi.sources import BadResponseError, Counts, Days, HeldError, ObjectSource, Remark, Table, Versions

LANDINGS_SCHEMA = pa.schema(
    [
        ("landing", pa.int64()),  # numbers the attempts; later is higher, whatever the clock says
        ("source", pa.string()),
        ("table_name", pa.string()),
        ("day", pa.date32()),
        ("version", pa.int64()),  # of the Delta table; null where nothing landed
        ("received", pa.int64()),
        ("loaded", pa.int64()),
        ("deduplicated", pa.int64()),
        ("filtered", pa.int64()),
        ("quarantined", pa.int64()),
        ("status", pa.string()),  # landed, failed or held
        ("reason", pa.string()),  # of what failed or is held
        ("landed_at", pa.timestamp("us")),  # UTC, the real clock
        ("as_of", pa.timestamp("us")),  # UTC, business time at which it was read
        ("remark", pa.string()),  # what is to be known of what landed
        ("is_alarm", pa.bool_()),  # whether somebody has to act on it
        ("shape", pa.string()),  # JSON: the columns of a table and their types in the source, or what was asked for
        ("digests", pa.string()),  # JSON: the data files that it wrote, and the SHA-256 of each
        ("set_aside", pa.int64()),  # records in quarantine since this landing: of the day, or of all objects
        ("set_aside_for", pa.string()),  # JSON: how many of them by day and reason
        ("chain", pa.string()),  # `chained` of the landing's rows and the landing before
    ]
)

REPEATED = ("event", "distinct_id", "device_id", "user_id", "platform", "country", "app_version", "slo", "service")
"""Columns whose values many rows share: others are not worth a dictionary."""
ROWS_PER_GROUP = 100_000

LONGEST_REASON = 200
"""Characters that the ledger keeps of why a record was set aside: a reason may quote what came."""

RESTORE = (
    "restore lake/ and quarantine/ whole from a backup, or move both away to have the sources tell anew what they "
    "still know; then `tailtracker-bi refresh --rebuild`"
)
"""What to do where only the lake knew what is gone."""
NEW_KEY = (
    "put back the right one, from a backup; if it is lost, move lake/ and quarantine/ away and "
    "`tailtracker-bi refresh --rebuild`: the sources tell what they still know"
)
"""What to do where the key of the pseudonyms is not the one that the lake was filled with."""
KEEP_OLD_FILES = timedelta(days=7)
COMPACT_AT = 50
"""Files of the ledger, or of a table of versions, that are worth being written as one."""


class LakeError(TailTrackerError):
    """The lake is not as its last landing left it: nothing may be written to it."""

    def __init__(self, wrong: str, mend: str = RESTORE) -> None:
        super().__init__(f"{wrong}: {mend}")
        self.wrong, self.mend = wrong, mend


@dataclass(frozen=True)
class Summary:
    """The state of one table: days that are there, and the latest attempt to land one."""

    days: int
    first_day: date | None
    last_day: date | None
    attempted_at: datetime | None
    status: str | None
    reason: str | None


class Lake:
    """The lake below `home`. One process writes at a time: callers hold the lock of `runs.locked`."""

    def __init__(self, home: Path) -> None:
        self.root = home / "lake"
        self._quarantine = home / "quarantine"
        self._ledger_path = self.root / "_landings"
        self._head = self.root / "head.json"
        self._key_check = self.root / "hash_key.check"
        self._read: tuple[int, pa.Table] | None = None
        """The ledger as last read, and its version."""

    def check(self) -> None:
        """Raise LakeError unless this is the lake that its last landing left, or what a crash made of it.

        Whoever writes asks first: a landing rolls back what the ledger does not know, and `tidy` deletes its files.
        """
        ledger = self.landings()
        last = self._last_landing()
        if last is not None:
            number, chain = last
            chains = ledger.filter(pc.equal(ledger["landing"], number))["chain"].to_pylist()
            if not chains or chains[0] != chain:
                wrong = "has another" if chains else "lacks"
                raise LakeError(f"lake/_landings {wrong} landing {number}, the last that this lake had")
        for broken in broken_links(ledger.to_pylist()):
            raise LakeError(f"lake/_landings: {broken}, or the one before it, is not as it was written")
        folders = [folder for folder in sorted(self.root.glob("[!_]*/*")) if folder.is_dir()]
        if not len(ledger) and len(folders) > 1:
            raise LakeError(f"lake/_landings is not there, or empty, and {len(folders)} tables are")
        landed = ledger.filter(pc.equal(ledger["status"], "landed")).group_by(["source", "table_name"]).aggregate([])
        recorded = zip(landed["source"].to_pylist(), landed["table_name"].to_pylist(), strict=True)
        for source, table in sorted({*recorded, *((folder.parent.name, folder.name) for folder in folders)}):
            self._check_table(source, table)

    @property
    def knows_hash_key(self) -> bool:
        """Whether anything has landed under a key of the pseudonyms that can be told from others."""
        return self._key_check.exists()

    def check_hash_key(self, key: bytes) -> None:
        """Raise LakeError for another key of the pseudonyms than that of the lake, which is the first it is told."""
        told = hmac.new(key, b"the key of this lake", hashlib.sha256).hexdigest()
        if not self.knows_hash_key:
            self.root.mkdir(parents=True, exist_ok=True)
            durable.write(self._key_check, told.encode())
            return
        try:
            is_same = self._key_check.read_bytes().strip() == told.encode()
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
    ) -> dict[date, str]:
        """Replace these days, all in one commit, and then write their ledger rows; those held back, and why.

        `as_of` is the business time at which they were read. `accepted` are days not held for this very reason.
        """
        for day, counts in days.counts.items():
            counts.check(f"{source}.{table} {day}")
        path = self._table_path(source, table)
        self._settle(source, table)
        self._roll_back_unrecorded(source, table)
        known = set(self.files(source, table))
        shape = None if days.shape is None else _json(days.shape)
        doubts = doubtful_days(days.counts, self._rows_by_day(source, table, shape))
        held = {day: reason for day, reason in doubts.items() if reason != (accepted or {}).get(day)}
        landing = sorted(days.counts.keys() - held.keys())
        set_aside = SetAside()
        if landing:
            _replace_days(path, _without(days.rows, held), landing)
            _sync(path)
            reached("lake.day.committed")
            records = _without(days.quarantine, held)
            set_aside = self.quarantine(source, table).draft_days(self._next_landing(), landing, records)
            reached("lake.day.set_aside")
        version = _version(path) if landing else None
        digests = self._digests_of_new(path, known) if landing else {}
        moment = as_of.replace(tzinfo=None) if as_of else None
        about = {"source": source, "table_name": table, "as_of": moment}
        rows: list[dict[str, object]] = [
            {**about, "day": day, "version": version, "status": "landed", **asdict(days.counts[day])}
            | {"set_aside": days.counts[day].quarantined, "set_aside_for": _reasons(set_aside, day), "shape": shape}
            | _remarked([*days.remarks.get(day, []), *_accepted(doubts.get(day))])
            | {"digests": _json({name: digest for name, digest in digests.items() if f"day={day}/" in name})}
            for day in landing
        ]
        rows += [{**about, "day": day, "status": "held", "reason": reason} for day, reason in sorted(held.items())]
        self._record(rows)
        reached("lake.day.recorded")
        self._settle(source, table)
        return held

    def land_versions(
        self,
        source: type[ObjectSource],
        table: Table,
        versions: Versions,
        as_of: datetime,
        spool: Path,
        accepted: str = "",
    ) -> Counts:
        """Add what is new of a table's objects, in one commit, and then write the ledger row; what became of it all.

        Raises HeldError for what looks wrong beside what is there, unless its text is what a person has accepted, and
        BadResponseError for a snapshot of which nothing can be used.
        """
        path = self._table_path(source.name, table.name)
        self._settle(source.name, table.name)
        self._roll_back_unrecorded(source.name, table.name)
        known = self.files(source.name, table.name)
        if not versions.is_snapshot:
            self._check_set_aside(source.name, table.name)
        is_worn = len(known) >= COMPACT_AT
        doubts, remarks = [], [*versions.remarks]
        if versions.shape is not None:
            doubt, noticed = changed_shape(versions.shape, self._shape(source, table), len(versions.unreadable))
            doubts.append(doubt)
            remarks += noticed
        doubts.append(versions.doubt)
        with new_versions(
            table,
            versions,
            known,
            source.raw_schema(table),
            landing=self._next_landing(),
            as_of=as_of,
            spool=spool,
            with_known=is_worn,
        ) as (rows, counts, had, gone):
            counts.check(f"{source.name}.{table.name}")
            if versions.is_snapshot:
                doubts.append(doubtful_snapshot(versions.counts.received, had))
            else:
                doubts.append(doubtful_deletions(gone, had))
            doubt = "; ".join(filter(None, doubts))
            if doubt and doubt != accepted:
                raise HeldError(f"{source.name}: {table.name}: {doubt}", counts.received)
            received = versions.counts.received
            if versions.is_snapshot and received and versions.counts.quarantined == received:
                reason = versions.quarantine.read_next_batch()["reason"][0]
                raise BadResponseError(f"{source.name}: {table.name}: none of {received} rows can be used: {reason}")
            if counts.loaded or _version(path) is None:
                write_deltalake(path, rows, mode="overwrite" if is_worn else "append")
                _sync(path)
            reached("lake.version.committed")
        set_aside = self.quarantine(source.name, table.name).draft_objects(
            self._next_landing(), versions.quarantine, is_snapshot=versions.is_snapshot
        )
        reached("lake.version.set_aside")
        self._record(
            [
                {
                    "source": source.name,
                    "table_name": table.name,
                    "day": as_of.date(),
                    "version": _version(path),
                    **asdict(counts),
                    "status": "landed",
                    "as_of": as_of.replace(tzinfo=None),
                    "set_aside": set_aside.total(),
                    "set_aside_for": _reasons(set_aside),
                    "shape": None if versions.shape is None else _json(versions.shape),
                    "digests": _json(self._digests_of_new(path, set(known)) if counts.loaded else {}),
                }
                | _remarked([*remarks, *_accepted(doubt)])
            ]
        )
        reached("lake.version.recorded")
        self._settle(source.name, table.name)
        return counts

    def note_failure(self, source: str, table: str, days: Iterable[date], reason: str, status: str = "failed") -> None:
        """Record that these days were tried and did not land, or are held; what landed before stays."""
        self._record(
            {"source": source, "table_name": table, "day": day, "status": status, "reason": reason} for day in days
        )
        reached("lake.failure.recorded")

    def landings(self) -> pa.Table:
        """The whole ledger, in LANDINGS_SCHEMA, oldest first."""
        version = _version(self._ledger_path)
        if version is None:
            return LANDINGS_SCHEMA.empty_table()
        # Not `to_pyarrow_table`: it reads through Python file objects, and Arrow's threads that still hold one when the
        # interpreter goes kill the process ("terminate called without an active exception").
        if self._read is None or self._read[0] != version:
            try:
                files = _files_of(DeltaTable(self._ledger_path, version=version))
                rows = dataset(files, schema=LANDINGS_SCHEMA, format="parquet").to_table()
            except (DeltaError, pa.ArrowException, OSError) as error:
                raise LakeError(f"lake/_landings can't be read ({type(error).__name__})") from None
            self._read = version, rows.sort_by([("landing", "ascending"), ("day", "ascending")])
        return self._read[1]

    def attempts(self, source: str, table: str) -> list[dict[str, Any]]:
        """The ledger's rows of a table, oldest first."""
        rows: list[dict[str, Any]] = self._attempts(source, table).to_pylist()
        return rows

    @property
    def is_empty(self) -> bool:
        """Whether nothing has ever landed."""
        return "landed" not in self.landings()["status"].to_pylist()

    def landed_days(self, source: str, table: str) -> set[date]:
        """The days that are there."""
        return set(self._landed(source, table)["day"].to_pylist())

    def landed_as_of(self, source: str, table: str) -> dict[date, datetime | None]:
        """The days that are there, each with when it was last read, in UTC; None where that was not told."""
        rows = self._landed(source, table)
        moments = (moment and moment.replace(tzinfo=UTC) for moment in rows["as_of"].to_pylist())
        return dict(zip(rows["day"].to_pylist(), moments, strict=True))

    def troubled_days(self, source: str, table: str) -> dict[date, str]:
        """The days whose latest attempt failed or is held, each with which; they may be there from before."""
        latest = {row["day"]: row["status"] for row in self._attempts(source, table).to_pylist()}
        return {day: status for day, status in latest.items() if status != "landed"}

    def synced_at(self, source: str, table: str) -> datetime | None:
        """As of when the objects of a table were last brought up to date, in UTC; None where they never were."""
        moments = self._landed(source, table)["as_of"].drop_null()
        # The latest landing's, not the greatest: a clock may have been ahead.
        return moments[-1].as_py().replace(tzinfo=UTC) if len(moments) else None

    def records_a_day(self, source: str, table: str) -> float | None:
        """How many records a day brought on average; None where no day is there."""
        mean: float | None = pc.mean(self._landed(source, table)["received"]).as_py()
        return mean

    def files(self, source: str, table: str) -> list[str]:
        """The Parquet files that hold what the ledger says is there; `day` stands in their paths."""
        versions = self._landed(source, table)["version"]
        if not len(versions):
            return []
        return _files_of(DeltaTable(self._table_path(source, table), version=pc.max(versions).as_py()))

    def digests(self, source: str, table: str) -> dict[str, str]:
        """The SHA-256 of the files as they were written, by the names that `files` gives them."""
        root = self._table_path(source, table)
        told = self._landed(source, table)["digests"].drop_null().to_pylist()
        return {str(root / name): digest for one in told for name, digest in orjson.loads(one).items()}

    def damage(self, source: str, table: str) -> dict[str, str]:
        """What is wrong with files that the ledger names, by their names; those that are sound are left out."""
        digests = self.digests(source, table)
        found = {name: _damage(Path(name), digests.get(name)) for name in self.files(source, table)}
        return {name: problem for name, problem in found.items() if problem}

    def quarantine(self, source: str, table: str) -> Quarantine:
        """The records of a table that were set aside."""
        return Quarantine(self._quarantine / source / table)

    def ids_now(self, source: type[ObjectSource], table: Table, condition: str, spool: Path) -> set[str]:
        """The objects of a table that are not deleted and, as they are now, meet an SQL condition on its columns.

        A condition that is empty is met by all.
        """
        files = self.files(source.name, table.name)
        return ids_now(files, source.raw_schema(table), condition, spool) if files else set()

    def summary(self, source: str, table: str) -> Summary:
        """What is there of a table, and how the latest attempt on it went."""
        attempts = self._attempts(source, table)
        days = self.landed_days(source, table)
        last = attempts.slice(len(attempts) - 1).to_pylist()[0] if len(attempts) else {}
        return Summary(
            days=len(days),
            first_day=min(days, default=None),
            last_day=max(days, default=None),
            attempted_at=last.get("landed_at"),
            status=last.get("status"),
            reason=last.get("reason"),
        )

    def tidy(self) -> None:
        """Compact the ledger and drop files that no reader can still be using."""
        if _version(self._ledger_path) is not None:
            ledger = DeltaTable(self._ledger_path)
            if len(ledger.file_uris()) >= COMPACT_AT:
                ledger.optimize.compact()
                ledger.create_checkpoint()
        self.settle()
        for log in self.root.glob("[!_]*/*/_delta_log"):
            # Else a commit left by a crash would pass for the table's state, and what the ledger names for old.
            self._roll_back_unrecorded(log.parent.parent.name, log.parent.name)
            if _version(log.parent) is None:
                continue
            table = DeltaTable(log.parent)
            # In full: files that a killed landing left are in no commit.
            table.vacuum(retention_hours=int(KEEP_OLD_FILES.total_seconds() // 3600), dry_run=False, full=True)

    def settle(self) -> None:
        """Put in place what a crash left of the quarantine of landings that the ledger knows; drop that of others."""
        for folder in self._quarantine.glob("*/*"):
            self._settle(folder.parent.name, folder.name)

    def _attempts(self, source: str, table: str) -> pa.Table:
        rows = self.landings()
        return rows.filter(pc.and_(pc.equal(rows["source"], source), pc.equal(rows["table_name"], table)))

    def _landed(self, source: str, table: str) -> pa.Table:
        rows = self._attempts(source, table)
        return rows.filter(pc.equal(rows["status"], "landed"))

    def _rows_by_day(self, source: str, table: str, shape: str | None) -> dict[date, int]:
        """The rows of the days that are there and of this shape."""
        latest = {row["day"]: row for row in self._landed(source, table).to_pylist()}
        return {day: row["loaded"] for day, row in latest.items() if row["shape"] == shape}

    def _shape(self, source: type[ObjectSource], table: Table) -> dict[str, str]:
        """The columns and types that a table had when it last landed; none where that was not told."""
        shapes = self._landed(source.name, table.name)["shape"].drop_null()
        return dict(orjson.loads(shapes[-1].as_py())) if len(shapes) else {}

    def _roll_back_unrecorded(self, source: str, table: str) -> None:
        path = self._table_path(source, table)
        self._check_table(source, table)
        version, recorded = _version(path), self._recorded(source, table)
        if recorded is None:
            if path.exists():
                self._move_aside(path)
        elif version is not None and version > recorded:
            now, wanted = DeltaTable(path), DeltaTable(path, version=recorded)
            if {*now.file_uris()} != {*wanted.file_uris()}:  # else it is rolled back already
                now.restore(recorded)

    def _files_landed(self, source: str, table: str) -> set[str] | None:
        """The files of a table of days, by the ledger; None where a day landed before it noted them."""
        landed = self._landed(source, table)
        latest = dict(zip(landed["day"].to_pylist(), landed["digests"].to_pylist(), strict=True))
        if None in latest.values():
            return None
        return {name for digests in latest.values() for name in orjson.loads(digests)}

    def _recorded(self, source: str, table: str) -> int | None:
        """The version of a table that the ledger names."""
        found: int | None = pc.max(self._landed(source, table)["version"]).as_py()
        return found

    def _check_table(self, source: str, table: str) -> None:
        """Raise LakeError where a table lacks what the ledger names, or has more beyond it than a crash leaves."""
        path, recorded = self._table_path(source, table), self._recorded(source, table)
        version, where = _version(path), f"lake/{source}/{table}"
        if recorded is not None:
            try:
                if version is None or version < recorded:
                    raise DeltaError
                known = DeltaTable(path, version=recorded)
                files = [str(Path(name).relative_to(path)) for name in _files_of(known)]
                actions = known.get_add_actions(flatten=True)
                rows, sizes = actions["num_records"].to_pylist(), actions["size_bytes"].to_pylist()
                names = [unquote(name) for name in actions["path"].to_pylist()]
            except (DeltaError, OSError, KeyError, ValueError):
                raise LakeError(f"{where} lacks version {recorded}, which the ledger names") from None
            # A commit that was cut says less than it did, and Delta takes an empty one for one that changes nothing.
            if known.metadata().partition_columns == ["day"]:
                wanted = self._files_landed(source, table)
                if wanted is not None and wanted != set(files):
                    raise LakeError(f"{where} has other files in version {recorded} than the ledger names")
            elif None not in rows and sum(rows) != (landed := pc.sum(self._landed(source, table)["loaded"]).as_py()):
                raise LakeError(f"{where} has {sum(rows)} rows in version {recorded}, and the ledger says {landed}")
            else:
                # Days can be pulled again; of versions what is lost shows nowhere else.
                for name, size in zip(names, sizes, strict=True):
                    if not (path / name).is_file() or (path / name).stat().st_size != size:
                        raise LakeError(f"{where}/{name} is not as it was written")
        unknown = 0
        for number in range(0 if recorded is None else recorded + 1, -1 if version is None else version + 1):
            changes, restores = _committed(path, number)
            unknown = 0 if restores else unknown + changes
        if unknown > 1:
            raise LakeError(
                f"{where} has {unknown} commits that the ledger does not know, and a crash leaves one: lake/_landings "
                "is older than this table, or of another lake"
            )

    def _check_set_aside(self, source: str, table: str) -> None:
        """Raise LakeError where records of objects that were set aside are gone: only a full list tells them again."""
        told = self._landed(source, table)["set_aside"].drop_null()
        wanted = told[-1].as_py() if len(told) else 0
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

    def _settle(self, source: str, table: str) -> None:
        def is_known(landing: int) -> bool:
            return landing in self._landed(source, table)["landing"].to_pylist()

        try:
            self.quarantine(source, table).settle(is_known)
        except IsADirectoryError as error:
            where = f"quarantine/{source}/{table} has a folder where a file of records belongs"
            raise LakeError(where, f"move away {error.filename2}") from None

    def _digests_of_new(self, path: Path, known: Container[str]) -> dict[str, str]:
        """The SHA-256 of the table's files that are not known: Parquet as it is written here has no checksums."""
        found = {}
        for name in _files_of(DeltaTable(path)):
            if name not in known:
                with Path(name).open("rb") as file:
                    found[str(Path(name).relative_to(path))] = hashlib.file_digest(file, "sha256").hexdigest()
        return found

    def _next_landing(self) -> int:
        version = _version(self._ledger_path)
        return 0 if version is None else version + 1

    def _record(self, rows: Iterable[dict[str, object]]) -> None:
        landing = self._next_landing()
        landed_at = datetime.now(UTC).replace(tzinfo=None)
        full = [
            {**dict.fromkeys(LANDINGS_SCHEMA.names), "landing": landing, "landed_at": landed_at, **row} for row in rows
        ]
        if not full:
            return
        known = self.landings()
        before = known["chain"][-1].as_py() if len(known) else None
        added = pa.Table.from_pylist(full, LANDINGS_SCHEMA).sort_by("day")
        chain = pa.array([chained(before, added.to_pylist())] * len(added), pa.string())
        added = added.set_column(added.schema.get_field_index("chain"), "chain", chain)
        # Merged: the ledger of an older version has fewer columns.
        write_deltalake(self._ledger_path, added, mode="append", schema_mode="merge")
        _sync(self._ledger_path)
        durable.write(self._head, orjson.dumps({"landing": landing, "chain": chain[0].as_py()}))
        # Else it would be read from its files again after each landing, which takes longer than most landings.
        self._read = landing, pa.concat_tables([known, added])

    def _last_landing(self) -> tuple[int, str | None] | None:
        """The last landing and its chain, as noted beside the ledger; None where there is no such note to be read."""
        try:
            told = orjson.loads(self._head.read_bytes())
            return int(told["landing"]), told["chain"]
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def _table_path(self, source: str, table: str) -> Path:
        return self.root / source / table


def chained(before: str | None, rows: Sequence[Mapping[str, Any]]) -> str:
    """The SHA-256 of a landing's rows, ordered by day, and of the chain before: who changes, adds or takes away a row
    breaks it, unless it is the end that goes. Columns that a row has no value in do not count, so that new ones change
    nothing.
    """
    told = [{name: value for name, value in row.items() if value is not None and name != "chain"} for row in rows]
    return hashlib.sha256(orjson.dumps([before, told], option=orjson.OPT_SORT_KEYS)).hexdigest()


def broken_links(ledger: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Landings that do not follow from the one before, oldest first; the rows of older versions are not chained."""
    before = None
    for landing, group in groupby(ledger, key=itemgetter("landing")):
        rows = list(group)
        chains = {row["chain"] for row in rows}
        if chains == {None} and before is None:
            continue
        if chains != {chained(before, rows)}:
            titles = sorted({f"{row['source']}.{row['table_name']}" for row in rows})
            yield f"landing {landing} of {', '.join(titles)}"
        before = rows[-1]["chain"]


def _damage(file: Path, digest: str | None) -> str:
    """What is wrong with a file of the lake; empty where nothing is. Without a digest it is read to its end."""
    try:
        if digest is None:
            pq.ParquetFile(file).read()
            return ""
        with file.open("rb") as content:
            return "" if hashlib.file_digest(content, "sha256").hexdigest() == digest else "is not as it was written"
    except FileNotFoundError:
        return "is not there"
    except Exception as error:
        return f"can't be read ({type(error).__name__})"


def _without(rows: pa.RecordBatchReader, days: Mapping[date, object]) -> pa.RecordBatchReader:
    """The rows of all other days."""
    if not days:
        return rows
    left_out = pa.array(sorted(days), pa.date32())

    def others() -> Iterator[pa.RecordBatch]:
        for batch in rows:
            yield batch.filter(pc.invert(pc.is_in(batch["day"], left_out)))

    return pa.RecordBatchReader.from_batches(rows.schema, others())


def _replace_days(path: Path, rows: pa.RecordBatchReader, days: Sequence[date]) -> None:
    """Replace these days of a Delta table in one commit.

    The files are written as rows come: delta-rs' own writer would hold all of them in memory.
    """
    schema, landing = rows.schema, uuid4()
    files = {day: Path(f"day={day}", f"{landing}.parquet") for day in days}
    counts = dict.fromkeys(days, 0)
    with ExitStack() as stack:
        writers: dict[date, pq.ParquetWriter] = {}
        for batch in rows:
            for day in pc.unique(batch["day"]).to_pylist():
                own = batch.filter(pc.equal(batch["day"], day)).drop_columns(["day"])
                if day not in writers:
                    (path / files[day]).parent.mkdir(parents=True, exist_ok=True)
                    repeated = [name for name in REPEATED if name in schema.names]
                    writer = pq.ParquetWriter(path / files[day], own.schema, use_dictionary=repeated)
                    writers[day] = stack.enter_context(writer)
                writers[day].write_batch(own, row_group_size=ROWS_PER_GROUP)
                counts[day] += len(own)
    written = [
        AddAction(
            path=str(files[day]),
            size=(path / files[day]).stat().st_size,
            partition_values={"day": str(day)},
            modification_time=int(datetime.now(UTC).timestamp() * 1000),
            data_change=True,
            stats=orjson.dumps({"numRecords": counts[day]}).decode(),
        )
        for day in writers
    ]
    if _version(path) is None:
        create_table_with_add_actions(str(path), Schema.from_arrow(schema), written, partition_by=["day"])
    else:
        DeltaTable(path).create_write_transaction(
            [*written], "overwrite", schema, ["day"], partition_filters=[("day", "in", list(map(str, days)))]
        )


def _json(content: Mapping[str, str]) -> str:
    return orjson.dumps(dict(content), option=orjson.OPT_SORT_KEYS).decode()


def _reasons(set_aside: SetAside, of: date | None = None) -> str | None:
    """Why so many records were set aside, of one day or of all; None where none was."""
    told = [
        {"day": str(day), "reason": mask_text(reason)[:LONGEST_REASON], "records": records}
        for (day, reason), records in sorted(set_aside.items())
        if of in {None, day}
    ]
    return orjson.dumps({"told": told}).decode() if told else None


def _remarked(remarks: Sequence[Remark]) -> dict[str, object]:
    return {
        "remark": "; ".join(map(str, remarks)) or None,
        "is_alarm": any(remark.is_alarm for remark in remarks),
    }


def _accepted(doubt: str | None) -> list[Remark]:
    """Who took in, against what doubt: the ledger keeps it."""
    return [Remark(f"accepted by {getpass.getuser()}, though {doubt}")] if doubt else []


def _committed(path: Path, version: int) -> tuple[bool, bool]:
    """Whether a commit of a Delta table changes its rows, and whether it restores an earlier version."""
    try:
        actions = [orjson.loads(line) for line in _commit(path, version).read_bytes().split(b"\n") if line]
    except (OSError, ValueError):
        return True, False
    told = {name: content for action in actions for name, content in action.items()}
    changes = any(told.get(name, {}).get("dataChange") for name in ("add", "remove"))
    return changes or version == 0, told.get("commitInfo", {}).get("operation") == "RESTORE"


def _sync(path: Path) -> None:
    """Have the disk keep a Delta table's latest commit and its files, before the ledger speaks of them."""
    version = _version(path)
    if version is None:
        return
    commit = _commit(path, version)
    actions = [orjson.loads(line) for line in commit.read_bytes().split(b"\n") if line]
    files = {path / unquote(action["add"]["path"]) for action in actions if "add" in action}
    for file in files:
        durable.sync(file)
    for folder in {file.parent for file in files}:
        durable.sync(folder)
    durable.sync(commit)
    durable.sync(commit.parent)


def _commit(path: Path, version: int) -> Path:
    return path / "_delta_log" / f"{version:020}.json"


def _files_of(table: DeltaTable) -> list[str]:
    """The data files of a version, as the disk has their names: Delta gives a blank in the way to them as %20."""
    return [unquote(name) for name in table.file_uris()]


def _version(path: Path) -> int | None:
    """The latest version of a Delta table, None where there is none: the names of its commits, which say so by Delta's
    protocol. Opening the table for it costs milliseconds, many times a landing.
    """
    return max((int(commit.stem) for commit in path.glob(f"_delta_log/{'[0-9]' * 20}.json")), default=None)
