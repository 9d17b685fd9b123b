"""The project is parsed once for each content of it, whoever needs what came of that."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from dbt.cli.main import dbtRunner, dbtRunnerResult

from tailtracker_bi.warehouse import DuckDb, Engine, dbt_runner


@pytest.fixture
def parses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders in which a copy of the project was parsed; what dbt itself would write is taken from this one's."""
    kept = dbt_runner._parsed(DuckDb(tmp_path), dbt_runner.TARGET)
    project = tmp_path / "project"
    (project / "models").mkdir(parents=True)
    (project / "dbt_project.yml").touch()
    found = []

    def parse(engine: Engine, arguments: list[str]) -> SimpleNamespace:
        found.append(engine.home)
        shutil.copytree(kept, engine.home / "dbt" / "target")
        return SimpleNamespace()

    monkeypatch.setattr(dbt_runner, "DBT_PROJECT", project)
    monkeypatch.setattr(dbt_runner, "TARGET", project / "target")
    monkeypatch.setattr(dbt_runner, "run_dbt", parse)
    return found


def test_it_is_parsed_again_once_its_content_changes(parses: list[Path], tmp_path: Path) -> None:
    nodes = dbt_runner.written_manifest(DuckDb(tmp_path))["nodes"]
    assert dbt_runner.parsed_project(DuckDb(tmp_path)).nodes.keys() == nodes.keys()
    assert len(parses) == 1
    (dbt_runner.DBT_PROJECT / "models" / "new.sql").write_text("select 1")
    dbt_runner.parsed_project(DuckDb(tmp_path))
    dbt_runner.written_manifest(DuckDb(tmp_path))
    assert len(parses) == 2
    assert sorted(path.name[:7] for path in (dbt_runner.DBT_PROJECT / "target").iterdir()) == ["parsed-", "parsed-"]


def test_where_the_project_may_only_be_read_home_keeps_it(
    parses: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    for _ in range(2):
        dbt_runner.parsed_project(DuckDb(tmp_path / "home"))
    assert len(parses) == 1
    assert not (dbt_runner.DBT_PROJECT / "target").exists()


def test_an_installed_project_is_never_written_to(
    parses: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dbt_runner, "IS_INSTALLED", True)
    assert dbt_runner.written_manifest(DuckDb(tmp_path / "home"))["nodes"]
    assert not (dbt_runner.DBT_PROJECT / "target").exists()
    assert [path.name[:7] for path in (tmp_path / "home" / "dbt").iterdir()] == ["parsed-"]


def test_of_two_that_parse_at_once_both_have_it(
    parses: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = dbt_runner.run_dbt

    def beside_another(engine: Engine, arguments: list[str]) -> object:
        if len(parses) == 0:
            alone(DuckDb(engine.home.parent / "other"), arguments)
            monkeypatch.setattr(dbt_runner, "run_dbt", alone)
            dbt_runner.written_manifest(DuckDb(tmp_path))
        return alone(engine, arguments)

    monkeypatch.setattr(dbt_runner, "run_dbt", beside_another)
    assert dbt_runner.written_manifest(DuckDb(tmp_path))["nodes"]


def test_an_interrupted_build_is_no_failed_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted = dbtRunnerResult(success=False, exception=KeyboardInterrupt())
    monkeypatch.setattr(dbtRunner, "invoke", lambda *_: interrupted)
    with pytest.raises(KeyboardInterrupt):
        dbt_runner.run_dbt(DuckDb(tmp_path), ["build"])
