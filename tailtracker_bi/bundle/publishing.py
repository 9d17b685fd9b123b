"""Makes a build of the warehouse's published tables: copies them, checks the copy, moves the pointer.

A build is checked before the pointer moves, so a reader sees the last good build or the new one, never a mixture.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from datetime import UTC, date, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from tailtracker_bi import durable
from tailtracker_bi.bundle import inferences, restatements
from tailtracker_bi.bundle.comments import Described, comment_on, literal
from tailtracker_bi.bundle.events import HASHES, drop_events, events_of, keyed_hash, write_events
from tailtracker_bi.bundle.inferences import INFERRED, add_inferences
from tailtracker_bi.bundle.pointer import Bundle, BundleError, NoBundleError, builds, current, drop_old, point_to
from tailtracker_bi.bundle.reader import connect, count_rows, tables_of
from tailtracker_bi.bundle.restatements import KEPT_MONTHS, restate
from tailtracker_bi.crash_points import reached

if TYPE_CHECKING:  # readers need not load it
    from tailtracker_bi.warehouse import Engine

SORTED_BY = {"metric_values": "metric_id, grain, segment, segment_value, period_start"}
"""Tables large enough for their order to matter: readers ask for one metric at a time."""
HASHED = {"not_counted": "example", "reconciliation": "example"}
"""By table, the column that holds raw ids. Readers get keyed hashes: one is known again, and nobody is found by it."""

OWN_TABLES: Described = {
    "bundle_info": ("One row: which build this is, when and of what it was made.", {}),
    "restatements": (
        f"One row per value that was published as complete and is another now, of {KEPT_MONTHS} months.",
        {},
    ),
    **INFERRED,
}
"""What is in a bundle and not in the warehouse."""


def publish(
    home: Path,
    warehouse: Engine,
    *,
    run_id: str,
    as_of: date,
    currency: str,
    hash_key: bytes,
    described: Described,
    explored: Sequence[str],
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> Bundle:
    """Copy the warehouse's published tables into a new build, check it, make it the current one, drop old builds.

    `warehouse` holds the tables in its schema `published`, each named pub_<table>; its `marks.finished` says of which
    build they are. `described` says what each of them is, and each of its columns: comments in the build. `explored`
    are the properties of events that Explore may ask of. Raises BundleError, leaving the last build current, where the
    copy does not equal its origin.
    """
    folder = home / "published"
    folder.mkdir(parents=True, exist_ok=True)
    built_at = datetime.now(UTC).replace(tzinfo=None)
    build = f"{built_at:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
    draft = folder / f"{build}.draft"
    events = folder / f"{build}.events.draft"
    try:
        progress("copying tables", 0, 3)
        try:
            now = current(home)
            readers = [now.path, *(kept.path for kept in reversed(builds(home)) if kept.build < now.build)]
        except NoBundleError:
            readers = []
        info = _info(build, built_at, as_of, currency, run_id, warehouse.name)
        counts = _copy(warehouse, draft, info, readers, hash_key, described)
        reached("publish.copied")
        with closing(_opened()) as connection:
            write_events(connection, warehouse, events, events_of(readers[0]) if readers else None, hash_key, explored)
        reached("publish.wrote_events")
        progress("checking the build", 1, 3)
        _check(Bundle(build, draft), counts)
        reached("publish.checked")
        bundle = Bundle(build, folder / f"{build}.duckdb")
        # Who may enter the folder may read what is published in it, and nobody else.
        draft.chmod(0o600 | folder.stat().st_mode & 0o044)
        durable.sync(draft)
        for file in (events, *events.rglob("*")):
            file.chmod(
                (0o700 if file.is_dir() else 0o600) | folder.stat().st_mode & (0o055 if file.is_dir() else 0o044)
            )
        events.rename(events_of(bundle.path))
        reached("publish.renamed_events")
        draft.rename(bundle.path)
        reached("publish.renamed")
    finally:
        draft.unlink(missing_ok=True)
        shutil.rmtree(events, ignore_errors=True)
    progress("making it current", 2, 3)
    point_to(home, build)
    reached("publish.pointed")
    with connect(bundle) as connection:
        own = {table: connection.table(table).to_arrow_table() for table in (*OWN_TABLES, *HASHED)}
    warehouse.release(build, as_of, own)
    reached("publish.released")
    drop_old(home)
    drop_events(home, (kept.path for kept in builds(home)))
    reached("publish.tidied")
    progress(build, 3, 3)
    return bundle


def _info(build: str, built_at: datetime, as_of: date, currency: str, run_id: str, engine: str) -> dict[str, object]:
    return {
        "build": build,
        "built_at": built_at,
        "as_of": as_of,
        "currency": currency,
        "engine": engine,
        "version": version("tailtracker-bi"),
        "run_id": run_id,
    }


def _copy(
    warehouse: Engine,
    draft: Path,
    info: Mapping[str, Any],
    readers: Sequence[Path],
    hash_key: bytes,
    described: Described,
) -> dict[str, int]:
    """Row counts of the tables copied, and of those that only a bundle has; `readers` are the build they have now, and
    those before it, newest first."""
    counts, told = {}, {**OWN_TABLES}
    connection = _opened(str(draft))
    try:
        wanted = {"published", "marks.finished", *inferences.READ, *restatements.READ}
        warehouse.attach(connection, "warehouse", dict.fromkeys(sorted(wanted), ""))
        origins = connection.execute(
            "select table_name from information_schema.tables "
            "where table_catalog = 'warehouse' and table_schema = 'published' order by table_name"
        ).fetchall()
        for (origin,) in origins:
            table = origin.removeprefix("pub_")
            order = f"order by {SORTED_BY[table]}" if table in SORTED_BY else ""
            columns = _hashing(connection, origin, HASHED[table], hash_key) if table in HASHED else "*"
            connection.execute(f"create table {table} as select {columns} from warehouse.published.{origin} {order}")
            counts[table] = count_rows(connection, f"warehouse.published.{origin}")
            told[table] = described.get(origin, ("", {}))
        columns = ", ".join(f"${name} as {name}" for name in info)
        connection.execute(
            f"create table bundle_info as select {columns}, finished_at, landing, definition "
            "from warehouse.marks.finished",
            dict(info),
        )
        for path in readers:
            # One that can't be opened any more is passed over: what it told of earlier restatements the one before had.
            with suppress(duckdb.Error):
                connection.execute(f"attach {literal(str(path))} as readers (read_only)")
                break
        restate(connection, info["build"], info["as_of"])
        add_inferences(connection, info["as_of"])
        counts |= {table: count_rows(connection, table) for table in OWN_TABLES}
        comment_on(connection, told)
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
    hashes = {raw: keyed_hash(raw, key) for (raw,) in ids}
    connection.register("hashes", pa.table({"raw": list(hashes), "hash": list(hashes.values())}, HASHES))
    return f"* replace ((select hash from hashes where raw = {column}) as {column})"


def _check(bundle: Bundle, counts: Mapping[str, int]) -> None:
    with connect(bundle) as connection:
        found = {table: count_rows(connection, table) for table in tables_of(connection)}
        if found != dict(counts):
            raise BundleError(f"build {bundle.build}: the copy differs from the warehouse: {found} is not {counts}")
        uncatalogued = connection.execute(
            "select distinct metric_id from metric_values anti join metric_catalog using (metric_id)"
        ).fetchall()
    if uncatalogued:
        names = ", ".join(sorted(row[0] for row in uncatalogued))
        raise BundleError(f"build {bundle.build}: metrics without a catalogue entry: {names}")


def _opened(file: str = ":memory:") -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(file)
    connection.execute("set enable_progress_bar = false")
    return connection
