"""Delta tables on disk: their versions, commits and files, and how days of one are replaced."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, date, datetime
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote
from uuid import uuid4

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable, Schema
from deltalake.transaction import AddAction, create_table_with_add_actions

from tailtracker_bi import durable

REPEATED = ("event", "distinct_id", "device_id", "user_id", "platform", "country", "app_version", "slo", "service")
"""Columns whose values many rows share: others are not worth a dictionary."""
ROWS_PER_GROUP = 100_000


def damage_of(file: Path, digest: str | None) -> str:
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


def rows_without(rows: pa.RecordBatchReader, days: Collection[date]) -> pa.RecordBatchReader:
    """The rows of all other days."""
    if not days:
        return rows
    left_out = pa.array(sorted(days), pa.date32())

    def others() -> Iterator[pa.RecordBatch]:
        for batch in rows:
            yield batch.filter(pc.invert(pc.is_in(batch["day"], left_out)))

    return pa.RecordBatchReader.from_batches(rows.schema, others())


def replace_days(path: Path, rows: pa.RecordBatchReader, days: Sequence[date]) -> None:
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
    if version_of(path) is None:
        create_table_with_add_actions(str(path), Schema.from_arrow(schema), written, partition_by=["day"])
    else:
        DeltaTable(path).create_write_transaction(
            [*written], "overwrite", schema, ["day"], partition_filters=[("day", "in", list(map(str, days)))]
        )


def committed(path: Path, version: int) -> tuple[bool, bool]:
    """Whether a commit of a Delta table changes its rows, and whether it restores an earlier version."""
    try:
        actions = [orjson.loads(line) for line in commit_of(path, version).read_bytes().split(b"\n") if line]
    except (OSError, ValueError):
        return True, False
    content_of = {name: content for action in actions for name, content in action.items()}
    changes = any(content_of.get(name, {}).get("dataChange") for name in ("add", "remove"))
    return changes or version == 0, content_of.get("commitInfo", {}).get("operation") == "RESTORE"


def sync_commit(path: Path) -> None:
    """Have the disk keep a Delta table's latest commit and its files, before the ledger speaks of them."""
    version = version_of(path)
    if version is None:
        return
    commit = commit_of(path, version)
    actions = [orjson.loads(line) for line in commit.read_bytes().split(b"\n") if line]
    files = {path / unquote(action["add"]["path"]) for action in actions if "add" in action}
    for file in files:
        durable.sync(file)
    for folder in {file.parent for file in files}:
        durable.sync(folder)
    durable.sync(commit)
    durable.sync(commit.parent)


def commit_of(path: Path, version: int) -> Path:
    return path / "_delta_log" / f"{version:020}.json"


def files_of(path: Path, version: int) -> list[str]:
    """The data files of a version, as the disk has their names: Delta gives a blank in the way to them as %20.

    A version does not change: its log is read once a process, while its folder and commit are those of then.
    """
    log, commit = (_state(file) for file in (path / "_delta_log", commit_of(path, version)))
    if log is None or commit is None:
        return _files_of(path, version)
    return [*_files_read(path, version, log, commit)]


def _state(file: Path) -> tuple[int, ...] | None:
    """What is another where a file or folder was changed or replaced; None where there is none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


@lru_cache(maxsize=128)
def _files_read(path: Path, version: int, *_: tuple[int, ...]) -> list[str]:
    return _files_of(path, version)


def _files_of(path: Path, version: int) -> list[str]:
    return [unquote(name) for name in DeltaTable(path, version=version).file_uris()]


def version_of(path: Path) -> int | None:
    """The latest version of a Delta table, None where there is none: the names of its commits, which say so by Delta's
    protocol. Opening the table for it costs milliseconds, many times a landing; so does matching paths, after a year.
    """
    try:
        with os.scandir(path / "_delta_log") as entries:
            names = [entry.name for entry in entries]
    except (FileNotFoundError, NotADirectoryError):
        return None
    return max((int(name[:20]) for name in names if name[20:] == ".json" and name[:20].isdecimal()), default=None)
