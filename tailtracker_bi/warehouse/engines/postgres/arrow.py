"""Rows as Arrow: files of the lake on their way into Postgres, and tables of Postgres on theirs into DuckDB."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

_TYPES = {
    pa.string(): "text",
    pa.large_string(): "text",
    pa.int64(): "bigint",
    pa.int32(): "integer",
    pa.float64(): "double precision",
    pa.bool_(): "boolean",
    pa.date32(): "date",
    pa.timestamp("us"): "timestamp without time zone",
}
_FILE_OF_A_DAY = re.compile(r".*/day=([0-9-]+)/")
_NUL_IN_JSON = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
_REPLACEMENT = "\ufffd"
"""Stands for U+0000, which no text of Postgres can hold."""


def type_of(kind: pa.DataType) -> str:
    return f"numeric({kind.precision},{kind.scale})" if pa.types.is_decimal(kind) else _TYPES[kind]


def day_of(file: str) -> date | None:
    found = _FILE_OF_A_DAY.match(file)
    return date.fromisoformat(found[1]) if found else None


def read_file(file: str, columns: pa.Schema, day: date | None) -> pa.RecordBatchReader:
    """The rows of a file of the lake, as the table has them."""

    def batches() -> Iterator[pa.RecordBatch]:
        with pq.ParquetFile(file) as opened:
            for batch in opened.iter_batches(32_768):
                arrays = []
                for field in columns:
                    if field.name == "day" and day:
                        array = pa.array([day] * len(batch), pa.date32())
                    elif field.name in batch.schema.names:
                        array = batch.column(field.name).cast(field.type)
                    else:
                        array = pa.nulls(len(batch), field.type)
                    arrays.append(_without_nul(array) if array.type in {pa.string(), pa.large_string()} else array)
                yield pa.record_batch(arrays, schema=columns)

    return pa.RecordBatchReader.from_batches(columns, batches())


def _without_nul(texts: pa.Array) -> pa.Array:
    """Texts without the one character that Postgres has none of, as it is and as JSON writes it."""
    if pc.any(pc.match_substring(texts, "\0")).as_py():
        texts = pc.replace_substring(texts, "\0", _REPLACEMENT)
    if pc.any(pc.match_substring(texts, "\\u0000")).as_py():
        texts = pa.array(
            [
                _NUL_IN_JSON.sub(rf"\1{_REPLACEMENT}", text) if text and text.startswith(("{", "[")) else text
                for text in texts.to_pylist()
            ],
            texts.type,
        )
    return texts


def take_over(connection: Any, table: str, found: pa.RecordBatchReader) -> None:
    """Put rows into a table of DuckDB's. Decimals come as text, and their type beside it."""
    selects, fields = [], []
    for field in found.schema:
        if _is_numeric(field):
            selects.append(f'cast("{field.name}" as {_decimal(field)}) as "{field.name}"')
            fields.append(pa.field(field.name, pa.string()))
        else:
            selects.append(f'"{field.name}"')
            fields.append(field.remove_metadata())
    schema = pa.schema(fields)
    batches = (
        pa.record_batch([c.storage if isinstance(c, pa.ExtensionArray) else c for c in batch.columns], schema=schema)
        for batch in found
    )
    connection.register("rows_now", pa.RecordBatchReader.from_batches(schema, batches))
    connection.execute(f"create schema if not exists {table.rpartition('.')[0]}")
    connection.execute(f"create or replace table {table} as select {', '.join(selects)} from rows_now")
    connection.unregister("rows_now")


def _is_numeric(field: pa.Field) -> bool:
    return isinstance(field.type, pa.OpaqueType) and field.type.type_name == "numeric"


def _decimal(field: pa.Field) -> str:
    modifier = int(field.metadata.get(b"POSTGRESQL:typmod", b"-1")) - 4
    return f"decimal({modifier >> 16}, {modifier & 0x7FF})" if modifier >= 0 else "decimal(38, 10)"


def plain(values: list[Any], field: pa.Field) -> list[Any]:
    if not _is_numeric(field):
        return values
    return [None if value is None else Decimal(value) for value in values]
