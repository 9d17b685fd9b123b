"""Objects on their way into the lake: the tables of a source, brought up to date together.

    told --as last time?--> nothing to do    else --versions.py--> what is new --> Delta, table by table --> the ledger

One engine compares them all, and the ledger gets their rows in one commit, at the end. Data comes first, as ever: a
crash leaves tables with a commit each that the ledger does not know, which their next landing rolls back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from deltalake import write_deltalake

from tailtracker_bi.crash_points import reached
from tailtracker_bi.lake.guards import changed_shape, doubtful_deletions, doubtful_snapshot
from tailtracker_bi.lake.lake import Lake, accepted_against, as_json, reasons_of, remarked
from tailtracker_bi.lake.ledger import COMPACT_AT
from tailtracker_bi.lake.tables import version_of
from tailtracker_bi.lake.versions import Comparison, Told
from tailtracker_bi.sources import BadResponseError, Counts, HeldError, ObjectSource, Table, Versions


@contextmanager
def landing_objects(lake: Lake, source: type[ObjectSource], spool: Path) -> Iterator[ObjectLanding]:
    """A landing of a source's tables. The ledger knows what has landed once it is over, in whatever way it ends.

    `spool` is a directory for large intermediates.
    """
    with Comparison(spool) as comparison:
        landing = ObjectLanding(lake, source, comparison)
        try:
            yield landing
        finally:
            landing.record()


class ObjectLanding:
    """Tables of a source that are in the lake, and in the ledger once that is recorded."""

    def __init__(self, lake: Lake, source: type[ObjectSource], comparison: Comparison) -> None:
        self._lake, self._source, self.comparison = lake, source, comparison
        self._rows: list[dict[str, object]] = []

    def land(self, table: Table, versions: Versions, as_of: datetime, accepted: str = "") -> Counts:
        """Add what is new of a table's objects, in one commit; what became of it all.

        Raises HeldError for what looks wrong beside what is there, unless its text is what a person has accepted, and
        BadResponseError for a snapshot of which nothing can be used.
        """
        source, name, where = self._source.name, table.name, f"{self._source.name}: {table.name}"
        lake, ledger, path = self._lake, self._lake.ledger, self._lake.table_path(source, name)
        lake.make_ready(source, name)
        if not versions.is_snapshot:
            lake.check_set_aside(source, name)
        last = ledger.last(source, name)
        doubts, remarks = [versions.doubt], [*versions.remarks]
        if versions.shape is not None:
            doubt, noticed = changed_shape(versions.shape, ledger.shape(self._source, table), len(versions.unreadable))
            doubts.insert(0, doubt)
            remarks += noticed
        with self.comparison.told(table, versions) as told:
            is_as_last_time = last is not None and self._is_as(last, told, as_of)
            if is_as_last_time:
                counts = told.nothing_new
            else:
                known = lake.files(source, name)
                is_worn = len(known) >= COMPACT_AT
                rows, counts, had, gone = told.against(
                    known,
                    self._source.raw_schema(table),
                    landing=ledger.next_landing(),
                    as_of=as_of,
                    with_known=is_worn,
                )
                if versions.is_snapshot:
                    doubts.append(doubtful_snapshot(versions.counts.received, had))
                else:
                    doubts.append(doubtful_deletions(gone, had))
            counts.check(f"{source}.{name}")
            doubt = "; ".join(filter(None, doubts))
            if doubt and doubt != accepted:
                raise HeldError(f"{where}: {doubt}", counts.received)
            received = versions.counts.received
            if versions.is_snapshot and received and versions.counts.quarantined == received:
                reason = versions.quarantine.read_next_batch()["reason"][0]
                raise BadResponseError(f"{where}: none of {received} rows can be used: {reason}")
            if counts.loaded or version_of(path) is None:
                write_deltalake(path, rows, mode="overwrite" if is_worn else "append")
                lake.keep(path)
            reached("lake.version.committed")
        if last is not None and is_as_last_time:
            aside = {name: last[name] for name in ("set_aside", "set_aside_for")}
        else:
            drafted = lake.quarantine(source, name).draft_objects(
                ledger.next_landing(), versions.quarantine, is_snapshot=versions.is_snapshot
            )
            aside = {"set_aside": drafted.total(), "set_aside_for": reasons_of(drafted)}
        reached("lake.version.set_aside")
        version = version_of(path)
        digests = lake.digests_of_new(path, version, known) if counts.loaded and version is not None else {}
        self._rows.append(
            {
                "source": source,
                "table_name": name,
                "day": as_of.date(),
                "version": version,
                **asdict(counts),
                **aside,
                "status": "landed",
                "as_of": as_of.replace(tzinfo=None),
                "shape": None if versions.shape is None else as_json(versions.shape),
                "content": told.content,
                "digests": as_json(digests),
            }
            | remarked([*remarks, *accepted_against(doubt)])
        )
        # A lake whose ledger is empty, and that has several tables, would pass for one that lost it.
        if ledger.last_landing() is None:
            self.record()
        return counts

    def record(self) -> None:
        """Write the ledger's rows of what has landed."""
        rows, self._rows = self._rows, []
        if not rows:
            return
        self._lake.ledger.record(rows)
        reached("lake.version.recorded")
        for row in rows:
            self._lake.settle_table(self._source.name, str(row["table_name"]))

    def _is_as(self, last: Mapping[str, Any], told: Told, as_of: datetime) -> bool:
        """Whether a table is told of as at its last landing, so that nothing can be new, and nothing is set aside.

        Not by a clock that was set back; nor where a source tells of what changed, and of states that begin later: of
        these tables what tells of nothing brings nothing.
        """
        versions = told.versions
        if versions.counts.quarantined or last["set_aside"] is None or (versions.is_snapshot and last["set_aside"]):
            return False
        if not versions.is_snapshot and not told.objects:
            return True
        if self._source.follows_changes or told.content is None or told.content != last["content"]:
            return False
        latest = self._lake.ledger.latest_as_of(self._source.name, str(last["table_name"]))
        return latest == last["as_of"] and latest <= as_of.replace(tzinfo=None)
