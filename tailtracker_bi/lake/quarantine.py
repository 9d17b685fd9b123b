"""Quarantine: the records of a table that were set aside, by day, each with its reason.

A landing writes a draft, which the landing's number names. It is put in its place once the ledger knows that landing,
and dropped if it never does: so a landing that a crash broke off, whose rows are rolled back, leaves the quarantine as
it was.
"""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import orjson
import pyarrow as pa

DRAFT = ".landing-"
"""How the name of a draft's folder begins."""

SetAside = Counter[tuple[date, str]]
"""How many records are in quarantine, by day and reason."""


@dataclass(frozen=True)
class Quarantine:
    """The quarantine of one table: `<day>.jsonl` in its folder; a day without records has no file."""

    folder: Path

    def file(self, day: date) -> Path:
        """Where the records of a day are."""
        return self.folder / f"{day}.jsonl"

    def days(self) -> set[date]:
        """The days that have records."""
        return {date.fromisoformat(file.stem) for file in self.folder.glob("*.jsonl")}

    def lines(self, day: date) -> list[bytes]:
        """The lines of a day, each a record and its reason. Raises OSError or ValueError where they can't be read."""
        file = self.file(day)
        found = file.read_bytes().splitlines() if file.exists() else []
        for line in found:
            orjson.loads(line)
        return found

    def records(self) -> int:
        """How many records there are, those that stand there several times once."""
        return len({_digest(line) for day in self.days() for line in self.file(day).read_bytes().split(b"\n") if line})

    def draft_days(self, landing: int, days: Iterable[date], records: pa.RecordBatchReader) -> SetAside:
        """Draft the quarantine of days that land anew, in QUARANTINE_SCHEMA; what it holds of them."""
        draft = self._draft(landing, replacing=days)
        held = SetAside()
        for day, reason, line in _lines(records):
            held[day, reason] += 1
            _append(draft / self.file(day).name, line)
        return held

    def draft_objects(self, landing: int, records: pa.RecordBatchReader, *, is_snapshot: bool) -> SetAside:
        """Draft the quarantine of objects, each record once; what there is then of the whole table.

        A snapshot tells of everything again.
        """
        days = self.days()
        draft = self._draft(landing, replacing=days if is_snapshot else ())
        held, known = SetAside(), set[bytes]()
        for day in () if is_snapshot else days:
            with self.file(day).open("rb") as lines:
                for line in lines:
                    known.add(_digest(line))
                    held[day, orjson.loads(line)["reason"]] += 1
        for day, reason, line in _lines(records):
            if _digest(line) in known:
                continue
            known.add(_digest(line))
            held[day, reason] += 1
            drafted = draft / self.file(day).name
            if day in days and not drafted.exists():
                shutil.copyfile(self.file(day), drafted)
            _append(drafted, line)
        return held

    def settle(self, is_known: Callable[[int], bool]) -> None:
        """Put drafts in their place whose landing is known, and drop the others."""
        for draft in self.folder.glob(f"{DRAFT}*"):
            for drafted in draft.iterdir() if is_known(int(draft.name.removeprefix(DRAFT))) else ():
                file = self.folder / drafted.name
                if drafted.stat().st_size:
                    drafted.replace(file)
                else:
                    file.unlink(missing_ok=True)
            shutil.rmtree(draft)
            if not any(self.folder.iterdir()):
                self.folder.rmdir()

    def _draft(self, landing: int, replacing: Iterable[date]) -> Path:
        """A folder for a draft; of the days to replace it has an empty file so far."""
        draft = self.folder / f"{DRAFT}{landing}"
        draft.mkdir(parents=True)
        for day in replacing:
            (draft / self.file(day).name).touch()
        return draft


def _lines(records: pa.RecordBatchReader) -> Iterator[tuple[date, str, bytes]]:
    """The day, the reason, and the line of the file of each record."""
    for batch in records:
        for row in batch.to_pylist():
            yield row["day"], row["reason"], orjson.dumps({"reason": row["reason"], "record": row["record"]}) + b"\n"


def _append(file: Path, line: bytes) -> None:
    with file.open("ab") as lines:
        lines.write(line)


def _digest(line: bytes) -> bytes:
    return hashlib.sha256(line).digest()
