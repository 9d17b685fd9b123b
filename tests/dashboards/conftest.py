"""A small published build that the pages show."""

from __future__ import annotations

import os
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from streamlit import config
from streamlit.components.v2.component_manager import BidiComponentManager
from streamlit.runtime.scriptrunner.script_cache import ScriptCache
from streamlit.testing.v1 import local_script_runner

from dashboards import access
from tests.dashboards import APP, NOW, ROLES, SIGN_IN
from tests.worlds import sample_bundle

COMPILED = ScriptCache()
AS_SERVED = {
    f"{section}.{name}": value
    for section, options in tomllib.loads((APP.parent / ".streamlit" / "config.toml").read_text("utf-8")).items()
    for name, value in options.items()
    if section in {"runner", "browser"}
}

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    sample_bundle.publish(folder)
    return folder


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    # The first has no windows to draw, which saves a fifth.
    found = [os.environ.get("TAILTRACKER_CHROMIUM"), *map(shutil.which, ("chromium-headless-shell", "chromium"))]
    program = next(filter(None, found), None)
    if program is None:
        reason = "NO BROWSER TEST HAS RUN: no chromium found; install it or name it in TAILTRACKER_CHROMIUM"
        if os.environ.get("TAILTRACKER_REQUIRE_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import expect, sync_playwright  # which other tests need not load

    expect.set_options(timeout=30_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(autouse=True)
def environment(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TAILTRACKER_HOME", str(home))
    monkeypatch.setenv("TAILTRACKER_NOW", NOW)
    # Else the test looks a thousand times a second whether the page is there, which costs the page a tenth.
    monkeypatch.setattr(local_script_runner, "require_widgets_deltas", lambda runner, _: runner.join())
    # Looks through all installed packages at each start of a page; there are no components.
    monkeypatch.setattr(BidiComponentManager, "discover_and_register_components", lambda *_, **__: None)
    # Compiles each page once, as the server does, and not at each opening.
    monkeypatch.setattr(local_script_runner, "ScriptCache", lambda: COMPILED)
    # As where the dashboard is served, whose settings are not read here.
    for name, value in AS_SERVED.items():
        config.set_option(name, value)


@pytest.fixture
def signed_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """People sign in, and each role has an address: the file that says so."""
    file = tmp_path / "access.yml"
    file.write_text(ROLES)
    file.chmod(0o600)
    for name, value in SIGN_IN.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TAILTRACKER_ACCESS", str(file))
    access.sign_in.cache_clear()
    yield file
    access.sign_in.cache_clear()
