"""Whether ledger and tables belong together: else nothing may be written to the lake.

A crash leaves at most one commit that the ledger does not know. Where more is unknown, or what the ledger names is not
there, the lake was copied in part or is put together from several.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

import pyarrow.compute as pc
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from tailtracker_bi.lake.ledger import LakeError, Ledger, broken_links
from tailtracker_bi.lake.tables import committed, version_of


def check(ledger: Ledger, root: Path) -> None:
    """Raise LakeError unless this is the lake that its last landing left, or what a crash made of it.

    Whoever writes asks first: a landing rolls back what the ledger does not know, and `tidy` deletes its files.
    """
    rows = ledger.landings()
    last = ledger.last_landing()
    if last is not None:
        number, chain = last
        chains = rows.filter(pc.equal(rows["landing"], number))["chain"].to_pylist()
        if not chains or chains[0] != chain:
            wrong = "has another" if chains else "lacks"
            raise LakeError(f"lake/_landings {wrong} landing {number}, the last that this lake had")
    for broken in broken_links(rows.to_pylist()):
        raise LakeError(f"lake/_landings: {broken}, or the one before it, is not as it was written")
    folders = [folder for folder in sorted(root.glob("[!_]*/*")) if folder.is_dir()]
    if not len(rows) and len(folders) > 1:
        raise LakeError(f"lake/_landings is not there, or empty, and {len(folders)} tables are")
    landed = rows.filter(pc.equal(rows["status"], "landed")).group_by(["source", "table_name"]).aggregate([])
    recorded = zip(landed["source"].to_pylist(), landed["table_name"].to_pylist(), strict=True)
    for source, table in sorted({*recorded, *((folder.parent.name, folder.name) for folder in folders)}):
        check_table(ledger, root, source, table)


def check_table(ledger: Ledger, root: Path, source: str, table: str) -> None:
    """Raise LakeError where a table lacks what the ledger names, or has more beyond it than a crash leaves."""
    path, recorded = root / source / table, ledger.recorded(source, table)
    version, where = version_of(path), f"lake/{source}/{table}"
    if recorded is not None:
        try:
            if version is None or version < recorded:
                raise DeltaError
            known = DeltaTable(path, version=recorded)
            actions = known.get_add_actions(flatten=True)
            rows, sizes = actions["num_records"].to_pylist(), actions["size_bytes"].to_pylist()
            names = [unquote(name) for name in actions["path"].to_pylist()]
        except (DeltaError, OSError, KeyError, ValueError):
            raise LakeError(f"{where} lacks version {recorded}, which the ledger names") from None
        # A commit that was cut says less than it did, and Delta takes an empty one for one that changes nothing.
        if known.metadata().partition_columns == ["day"]:
            wanted = ledger.files_landed(source, table)
            if wanted is not None and wanted != set(names):
                raise LakeError(f"{where} has other files in version {recorded} than the ledger names")
        elif None not in rows and sum(rows) != (landed := pc.sum(ledger.landed(source, table)["loaded"]).as_py()):
            raise LakeError(f"{where} has {sum(rows)} rows in version {recorded}, and the ledger says {landed}")
        else:
            # Days can be pulled again; of versions what is lost shows nowhere else.
            for name, size in zip(names, sizes, strict=True):
                if not (path / name).is_file() or (path / name).stat().st_size != size:
                    raise LakeError(f"{where}/{name} is not as it was written")
    unknown = 0
    for number in range(0 if recorded is None else recorded + 1, -1 if version is None else version + 1):
        changes, restores = committed(path, number)
        unknown = 0 if restores else unknown + changes
    if unknown > 1:
        raise LakeError(
            f"{where} has {unknown} commits that the ledger does not know, and a crash leaves one: lake/_landings "
            "is older than this table, or of another lake"
        )
