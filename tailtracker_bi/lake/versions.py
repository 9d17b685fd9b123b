"""Which versions of objects are new: what a source tells against what the lake knows, in sets, inside DuckDB.

Of what an object is now, only what differs from its latest version is new, or from the one in force: an event may have
told of another state since. Of what it was (history that an event told of), only what is not there yet. An object of a
snapshot that is no longer in it is gone: that is a version, too, with the content it had last.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
from pyarrow.dataset import dataset

from tailtracker_bi.sources import HISTORY_ORIGINS, BadResponseError, Counts, Table, Versions

MEMORY_LIMIT = "512MB"
BATCH_ROWS = 50_000

_HISTORY = f"origin in {HISTORY_ORIGINS}"

# An object may be told of several times: what was told last is what it is now.
_PREPARE = """
    create table told as
    select
        *,
        md5(cast(to_json({{{own}}}) as varchar)) as content_hash,
        row_number() over () as position,
        {history} as is_history
    from candidates;

    create table latest as
    select object_id, content_hash, is_deleted
    from known
    where not ({history})
    qualify row_number() over (partition by object_id order by landing desc) = 1;

    create table in_force as
    select object_id, case when count(distinct content_hash) = 1 then min(content_hash) end as content_hash
    from (
        select object_id, content_hash
        from (
            select object_id, content_hash, origin, effective_at, landing from known
            union all
            select object_id, content_hash, origin, effective_at, $landing from told where is_history
        )
        where effective_at <= $as_of and object_id in (select object_id from told where not is_history)
        qualify rank() over (
            partition by object_id
            order by
                effective_at desc,
                case origin when 'before' then 0 when 'event' then 1 else 2 end desc,
                case when {history} then 0 else landing end desc
        ) = 1
    )
    group by object_id;

    create table fresh as
    select told.* from told
    left join latest on told.object_id = latest.object_id
    left join in_force on told.object_id = in_force.object_id
    where
        not told.is_history
        and (
            latest.object_id is null
            or latest.is_deleted <> told.is_deleted
            or (latest.content_hash <> told.content_hash and not told.is_deleted)
            or (in_force.content_hash is distinct from told.content_hash and not told.is_deleted)
        )
    qualify row_number() over (partition by told.object_id order by told.position desc) = 1;

    insert into fresh
    select told.* from told
    anti join known using (object_id, origin, effective_at, content_hash)
    where told.is_history
    qualify row_number() over (
        partition by told.object_id, told.origin, told.effective_at, told.content_hash order by told.position
    ) = 1;

    create table gone as
    select object_id
    from latest
    anti join told using (object_id)
    anti join unreadable using (object_id)
    where $is_snapshot and not is_deleted;
"""

# Deletions carry the content that the object had last.
_NEW = """
    select object_id, coalesce(effective_at, $as_of) as effective_at, origin, is_deleted, $landing as landing,
        $as_of as observed_at, content_hash, {own_columns}
    from fresh
    where not (is_deleted and not is_history)
    union all
    select told.object_id, $as_of, told.origin, true, $landing, $as_of, last.content_hash, {last_columns}
    from (
        select object_id, origin from fresh where is_deleted and not is_history
        union all
        select object_id, 'snapshot' from gone
    ) as told
    left join (
        select * from (
            select object_id, origin, landing, effective_at, content_hash, {own_columns} from known
            union all
            select object_id, origin, $landing, effective_at, content_hash, {own_columns} from fresh where is_history
        )
        where object_id in (
            select object_id from gone
            union all
            select object_id from fresh where is_deleted and not is_history
        )
        qualify row_number() over (partition by object_id order by {history}, landing desc, effective_at desc) = 1
    ) as last using (object_id)
"""


@contextmanager
def new_versions(
    table: Table,
    versions: Versions,
    known: Sequence[str],
    schema: pa.Schema,
    *,
    landing: int,
    as_of: datetime,
    spool: Path,
    with_known: bool = False,
) -> Iterator[tuple[pa.RecordBatchReader, Counts, int, int]]:
    """The new versions, in `schema` (`with_known`: all versions), what became of all that was told, how many objects
    there were before, and how many of these are gone.

    `known` are the Parquet files of the versions that the lake holds. A row that is gone counts as one received and
    loaded. Raises BadResponseError where the rows told are not as many as their counts say.
    """
    spool.mkdir(parents=True, exist_ok=True)
    own = table.schema.names
    texts = {
        "own": ", ".join(f"'{name}': {name}" for name in own),
        "own_columns": ", ".join(own),
        "last_columns": ", ".join(f"last.{name}" for name in own),
        "history": _HISTORY,
    }
    with duckdb.connect(config={"memory_limit": MEMORY_LIMIT, "temp_directory": str(spool)}) as connection:
        connection.execute("set TimeZone = 'UTC'")
        # DuckDB pushes a join's keys into the scan as a Bloom filter, which scans of pyarrow's datasets refuse.
        connection.execute("set disabled_optimizers = 'join_filter_pushdown'")
        connection.register("known", dataset(list(known), schema=schema, format="parquet"))
        connection.register("candidates", versions.rows)
        connection.register("unreadable", pa.table({"object_id": pa.array(versions.unreadable, pa.string())}))
        moment = as_of.astimezone(UTC).replace(tzinfo=None)
        given = {"is_snapshot": versions.is_snapshot, "as_of": moment, "landing": landing}
        for statement in _PREPARE.format(**texts).split(";\n"):
            connection.execute(statement, {name: value for name, value in given.items() if f"${name}" in statement})
        counts, had, gone = _account(connection, table, versions.counts)
        sql = _NEW.format(**texts)
        if with_known:
            sql += f" union all select {', '.join(schema.names)} from known"
        result = connection.execute(sql, {"as_of": moment, "landing": landing})
        yield result.to_arrow_reader(BATCH_ROWS).cast(schema), counts, had, gone


def ids_now(known: Sequence[str], schema: pa.Schema, condition: str, spool: Path) -> set[str]:
    """The objects that are not deleted and, as they are now, meet an SQL condition on their columns; "" is met by all.

    `known` are the Parquet files of their versions, in `schema`.
    """
    spool.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(config={"memory_limit": MEMORY_LIMIT, "temp_directory": str(spool)}) as connection:
        connection.register("known", dataset(list(known), schema=schema, format="parquet"))
        found = connection.execute(
            f"""
            select object_id from known
            where not ({_HISTORY})
            group by object_id
            having arg_max(coalesce(not is_deleted and ({condition or "true"}), false), landing)
            """
        )
        return {object_id for (object_id,) in found.fetchall()}


def _account(connection: duckdb.DuckDBPyConnection, table: Table, said: Counts) -> tuple[Counts, int, int]:
    row = connection.execute(
        "select (select count(*) from told), (select count(*) from fresh), (select count(*) from gone), "
        "(select count(*) from latest where not is_deleted), "
        "(select count(*) from fresh semi join latest using (object_id) where is_deleted and not is_history)"
    ).fetchone()
    received, fresh, gone, had, deleted = row or (0, 0, 0, 0, 0)
    if received != said.received - said.filtered - said.quarantined:
        raise BadResponseError(f"{table.name}: {said.received} objects received, but {received} were told of")
    counts = Counts(
        received=said.received + gone,
        loaded=fresh + gone,
        deduplicated=received - fresh,
        filtered=said.filtered,
        quarantined=said.quarantined,
    )
    return counts, had, gone + deleted
