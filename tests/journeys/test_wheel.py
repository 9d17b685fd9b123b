"""What is installed from a wheel works, outside the checkout, and leaves what is installed as it is."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen
from zipfile import ZipFile

import pytest

PROJECT = Path(__file__).parents[2]
SECONDS_TO_SERVE = 60.0


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(place)]
    subprocess.run(build, cwd=PROJECT, check=True, capture_output=True)
    [wheel] = place.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    """The environment that the wheel is installed in. Its dependencies are those of this one: no index is asked."""
    environment = wheel.parent / "environment"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    python = environment / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(install, check=True)
    [packages] = environment.glob("lib/python*/site-packages")
    # Not its `.pth` files, by which the checkout would be found.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return environment


def test_a_wheel_holds_the_package_with_its_sql_and_pages_and_nothing_else(wheel: Path) -> None:
    names = ZipFile(wheel).namelist()
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"tailtracker_bi"}
    shipped = {name.split("/")[2] for name in names if name.startswith("tailtracker_bi/_shipped/")}
    assert shipped == {"dbt_project", "dashboards"}
    assert not [name for name in names if "/target/" in name or "/logs/" in name or "__pycache__" in name]
    for kept in (
        *("analytics/analytics.yml", "warehouse/decline_codes.csv", "sandbox/servers/app_schema.sql"),
        *(f"reports/report.{ending}" for ending in ("html", "txt", "md")),
    ):
        assert f"tailtracker_bi/{kept}" in names


def content(folder: Path) -> dict[str, str]:
    """Every file below a folder, by its hash."""
    files = (file for file in sorted(folder.rglob("*")) if file.is_file() and "__pycache__" not in file.parts)
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


THE_FIRST_PAGE = """
from streamlit.testing.v1 import AppTest
from tailtracker_bi.shipped import DASHBOARDS
app = AppTest.from_file(str(DASHBOARDS / "streamlit_app.py"), default_timeout=60).run()
assert not app.exception, app.exception
print(app.title[0].value)
"""


def run_python(environment: Path, program: str, where: Path, variables: dict[str, str]) -> str:
    command = [str(environment / "bin" / "python"), "-c", program]
    process = subprocess.run(command, cwd=where, env=variables, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    return process.stdout


@contextmanager
def serving(command: list[str], where: Path, variables: dict[str, str]) -> Iterator[None]:
    with subprocess.Popen(command, cwd=where, env=variables, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


@pytest.mark.slow
def test_a_wheel_brings_up_the_sandbox_refreshes_and_serves_the_dashboard(installed: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    variables = {"PATH": os.environ["PATH"], "TAILTRACKER_HOME": str(home)}
    command = str(installed / "bin" / "tailtracker-bi")

    def run(*arguments: str) -> str:
        process = subprocess.run(
            [command, *arguments], cwd=tmp_path, env=variables, capture_output=True, text=True, check=False
        )
        assert process.returncode == 0, process.stderr
        return process.stdout

    where = run_python(installed, "import tailtracker_bi; print(tailtracker_bi.__file__)", tmp_path, variables)
    assert where.startswith(str(installed))
    before = content(installed)
    try:
        run("sandbox", "up", "--people", "40", "--days", "20")
        assert "bundle" in run("refresh")
        assert run("report", "weekly").strip().endswith(".html")
        page = run_python(installed, THE_FIRST_PAGE, tmp_path, variables)
        assert page == "Overview\n"
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        serve = [command, "dashboard", "--port", str(port)]
        with serving(serve, tmp_path, variables):
            deadline = time.monotonic() + SECONDS_TO_SERVE
            while True:
                try:
                    with urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5) as answer:
                        assert answer.read() == b"ok"
                    break
                except OSError:
                    assert time.monotonic() < deadline
                    time.sleep(0.2)
    finally:
        run("sandbox", "down")
    assert content(installed) == before
