"""The bundle: what readers see. The only module that knows the published files.

    published/<build>.duckdb   one build, never changed once it is there
    published/current          the name of the build that readers take

A build gets a file name of its own and is checked before the pointer moves, so a reader sees the last good build or the
new one, never a mixture. A process that still holds an old file would get it again under the same name; hence a new
name each time.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa

from tailtracker_bi import durable
from tailtracker_bi.crash_points import reached
from tailtracker_bi.errors import TailTrackerError
from tailtracker_bi.query import answer
from tailtracker_bi.restatements import restate

POINTER = "current"
KEEP_BUILDS = 5
SORTED_BY = {"metric_values": "metric_id, grain, segment, segment_value, period_start"}
"""Tables large enough for their order to matter: readers ask for one metric at a time."""
HASHED = {"not_counted": "example"}
"""By table, the column that holds raw ids. Readers get keyed hashes: one is known again, and nobody is found by it."""


HASH_LENGTH = 16
_HASHES = pa.schema([("raw", pa.string()), ("hash", pa.string())])


class NoBundleError(TailTrackerError):
    """Nothing has been published yet."""


class BundleError(TailTrackerError):
    """A build failed its checks, or a build that was asked for is not there."""


@dataclass(frozen=True)
class Bundle:
    """One published build."""

    build: str
    path: Path


def builds(home: Path) -> list[Bundle]:
    """The builds that are kept, oldest first."""
    return [Bundle(file.stem, file) for file in sorted((home / "published").glob("*.duckdb"))]


def current(home: Path) -> Bundle:
    """The build that readers take; where the pointer is torn or names nothing, the newest build.

    Raises NoBundleError where nothing has been published.
    """
    kept = {bundle.build: bundle for bundle in builds(home)}
    if not kept:
        raise NoBundleError("nothing has been published yet: run `tailtracker-bi refresh`")
    return kept.get(_pointed_to(home), list(kept.values())[-1])


def kept_build(home: Path, build: str) -> Bundle:
    """A build by its name. Raises BundleError where it is not kept."""
    kept = {bundle.build: bundle for bundle in builds(home)}
    if build not in kept:
        raise BundleError(f"there is no build {build}; kept are: {', '.join(kept) or 'none'}")
    return kept[build]


def is_pointer_sound(home: Path) -> bool:
    """Whether the pointer names a build that is there."""
    return _pointed_to(home) in {bundle.build for bundle in builds(home)}


def _pointed_to(home: Path) -> str:
    try:
        return (home / "published" / POINTER).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


@contextmanager
def connect(bundle: Bundle) -> Iterator[duckdb.DuckDBPyConnection]:
    """A read-only connection that can reach nothing but this build; held for one query at a time.

    Connections of one process to one file share its settings, so that all are opened with the same.
    """
    connection = duckdb.connect(str(bundle.path), read_only=True, config={"enable_external_access": "false"})
    try:
        connection.execute("set TimeZone = 'UTC'")
        yield connection
    finally:
        connection.close()


def read(bundle: Bundle, table: str, columns: Sequence[str] | None = None, **equals: object) -> pd.DataFrame:
    """Rows of a table of the bundle in which each named column equals its value, or is one of them for a list.

    Raises BundleError for a table that this build does not have.
    """
    with connect(bundle) as connection:
        if table not in _tables(connection):
            raise BundleError(f"build {bundle.build} has no table {table}")
        relation = connection.table(f'"{table}"')
        for column, value in equals.items():
            values = value if isinstance(value, list | tuple) else [value]
            relation = relation.filter(
                duckdb.ColumnExpression(column).isin(*(duckdb.ConstantExpression(item) for item in values))
                if values
                else duckdb.ConstantExpression(False)
            )
        if columns is not None:
            relation = relation.select(*columns)
        return relation.df()


def read_if_there(bundle: Bundle, table: str) -> pd.DataFrame:
    """All rows of a table; none where the build was made before there was such a table."""
    with connect(bundle) as connection:
        is_there = table in _tables(connection)
    return read(bundle, table) if is_there else pd.DataFrame()


def query(bundle: Bundle, sql: str) -> pa.Table:
    """The result of one SELECT over the bundle's tables, for SQL that is known. Raises QueryError."""
    return answer(bundle.path, sql)


def publish(
    home: Path,
    warehouse: Path,
    *,
    run_id: str,
    as_of: date,
    currency: str,
    hash_key: bytes,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> Bundle:
    """Copy the warehouse's published tables into a new build, check it, make it the current one, drop old builds.

    `warehouse` is a DuckDB file whose schema `published` holds the tables, each named pub_<table>, and whose
    `marks.finished` says which build they are from. Raises BundleError, leaving the last build current, where the copy
    does not equal its origin.
    """
    folder = home / "published"
    folder.mkdir(parents=True, exist_ok=True)
    built_at = datetime.now(UTC).replace(tzinfo=None)
    build = f"{built_at:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
    draft = folder / f"{build}.draft"
    try:
        progress("copying tables", 0, 3)
        try:
            now = current(home)
            readers = [now.path, *(kept.path for kept in reversed(builds(home)) if kept.build < now.build)]
        except NoBundleError:
            readers = []
        counts = _copy(warehouse, draft, _info(build, built_at, as_of, currency, run_id), readers, hash_key)
        reached("publish.copied")
        progress("checking the build", 1, 3)
        _check(Bundle(build, draft), counts)
        reached("publish.checked")
        bundle = Bundle(build, folder / f"{build}.duckdb")
        # Who may enter the folder may read what is published in it, and nobody else.
        draft.chmod(0o600 | folder.stat().st_mode & 0o044)
        durable.sync(draft)
        draft.rename(bundle.path)
        reached("publish.renamed")
    finally:
        draft.unlink(missing_ok=True)
    progress("making it current", 2, 3)
    _point_to(home, build)
    reached("publish.pointed")
    _drop_old(home)
    reached("publish.tidied")
    progress(build, 3, 3)
    return bundle


def roll_back(home: Path, build: str | None = None) -> Bundle:
    """Make an earlier build the current one: the one named, else the one before the current one."""
    kept = builds(home)
    now = current(home)
    if build is None:
        earlier = [bundle for bundle in kept if bundle.build < now.build]
        if not earlier:
            raise BundleError(f"there is no build before {now.build}")
        target = earlier[-1]
    else:
        target = kept_build(home, build)
    _point_to(home, target.build)
    return target


def _info(build: str, built_at: datetime, as_of: date, currency: str, run_id: str) -> dict[str, object]:
    return {
        "build": build,
        "built_at": built_at,
        "as_of": as_of,
        "currency": currency,
        "engine": "duckdb",
        "version": version("tailtracker-bi"),
        "run_id": run_id,
    }


def _copy(
    warehouse: Path, draft: Path, info: Mapping[str, Any], readers: Sequence[Path], hash_key: bytes
) -> dict[str, int]:
    """Row counts of the tables copied, and of those that only a bundle has; `readers` are the build they have now, and
    those before it, newest first."""
    counts = {}
    connection = duckdb.connect(str(draft))
    try:
        connection.execute(f"attach '{_quoted(warehouse)}' as warehouse (read_only)")
        origins = connection.execute(
            "select table_name from information_schema.tables "
            "where table_catalog = 'warehouse' and table_schema = 'published' order by table_name"
        ).fetchall()
        for (origin,) in origins:
            table = origin.removeprefix("pub_")
            order = f"order by {SORTED_BY[table]}" if table in SORTED_BY else ""
            columns = _hashing(connection, origin, HASHED[table], hash_key) if table in HASHED else "*"
            connection.execute(f"create table {table} as select {columns} from warehouse.published.{origin} {order}")
            counts[table] = _count(connection, f"warehouse.published.{origin}")
        columns = ", ".join(f"${name} as {name}" for name in info)
        connection.execute(
            f"create table bundle_info as select {columns}, finished_at, landing, definition "
            "from warehouse.marks.finished",
            dict(info),
        )
        counts["bundle_info"] = 1
        for path in readers:
            # One that can't be opened any more is passed over: what it told of earlier restatements the one before had.
            with suppress(duckdb.Error):
                connection.execute(f"attach '{_quoted(path)}' as readers (read_only)")
                break
        restate(connection, info["build"], info["as_of"])
        counts["restatements"] = _count(connection, "restatements")
        connection.execute("detach warehouse")
        connection.execute("checkpoint")
    finally:
        connection.close()
    return counts


def _hashing(connection: duckdb.DuckDBPyConnection, origin: str, column: str, key: bytes) -> str:
    """The columns of a table, one of them hashed; what it held is never written to the draft."""
    ids = connection.execute(
        f"select distinct {column} from warehouse.published.{origin} where {column} is not null"
    ).fetchall()
    hashes = {raw: hmac.new(key, raw.encode(), hashlib.sha256).hexdigest()[:HASH_LENGTH] for (raw,) in ids}
    connection.register("hashes", pa.table({"raw": list(hashes), "hash": list(hashes.values())}, _HASHES))
    return f"* replace ((select hash from hashes where raw = {column}) as {column})"


def _check(bundle: Bundle, counts: Mapping[str, int]) -> None:
    with connect(bundle) as connection:
        found = {table: _count(connection, table) for table in _tables(connection)}
        if found != dict(counts):
            raise BundleError(f"build {bundle.build}: the copy differs from the warehouse: {found} is not {counts}")
        uncatalogued = connection.execute(
            "select distinct metric_id from metric_values anti join metric_catalog using (metric_id)"
        ).fetchall()
    if uncatalogued:
        names = ", ".join(sorted(row[0] for row in uncatalogued))
        raise BundleError(f"build {bundle.build}: metrics without a catalogue entry: {names}")


def _tables(connection: duckdb.DuckDBPyConnection) -> list[str]:
    return [row[0] for row in connection.execute("select table_name from duckdb_tables() order by 1").fetchall()]


def _count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    row = connection.execute(f"select count(*) from {table}").fetchone()
    return int(row[0]) if row else 0


def _point_to(home: Path, build: str) -> None:
    draft = home / "published" / f".{POINTER}"
    draft.write_text(build, encoding="utf-8")
    draft.chmod(0o600 | draft.parent.stat().st_mode & 0o044)
    durable.sync(draft)
    reached("publish.drafted_pointer")
    draft.rename(home / "published" / POINTER)
    durable.sync(home / "published")


def _drop_old(home: Path) -> None:
    for leftover in (home / "published").glob("*.draft*"):
        leftover.unlink()
    kept = [bundle for bundle in builds(home) if bundle.build != current(home).build]
    for bundle in kept[: -(KEEP_BUILDS - 1)]:
        bundle.path.unlink()


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
