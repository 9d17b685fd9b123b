"""From the lines of an export to checked, cleaned and counted rows, in sets: DuckDB does the work, spilling to disk.

    add(batch of lines) ... -> check() -> clean() -> deduplicate() -> rows(), quarantine(), counts

Every line ends up in exactly one place: a row, a duplicate that was dropped, or the quarantine with its reason.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import duckdb
import numpy as np
import pyarrow as pa

from tailtracker_bi.personal_data import (
    SIEVE,
    clean_broken_json,
    clean_json,
    hash_personal_id,
    is_personal_id,
    mask_text,
)
from tailtracker_bi.sources.base import QUARANTINE_SCHEMA, Counts, each_day

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

MEMORY_LIMIT = "512MB"

# One extraction a line: each further look into the JSON text would parse it again.
_PATHS = {
    "event": "$.event",
    "properties": "$.properties",
    "error": "$.error",
    "time": "$.properties.time",
    "distinct_id": "$.properties.distinct_id",
    "device_id": '$.properties."$device_id"',
    "user_id": '$.properties."$user_id"',
    "insert_id": '$.properties."$insert_id"',
    "processed": "$.properties.mp_processing_time_ms",
    "os": '$.properties."$os"',
    "platform": "$.properties.platform",
    "country_code": "$.properties.mp_country_code",
    "country": "$.properties.country",
    "app_version": '$.properties."$app_version_string"',
}

_CREATE = """
    create table received (
        line bigint, day date, event varchar, time timestamp, distinct_id varchar, device_id varchar, user_id varchar,
        insert_id varchar, processed_at timestamp, platform varchar, country varchar, app_version varchar,
        properties varchar
    );
    create table quarantined (line bigint, day date, reason varchar, record varchar);
"""

# Seconds since 1970; what is too large for that is taken for milliseconds. An event that misses the days asked for by
# no more than time zones differ (14 hours) is told apart: the project's days are then not what the settings say.
_PARSE = f"""
    create or replace temp table parsed as
    with extracted as (
        select line, record, json_extract_string(record, $paths) as found
        from batch
        where json_valid(record)
    ),

    fields as (
        select line, record, {", ".join(f"found[{number}] as {name}" for number, name in enumerate(_PATHS, start=1))}
        from extracted
    ),

    numbers as (
        select *, try_cast(time as double) as sent_time, try_cast(processed as double) as processed_ms
        from fields
    ),

    timed as (
        select
            * exclude (time),
            try_cast(case
                when abs(sent_time) < 1e11 then sent_time * 1e6
                when abs(sent_time) < 1e14 then sent_time * 1e3
            end
                as bigint) as microseconds
        from numbers
    ),

    dated as (
        select
            *,
            make_timestamp(microseconds) as time,
            greatest(
                epoch_us($first::timestamp) - microseconds,
                microseconds - epoch_us($last::timestamp + interval 1 day),
                -1
            )
                / 1e6 as seconds_outside
        from timed
    )

    select
        *,
        case
            when event is null and error is not null then 'error'
            when event is null then 'no event name'
            when properties is null or properties[1] != '{{' then 'no properties'
            when time is null then 'no readable time'
            when coalesce(nullif(distinct_id, ''), nullif(user_id, ''), nullif(device_id, '')) is null
                then 'no distinct_id'
            when time::date between $first and $last then null
            when seconds_outside between 1.000001 and 14 * 3600 then 'shifted'
            else 'time outside the days asked for'
        end as reason
    from dated
"""

_KEEP_ROWS = """
    insert into received
    select
        line, time::date, event, time, distinct_id, nullif(device_id, ''), nullif(user_id, ''), nullif(insert_id, ''),
        make_timestamp(case when abs(processed_ms) < 1e14 then (processed_ms * 1000)::bigint end),
        lower(coalesce(
            platform,
            case
                when lower(os) in ('ios', 'ipados') then 'ios'
                when lower(os) = 'android' then 'android'
                when os is not null then 'web'
            end
        )),
        coalesce(country_code, country),
        app_version,
        properties
    from parsed
    where reason is null
"""

_QUARANTINE_RECORDS = """
    insert into quarantined
    select line, case when time::date between $first and $last then time::date else $first end, reason, record
    from parsed
    where reason is not null
"""

# The day of a line that is not JSON is the one its text claims, so that the same line always counts for the same day.
_QUARANTINE_LINES = """
    insert into quarantined
    select line, case when claimed between $first and $last then claimed else $first end, 'not JSON', record
    from (
        select
            line,
            record,
            make_timestamp(
                nullif(regexp_extract(record, '"time"\\s*:\\s*"?([0-9]{9,10})', 1), '')::bigint * 1000000
            )::date as claimed
        from batch
        where not json_valid(record)
    )
"""

# The copy processed last stays; equal copies are told apart by their text, so that the order of lines never matters.
_DEDUPLICATE = """
    create table duplicates as
    select line, day
    from (
        select
            line,
            day,
            row_number() over (
                partition by day, event, distinct_id, insert_id
                order by processed_at desc nulls last, properties desc, line
            ) as copy
        from received
        where insert_id is not null
    )
    where copy > 1
"""

_COUNT = """
    select day, sum(received)::bigint, sum(deduplicated)::bigint, sum(quarantined)::bigint
    from (
        select day, count(*) as received, 0 as deduplicated, 0 as quarantined from received group by day
        union all
        select day, 0, count(*), 0 from duplicates group by day
        union all
        select day, count(*), 0, count(*) from quarantined group by day
    )
    group by day
"""

# Processing follows the event, mostly within minutes, so that what lies between the two tells by how many quarter hours
# the times are off UTC. A clock may be some minutes ahead. A time counts once: jobs send thousands of events at one.
_UTC_OFFSETS = """
    with delays as (
        select distinct day, time, floor((epoch(processed_at) - epoch(time) + 300) / 900)::bigint as quarter_hours
        from received
        where processed_at is not null
    ),

    shares as (
        select day, quarter_hours, count(*) as times, sum(count(*)) over (partition by day) as all_times
        from delays
        group by day, quarter_hours
    )

    select day, -15 * quarter_hours
    from shares
    where all_times >= 100 and times > all_times / 2 and abs(quarter_hours) <= 14 * 4
    order by day
"""


class EventLines:
    """The lines of one export of the days `first` to `last`, both inclusive; a context manager that frees its space."""

    def __init__(self, first: date, last: date, spool: Path) -> None:
        self._first, self._last = first, last
        spool.mkdir(parents=True, exist_ok=True)
        self._connection = duckdb.connect(config={"memory_limit": MEMORY_LIMIT, "temp_directory": str(spool)})
        self._connection.execute(_CREATE)
        self.received = 0
        """Non-empty lines so far."""
        self._is_last_line_open = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def add(self, batch: bytes) -> None:
        """Take in whole lines."""
        records = _split(batch)
        numbers = pa.array(np.arange(self.received, self.received + len(records)))
        self.received += len(records)
        self._is_last_line_open = not batch.endswith(b"\n")
        self._connection.register("batch", pa.table({"line": numbers, "record": records}))
        bounds = {"first": self._first, "last": self._last}
        self._connection.execute(_PARSE, {"paths": list(_PATHS.values()), **bounds})
        self._connection.execute(_KEEP_ROWS)
        self._connection.execute(_QUARANTINE_RECORDS, bounds)
        self._connection.execute(_QUARANTINE_LINES, bounds)
        self._connection.unregister("batch")

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
        return count, clean_broken_json(example or "")

    def clean(self, hash_key: bytes) -> None:
        """Take personal data out. Only what the sieve catches is looked at in Python.

        An id that is an e-mail address or the like becomes a keyed hash: it still tells people apart.
        """

        def hashed(raw_id: str) -> str:
            return hash_personal_id(raw_id, hash_key) if is_personal_id(raw_id) else raw_id

        def cleaned(text: str) -> str:
            return clean_json(text, hash_id=hashed)

        self._rewrite("received", "properties", cleaned)
        self._rewrite("quarantined", "record", cleaned, where="reason != 'not JSON'")
        self._rewrite("quarantined", "record", clean_broken_json, where="reason = 'not JSON'")
        for column in ("event", "country", "app_version", "platform"):
            self._rewrite("received", column, partial(mask_text, name=column))
        for column in ("distinct_id", "user_id", "device_id", "insert_id"):
            self._rewrite("received", column, hashed)

    def _rewrite(self, table: str, column: str, clean: Callable[[str], str], where: str = "true") -> None:
        texts = self._connection.execute(
            f"select distinct {column} from {table} where {where} and regexp_matches({column}, $sieve)",
            {"sieve": SIEVE},
        )
        while batch := texts.fetchmany(10_000):
            old = [row[0] for row in batch]
            changed = [(text, cleaned) for text in old if (cleaned := clean(text)) != text]
            if not changed:
                continue
            writer = self._connection.cursor()
            writer.register(
                "changed", pa.table({"old": [row[0] for row in changed], "new": [row[1] for row in changed]})
            )
            writer.execute(
                f"update {table} set {column} = changed.new from changed where {table}.{column} = changed.old"
            )

    def deduplicate(self) -> dict[date, Counts]:
        """Drop duplicates; what became of each day's lines, for every day of the range, days without lines too."""
        self._connection.execute(_DEDUPLICATE)
        counts = {day: Counts() for day in each_day(self._first, self._last)}
        for day, received, deduplicated, quarantined in self._connection.execute(_COUNT).fetchall():
            counts[day] = Counts(
                received=received,
                loaded=received - deduplicated - quarantined,
                deduplicated=deduplicated,
                quarantined=quarantined,
            )
        return counts

    def rows(self) -> pa.RecordBatchReader:
        """The events, by day, in EVENTS_SCHEMA."""
        return self._read(
            f"select {', '.join(EVENTS_SCHEMA.names)} from received anti join duplicates using (line) "
            "order by day, line",
            EVENTS_SCHEMA,
        )

    def quarantine(self) -> pa.RecordBatchReader:
        """The lines set aside, by day, in QUARANTINE_SCHEMA."""
        return self._read("select day, reason, record from quarantined order by day, line", QUARANTINE_SCHEMA)

    def utc_offsets(self) -> dict[date, timedelta]:
        """How far ahead of UTC the times of a day are, for each day on which enough events tell when they came."""
        return {day: timedelta(minutes=minutes) for day, minutes in self._connection.execute(_UTC_OFFSETS).fetchall()}

    def _read(self, sql: str, schema: pa.Schema) -> pa.RecordBatchReader:
        return self._connection.cursor().execute(sql).to_arrow_reader(100_000).cast(schema)

    def _one(self, sql: str, parameters: dict[str, Any]) -> tuple[Any, ...]:
        row = self._connection.execute(sql, parameters).fetchone()
        assert row is not None, "an aggregate always gives a row"  # noqa: S101 - a fact, told to the type checker
        return row


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
    texts = pa.compute.utf8_rtrim(texts, "\r\n")
    return texts.filter(pa.compute.greater(pa.compute.binary_length(texts), 0))
