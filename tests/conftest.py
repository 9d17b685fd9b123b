"""What all tests share: none reads the developer's environment or `.env`, none waits."""

from __future__ import annotations

import gc
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis.configuration import set_hypothesis_home_dir

from tailtracker_bi.sandbox.servers.export_api import SECRET, USER
from tailtracker_bi.settings.environment import load_settings
from tailtracker_bi.settings.model import Settings

if TYPE_CHECKING:
    from tailtracker_bi.sandbox.servers.app_database import AppDatabase, AppServer
    from tests.worlds.stripe_worlds import Models

# Tests run in directories of their own: what Hypothesis keeps, failures among it, would be made and lost in each.
set_hypothesis_home_dir(Path(__file__).parents[1] / ".hypothesis")

OF_THE_PROJECT = ("TAILTRACKER_", "MIXPANEL_", "STRIPE_", "APP_DATABASE", "EXCHANGE_RATES_", "PROMETHEUS_")
"""How the names of its settings begin."""


LONGEST_FIRST = tuple(
    f"tests/{place}"
    for place in (
        "journeys/test_crash.py", "dashboards/", "journeys/", "warehouse/", "defs/", "metrics/", "sandbox/", "sources/",
        "reports/", "delivery/", "cli/", "bundle/",
    )
)  # fmt: skip
"""Where the files are that take a minute: one that begins last leaves the other processes with nothing to do, and so do
several that begin with the same wait for dbt: pages need none. The kills take a third of what the slow tests do, and
are one test."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files stay together, the longest and those of the longest folders come first."""
    places = [*LONGEST_FIRST, ""]
    items.sort(key=lambda item: next(n for n, place in enumerate(places) if item.nodeid.startswith(place)))


def pytest_collection_finish() -> None:
    """The garbage collector need not look again and again through all that was imported, nor at every few objects."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture(autouse=True)
def _own_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings from outside, and an empty current directory."""
    for name in os.environ:
        if name.upper().startswith(OF_THE_PROJECT) and not name.startswith("TAILTRACKER_REQUIRE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True, scope="session")
def _without_waiting_for_the_disk() -> Iterator[None]:
    """No test cuts the power: a process that is killed loses nothing that it wrote, synced or not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda _: None)
        yield


@pytest.fixture
def make_settings(tmp_path: Path) -> Callable[..., Settings]:
    """Settings below tmp_path that reach a Mixpanel on this machine and never wait between tries."""

    def make(**overrides: Any) -> Settings:
        defaults = {
            "TAILTRACKER_HOME": tmp_path,
            "TAILTRACKER_ALLOW_LOOPBACK": True,
            "TAILTRACKER_RETRY_SCALE": 0,
            "MIXPANEL_PROJECT_ID": "2195193",
            "MIXPANEL_USERNAME": USER,
            "MIXPANEL_SECRET": SECRET,
        }
        return load_settings(**defaults | overrides)

    return make


@pytest.fixture(scope="session")
def models() -> Models:
    """(schema, name, SQL) of every model, in an order that can be run."""
    from tests.worlds.random_worlds import compiled_models

    return compiled_models()


@pytest.fixture(scope="session")
def app_server() -> Iterator[AppServer]:
    """A Postgres, once a test process and only where a test asks for it."""
    from tailtracker_bi.sandbox.servers import app_database

    with app_database.serve() as server:
        yield server


@pytest.fixture
def warehouse_url(app_server: AppServer) -> Iterator[str]:
    """A database that a warehouse may be in, with a thing of others in it."""
    with app_server.database() as database:
        yield database.owner_url


@pytest.fixture
def app_database(app_server: AppServer) -> Iterator[AppDatabase]:
    """A database of the app for one test, without rows."""
    with app_server.database() as database:
        yield database


@pytest.fixture
def answered_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Explore answers in this process, as in the one that it begins for each question: who asks much need not wait."""
    from tailtracker_bi.bundle import exploring

    def answer(name: str, program: str, question: list[Any], seconds: float, waiting: object, folder: str) -> bytes:
        written = io.BytesIO()
        with monkeypatch.context() as patch:
            patch.chdir(folder)
            patch.setattr("os.nice", lambda _: 0)
            patch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(orjson.dumps(question))))
            patch.setattr("sys.stdout", SimpleNamespace(buffer=written))
            exploring.main()
        return written.getvalue()

    monkeypatch.setattr(exploring, "answered", answer)
