"""The lake: what was received, whole days at a time, and the ledger that says which days are there.

    lake/<source>/<table>   Delta tables, partitioned by the source's own day
    lake/_landings          the ledger: one row for each day and attempt; the latest `landed` row of a day is that day
    quarantine/<source>/<table>/<day>.jsonl   records set aside, with their reason

Data is committed first, its ledger rows after: a day exists only by its row. Every reader takes the version that the
ledger names, so a commit without rows, left by a crash, is invisible, and the next landing rolls it back.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, write_deltalake
from pyarrow.dataset import dataset

from tailtracker_bi.sources.base import Days

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
        ("status", pa.string()),  # landed or failed
        ("reason", pa.string()),
        ("landed_at", pa.timestamp("us")),  # UTC, the real clock
    ]
)

KEEP_OLD_FILES = timedelta(days=7)
COMPACT_LEDGER_AT = 50


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
    """The lake below `home`. One process writes at a time: callers hold the lock of `pipeline.locked`."""

    def __init__(self, home: Path) -> None:
        self._root = home / "lake"
        self._quarantine = home / "quarantine"
        self._ledger_path = self._root / "_landings"

    def land(self, source: str, table: str, days: Days) -> None:
        """Replace these days, all in one commit, and then write their ledger rows."""
        for day, counts in days.counts.items():
            counts.check(f"{source}.{table} {day}")
        path = self._table_path(source, table)
        self._roll_back_unrecorded(source, table)
        write_deltalake(
            path,
            days.rows,
            mode="overwrite",
            predicate=f"day >= '{days.first}' and day <= '{days.last}'" if _exists(path) else None,
            partition_by=["day"],
        )
        self._set_aside(source, table, days)
        version = DeltaTable(path).version()
        self._record(
            {
                "source": source,
                "table_name": table,
                "day": day,
                "version": version,
                **asdict(counts),
                "status": "landed",
                "reason": None,
            }
            for day, counts in sorted(days.counts.items())
        )

    def note_failure(self, source: str, table: str, days: Iterable[date], reason: str) -> None:
        """Record that these days were tried and did not land; what landed before stays."""
        self._record(
            {"source": source, "table_name": table, "day": day, "status": "failed", "reason": reason} for day in days
        )

    def landings(self) -> pa.Table:
        """The whole ledger, in LANDINGS_SCHEMA, oldest first."""
        if not _exists(self._ledger_path):
            return LANDINGS_SCHEMA.empty_table()
        # Not `to_pyarrow_table`: it reads through Python file objects, and Arrow's threads that still hold one when the
        # interpreter goes kill the process ("terminate called without an active exception").
        files = dataset(DeltaTable(self._ledger_path).file_uris(), schema=LANDINGS_SCHEMA, format="parquet")
        return files.to_table().sort_by([("landing", "ascending"), ("day", "ascending")])

    def landed_days(self, source: str, table: str) -> set[date]:
        """The days that are there."""
        return set(self._landed(source, table)["day"].to_pylist())

    def failed_days(self, source: str, table: str) -> set[date]:
        """The days whose latest attempt failed, whether or not they are there from before."""
        latest = {row["day"]: row["status"] for row in self._attempts(source, table).to_pylist()}
        return {day for day, status in latest.items() if status == "failed"}

    def records_a_day(self, source: str, table: str) -> float | None:
        """How many records a day brought on average; None where no day is there."""
        mean: float | None = pc.mean(self._landed(source, table)["received"]).as_py()
        return mean

    def files(self, source: str, table: str) -> list[str]:
        """The Parquet files that hold what the ledger says is there; `day` stands in their paths."""
        versions = self._landed(source, table)["version"]
        if not len(versions):
            return []
        return DeltaTable(self._table_path(source, table), version=pc.max(versions).as_py()).file_uris()

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
        if _exists(self._ledger_path):
            ledger = DeltaTable(self._ledger_path)
            if len(ledger.file_uris()) >= COMPACT_LEDGER_AT:
                ledger.optimize.compact()
                ledger.create_checkpoint()
        for log in self._root.glob("[!_]*/*/_delta_log"):
            # Else a commit left by a crash would pass for the table's state, and what the ledger names for old.
            self._roll_back_unrecorded(log.parent.parent.name, log.parent.name)
            if not _exists(log.parent):
                continue
            table = DeltaTable(log.parent)
            table.vacuum(retention_hours=int(KEEP_OLD_FILES.total_seconds() // 3600), dry_run=False)

    def _attempts(self, source: str, table: str) -> pa.Table:
        rows = self.landings()
        return rows.filter(pc.and_(pc.equal(rows["source"], source), pc.equal(rows["table_name"], table)))

    def _landed(self, source: str, table: str) -> pa.Table:
        rows = self._attempts(source, table)
        return rows.filter(pc.equal(rows["status"], "landed"))

    def _roll_back_unrecorded(self, source: str, table: str) -> None:
        path = self._table_path(source, table)
        if not _exists(path):
            return
        recorded = pc.max(self._landed(source, table)["version"]).as_py()
        if recorded is None:
            shutil.rmtree(path)
        elif DeltaTable(path).version() > recorded:
            DeltaTable(path).restore(recorded)

    def _set_aside(self, source: str, table: str, days: Days) -> None:
        folder = self._quarantine / source / table
        for day in days.counts:
            (folder / f"{day}.jsonl").unlink(missing_ok=True)
        for batch in days.quarantine:
            folder.mkdir(parents=True, exist_ok=True)
            for row in batch.to_pylist():
                with (folder / f"{row['day']}.jsonl").open("ab") as file:
                    file.write(orjson.dumps({"reason": row["reason"], "record": row["record"]}) + b"\n")

    def _record(self, rows: Iterable[dict[str, object]]) -> None:
        landing = DeltaTable(self._ledger_path).version() + 1 if _exists(self._ledger_path) else 0
        landed_at = datetime.now(UTC).replace(tzinfo=None)
        full = [
            {**dict.fromkeys(LANDINGS_SCHEMA.names), "landing": landing, "landed_at": landed_at, **row} for row in rows
        ]
        write_deltalake(self._ledger_path, pa.Table.from_pylist(full, LANDINGS_SCHEMA), mode="append")

    def _table_path(self, source: str, table: str) -> Path:
        return self._root / source / table


def _exists(path: Path) -> bool:
    return DeltaTable.is_deltatable(str(path))
