"""Which versions of objects are new: what a source tells against what the lake knows, in sets, inside DuckDB.

Of what an object is now, only what differs from its latest version is new, or from the one in force: an event may have
told of another state since. Of what it was (history that an event told of), only what is not there yet. An object of a
snapshot that is no longer in it is gone: that is a version, too, with the content it had last.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import duckdb
import pyarrow as pa
from pyarrow.dataset import dataset

from tailtracker_bi.sources import HISTORY_ORIGINS, SUMS, BadResponseError, Counts, Table, Versions, digest, row_hash

MEMORY_LIMIT = "512MB"
BATCH_ROWS = 50_000

_HISTORY = f"origin in {HISTORY_ORIGINS}"

# An object may be told of several times: what was told last is what it is now.
_TELL = """
    create table told as
    select
        *,
        md5(cast(to_json({{{own}}}) as varchar)) as content_hash,
        row_number() over () as position,
        {history} as is_history
    from candidates
"""

# Where an object stands twice, or its history is told, too, order and time decide.
_DIGEST = f"""
    select count(distinct object_id) = count(*) and not coalesce(bool_or(is_history), false), {SUMS}
    from (
        select *, {row_hash(["object_id", "effective_at", "origin", "is_deleted", "content_hash"])} as row_hash
        from told
    )
"""

# Which rows are new is found by their positions: with all that they say it would take more memory than there is.
_PREPARE = """
    create table versions as
    select object_id, origin, effective_at, landing, content_hash, is_deleted from known;

    create table latest as
    select object_id, content_hash, is_deleted
    from versions
    where not ({history})
    qualify row_number() over (partition by object_id order by landing desc) = 1;

    create table in_force as
    select object_id, case when count(distinct content_hash) = 1 then min(content_hash) end as content_hash
    from (
        select object_id, content_hash
        from (
            select object_id, content_hash, origin, effective_at, landing from versions
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
    select * from told
    where position in (
        select max(told.position) from told
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
        group by told.object_id
    );

    insert into fresh
    select * from told
    where position in (
        select min(told.position) from told
        anti join versions using (object_id, origin, effective_at, content_hash)
        where told.is_history
        group by told.object_id, told.origin, told.effective_at, told.content_hash
    );

    create table gone as
    select object_id
    from latest
    anti join told using (object_id)
    anti join unreadable using (object_id)
    where $is_snapshot and not is_deleted;

    create table deletions as
    select object_id, origin from fresh where is_deleted and not is_history
    union all
    select object_id, 'snapshot' from gone;
"""

_NEW = """
    select object_id, coalesce(effective_at, $as_of) as effective_at, origin, is_deleted, $landing as landing,
        $as_of as observed_at, content_hash, {own_columns}
    from fresh
    where not (is_deleted and not is_history)
"""

# Deletions carry the content that the object had last: for them alone all columns of what is known are read.
_DELETED = """
    select deletions.object_id, $as_of, deletions.origin, true, $landing, $as_of, last.content_hash, {last_columns}
    from deletions
    left join (
        select * from (
            select object_id, origin, landing, effective_at, content_hash, {own_columns} from known
            union all
            select object_id, origin, $landing, effective_at, content_hash, {own_columns} from fresh where is_history
        )
        where object_id in (select object_id from deletions)
        qualify row_number() over (partition by object_id order by {history}, landing desc, effective_at desc) = 1
    ) as last using (object_id)
"""


class Comparison:
    """An engine that compares what is told with what is known, one table after the other; a context manager.

    `spool` is a directory for what does not fit into memory.
    """

    def __init__(self, spool: Path) -> None:
        self._connection = _engine(spool)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    @contextmanager
    def told(self, table: Table, versions: Versions) -> Iterator[Told]:
        """What a source tells of a table, read to its end.

        Raises BadResponseError where the rows told are not as many as their counts say.
        """
        said = versions.counts
        # What is made of a table goes at its end, all at once.
        self._connection.begin()
        try:
            self._connection.register("candidates", versions.rows)
            self._connection.execute(_TELL.format(**_texts(table)))
            is_plain, objects, *sums = _one(self._connection, _DIGEST)
            if objects != said.received - said.filtered - said.quarantined:
                raise BadResponseError(f"{table.name}: {said.received} objects received, but {objects} were told of")
            # Nothing new is another thing than nothing there.
            content = f"{'all' if versions.is_snapshot else 'some'} {digest(objects, *sums)}" if is_plain else None
            yield Told(self._connection, table, versions, objects, content)
        finally:
            self._connection.rollback()
            for name in ("candidates", "known", "unreadable"):
                self._connection.unregister(name)

    def ids_now(self, known: Sequence[str], schema: pa.Schema, condition: str) -> set[str]:
        """The objects that are not deleted and, as they are now, meet an SQL condition on their columns; "" is met by
        all.

        `known` are the Parquet files of their versions, in `schema`.
        """
        with self._connection.cursor() as beside:
            beside.register("known", dataset(list(known), schema=schema, format="parquet"))
            found = beside.execute(
                f"""
                select object_id from known
                where not ({_HISTORY})
                group by object_id
                having arg_max(coalesce(not is_deleted and ({condition or "true"}), false), landing)
                """
            )
            return {object_id for (object_id,) in found.fetchall()}


@dataclass(frozen=True)
class Told:
    """What a source tells of a table, in an engine's table `told`."""

    connection: duckdb.DuckDBPyConnection
    table: Table
    versions: Versions
    objects: int
    content: str | None
    """Whether it is all there is, and a digest of it in any order; None where the order matters, or history is told."""

    @property
    def nothing_new(self) -> Counts:
        """What became of it where all of it is known."""
        return replace(self.versions.counts, deduplicated=self.objects)

    def against(
        self, known: Sequence[str], schema: pa.Schema, *, landing: int, as_of: datetime, with_known: bool = False
    ) -> tuple[pa.RecordBatchReader, Counts, int, int]:
        """The new versions, in `schema` (`with_known`: all versions), what became of all that was told, how many
        objects there were before, and how many of these are gone.

        `known` are the Parquet files of the versions that the lake holds. A row that is gone counts as one received and
        loaded.
        """
        texts = _texts(self.table)
        unreadable = pa.table({"object_id": pa.array(self.versions.unreadable, pa.string())})
        self.connection.register("known", dataset(list(known), schema=schema, format="parquet"))
        self.connection.register("unreadable", unreadable)
        moment = as_of.astimezone(UTC).replace(tzinfo=None)
        given = {"is_snapshot": self.versions.is_snapshot, "as_of": moment, "landing": landing}
        for statement in _PREPARE.format(**texts).split(";\n"):
            self.connection.execute(
                statement, {name: value for name, value in given.items() if f"${name}" in statement}
            )
        counts, had, gone, deletions = self._account()
        parts = [_NEW.format(**texts)]
        if deletions:
            parts.append(_DELETED.format(**texts))
        if with_known:
            parts.append(f"select {', '.join(schema.names)} from known")
        result = self.connection.execute(" union all ".join(parts), {"as_of": moment, "landing": landing})
        return result.to_arrow_reader(BATCH_ROWS).cast(schema), counts, had, gone

    def _account(self) -> tuple[Counts, int, int, int]:
        """What became of all that was told, how many objects there were, how many of these are gone, and deletions."""
        fresh, gone, had, ended, deletions = _one(
            self.connection,
            "select (select count(*) from fresh), (select count(*) from gone), "
            "(select count(*) from latest where not is_deleted), "
            "(select count(*) from deletions semi join latest using (object_id)), (select count(*) from deletions)",
        )
        said = self.versions.counts
        counts = replace(said, received=said.received + gone, loaded=fresh + gone, deduplicated=self.objects - fresh)
        return counts, had, ended, deletions


def _engine(spool: Path) -> duckdb.DuckDBPyConnection:
    spool.mkdir(parents=True, exist_ok=True)
    connection = duckdb.connect(config={"memory_limit": MEMORY_LIMIT, "temp_directory": str(spool)})
    connection.execute("set TimeZone = 'UTC'; set enable_progress_bar = false")
    # DuckDB pushes a join's keys into the scan as a Bloom filter, which scans of pyarrow's datasets refuse.
    connection.execute("set disabled_optimizers = 'join_filter_pushdown'")
    return connection


def _texts(table: Table) -> dict[str, str]:
    """What SQL is made of for a table."""
    own = table.schema.names
    return {
        "own": ", ".join(f"'{name}': {name}" for name in own),
        "own_columns": ", ".join(own),
        "last_columns": ", ".join(f"last.{name}" for name in own),
        "history": _HISTORY,
    }


def _one(connection: duckdb.DuckDBPyConnection, sql: str) -> tuple[Any, ...]:
    row = connection.execute(sql).fetchone()
    assert row is not None, "an aggregate always gives a row"  # noqa: S101 - a fact, told to the type checker
    return row
