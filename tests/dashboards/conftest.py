"""A small published build that the pages show."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.components.v2.component_manager import BidiComponentManager

from tests.dashboards import NOW
from tests.worlds import sample_bundle


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    sample_bundle.publish(folder)
    return folder


@pytest.fixture(autouse=True)
def environment(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TAILTRACKER_HOME", str(home))
    monkeypatch.setenv("TAILTRACKER_NOW", NOW)
    # Looks through all installed packages at each start of a page; there are no components.
    monkeypatch.setattr(BidiComponentManager, "discover_and_register_components", lambda *_, **__: None)
