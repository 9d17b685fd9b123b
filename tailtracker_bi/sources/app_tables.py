"""The app's tables, as far as they are read, and how rows of text become rows of them.

    columns of text -> mask -> Parquet in the spool -> types and keys -> Versions

Every value comes as text and is typed here: so no number is rounded, and a value that can't be represented (an infinite
timestamp, a date before Christ, a column that was retyped) costs its row alone. Columns are allow-listed.

What belongs here: what holds wherever the tables come from. What does not: how the text is got.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, cast

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from tailtracker_bi.privacy import SIEVE, hash_personal_id, is_personal_id, mask_text
from tailtracker_bi.sources.records import (
    QUARANTINE_SCHEMA,
    VERSION_SCHEMA,
    BadResponseError,
    Counts,
    Remark,
    Table,
    Versions,
)

MEMORY_LIMIT = "512MB"


@dataclass(frozen=True)
class _Kind:
    """A type of columns: what it lands as, and which texts are values of it (None: all)."""

    arrow: pa.DataType
    sql: str = "varchar"
    pattern: str | None = None


_DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_MOMENT = _DAY + r"([ T][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(\+00(:00)?|Z)?)?"
KINDS = {
    "ids": _Kind(pa.string()),
    "text": _Kind(pa.string()),
    "numeric": _Kind(pa.string(), "varchar", r"-?[0-9]+(\.[0-9]+)?(e[+-][0-9]+)?"),
    "integer": _Kind(pa.int64(), "bigint", r"-?[0-9]+"),
    "boolean": _Kind(pa.bool_(), "boolean", "true|false"),
    "date": _Kind(pa.date32(), "date", _MOMENT),
    "timestamp": _Kind(pa.timestamp("us"), "timestamp", _MOMENT),
}
JSON_COLUMNS = {"subscription_tier": "preferences"}
"""Columns that are one text of a JSON object. Nothing else of the object is read."""


@dataclass(frozen=True)
class AppTable(Table):
    """A table of the app, as far as it is read."""

    kinds: Mapping[str, str]
    """Of each column."""
    keys: tuple[tuple[str, ...], ...]
    """What tells its rows apart: the first of these whose columns it has."""
    is_optional: bool
    left_out: frozenset[str]
    """Columns that are known and never read, most of them personal. One that stands nowhere is remarked."""


def _table(name: str, *keys: str, is_optional: bool = False, left_out: str = "", **columns: str) -> AppTable:
    kinds = {column: kind for kind, names in columns.items() for column in names.split()}
    schema = pa.schema([(column, KINDS[kind].arrow) for column, kind in kinds.items()])
    ways = tuple(tuple(key.split()) for key in keys or ("id",))
    return AppTable(name, schema, kinds, ways, is_optional, frozenset(left_out.split()))


_optional_table = partial(_table, is_optional=True)

TABLES = (
    _table(
        "user_profiles",
        ids="id user_id",
        text="subscription_tier subscription_status",
        boolean="location_sharing_enabled",
        timestamp="subscription_expires_at created_at updated_at",
        left_out="full_name email phone notification_preferences privacy_settings",
    ),
    _table(
        "pets",
        ids="id user_id",
        text="species breed gender status",
        numeric="weight profile_completeness",
        boolean="is_public",
        date="date_of_birth",
        timestamp="created_at updated_at",
        left_out="name photos microchip_id",
    ),
    _table(
        "lost_pet_reports",
        ids="id pet_id user_id",
        text="status urgency",
        numeric="alert_radius reward_amount",
        boolean="is_resolved",
        timestamp="last_seen_date found_date created_at updated_at",
        left_out="last_seen_location description",
    ),
    _table(
        "pet_sightings",
        ids="id lost_pet_report_id reporter_user_id",
        integer="confidence_level",
        boolean="verified",
        timestamp="sighting_date created_at",
        left_out="location",
    ),
    _table(
        "lost_pet_notifications",
        ids="id lost_pet_report_id user_id",
        numeric="distance_meters",
        timestamp="sent_at opened_at",
    ),
    _table(
        "family_sharing",
        ids="id pet_id owner_user_id shared_with_user_id",
        text="status",
        timestamp="created_at",
    ),
    _table(
        "health_reminders",
        ids="id pet_id user_id",
        text="reminder_type",
        boolean="is_recurring is_completed",
        timestamp="due_date created_at updated_at",
    ),
    _table(
        "subscriptions",
        ids="id user_id stripe_subscription_id stripe_customer_id",
        text="tier billing_cycle status downgrade_to_tier",
        boolean="cancel_at_period_end",
        timestamp="current_period_start current_period_end created_at updated_at",
    ),
    _table(
        "subscription_history",
        ids="id subscription_id user_id",
        text="action from_tier to_tier from_billing_cycle to_billing_cycle",
        numeric="proration_amount",
        timestamp="created_at",
    ),
    _optional_table(
        "feature_flags", "name environment", "name", text="name flag_type environment", boolean="is_active"
    ),
    _optional_table(
        "ab_tests",
        "name environment",
        "name",
        text="name status winning_variant environment",
        timestamp="created_at ended_at",
        left_out="description variants",
    ),
    _optional_table(
        "ab_test_exposures",
        "test_name user_id timestamp environment",
        "test_name user_id timestamp",
        ids="user_id",
        text="test_name variant environment",
        timestamp="timestamp",
    ),
    _optional_table(
        "security_events",
        ids="id user_id",
        text="type severity action_taken",
        timestamp="occurred_at resolved_at",
        left_out="ip_address",
    ),
    _optional_table(
        "marketing_metrics", "date channel currency", text="channel currency", numeric="spend", date="date"
    ),
    _optional_table("support_tickets", ids="id user_id", text="priority category", timestamp="created_at resolved_at"),
    _optional_table(
        "app_store_ratings",
        "id",
        "platform created_at score",
        ids="id",
        text="platform",
        numeric="score",
        timestamp="created_at",
    ),
    _optional_table(
        "nps_responses", "id", "user_id created_at", ids="id user_id", numeric="score", timestamp="created_at"
    ),
)

_UUID = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"


@dataclass(frozen=True)
class TextRows:
    """A table's rows as masked text, in a Parquet file with a column for each of `columns`."""

    source: str
    file: Path
    columns: list[str]
    key: tuple[str, ...]
    withheld: frozenset[str]
    shape: Mapping[str, str]
    is_numbered: bool = False
    """Whether the file also says of each row the `line` it stands in and, where it can't be used, its `fault`."""


def key_of(table: AppTable, columns: list[str]) -> tuple[str, ...] | None:
    """Which of these columns tell its rows apart; None where none do."""
    return next((key for key in table.keys if set(key) <= set(columns)), None)


def masked(batch: pa.RecordBatch, table: AppTable, hash_key: bytes) -> pa.RecordBatch:
    """Without personal data in texts; an id that is an e-mail address or the like becomes a keyed hash."""

    def hashed(raw_id: str) -> str:
        return hash_personal_id(raw_id, hash_key) if is_personal_id(raw_id) else raw_id

    def clean(name: str) -> pa.Array:
        kind = table.kinds.get(name)
        if kind == "ids":
            return _rewrite(batch[name], hashed)
        return _rewrite(batch[name], partial(mask_text, name=name)) if kind == "text" else batch[name]

    return pa.record_batch({name: clean(name) for name in batch.schema.names})


def versions_of(connection: duckdb.DuckDBPyConnection, table: AppTable, rows: TextRows, day: date) -> Versions:
    """The snapshot that these rows are; `day` is the one that its quarantine is filed under.

    It can be read until the connection is closed, or asked for another table. Raises BadResponseError where rows can't
    be told apart.
    """
    where = f"{rows.source}: {table.name}"
    connection.read_parquet(str(rows.file)).create_view("texts", replace=True)
    connection.execute(_typed(table, rows))
    counted = connection.execute(
        "select count(*), count(reason), count(distinct object_id) filter (where reason is null), "
        "list(object_id) filter (where reason is not null and object_id is not null) from typed"
    ).fetchone()
    received, quarantined, told_apart, unreadable = cast(tuple[int, int, int, list[str] | None], counted)
    if told_apart < received - quarantined:
        first, last = cast(
            tuple[int | None, int | None],
            connection.execute(
                "select min(line), max(line) from typed where reason is null "
                "group by object_id having count(*) > 1 order by 1 limit 1"
            ).fetchone(),
        )
        lines = f" in lines {first} and {last}" if rows.is_numbered else ""
        raise BadResponseError(f"{where}: {', '.join(rows.key)} should tell rows apart, but does not{lines}")

    def reader(sql: str, schema: pa.Schema, **parameters: Any) -> pa.RecordBatchReader:
        return connection.cursor().execute(sql, parameters).to_arrow_reader(100_000).cast(schema)

    schema = pa.schema([*VERSION_SCHEMA, *table.schema])
    names = ", ".join(f'"{name}"' for name in schema.names)
    unknown = sorted(rows.withheld - table.left_out)
    return Versions(
        rows=reader(f"select {names} from typed where reason is null", schema),
        is_snapshot=True,
        quarantine=reader(
            "select $day::date as day, reason, coalesce('line ' || line, object_id, '') as record from typed "
            "where reason is not null",
            QUARANTINE_SCHEMA,
            day=day,
        )
        if quarantined
        else QUARANTINE_SCHEMA.empty_table().to_reader(),
        counts=Counts(received=received, quarantined=quarantined),
        withheld=rows.withheld,
        lacking=frozenset(table.kinds) - frozenset(rows.columns),
        unreadable=unreadable or [],
        shape=rows.shape,
        remarks=[Remark(f"withheld, as nobody has allowed it: {', '.join(unknown)}")] if unknown else [],
    )


def gone(table: Table) -> Versions:
    """A table that was there, and is not any more."""
    schema = pa.schema([*VERSION_SCHEMA, *table.schema])
    return Versions(
        rows=schema.empty_table().to_reader(),
        is_snapshot=True,
        quarantine=QUARANTINE_SCHEMA.empty_table().to_reader(),
        counts=Counts(),
        shape={},
    )


def _rewrite(texts: pa.Array, clean: Callable[[str], str]) -> pa.Array:
    """Clean the texts that the sieve catches. It is slow on UUIDs, and they say nothing about anyone."""
    suspects = pc.if_else(pc.match_substring_regex(texts, _UUID), "", texts)
    caught = pc.fill_null(pc.match_substring_regex(suspects, SIEVE), False)
    cleaned = [clean(text) for text in texts.filter(caught).to_pylist()]
    return pc.replace_with_mask(texts, caught, pa.array(cleaned, pa.string())) if cleaned else texts


def _typed(table: AppTable, rows: TextRows) -> str:
    """The view `typed`: the columns of VERSION_SCHEMA and the table's own, and why a row can't be used, if so."""

    def value(column: str) -> str:
        kind = KINDS[table.kinds[column]]
        if column not in rows.columns:
            return f"cast(null as {kind.sql})"
        if kind.pattern is None:
            return f'"{column}"'
        return (
            f"""case when regexp_full_match("{column}", '{kind.pattern}') then try_cast("{column}" as {kind.sql}) end"""
        )

    def key_part(column: str) -> str:
        """As Postgres writes it, however else a moment may be written."""
        ending = {"date": "", "timestamp": " || '+00'"}.get(table.kinds[column])
        return f'"{column}"' if ending is None else f'coalesce(cast({value(column)} as varchar){ending}, "{column}")'

    def fault(column: str) -> str:
        is_fault = f'"{column}" is not null and {value(column)} is null'
        return f"case when {is_fault} then '{column} is no {table.kinds[column]}' end"

    faults = [f"""case when "{column}" is null then '{column} is null' end""" for column in rows.key]
    faults += [fault(column) for column in rows.columns if KINDS[table.kinds[column]].pattern]
    reason = f"nullif(concat_ws('; ', {', '.join(faults)}), '')"
    return f"""
        create or replace view typed as
        select
            {" || '/' || ".join(map(key_part, rows.key))} as object_id,
            cast(null as timestamp) as effective_at,
            'snapshot' as origin,
            false as is_deleted,
            {", ".join(f'{value(column)} as "{column}"' for column in table.kinds)},
            {"line" if rows.is_numbered else "cast(null as bigint) as line"},
            {f"coalesce(fault, {reason})" if rows.is_numbered else reason} as reason
        from texts
    """
