"""What a command loads: what it needs, and nothing that only others do. Untimed: `benchmarks.startup` has the times."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tailtracker_bi.bundle import asking
from tailtracker_bi.figures.json_output import json_lines
from tailtracker_bi.sandbox.servers.export_api import SECRET, USER, serve
from tailtracker_bi.warehouse import DuckDb, compiled_manifest
from tests.worlds import sample_bundle
from tests.worlds.tiny import FRIDAY, MONDAY, TINY

HEAVY = {
    "adbc_driver_postgresql", "altair", "asyncio", "dagster", "dbt", "deltalake", "duckdb", "httpx", "numpy", "pandas",
    "polars", "pyarrow", "pydantic", "rich", "streamlit", "stripe",
}  # fmt: skip
"""Libraries whose loading takes longer than a hundredth of dbt's."""
TABLES = {"deltalake", "duckdb", "numpy", "pyarrow", "pydantic"}
TELL = "\nprint(*(name for name, module in sys.modules.items() if module), file=sys.stderr)"
COMMAND = f"""
import sys
from tailtracker_bi.cli import main
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
{TELL}
"""


def loaded(program: str, *arguments: str, **options: object) -> set[str]:
    """The heavy ones of the libraries that a process has loaded when it has done its work."""
    process = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        check=False,
        **options,  # type: ignore[call-overload]
    )
    assert process.returncode == 0, process.stderr
    return HEAVY & {name.split(".")[0] for name in process.stderr.decode().splitlines()[-1].split()}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A HOME with a build, whose sources are all off."""
    home = tmp_path_factory.mktemp("home")
    sample_bundle.publish(home)
    return home


@pytest.mark.parametrize(
    ("command", "needed"),
    [
        (["--help"], {"rich"}),
        (["refresh", "--help"], {"pydantic", "rich"}),
        (["query", "select 1", "--format", "json"], {"pydantic"}),
        (["query", "select 1"], {"pydantic", "rich"}),
        (["status"], {*TABLES, "rich"}),
        (["refresh", "--dry-run"], {*TABLES, "polars", "rich"}),
        (["verify"], {*TABLES, "polars", "rich"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_command_loads_what_it_needs(command: Sequence[str], needed: set[str], home: Path, tmp_path: Path) -> None:
    environment = {"TAILTRACKER_HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[2])}
    assert loaded(COMMAND, *command, env=environment, cwd=tmp_path) == needed


def test_a_refresh_loads_dbt_only_where_the_project_has_not_been_compiled(tmp_path: Path) -> None:
    compiled_manifest(DuckDb(tmp_path))
    with serve(TINY) as api:
        environment = {
            "TAILTRACKER_HOME": str(tmp_path),
            "TAILTRACKER_NOW": "2024-04-03T12:00:00Z",
            "TAILTRACKER_ALLOW_LOOPBACK": "1",
            "MIXPANEL_PROJECT_ID": "1",
            "MIXPANEL_USERNAME": USER,
            "MIXPANEL_SECRET": SECRET,
            "MIXPANEL_EXPORT_URL": api.url,
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        needed = loaded(COMMAND, "refresh", "--from", str(FRIDAY), "--to", str(MONDAY), env=environment, cwd=tmp_path)
    assert (tmp_path / "published" / "current").exists()
    assert needed == {*TABLES, "asyncio", "httpx", "polars", "rich"}


def test_the_process_that_answers_a_query_loads_duckdb_and_arrow_alone(home: Path) -> None:
    [build] = (home / "published").glob("*.duckdb")
    question = json.dumps([str(build), "select 1", 20, [json_lines.__module__, json_lines.__name__, {}], 0]).encode()
    assert loaded(asking.PROGRAM + TELL, input=question) == {"duckdb", "pyarrow"}


def test_pandas_is_there_for_who_asks_after_a_command_that_does_without() -> None:
    program = """
import sys, duckdb
from tailtracker_bi.cli.lean import without_pandas
with without_pandas():
    duckdb.connect().execute("select $a", {"a": 1}).to_arrow_table().to_pylist()
    assert "pandas" not in sys.modules
assert duckdb.connect().execute("select $a", {"a": 1}).to_arrow_table().to_pandas().size == 1
assert duckdb.connect().execute("select 1").df().size == 1
"""
    assert "pandas" in loaded(program + TELL)


def test_statistics_bring_pandas_with_them_to_a_command_that_does_without() -> None:
    program = """
from tailtracker_bi.cli.lean import without_pandas
with without_pandas():
    from tailtracker_bi.inference import infer
    import sys
    assert "pandas" not in sys.modules
    from statsmodels.tsa.seasonal import STL
"""
    assert "pandas" in loaded("import sys" + program + TELL)
