"""Runs dbt in this process, and keeps what it made of the project.

What belongs here: whatever knows dbt's commands, files and results. What models read is written by `config_tables.py`;
what dbt compiled is run by `models.py`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson

from tailtracker_bi.errors import BuildError
from tailtracker_bi.shipped import DBT_PROJECT, IS_INSTALLED
from tailtracker_bi.warehouse.engines import Engine

TARGET = DBT_PROJECT / "target"
NOWHERE = rb"\"elsewhere\"."
"""The database that SQL names which is compiled without a server: SQL need not name the one that it is in."""


def compiled_manifest(engine: Engine) -> dict[str, Any]:
    """dbt's manifest of the project, with the SQL of each model and data test as a refresh runs it on this engine."""
    kept = _compiled(engine, _kept_in(engine.home))
    try:
        manifest: dict[str, Any] = orjson.loads((kept / "manifest.json").read_bytes().replace(NOWHERE, b""))
    except (OSError, ValueError):  # damaged
        shutil.rmtree(kept)
        return compiled_manifest(engine)
    for node in manifest["nodes"].values():
        # Where an engine has that schema, it knows by itself.
        node["schema"] = node["config"].get("schema") or node["schema"]
    return manifest


def _kept_in(home: Path) -> Path:
    """Where what dbt made of the project is kept: beside a checkout's, else below `home`."""
    is_ours = not IS_INSTALLED and os.access(TARGET if TARGET.exists() else DBT_PROJECT, os.W_OK)
    return TARGET if is_ours else home / "dbt"


def _compiled(engine: Engine, folder: Path) -> Path:
    """Where dbt left what it made of the project.

    It is kept in `folder`, under a name that the project's content and dbt's versions give, so that only the first
    process after a change pays for it, and no other loads dbt.
    """
    content = [(str(file.relative_to(DBT_PROJECT)), file.read_text(encoding="utf-8")) for file in _project_files()]
    # Adapters bring macros, which are in the manifest, too.
    versions = [version(name) for name in ("dbt-core", "dbt-common", "dbt-adapters", engine.dbt_package)]
    fingerprint = hashlib.sha256(
        json.dumps([engine.name, *engine.named_in_sql, versions, content]).encode()
    ).hexdigest()[:16]
    compiled = folder / f"compiled-{fingerprint}"
    if not compiled.exists():
        from filelock import FileLock  # which only who compiles need load

        folder.mkdir(parents=True, exist_ok=True)
        # Who comes meanwhile waits, which is quicker than to compile it, too.
        with FileLock(f"{compiled}.lock"), TemporaryDirectory(dir=folder) as scratch:
            if not compiled.exists():
                run_dbt(
                    engine.elsewhere(Path(scratch)),
                    ["compile", "--no-introspect", "--no-populate-cache", "--vars", '{"for_refresh": true}'],
                )
                (Path(scratch) / "dbt" / "target").rename(compiled)  # when whole: other processes look for it
    return compiled


def _project_files() -> list[Path]:
    folders = (DBT_PROJECT / "macros", DBT_PROJECT / "models", DBT_PROJECT / "tests")
    files = [DBT_PROJECT / "dbt_project.yml", *(file for folder in folders for file in folder.rglob("*"))]
    return sorted(file for file in files if file.suffix in {".sql", ".yml"})


def write_profile(engine: Engine) -> Path:
    """Say to dbt, and to who runs it by hand, how the warehouse is reached; the folder of the profile."""
    state = engine.home / "dbt"
    state.mkdir(parents=True, exist_ok=True)
    profile = state / "profiles.yml"
    profile.touch(mode=0o600)
    profile.write_text(
        json.dumps({"tailtracker": {"target": engine.name, "outputs": {engine.name: engine.dbt_output()}}}),
        encoding="utf-8",
    )
    return state


def run_dbt(engine: Engine, arguments: list[str]) -> Any:
    """Run dbt in this process on an engine's warehouse, and give what the command gives.

    Raises BuildError naming what failed.
    """
    # dbt takes seconds to import: only those who run it pay for it.
    from dbt.cli.main import dbtRunner

    state = write_profile(engine)
    logs = state / "logs"
    try:
        result = dbtRunner().invoke(
            [
                *arguments,
                "--project-dir", str(DBT_PROJECT),
                "--profiles-dir", str(state),
                "--target-path", str(state / "target"),
                "--log-path", str(logs),
                "--log-level", "none",
                "--log-level-file", "info",
                "--fail-fast",
            ]
        )  # fmt: skip
    finally:
        engine.close_dbt()
    if isinstance(result.exception, BaseException) and not isinstance(result.exception, Exception):
        raise result.exception  # Ctrl-C is no failure of the build
    if not result.success:
        raise BuildError(f"build: {_what_failed(result)}; details: {logs / 'dbt.log'}")
    return result.result


def _what_failed(result: Any) -> str:
    if result.exception is not None:
        return " ".join(str(result.exception).split())
    failures = [
        f"{node.node.name}: {' '.join((node.message or '').split())}"
        for node in result.result
        if node.status in {"error", "fail", "runtime error"}
    ]
    return "; ".join(failures) or "dbt failed"
