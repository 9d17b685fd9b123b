"""The project is compiled once for each content of it, whoever needs what came of that."""

from __future__ import annotations

import shutil
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import pytest

from tailtracker_bi.warehouse import DuckDb, Engine, dbt_runner


@pytest.fixture
def compiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders in which a copy of the project was compiled; what dbt itself would write is taken from this one's."""
    kept = dbt_runner._compiled(DuckDb(tmp_path), dbt_runner.TARGET)
    project = tmp_path / "project"
    (project / "models").mkdir(parents=True)
    (project / "dbt_project.yml").touch()
    found = []

    def compile_it(engine: Engine, arguments: list[str]) -> SimpleNamespace:
        found.append(engine.home)
        shutil.copytree(kept, engine.home / "dbt" / "target")
        return SimpleNamespace()

    monkeypatch.setattr(dbt_runner, "DBT_PROJECT", project)
    monkeypatch.setattr(dbt_runner, "TARGET", project / "target")
    monkeypatch.setattr(dbt_runner, "run_dbt", compile_it)
    return found


def kept_in(folder: Path) -> list[Path]:
    """What was compiled, of a folder with nothing else in it but the locks."""
    found = [path for path in folder.iterdir() if path.suffix != ".lock"]
    assert all(path.is_dir() and path.name.startswith("compiled-") for path in found)
    return found


def test_it_is_compiled_again_once_its_content_changes(compiles: list[Path], tmp_path: Path) -> None:
    for _ in range(2):
        assert dbt_runner.compiled_manifest(DuckDb(tmp_path))["nodes"]
    assert len(compiles) == 1
    (dbt_runner.DBT_PROJECT / "models" / "new.sql").write_text("select 1")
    for _ in range(2):
        dbt_runner.compiled_manifest(DuckDb(tmp_path))
    assert len(compiles) == 2
    assert len(kept_in(dbt_runner.DBT_PROJECT / "target")) == 2


def test_what_is_kept_is_made_again_where_it_is_damaged(compiles: list[Path], tmp_path: Path) -> None:
    nodes = dbt_runner.compiled_manifest(DuckDb(tmp_path))["nodes"]
    [kept] = kept_in(dbt_runner.DBT_PROJECT / "target")
    (kept / "manifest.json").write_bytes((kept / "manifest.json").read_bytes()[:1000])
    assert dbt_runner.compiled_manifest(DuckDb(tmp_path))["nodes"] == nodes
    (kept / "manifest.json").unlink()
    assert dbt_runner.compiled_manifest(DuckDb(tmp_path))["nodes"] == nodes
    assert len(compiles) == 3


def test_where_the_project_may_only_be_read_home_keeps_it(
    compiles: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    for _ in range(2):
        dbt_runner.compiled_manifest(DuckDb(tmp_path / "home"))
    assert len(compiles) == 1
    assert not (dbt_runner.DBT_PROJECT / "target").exists()


def test_an_installed_project_is_never_written_to(
    compiles: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dbt_runner, "IS_INSTALLED", True)
    assert dbt_runner.compiled_manifest(DuckDb(tmp_path / "home"))["nodes"]
    assert not (dbt_runner.DBT_PROJECT / "target").exists()
    assert len(kept_in(tmp_path / "home" / "dbt")) == 1


def test_of_two_that_compile_at_once_one_does_and_both_have_it(
    compiles: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = dbt_runner.run_dbt
    found = []
    other = Thread(target=lambda: found.append(dbt_runner.compiled_manifest(DuckDb(tmp_path))["nodes"]))

    def beside_another(engine: Engine, arguments: list[str]) -> object:
        if not compiles:
            other.start()
            other.join(0.2)
        return alone(engine, arguments)

    monkeypatch.setattr(dbt_runner, "run_dbt", beside_another)
    nodes = dbt_runner.compiled_manifest(DuckDb(tmp_path))["nodes"]
    other.join()
    assert found == [nodes]
    assert len(compiles) == 1


def test_an_interrupted_build_is_no_failed_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dbt.cli.main import dbtRunner, dbtRunnerResult  # which no process need load to look for tests

    interrupted = dbtRunnerResult(success=False, exception=KeyboardInterrupt())
    monkeypatch.setattr(dbtRunner, "invoke", lambda *_: interrupted)
    with pytest.raises(KeyboardInterrupt):
        dbt_runner.run_dbt(DuckDb(tmp_path), ["build"])
