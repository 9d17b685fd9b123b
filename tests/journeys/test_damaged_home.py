"""Whatever happens to a file of HOME, the next refresh loses nothing that was there, or refuses and says what to do."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from tailtracker_bi.analytics.mistakes import load_analytics
from tailtracker_bi.errors import TailTrackerError
from tailtracker_bi.lake import Verdict
from tailtracker_bi.lake.lake import Lake
from tailtracker_bi.runs import pipeline, verification
from tailtracker_bi.runs.report import Progress
from tailtracker_bi.runs.verification import verify
from tailtracker_bi.sandbox.servers.export_api import SECRET, USER
from tailtracker_bi.sandbox.servers.export_api import serve as serve_mixpanel
from tailtracker_bi.sandbox.servers.stripe_api import KEY
from tailtracker_bi.sandbox.servers.stripe_api import serve as serve_stripe
from tailtracker_bi.settings.environment import load_settings
from tailtracker_bi.warehouse.warehouse import Warehouse
from tests.sources.export_lines import event_line
from tests.worlds.tiny import FRIDAY, MONDAY, TINY, TUESDAY, at, published

LEDGER, EVENTS, PRODUCTS = "lake/_landings", "lake/mixpanel/events", "lake/stripe/products"

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Kept:
    """A HOME, what it was before its last refresh, and another one that is of the same sources."""

    home: Path
    older: Path
    elsewhere: Path
    environment: dict[str, str]
    published: dict[str, list[tuple[Any, ...]]]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    folder = tmp_path_factory.mktemp("kept")
    home, older, elsewhere = (folder / name for name in ("home", "older", "elsewhere"))
    with serve_mixpanel(TINY) as mixpanel, serve_stripe() as stripe:
        for number in (1, 2):
            product = {"id": f"prod_{number}", "object": "product", "name": "Premium", "livemode": True}
            stripe.add("products", {**product, "created": at("03-29 08:00")}, at=at("03-29 08:00"))
        environment = {
            "TAILTRACKER_ALLOW_LOOPBACK": "1",
            "TAILTRACKER_RETRY_SCALE": "0",
            "TAILTRACKER_NOW": "2024-04-03T18:00:00Z",
            "MIXPANEL_PROJECT_ID": "1",
            "MIXPANEL_USERNAME": USER,
            "MIXPANEL_SECRET": SECRET,
            "MIXPANEL_EXPORT_URL": mixpanel.url,
            "STRIPE_API_BASE": stripe.url,
            "STRIPE_API_KEY": KEY,
        }

        def refresh(where: Path, **more: str) -> None:
            settings = load_settings(**environment | more, TAILTRACKER_HOME=where)
            assert pipeline.refresh(settings, Progress(), first=FRIDAY, last=TUESDAY).errors == []

        refresh(home, TAILTRACKER_NOW="2024-04-03T12:00:00Z")
        shutil.copytree(home, older)
        product = {"id": "prod_3", "object": "product", "name": "Premium", "livemode": True}
        stripe.add("products", {**product, "created": at("04-03 13:00")}, at=at("04-03 13:00"))
        late = event_line("Open", at("04-02 23:00"), "late", _insert_id="late")
        mixpanel.days = {**TINY, TUESDAY: [*TINY.get(TUESDAY, []), late]}
        refresh(home)
        refresh(elsewhere)
        # What a crash, a report and Dagster leave.
        for name in ("warehouse.duckdb.wal", "spool/left.parquet", "reports/weekly.html", "dagster/history/runs.db"):
            for where in (home, older, elsewhere):
                (where / name).parent.mkdir(parents=True, exist_ok=True)
                (where / name).write_bytes(b"")
        yield Kept(home, older, elsewhere, environment, published(home))


KINDS = [
    LEDGER, f"{LEDGER}/_delta_log", f"{LEDGER}/_delta_log/*.json", f"{LEDGER}/*.parquet",
    "lake", "lake/head.json", "lake/hash_key.check",
    EVENTS, f"{EVENTS}/_delta_log", f"{EVENTS}/_delta_log/*.json", f"{EVENTS}/day=*/*.parquet",
    PRODUCTS, f"{PRODUCTS}/_delta_log", f"{PRODUCTS}/_delta_log/*.json", f"{PRODUCTS}/*.parquet",
    "quarantine", "quarantine/mixpanel/events/*.jsonl",
    "warehouse.duckdb", "warehouse.duckdb.wal", "published", "published/current", "published/*.duckdb",
    "published/*.events", "published/*.events/*.parquet", "published/*.events/events/*.parquet",
    "runs", "runs/*.json", "spool", "spool/*", "reports", "reports/*", "dagster", "dagster/*/*",
    "dbt", "dbt/profiles.yml",
    "rate_limits.sqlite", "refresh.lock", "first_run", "hash.key",
]  # fmt: skip
"""Of several files of a kind the last one is damaged."""
ALIKE = (f"{LEDGER}/*", "lake/stripe/*", f"{EVENTS}/*", "lake/app_db/*", "rate_limits.sqlite*")
"""Files that are as one of those, beside it."""


def removed(path: Path, kept: Kept, name: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def emptied(path: Path, kept: Kept, name: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
        path.mkdir()
    else:
        path.write_bytes(b"")


def cut(path: Path, kept: Kept, name: Path) -> None:
    """A file without its second half; a folder without what begins with an underscore, or else its last part."""
    if path.is_dir():
        hidden = [one for one in path.rglob("_*") if one.exists()] or [max(path.iterdir())]
        for one in hidden:
            if one.exists():
                removed(one, kept, name)
    else:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def of(other: Callable[[Kept], Path]) -> Callable[[Path, Kept, Path], None]:
    def put(path: Path, kept: Kept, name: Path) -> None:
        origin = other(kept) / name
        if not origin.exists():
            same = sorted((other(kept) / name.parent).glob(f"*{name.suffix}")) if origin.parent.exists() else []
            if not same:
                pytest.skip("there is no such file there")
            origin = same[-1]
        removed(path, kept, name)
        shutil.copytree(origin, path) if origin.is_dir() else shutil.copy(origin, path)

    return put


def garbage(path: Path, kept: Kept, name: Path) -> None:
    if path.is_dir():
        removed(path, kept, name)
    path.write_bytes(os.urandom(5_000))


def a_folder(path: Path, kept: Kept, name: Path) -> None:
    if path.is_dir():
        pytest.skip("it is one")
    path.unlink()
    path.mkdir()


DAMAGES = {
    "removed": removed,
    "emptied": emptied,
    "cut": cut,
    "older": of(lambda kept: kept.older),
    "of another HOME": of(lambda kept: kept.elsewhere),
    "garbage": garbage,
    "a folder": a_folder,
}
REFUSED = [
    (LEDGER, "removed"), (LEDGER, "emptied"), (LEDGER, "older"), (LEDGER, "of another HOME"), ("lake", "removed"),
    ("lake", "cut"), ("lake", "older"), (f"{EVENTS}/_delta_log", "removed"), (f"{EVENTS}/_delta_log", "older"),
    ("hash.key", "removed"), ("hash.key", "emptied"), ("hash.key", "of another HOME"), ("first_run", "emptied"),
    ("warehouse.duckdb", "of another HOME"),
]  # fmt: skip
"""What would lose most, and is refused."""


BUILT = ("warehouse.duckdb", "published", "dbt/profiles.yml", f"{EVENTS}/day=", f"{PRODUCTS}/*.parquet")
"""How the kinds begin that a build reads or writes. For the others the lake is looked at, and nothing is built."""

BESIDE = ("warehouse.duckdb", "published", "runs", "reports", "dagster", "dbt", "refresh.lock", "first_run")
"""How the kinds begin that no source reads or writes as it is pulled: one is asked, as two would do the same."""


def content(home: Path) -> dict[bytes, set[str]]:
    """What must not be lost: by content, the names of the files of the lake, the quarantine and what is published."""
    found: dict[bytes, set[str]] = {}
    for part in ("lake", "quarantine", "aside", "published"):
        for file in (home / part).rglob("*"):
            if file.is_file() and file.name not in {"head.json", "current"}:
                found.setdefault(file.read_bytes(), set()).add(str(file.relative_to(home)))
    return found


def test_each_file_of_home_is_one_of_those_that_are_damaged(kept: Kept) -> None:
    names = [str(file.relative_to(kept.home)) for file in kept.home.rglob("*") if file.is_file()]
    assert [name for name in names if not any(fnmatch(name, known) for known in (*KINDS, *ALIKE))] == []


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_that_was_there_is_lost_or_it_is_refused_with_what_to_do(
    kept: Kept, kind: str, damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    shutil.copytree(kept.home, home)
    path = max(home.glob(kind))
    DAMAGES[damage](path, kept, path.relative_to(home))
    damaged = {str(path.relative_to(home))} if path.is_file() else set()
    if kind == "published/*.duckdb" and not path.exists():  # what belongs to it can be read by nobody any more
        beside = path.with_suffix(".events")
        damaged |= {str(file.relative_to(home)) for file in beside.iterdir()}
    before, told = content(home), ""
    settings = load_settings(**kept.environment, TAILTRACKER_HOME=home)
    is_built = kind.startswith(BUILT)
    if not is_built:
        monkeypatch.setattr(pipeline, "build", lambda *_, **__: None)
        monkeypatch.setattr(pipeline, "publish", lambda *_, **__: None)
        for check in ("check_warehouse", "check_bundles"):  # which takes longer than all that is looked at
            monkeypatch.setattr(verification, check, lambda *_: Verdict("built", "", []))
    asked = ["mixpanel"] if kind.startswith(BESIDE) else []
    try:
        told = "; ".join(pipeline.refresh(settings, Progress(), first=MONDAY, last=TUESDAY, sources=asked).errors)
    except TailTrackerError as error:
        told = str(error)
    after = content(home)
    lost = {min(names) for one, names in before.items() if one not in after and not names <= damaged}
    assert lost == set(), told
    if told:
        assert re.search("`tailtracker-bi|restore |put .* back|write it there|move (it )?away", told), told
    elif is_built:
        assert published(home) == kept.published
    else:
        lake = Lake(home)
        verdicts = verify(settings, lake, Warehouse(settings, load_analytics(None), lake), Progress())
        wrong = [
            finding for one in verdicts if one.what in {"ledger", "lake", "quarantine"} for finding in one.findings
        ]
        assert wrong == []
    assert told or (kind, damage) not in REFUSED
    print(f"{kind} {damage}: {told or 'mended'}")
