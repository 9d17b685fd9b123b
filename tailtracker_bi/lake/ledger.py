"""The ledger: a row for each day and attempt, which says what is there.

The latest `landed` row of a day is that day. An `unchanged` row says that the day was read again since and had not
changed: it has the same counts, and nothing of its own that landed. Of objects there is a `landed` row for each time
they were brought up to date, under the UTC day of that. Each landing carries a hash of itself and of the one before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError
from pyarrow.dataset import dataset

from tailtracker_bi import durable
from tailtracker_bi.errors import TailTrackerError
from tailtracker_bi.lake.tables import files_of, sync_commit, version_of
from tailtracker_bi.sources import ObjectSource, Table

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
        ("status", pa.string()),  # landed, unchanged, failed or held
        ("reason", pa.string()),  # of what failed or is held
        ("landed_at", pa.timestamp("us")),  # UTC, the real clock: when it landed, was seen unchanged, or failed
        ("as_of", pa.timestamp("us")),  # UTC, business time at which it was read
        ("remark", pa.string()),  # what is to be known of what landed
        ("is_alarm", pa.bool_()),  # whether somebody has to act on it
        ("shape", pa.string()),  # JSON: the columns of a table and their types in the source, or what was asked for
        ("digests", pa.string()),  # JSON: the data files that it wrote, and the SHA-256 of each
        ("set_aside", pa.int64()),  # records in quarantine since this landing: of the day, or of all objects
        ("set_aside_for", pa.string()),  # JSON: how many of them by day and reason
        ("content", pa.string()),  # a digest of what the source told, by which it is known again
        ("chain", pa.string()),  # `chained` of the landing's rows and the landing before
    ]
)

WITHIN_A_LANDING = ("day", "source", "table_name")
"""What orders the rows of a landing, for its chain: they are of a table's days, or of a source's tables."""
READ = ("landed", "unchanged")
"""The statuses of attempts that read what there is to read."""
RESTORE = (
    "restore lake/ and quarantine/ whole from a backup, or move both away to have the sources tell anew what they "
    "still know; then `tailtracker-bi refresh --rebuild`"
)
"""What to do where only the lake knew what is gone."""
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


class Ledger:
    """The ledger of a lake, whose folder is `root`: what was tried, and what came of it."""

    def __init__(self, root: Path) -> None:
        self._path = root / "_landings"
        self._head = root / "head.json"
        self._read: tuple[int, pa.Table] | None = None
        """The ledger as last read, and its version."""
        self._of_table: dict[tuple[str, str], tuple[pa.Table, pa.Table]] = {}
        """Of the ledger as last read, the rows of each table that was asked for, and those of them that landed."""

    def landings(self) -> pa.Table:
        """The whole ledger, in LANDINGS_SCHEMA, oldest first."""
        version = version_of(self._path)
        if version is None:
            return LANDINGS_SCHEMA.empty_table()
        # Not `to_pyarrow_table`: it reads through Python file objects, and Arrow's threads that still hold one when the
        # interpreter goes kill the process ("terminate called without an active exception").
        if self._read is None or self._read[0] != version:
            try:
                files = files_of(self._path, version)
                rows = dataset(files, schema=LANDINGS_SCHEMA, format="parquet").to_table()
            except (DeltaError, pa.ArrowException, OSError) as error:
                raise LakeError(f"lake/_landings can't be read ({type(error).__name__})") from None
            self._read = version, rows.sort_by([(name, "ascending") for name in ("landing", *WITHIN_A_LANDING)])
            self._of_table.clear()
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
        return set(self.landed(source, table)["day"].to_pylist())

    def landed_as_of(self, source: str, table: str) -> dict[date, datetime | None]:
        """The days that are there, each with when it was last read, in UTC; None where that was not told."""
        rows = self._attempts(source, table)
        rows = rows.filter(pc.is_in(rows["status"], pa.array(READ)))
        moments = (moment and moment.replace(tzinfo=UTC) for moment in rows["as_of"].to_pylist())
        return dict(zip(rows["day"].to_pylist(), moments, strict=True))

    def troubled_days(self, source: str, table: str) -> dict[date, str]:
        """The days whose latest attempt failed or is held, each with which; they may be there from before."""
        latest = {row["day"]: row["status"] for row in self._attempts(source, table).to_pylist()}
        return {day: status for day, status in latest.items() if status not in READ}

    def synced_at(self, source: str, table: str) -> datetime | None:
        """As of when the objects of a table were last brought up to date, in UTC; None where they never were."""
        moments = self.landed(source, table)["as_of"].drop_null()
        # The latest landing's, not the greatest: a clock may have been ahead.
        return moments[-1].as_py().replace(tzinfo=UTC) if len(moments) else None

    def last(self, source: str, table: str) -> dict[str, Any] | None:
        """The latest landing of a table; None where nothing of it has landed."""
        rows = self.landed(source, table)
        return dict(rows.slice(len(rows) - 1).to_pylist()[0]) if len(rows) else None

    def latest_as_of(self, source: str, table: str) -> datetime | None:
        """The latest moment, without time zone, as of which a table was ever brought up to date."""
        found: datetime | None = pc.max(self.landed(source, table)["as_of"]).as_py()
        return found

    def records_a_day(self, source: str, table: str) -> float | None:
        """How many records a day brought on average; None where no day is there."""
        mean: float | None = pc.mean(self.landed(source, table)["received"]).as_py()
        return mean

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

    def last_landing(self) -> tuple[int, str | None] | None:
        """The last landing and its chain, as noted beside the ledger; None where there is no such note to be read."""
        try:
            head = orjson.loads(self._head.read_bytes())
            return int(head["landing"]), head["chain"]
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def _rows_of(self, source: str, table: str) -> tuple[pa.Table, pa.Table]:
        rows = self.landings()
        if (source, table) not in self._of_table:
            is_of_table = pc.and_(pc.equal(rows["source"], source), pc.equal(rows["table_name"], table))
            own = rows.filter(is_of_table)
            self._of_table[source, table] = own, own.filter(pc.equal(own["status"], "landed"))
        return self._of_table[source, table]

    def _attempts(self, source: str, table: str) -> pa.Table:
        return self._rows_of(source, table)[0]

    def landed(self, source: str, table: str) -> pa.Table:
        """The landings of a table, oldest first."""
        return self._rows_of(source, table)[1]

    def days(self, source: str, table: str) -> dict[date, dict[str, Any]]:
        """By day, the latest landing of each that is there."""
        return {row["day"]: row for row in self.landed(source, table).to_pylist()}

    def shape(self, source: type[ObjectSource], table: Table) -> dict[str, str]:
        """The columns and types that a table had when it last landed; none where that was not told."""
        shapes = self.landed(source.name, table.name)["shape"].drop_null()
        return dict(orjson.loads(shapes[-1].as_py())) if len(shapes) else {}

    def files_landed(self, source: str, table: str) -> set[str] | None:
        """The files of a table of days, by the ledger; None where a day landed before it noted them."""
        landed = self.landed(source, table)
        latest = dict(zip(landed["day"].to_pylist(), landed["digests"].to_pylist(), strict=True))
        if None in latest.values():
            return None
        return {name for digests in latest.values() for name in orjson.loads(digests)}

    def recorded(self, source: str, table: str) -> int | None:
        """The version of a table that the ledger names."""
        found: int | None = pc.max(self.landed(source, table)["version"]).as_py()
        return found

    def next_landing(self) -> int:
        version = version_of(self._path)
        return 0 if version is None else version + 1

    def record(self, rows: Iterable[dict[str, object]]) -> None:
        landing = self.next_landing()
        landed_at = datetime.now(UTC).replace(tzinfo=None)
        full = [
            {**dict.fromkeys(LANDINGS_SCHEMA.names), "landing": landing, "landed_at": landed_at, **row} for row in rows
        ]
        if not full:
            return
        known = self.landings()
        before = known["chain"][-1].as_py() if len(known) else None
        added = pa.Table.from_pylist(full, LANDINGS_SCHEMA).sort_by([(name, "ascending") for name in WITHIN_A_LANDING])
        chain = pa.array([chained(before, added.to_pylist())] * len(added), pa.string())
        added = added.set_column(added.schema.get_field_index("chain"), "chain", chain)
        # Merged: the ledger of an older version has fewer columns.
        write_deltalake(self._path, added, mode="append", schema_mode="merge")
        sync_commit(self._path)
        durable.write(self._head, orjson.dumps({"landing": landing, "chain": chain[0].as_py()}))
        # Else it would be read from its files again after each landing, which takes longer than most landings.
        self._read = landing, pa.concat_tables([known, added])
        self._of_table.clear()

    def compact(self) -> None:
        """Write its many small files as one, where there are many."""
        if version_of(self._path) is not None:
            ledger = DeltaTable(self._path)
            if len(ledger.file_uris()) >= COMPACT_AT:
                ledger.optimize.compact()
                ledger.create_checkpoint()


def chained(before: str | None, rows: Sequence[Mapping[str, Any]]) -> str:
    """The SHA-256 of a landing's rows, in their order, and of the chain before: who changes, adds or takes away a row
    breaks it, unless it is the end that goes. Columns that a row has no value in do not count, so that new ones change
    nothing.
    """
    content = [{name: value for name, value in row.items() if value is not None and name != "chain"} for row in rows]
    return hashlib.sha256(orjson.dumps([before, content], option=orjson.OPT_SORT_KEYS)).hexdigest()


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
