"""Whether the pointer is sound, all builds can be read, and the current one equals the warehouse it is from."""

from __future__ import annotations

from pathlib import Path

import duckdb

from tailtracker_bi.bundle import pointer, publishing, reader
from tailtracker_bi.bundle.events import damaged_events
from tailtracker_bi.lake import Finding, Verdict, unreadable
from tailtracker_bi.warehouse import DuckDbSession, Engine, Warehouse

PUBLISH = "`tailtracker-bi refresh` publishes anew; until then `tailtracker-bi rollback` shows the build before"

WRITTEN_ANEW = "`tailtracker-bi refresh` publishes anew; until then Explore can't be trusted"


def check_bundles(home: Path, warehouse: Warehouse) -> Verdict:
    """Whether the pointer is sound, all builds can be read, and the current one equals the warehouse it is from."""
    builds = pointer.builds(home)
    if not builds:
        return Verdict("bundle", "nothing has been published yet", [])
    current, findings = pointer.current(home), []
    if not pointer.is_pointer_sound(home):
        mend = f"`tailtracker-bi rollback --to {builds[-1].build}` writes it anew"
        findings.append(Finding(f"published/{pointer.POINTER}", "names no build that is there", mend))
    detail = ""
    for one in builds:
        try:
            with reader.connect(one) as connection:
                for (table,) in connection.execute("select table_name from duckdb_tables()").fetchall():
                    DuckDbSession(connection).digest(table)
            if one == current:
                detail, differences = _compare_bundle(one, warehouse.engine)
                findings += differences
        except duckdb.Error as error:
            mend = PUBLISH if one == current else f"remove published/{one.path.name}: it can't be gone back to"
            findings.append(unreadable(one.path.name, error, mend, is_quoted=True))
        findings += [
            Finding(str(file.relative_to(one.path.parent)), "is not as it was written", WRITTEN_ANEW)
            for file in damaged_events(one.path)
        ]
    return Verdict("bundle", f"{current.build}{detail}; {len(builds)} builds can be read", findings)


def _compare_bundle(one: pointer.Bundle, warehouse: Engine) -> tuple[str, list[Finding]]:
    with duckdb.connect() as connection:
        connection.execute("set enable_progress_bar = false")
        unreachable: tuple[type[Exception], ...] = (duckdb.Error, *warehouse.errors)
        quoted = str(one.path).replace("'", "''")
        try:
            connection.execute(f"attach '{quoted}' as bundle (read_only)")
            warehouse.attach(connection, "warehouse", {"published": "", "marks.finished": ""})
        except unreachable:
            return "", []  # Named where each is read by itself.
        connection.execute("use bundle")
        missing = connection.execute(
            "select distinct metric_id from metric_values anti join metric_catalog using (metric_id) union "
            "select metric_id from metric_catalog anti join metric_values using (metric_id) where status = 'active'"
        ).fetchall()
        findings = [Finding(f"metric {name}", "has no catalogue entry, or no values", PUBLISH) for (name,) in missing]
        try:
            is_same = connection.execute(
                "select b.finished_at = w.finished_at from bundle_info as b cross join warehouse.marks.finished as w"
            ).fetchone()
        except duckdb.CatalogException:
            is_same = None  # The last build did not finish.
        if is_same != (True,):
            return ", which is older than the last build and was not compared with it", findings
        for (origin,) in connection.execute(
            "select table_name from duckdb_tables() where database_name = 'warehouse' and schema_name = 'published'"
        ).fetchall():
            table, of = origin.removeprefix("pub_"), f"warehouse.published.{origin}"
            # Of ids the bundle holds hashes.
            columns = f"* exclude ({publishing.HASHED[table]})" if table in publishing.HASHED else "*"
            ours, theirs = f"select {columns} from {of}", f"select {columns} from {table}"
            try:
                row = connection.execute(
                    f"select (select count(*) from ({ours} except all {theirs})) "
                    f"+ (select count(*) from ({theirs} except all {ours}))"
                ).fetchone()
            except duckdb.CatalogException:
                findings.append(Finding(f"{one.path.name} {table}", "is not there", PUBLISH))
                continue
            except duckdb.IOException:
                continue  # Named where that file is read by itself.
            if row and row[0]:
                findings.append(
                    Finding(f"{one.path.name} {table}", f"{row[0]} rows differ from the warehouse", PUBLISH)
                )
    return ", equal to the warehouse", findings
