"""A folder of CSV files: marketing spend, support tickets, ratings and NPS, where the app's database has none.

    <table>.csv --line by line--> mask -> Parquet in the spool --app_tables.py--> Versions

UTF-8, commas, a header; columns, types and keys are those of the app's tables, and an empty field is null. A file is a
snapshot as of when it was last written: of the days since, it says nothing.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import BinaryIO, cast

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from tailtracker_bi.settings import AbsolutePath, Settings, SourceSettings
from tailtracker_bi.sources.app_tables import (
    MEMORY_LIMIT,
    TABLES,
    AppTable,
    TextRows,
    gone,
    key_of,
    masked,
    versions_of,
)
from tailtracker_bi.sources.base import Check, KnownIds, ObjectSource, Read, nothing_known
from tailtracker_bi.sources.foreign_text import readable
from tailtracker_bi.sources.records import AbsentTableError, BadResponseError, SourceUnavailableError, Table, Versions

NAMES = ("marketing_metrics", "support_tickets", "app_store_ratings", "nps_responses")
BATCH_ROWS = 10_000
_WRITING = "is it still being written?"


@dataclass(frozen=True)
class _Header:
    """The first row of a file."""

    names: list[str]
    columns: list[str]
    """Those that are read."""
    key: tuple[str, ...]


class CsvSettings(SourceSettings):
    """Where the files are."""

    folder: AbsolutePath | None = Field(None, alias="TAILTRACKER_CSV_FOLDER")


class CsvFiles(ObjectSource):
    """Snapshots of the files of a folder."""

    name = "csv_files"
    title = "CSV files"
    tables = tuple(table for table in TABLES if table.name in NAMES)
    why_off = "TAILTRACKER_CSV_FOLDER is not set"

    @classmethod
    def is_on(cls, settings: Settings) -> bool:
        return settings.of(CsvSettings).folder is not None

    @contextmanager
    def session(
        self, since: Mapping[str, datetime], spool: Path, known_ids: KnownIds = nothing_known
    ) -> Iterator[Read]:
        self._check_folder()
        spool.mkdir(parents=True, exist_ok=True)
        with duckdb.connect(config={"memory_limit": MEMORY_LIMIT, "temp_directory": str(spool)}) as connection:
            connection.execute("set enable_progress_bar = false")

            @contextmanager
            def read(table: Table) -> Iterator[Versions]:
                table = cast(AppTable, table)
                if not self._path(table).exists():
                    if table.name not in since:
                        raise AbsentTableError(f"csv_files: {table.name}: the folder has no {table.name}.csv")
                    yield gone(table)
                    return
                rows, written_at = self._copy(table, spool)
                versions = versions_of(connection, table, rows, self.settings.now.date())
                versions.as_of = min(written_at, self.settings.now)
                yield versions

            yield read

    def check(self) -> Check:
        try:
            self._check_folder()
        except SourceUnavailableError as error:
            return Check(self.name, is_ok=False, detail=str(error))
        there = [table for table in TABLES if table in self.tables and self._path(table).exists()]
        absent = [table.name for table in self.tables if table not in there]
        problems = []
        for table in there:
            try:
                with self._opened(table) as (file, where):
                    _header(next(_records(file, where), (1, []))[1], table, where)
            except BadResponseError as error:
                problems.append(str(error))
        details = [f"reads {len(there) - len(problems)} of {len(self.tables)} files", *problems]
        details += [f"absent: {', '.join(absent)}"] if absent else []
        return Check(self.name, is_ok=not problems, detail="; ".join(details))

    @property
    def _folder(self) -> Path:
        folder = self.settings.of(CsvSettings).folder
        assert folder is not None, "the source is on"  # noqa: S101 - for the type checker
        return folder

    def _path(self, table: Table) -> Path:
        return self._folder / f"{table.name}.csv"

    def _check_folder(self) -> None:
        if not any(self._path(table).exists() for table in self.tables):
            names = ", ".join(f"{name}.csv" for name in NAMES)
            raise SourceUnavailableError(
                f"csv_files: {self._folder} is no folder with any of {names}: is TAILTRACKER_CSV_FOLDER the right one?"
            )

    @contextmanager
    def _opened(self, table: AppTable) -> Iterator[tuple[BinaryIO, str]]:
        """The table's file, and how errors name it."""
        where = f"csv_files: {table.name}.csv"
        try:
            with self._path(table).open("rb") as file:
                yield file, where
        except OSError as error:
            raise BadResponseError(f"{where}: can't be read: {error.strerror}") from None

    def _copy(self, table: AppTable, spool: Path) -> tuple[TextRows, datetime]:
        """The file's rows, and when it was written. Raises BadResponseError where it is not whole."""
        target = spool / f"{table.name}.parquet"
        hash_key = self.settings.hash_key
        with self._opened(table) as (file, where):
            before = os.fstat(file.fileno())
            records = _records(file, where)
            header = _header(next(records, (1, []))[1], table, where)
            texts = [(column, pa.string()) for column in header.columns]
            schema = pa.schema([*texts, ("line", pa.int64()), ("fault", pa.string())])
            rows = (_row(header, line, fields) for line, fields in records)
            with pq.ParquetWriter(target, schema) as writer:
                while batch := list(islice(rows, BATCH_ROWS)):
                    writer.write_batch(masked(pa.RecordBatch.from_pylist(batch, schema), table, hash_key))
            after = self._path(table).stat()
        if any(getattr(before, field) != getattr(after, field) for field in ("st_ino", "st_size", "st_mtime_ns")):
            raise BadResponseError(f"{where}: it changed while it was read: {_WRITING}")
        withheld = frozenset(filter(None, header.names)) - set(header.columns)
        shape = dict.fromkeys(header.columns, "text")
        rows_of = TextRows(self.name, target, header.columns, header.key, withheld, shape, is_numbered=True)
        return rows_of, datetime.fromtimestamp(before.st_mtime, UTC)


def _records(file: BinaryIO, where: str) -> Iterator[tuple[int, list[str]]]:
    """The file's rows as fields, each with the line in which it begins; blank lines are none.

    Raises BadResponseError for what is no CSV, and where the last line has no end: what it holds may be cut short.
    """
    is_ended = True

    def lines() -> Iterator[str]:
        nonlocal is_ended
        for number, line in enumerate(file, start=1):
            is_ended = line.endswith(b"\n")
            try:
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError:
                raise BadResponseError(f"{where}: line {number}: it is not UTF-8") from None

    reader = csv.reader(lines(), strict=True)
    begin = 1
    try:
        for fields in reader:
            if not is_ended:
                raise BadResponseError(f"{where}: line {begin}: no newline ends it, so it may be cut short: {_WRITING}")
            if fields:
                yield begin, fields
            begin = reader.line_num + 1
    except csv.Error as error:
        fault = (
            f"a quote has no end: {_WRITING}"
            if "end of data" in str(error)
            else f"it is no CSV: {readable(str(error), ())}"
        )
        raise BadResponseError(f"{where}: line {begin}: {fault}") from None


def _header(fields: list[str], table: AppTable, where: str) -> _Header:
    if not fields:
        raise BadResponseError(f"{where}: line 1: there is no header: {_WRITING}")
    names = [name.strip() for name in fields]
    twice = sorted({name for name in names if name in table.kinds and names.count(name) > 1})
    if twice:
        raise BadResponseError(f"{where}: line 1: the header names {', '.join(twice)} twice")
    columns = [name for name in names if name in table.kinds]
    key = key_of(table, columns)
    if key is None:
        raise BadResponseError(
            f"{where}: line 1: there is no header that names {', '.join(table.keys[0])}, with commas between"
        )
    return _Header(names, columns, key)


def _row(header: _Header, line: int, fields: list[str]) -> dict[str, object]:
    """The row as far as it goes, the line where it begins, and why it can't be used, if so."""
    found = dict(zip(header.names, fields, strict=False))
    is_whole = len(fields) == len(header.names)
    fault = None if is_whole else f"{len(fields)} fields, where the header has {len(header.names)}"
    return {column: found.get(column) or None for column in header.columns} | {"line": line, "fault": fault}
