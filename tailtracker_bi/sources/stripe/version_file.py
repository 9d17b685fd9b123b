"""The versions of one table on their way to the lake: checked, stripped of what is withheld, in a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from tailtracker_bi.privacy import hash_personal_id, mask_text
from tailtracker_bi.settings import Settings
from tailtracker_bi.sources.foreign_text import readable
from tailtracker_bi.sources.records import (
    QUARANTINE_SCHEMA,
    VERSION_SCHEMA,
    Counts,
    Remark,
    Table,
    Versions,
)
from tailtracker_bi.sources.stripe.api import API_VERSION, TABLES, StripeSettings
from tailtracker_bi.sources.stripe.objects import STATUSES, TYPES, AllowList, Object

if TYPE_CHECKING:
    pass
BATCH_ROWS = 2000
_END_OF_TIME = 253_402_300_800


class VersionFile:
    """The versions of one table on their way to the lake: checked, stripped of what is withheld, in a file."""

    def __init__(self, table: Table, settings: Settings, directory: Path) -> None:
        self._type = TABLES[table.name]
        self._is_live = settings.of(StripeSettings).is_live
        self._allowed = AllowList(TYPES[self._type], partial(hash_personal_id, key=settings.hash_key))
        self._today = settings.now.date()
        self.doubt = ""
        self.notes: list[str] = []
        self._schema = pa.schema([*VERSION_SCHEMA, *table.schema])
        self._path = directory / f"{table.name}.parquet"
        self._writer = pq.ParquetWriter(self._path, self._schema, compression="zstd")
        self._rows: list[tuple[Any, ...]] = []
        self._quarantine: list[tuple[date, str, str]] = []
        self._counts = Counts()
        self._of_other_mode: set[str] = set()
        self._with_card_number: set[str] = set()
        self._unknown_statuses: set[str] = set()
        self._newer_versions: set[str] = set()

    def add(self, item: Object, origin: str, effective_at: Any = None, is_deleted: bool = False) -> bool:
        """Take in a version, or set it aside and give False."""
        self._counts.received += 1
        created = item.get("created")
        if item.get("livemode", self._is_live) is not self._is_live:
            self._of_other_mode.add(item["id"])
            return self._set_aside(item, f"livemode is {item['livemode']}, unlike the key's")
        if not (_is_time(created) and _is_time(effective_at)):
            return self._set_aside(item, "created is not a time")
        try:
            card_numbers = self._allowed.card_numbers
            allowed = self._allowed.kept(item)
            content = orjson.dumps(allowed, option=orjson.OPT_SORT_KEYS)
        except TypeError as error:
            return self._set_aside(item, f"can't be written as JSON: {readable(str(error), ())}")
        if self._allowed.wrong:
            return self._set_aside(item, f"{self._allowed.wrong[0]} is no number that it could be")
        if self._allowed.card_numbers > card_numbers:
            self._with_card_number.add(item["id"])
        self._note_unknown(allowed)
        self._rows.append((item["id"], _micros(effective_at), origin, is_deleted, _micros(created), content.decode()))
        if len(self._rows) == BATCH_ROWS:
            self._flush()
        return True

    def _note_unknown(self, item: Object) -> None:
        status, statuses = item.get("status"), STATUSES.get(self._type)
        if statuses and isinstance(status, str) and status not in statuses.passing | statuses.lasting:
            self._unknown_statuses.add(status)
        # They begin with a date.
        version = item.get("api_version")
        if self._type == "event" and isinstance(version, str) and version[:10] > API_VERSION[:10]:
            self._newer_versions.add(version)

    def _remarks(self) -> Iterator[Remark]:
        if self._of_other_mode:
            mode = "live" if self._is_live else "test"
            yield Remark(
                f"{len(self._of_other_mode)} objects that are not of the {mode} mode, as the key is, were set aside",
                is_alarm=True,
            )
        if self._with_card_number:
            yield Remark(
                f"{len(self._with_card_number)} objects held a card number, which did not land: take it out in Stripe",
                is_alarm=True,
            )
        yield from map(Remark, self.notes)
        if self._unknown_statuses:
            yield Remark(f"no model knows the status {', '.join(sorted(self._unknown_statuses))}")
        if self._newer_versions:
            yield Remark(
                f"events came in API version {max(self._newer_versions)}, newer than {API_VERSION}, in which objects "
                "are read: of their history fields may be missing"
            )

    def _set_aside(self, item: Object, reason: str) -> bool:
        created = item.get("created")
        day = datetime.fromtimestamp(created, UTC).date() if created and _is_time(created) else self._today
        record = orjson.dumps({"id": item["id"], "object": self._type}).decode()
        self._quarantine.append((day, reason, record))
        self._counts.quarantined += 1
        return False

    def _flush(self) -> None:
        self._writer.write_table(_rows_table(self._rows, self._schema))
        self._rows.clear()

    @contextmanager
    def versions(self) -> Iterator[Versions]:
        """All that was taken in; nothing can be added any more."""
        self._flush()
        self._writer.close()
        with pq.ParquetFile(self._path) as file:
            yield Versions(
                rows=pa.RecordBatchReader.from_batches(self._schema, file.iter_batches(BATCH_ROWS)),
                is_snapshot=False,
                quarantine=_rows_table(self._quarantine, QUARANTINE_SCHEMA).to_reader(),
                counts=self._counts,
                withheld=frozenset(map(mask_text, self._allowed.withheld)),
                remarks=list(self._remarks()),
                doubt=self.doubt,
            )


def _is_time(value: Any) -> bool:
    return value is None or (type(value) is int and 0 <= value < _END_OF_TIME)


def _micros(seconds: int | None) -> int | None:
    return None if seconds is None else seconds * 1_000_000


def _rows_table(rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    return pa.table(
        [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)], schema=schema
    )
