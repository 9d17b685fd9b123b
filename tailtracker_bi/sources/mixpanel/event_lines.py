"""From the lines of an export to checked, cleaned and counted rows, in sets: DuckDB does the work, spilling to disk.

    add(batch of lines: parse, check, clean) ... -> deduplicate() -> rows(), quarantine(), counts

Every line ends up in exactly one place: a row, a duplicate that was dropped, or the quarantine with its reason.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tailtracker_bi import durable
from tailtracker_bi.privacy import (
    LIKE_A_CARD_NUMBER,
    SIEVE,
    card_numbers,
    clean_broken_json,
    clean_json,
    hash_personal_id,
    is_personal_id,
    mask_text,
)
from tailtracker_bi.sources.digests import digest, row_hash
from tailtracker_bi.sources.mixpanel.event_sql import (
    BROKEN,
    CANDIDATES,
    CLOSING,
    CONTENT,
    COUNT,
    CREATE,
    DEDUPLICATE,
    ESCAPED,
    JUDGE,
    MIDDLE,
    OPENING,
    RECEIVE,
    SUM,
    TAKE_APART,
    UTC_OFFSETS,
)
from tailtracker_bi.sources.records import QUARANTINE_SCHEMA, BadResponseError, Counts, Remark, TooLargeError, each_day

EVENTS_SCHEMA = pa.schema(
    [
        ("day", pa.date32()),  # of the project
        ("event", pa.string()),
        ("time", pa.timestamp("us")),  # as sent: the project's clock
        ("distinct_id", pa.string()),
        ("device_id", pa.string()),
        ("user_id", pa.string()),
        ("insert_id", pa.string()),
        ("processed_at", pa.timestamp("us")),
        ("platform", pa.string()),
        ("country", pa.string()),
        ("app_version", pa.string()),
        ("properties", pa.string()),  # JSON: all that was sent, less personal data
    ]
)

_SPOOL_SCHEMA = pa.schema([("line", pa.int64()), *EVENTS_SCHEMA])
_ROW_HASH = row_hash(EVENTS_SCHEMA.names)

MEMORY_LIMIT = "512MB"
LINES_AT_ONCE = 50_000
HOPELESS_LINES = 100_000
"""An answer that begins with so many lines, none of which is an event, is no export."""
LONGEST_NAME, MOST_REMARKS = 100, 5
"""Characters of a name of an event or property that are told, and properties of a day."""


class EventLines:
    """The lines of one export of the days `first` to `last`, both inclusive; a context manager that frees its space.

    Personal data is taken out before anything reaches the disk. Only lines that the sieve catches are looked at in
    Python. An id that is an e-mail address or the like becomes a hash keyed with `hash_key`: it still tells people
    apart.
    """

    def __init__(self, first: date, last: date, spool: Path, hash_key: bytes) -> None:
        self._first, self._last = first, last
        self._bounds = {"first": first, "last": last}
        self._hash_key = hash_key
        spool.mkdir(parents=True, exist_ok=True)
        self._stack = ExitStack()
        self._directory = Path(self._stack.enter_context(TemporaryDirectory(dir=spool)))
        # A batch is one piece of work: a second thread would only wait for it.
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": MEMORY_LIMIT,
            "temp_directory": str(self._directory),
            "threads": 1,
        }
        self._connection = self._stack.enter_context(duckdb.connect(config=config))
        self._connection.execute("set enable_progress_bar = false")
        self._connection.execute(CREATE)
        self._file = self._stack.enter_context(pa.OSFile(str(self._directory / "rows.arrow"), "wb"))
        self._writer = pa.ipc.new_stream(self._file, _SPOOL_SCHEMA)
        self.received = 0
        """Non-empty lines so far."""
        self._events = 0
        self._cards = Counter[tuple[date, str, str, bool]]()
        """Numbers of the form of a card's by day, event, property and whether they can be one."""
        self._is_last_line_open = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def add(self, batch: bytes) -> None:
        """Take in whole lines. Raises TooLargeError before they would fill the disk, BadResponseError for no export."""
        self._check_disk(len(batch))
        records = _split(batch)
        self._is_last_line_open = not batch.endswith(b"\n")
        for start in range(0, len(records), LINES_AT_ONCE):
            self._add(records.slice(start, LINES_AT_ONCE))
            if self.received >= HOPELESS_LINES and not self._events and not self.rejected("shifted")[0]:
                raise BadResponseError(f"not an export: none of the first {self.received:,} lines is an event")

    def _check_disk(self, more: int) -> None:
        """What is in the spool comes to the lake once more, and takes at most as much there."""
        spooled = sum(file.stat().st_size for file in self._directory.rglob("*") if file.is_file())
        needed, free = spooled + 2 * more + durable.ROOM, shutil.disk_usage(self._directory).free
        if free < needed:
            raise TooLargeError(
                f"after {self.received:,} lines {needed >> 20} MiB more are needed on the disk of "
                f"{self._directory.parent}, and {free >> 20} MiB are free: make room, or ask for fewer days at once"
            )

    def _add(self, records: pa.Array) -> None:
        numbers = pa.array(np.arange(self.received, self.received + len(records)))
        self.received += len(records)
        suspects = pc.match_substring_regex(records, SIEVE)
        lines = pa.table({"line": numbers, "is_suspect": suspects, "record": records})
        as_usual = _take_apart(lines)
        try:
            parsed = self._judge(as_usual)
        except duckdb.InvalidInputException:
            as_usual = self._run("select * from lines where json_valid(properties)", lines=as_usual)
            parsed = self._judge(as_usual)
        if len(as_usual) < len(lines):
            others = lines.filter(pc.invert(pc.is_in(lines["line"], as_usual["line"])))
            readable = self._run(TAKE_APART, batch=others)
            if len(readable) < len(others):
                others = _mend_halves(others)
                readable = self._run(TAKE_APART, batch=others)
            parsed = pa.concat_tables([parsed, self._judge(readable)]).sort_by("line")
            if len(readable) < len(others):
                self._set_aside(self._run(BROKEN, self._bounds, batch=others), clean_broken_json)
        is_event = pc.is_null(parsed["reason"])
        self._keep(parsed.filter(is_event))
        self._set_aside(parsed.filter(pc.invert(is_event)), self._clean_json)

    def _judge(self, lines: pa.Table) -> pa.Table:
        """The lines with their typed columns, and the reason why one is no event of these days, if so."""
        judged = self._run(JUDGE, self._bounds, lines=lines.select(["line", "event", "error", "properties"]))
        for column in ("is_suspect", "record", "properties"):
            judged = judged.append_column(column, lines[column])
        return judged

    def _keep(self, parsed: pa.Table) -> None:
        self._note_cards(parsed)
        rows = _cleaned(parsed, self._cleaners()).select(_SPOOL_SCHEMA.names).cast(_SPOOL_SCHEMA)
        self._run(RECEIVE, rows=rows)
        self._run(SUM.format(row_hash=_ROW_HASH), rows=rows)
        self._events += len(rows)
        self._writer.write_table(rows)

    def _note_cards(self, parsed: pa.Table) -> None:
        suspects = parsed.filter(parsed["is_suspect"]).select(["day", "event", "properties"])
        for day, event, properties in zip(*(column.to_pylist() for column in suspects.columns), strict=True):
            if LIKE_A_CARD_NUMBER.search(properties):
                self._cards.update((day, event, name, is_card) for name, is_card in card_numbers(properties))

    def _set_aside(self, parsed: pa.Table, clean: Callable[[str], str]) -> None:
        if len(parsed):
            rows = _cleaned(parsed, {"record": clean})
            self._run("insert into quarantined select line, day, reason, record from rows", rows=rows)

    def _cleaners(self) -> dict[str, Callable[[str], str]]:
        return {
            "properties": self._clean_json,
            **{column: partial(mask_text, name=column) for column in ("event", "country", "app_version", "platform")},
            **dict.fromkeys(("distinct_id", "user_id", "device_id", "insert_id"), self._hash_id),
        }

    def _clean_json(self, text: str) -> str:
        return clean_json(text, hash_id=self._hash_id)

    def _hash_id(self, raw_id: str) -> str:
        return hash_personal_id(raw_id, self._hash_key) if is_personal_id(raw_id) else raw_id

    @property
    def is_cut(self) -> bool:
        """Whether the last line breaks off: no newline, and no JSON."""
        query = "select count(*) from quarantined where line = $line and reason = 'not JSON'"
        return self._is_last_line_open and self._one(query, {"line": self.received - 1})[0] == 1

    def rejected(self, reason: str, containing: str = "") -> tuple[int, str]:
        """How many lines were rejected for this reason, and the first of them, masked."""
        count, example = self._one(
            "select count(*), arg_min(record, line) from quarantined "
            "where reason = $reason and contains(record, $text)",
            {"reason": reason, "text": containing},
        )
        return count, example or ""

    def deduplicate(self) -> dict[date, Counts]:
        """Drop duplicates; what became of each day's lines, for every day of the range, days without lines too.

        No more lines can be added then.
        """
        self._writer.close()
        self._file.close()
        candidates = self._run(CANDIDATES)["line"]
        if len(candidates):
            copies = (batch.filter(pc.is_in(batch["line"], candidates)) for batch in self._spooled())
            reader = pa.RecordBatchReader.from_batches(_SPOOL_SCHEMA, copies)
            self._run(DEDUPLICATE.format(row_hash=_ROW_HASH), copies=reader)
        counts = {day: Counts() for day in each_day(self._first, self._last)}
        for day, received, deduplicated, quarantined in self._connection.execute(COUNT).fetchall():
            counts[day] = Counts(
                received=received,
                loaded=received - deduplicated - quarantined,
                deduplicated=deduplicated,
                quarantined=quarantined,
            )
        return counts

    def content(self) -> dict[date, str]:
        """A digest of each day's events and of what was set aside of it, whatever the order of lines.

        To be asked after `deduplicate`.
        """
        found = {day: digest(*sums) for day, *sums in self._connection.execute(CONTENT).fetchall()}
        return {day: found.get(day, digest()) for day in each_day(self._first, self._last)}

    def rows(self) -> pa.RecordBatchReader:
        """The events, in the order of their lines, in EVENTS_SCHEMA."""
        duplicates = self._run("select line from duplicates")["line"]
        kept = (
            batch.filter(pc.invert(pc.is_in(batch["line"], duplicates))) if len(duplicates) else batch
            for batch in self._spooled()
        )
        batches = (batch.select(EVENTS_SCHEMA.names) for batch in kept)
        return pa.RecordBatchReader.from_batches(EVENTS_SCHEMA, batches)

    def quarantine(self) -> pa.RecordBatchReader:
        """The lines set aside, by day, in QUARANTINE_SCHEMA."""
        sql = "select day, reason, record from quarantined order by day, line"
        return self._connection.cursor().execute(sql).to_arrow_reader(10_000).cast(QUARANTINE_SCHEMA)

    def remarks(self) -> dict[date, list[Remark]]:
        """Of each day, the properties in whose texts card numbers stood, which have been masked.

        Where most of the numbers of that form are no card's, those that could be one are that by chance.
        """
        found: dict[date, list[Remark]] = {}
        for (day, event, name, is_card), count in self._cards.most_common():
            if not is_card or count <= self._cards[day, event, name, False]:
                continue
            values = f"{count:,} value{'s' if count > 1 else ''} of {name[:LONGEST_NAME]}"
            where = f"{values} in {mask_text(event)[:LONGEST_NAME]} held a card number"
            found.setdefault(day, []).append(
                Remark(f"{where}, which did not land: take it out where the app sends it", is_alarm=True)
            )
        return {day: remarks[:MOST_REMARKS] for day, remarks in found.items()}

    def utc_offsets(self) -> dict[date, timedelta]:
        """How far ahead of UTC the times of a day are, for each day on which enough events tell when they came.

        To be asked after `deduplicate`.
        """
        columns = ["day", "time", "processed_at"]
        schema = pa.schema([_SPOOL_SCHEMA.field(name) for name in columns])
        batches = (batch.select(columns) for batch in self._spooled())
        found = self._run(UTC_OFFSETS, events=pa.RecordBatchReader.from_batches(schema, batches))
        days, minutes = found.columns
        return dict(zip(days.to_pylist(), (timedelta(minutes=each) for each in minutes.to_pylist()), strict=True))

    def _spooled(self) -> Iterator[pa.RecordBatch]:
        with pa.OSFile(str(self._directory / "rows.arrow")) as file, pa.ipc.open_stream(file) as batches:
            yield from batches

    def _run(
        self, sql: str, parameters: dict[str, Any] | None = None, **tables: pa.Table | pa.RecordBatchReader
    ) -> pa.Table:
        for name, table in tables.items():
            self._connection.register(name, table)
        try:
            return self._connection.execute(sql, parameters).to_arrow_table()
        finally:
            for name in tables:
                self._connection.unregister(name)

    def _one(self, sql: str, parameters: dict[str, Any]) -> tuple[Any, ...]:
        row = self._connection.execute(sql, parameters).fetchone()
        assert row is not None, "an aggregate always gives a row"  # noqa: S101 - a fact, told to the type checker
        return row


def _cleaned(rows: pa.Table, cleaners: Mapping[str, Callable[[str], str]]) -> pa.Table:
    """The table with the texts of its suspect rows cleaned, each column in its own way."""
    is_suspect = rows["is_suspect"].combine_chunks()
    if not is_suspect.true_count:
        return rows
    suspects = rows.filter(is_suspect)
    for column, clean in cleaners.items():
        texts = suspects[column].to_pylist()
        cleaned = [text and clean(text) for text in texts]
        if cleaned != texts:
            rows = rows.set_column(
                rows.schema.get_field_index(column),
                column,
                pc.replace_with_mask(rows[column].combine_chunks(), is_suspect, pa.array(cleaned, pa.string())),
            )
    return rows


def _mend_halves(lines: pa.Table) -> pa.Table:
    """The lines with U+FFFD for each lone half of a surrogate pair, left where a text was cut inside a character.

    JSON allows them, and no text can hold them. Mended lines are suspects: the sieve catches every escape.
    """
    records = [
        ESCAPED.sub(lambda escape: "\ufffd" if escape[1] else escape[0], record)
        for record in lines["record"].to_pylist()
    ]
    return lines.set_column(lines.schema.get_field_index("record"), "record", pa.array(records, pa.string()))


def _take_apart(lines: pa.Table) -> pa.Table:
    """Of the lines that are written as Mixpanel writes them, and are JSON if their properties are, also those."""
    import polars as pl

    record = pl.col("record")
    name_end = record.str.find(MIDDLE + "{", literal=True)
    start = name_end + len(MIDDLE)
    # Of other lines nothing is cut: it could be amid a character.
    is_cut_out = record.str.starts_with(OPENING) & record.str.ends_with(CLOSING) & name_end.is_not_null()
    raw, length = pl.when(is_cut_out).then(record).cast(pl.Binary), record.str.len_bytes()
    event = raw.bin.slice(len(OPENING), name_end - len(OPENING)).cast(pl.String)
    parts = pl.DataFrame({"record": pl.Series(lines["record"])}).select(
        event=event,
        properties=raw.bin.slice(start, length - start - 1).cast(pl.String),
        is_usual=is_cut_out & ~event.str.contains(r'["\\\x00-\x1f]'),
    )
    lines = lines.append_column("error", pa.nulls(len(lines), pa.string()))
    for name in ("event", "properties"):
        lines = lines.append_column(name, parts[name].to_arrow().cast(pa.string()))
    is_usual = parts["is_usual"].fill_null(False)
    return lines if is_usual.all() else lines.filter(pa.array(is_usual))


def _split(batch: bytes) -> pa.Array:
    """The non-empty lines as text. Bytes that are not UTF-8 become U+FFFD, which makes no valid JSON invalid."""
    buffer = batch if batch.endswith(b"\n") else batch + b"\n"
    ends = np.flatnonzero(np.frombuffer(buffer, dtype=np.uint8) == ord("\n")) + 1
    offsets = np.concatenate(([0], ends)).astype(np.int32)
    lines = pa.BinaryArray.from_buffers(pa.binary(), len(ends), [None, pa.py_buffer(offsets), pa.py_buffer(buffer)])
    try:
        texts = lines.cast(pa.string())
    except pa.ArrowInvalid:
        texts = pa.array([line.decode(errors="replace") for line in lines.to_pylist()], pa.string())
    texts = pc.utf8_rtrim(texts, "\r\n")
    is_empty = pc.equal(pc.binary_length(texts), 0)
    return texts.filter(pc.invert(is_empty)) if is_empty.true_count else texts
