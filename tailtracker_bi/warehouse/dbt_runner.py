"""Runs dbt in this process: on the warehouse of a HOME, and to have the project parsed.

What belongs here: whatever knows dbt's commands, files and results. What models read is written by `config_tables.py`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tailtracker_bi.errors import BuildError
from tailtracker_bi.shipped import DBT_PROJECT, IS_INSTALLED
from tailtracker_bi.warehouse.engines import Engine

TARGET = DBT_PROJECT / "target"


def parsed_project(engine: Engine) -> Any:
    """dbt's manifest of the project for a run, which fills in what it compiles: each needs its own."""
    from dbt.contracts.graph.manifest import Manifest

    manifest = Manifest.from_msgpack((_parsed(engine, _kept_in(engine.home)) / "partial_parse.msgpack").read_bytes())
    # What models see as `graph` is not in the file.
    manifest.build_flat_graph()  # type: ignore[no-untyped-call]
    return manifest


def written_manifest(engine: Engine) -> dict[str, Any]:
    """dbt's manifest of the project as JSON, for who describes the models without building them."""
    manifest: dict[str, Any] = json.loads((_parsed(engine, _kept_in(engine.home)) / "manifest.json").read_bytes())
    return manifest


def _kept_in(home: Path) -> Path:
    """Where what dbt made of the project is kept: beside a checkout's, else below `home`."""
    is_ours = not IS_INSTALLED and os.access(TARGET if TARGET.exists() else DBT_PROJECT, os.W_OK)
    return TARGET if is_ours else home / "dbt"


def _parsed(engine: Engine, folder: Path) -> Path:
    """Where dbt left what it made of the project.

    It is kept in `folder`, under a name that the project's content and dbt's versions give, so that only the first
    process after a change pays for parsing, which takes seconds.
    """
    content = [(str(file.relative_to(DBT_PROJECT)), file.read_text(encoding="utf-8")) for file in _project_files()]
    # Adapters bring macros, which are in the manifest, too.
    versions = [version(name) for name in ("dbt-core", "dbt-common", "dbt-adapters", engine.dbt_package)]
    fingerprint = hashlib.sha256(json.dumps([engine.name, versions, content]).encode()).hexdigest()[:16]
    parsed = folder / f"parsed-{fingerprint}"
    if not parsed.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder) as scratch:
            run_dbt(engine.elsewhere(Path(scratch)), ["parse"])
            try:  # When whole: other processes look for it.
                (Path(scratch) / "dbt" / "target").rename(parsed)
            except OSError:
                if not parsed.exists():  # else another process was faster
                    raise
    return parsed


def _project_files() -> list[Path]:
    folders = (DBT_PROJECT / "macros", DBT_PROJECT / "models", DBT_PROJECT / "tests")
    files = [DBT_PROJECT / "dbt_project.yml", *(file for folder in folders for file in folder.rglob("*"))]
    return sorted(file for file in files if file.suffix in {".sql", ".yml"})


def run_dbt(
    engine: Engine,
    arguments: list[str],
    progress: Callable[[str, int, int], None] = lambda *_: None,
    manifest: Any = None,
) -> Any:
    """Run dbt in this process on an engine's warehouse, and give what the command gives.

    With a manifest the project is not parsed again, and none is written. Raises BuildError naming what failed.
    """
    # dbt takes seconds to import: only those who build pay for it.
    from dbt.cli.main import dbtRunner

    state = engine.home / "dbt"
    state.mkdir(parents=True, exist_ok=True)
    (state / "profiles.yml").write_text(
        json.dumps({"tailtracker": {"target": engine.name, "outputs": {engine.name: engine.dbt_output()}}}),
        encoding="utf-8",
    )

    logs = state / "logs"
    logs.mkdir(exist_ok=True)

    def listen(event: Any) -> None:
        # dbt's own file log words every debug event before it drops it: an eighth of a build's time.
        if event.info.level in {"info", "warn", "error"}:
            log.write(f"{event.info.ts.ToDatetime():%Y-%m-%d %H:%M:%S} {event.info.level} {event.info.msg}\n")
        if event.info.name == "LogModelResult":
            progress(event.data.node_info.node_name, event.data.index, event.data.total)
        elif event.info.name == "LogTestResult":
            progress(event.data.name, event.data.index, event.data.num_models)

    try:
        with (logs / "dbt.log").open("w", encoding="utf-8") as log:
            result = dbtRunner(manifest=manifest, callbacks=[listen]).invoke(
                [
                    *arguments,
                    "--project-dir", str(DBT_PROJECT),
                    "--profiles-dir", str(state),
                    "--target-path", str(state / "target"),
                    "--log-path", str(logs),
                    "--log-level", "none",
                    "--log-level-file", "none",
                    "--fail-fast",
                ]
            )  # fmt: skip
    finally:
        engine.close_dbt()
    if isinstance(result.exception, BaseException) and not isinstance(result.exception, Exception):
        raise result.exception  # Ctrl-C is no failure of the build
    if not result.success:
        error = BuildError(f"build: {_what_failed(result)}; details: {logs / 'dbt.log'}")
        error.results = getattr(result.result, "results", ())
        raise error
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
