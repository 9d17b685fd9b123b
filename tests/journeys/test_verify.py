"""`verify`: each way in which a HOME can be damaged is found and named, and the command that it gives mends it."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from tailtracker_bi import bundle, cli
from tailtracker_bi.runs.pipeline import refresh
from tailtracker_bi.runs.report import Progress
from tailtracker_bi.sandbox.servers.app_database import AppDatabase, AppServer
from tailtracker_bi.sandbox.servers.export_api import SECRET, USER
from tailtracker_bi.sandbox.servers.export_api import serve as serve_mixpanel
from tailtracker_bi.sandbox.servers.stripe_api import KEY
from tailtracker_bi.sandbox.servers.stripe_api import serve as serve_stripe
from tailtracker_bi.settings.environment import load_settings
from tailtracker_bi.settings.model import Settings
from tests.worlds.tiny import FRIDAY, MONDAY, SUNDAY, TINY, TUESDAY, at, published

EVENTS, PRODUCTS = "lake/mixpanel/events", "lake/stripe/products"


@dataclass(frozen=True)
class Origin:
    """A sound HOME, and where its sources answer."""

    settings: Settings
    environment: dict[str, str]
    app: AppDatabase


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory, app_server: AppServer) -> Iterator[Origin]:
    home = tmp_path_factory.mktemp("origin") / "home"
    with serve_mixpanel(TINY) as mixpanel, serve_stripe() as stripe, app_server.database() as app:
        for number in (1, 2):
            product = {"id": f"prod_{number}", "object": "product", "name": "Premium", "livemode": True}
            stripe.add("products", {**product, "created": at("03-29 08:00")}, at=at("03-29 08:00"))
            user = f"00000000-0000-4000-8000-00000000000{number}"
            app.add("user_profiles", user_id=user, created_at="2024-03-29 08:00+00", updated_at="2024-03-29 08:00+00")
        environment = {
            "TAILTRACKER_HOME": str(home),
            "TAILTRACKER_ALLOW_LOOPBACK": "1",
            "TAILTRACKER_RETRY_SCALE": "0",
            "TAILTRACKER_NOW": "2024-04-03T12:00:00Z",
            "TAILTRACKER_HISTORY_START": str(FRIDAY),
            "MIXPANEL_PROJECT_ID": "1",
            "MIXPANEL_USERNAME": USER,
            "MIXPANEL_SECRET": SECRET,
            "MIXPANEL_EXPORT_URL": mixpanel.url,
            "STRIPE_API_BASE": stripe.url,
            "STRIPE_API_KEY": KEY,
            "APP_DATABASE_URL": app.url,
        }
        settings = load_settings(**environment)
        assert refresh(settings, Progress(), first=FRIDAY, last=TUESDAY).errors == []
        # A second build, whose file differs from the first, to go back to.
        assert refresh(settings, Progress(), first=TUESDAY, last=TUESDAY).errors == []
        yield Origin(settings, environment, app)


@pytest.fixture
def home(origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to damage, that commands work on."""
    copy = tmp_path / "home"
    shutil.copytree(origin.settings.home, copy)
    for name, value in origin.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TAILTRACKER_HOME", str(copy))
    return copy


Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """A command's exit code and what it writes to stdout."""

    def command(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["tailtracker-bi", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            cli.main()
        return int(left.value.code or 0), capsys.readouterr().out

    return command


def wrong(run: Run) -> list[str]:
    """What `verify` finds wrong."""
    code, told = run("verify")
    found = [line.removeprefix("WRONG").strip() for line in told.splitlines() if line.startswith("WRONG")]
    assert code == (1 if found else 0), told
    return found


def command_in(finding: str) -> list[str]:
    """The first command that a finding gives."""
    (command, *_) = re.findall("`tailtracker-bi (.*?)`", finding)
    return shlex.split(command)


def flip(file: Path, position: int) -> None:
    """Change one bit in the middle of a byte."""
    content = bytearray(file.read_bytes())
    content[position] ^= 0b1000
    file.write_bytes(content)


def data_file(home: Path, day: str | None = None, table: str = EVENTS) -> Path:
    """The file that holds a day, or a table of versions, now."""
    (file,) = (Path(name) for name in DeltaTable(home / table).file_uris() if day is None or f"day={day}/" in name)
    return file


def test_a_sound_home_is_found_sound(home: Path, run: Run, origin: Origin) -> None:
    code, told = run("verify")
    assert code == 0
    assert "WRONG" not in told
    for said in (
        "mixpanel.events: 5 days, 5 files, 7 rows",
        "stripe.products: 1 files",
        "app_db.user_profiles: 1 files, 2 rows",
        "quarantine     1 records",
        "equal to the warehouse; 2 builds can be read",
    ):
        assert said in told
    # It changes nothing that it looks at.
    before = {file: file.stat().st_mtime_ns for file in home.rglob("*") if file.is_file()}
    assert run("verify")[0] == 0
    assert {file: file.stat().st_mtime_ns for file in before} == before


def test_sources_that_count_are_asked_and_a_difference_is_no_fault(home: Path, run: Run, origin: Origin) -> None:
    added = origin.app.add("user_profiles", user_id="00000000-0000-4000-8000-000000000009")
    try:
        code, told = run("verify", "--sources")
    finally:
        origin.app.execute("delete from user_profiles where id = %s", added["id"])
    assert code == 0
    assert "mixpanel: counts are not offered" in told
    assert "stripe: counts are not offered" in told
    assert "user_profiles has 3 rows now, and had 2" in told


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["flipped", "cut", "deleted"])
def test_a_damaged_day_is_named_and_pulled_again(damage: str, home: Path, run: Run) -> None:
    before = published(home)
    file = data_file(home, "2024-03-31")
    if damage == "flipped":
        flip(file, 10)  # in the first page, which has no checksum of its own
    elif damage == "cut":
        file.write_bytes(file.read_bytes()[:-100])
    else:
        file.unlink()
    (finding,) = wrong(run)
    assert "mixpanel.events 2024-03-31" in finding
    assert file.name in finding
    assert command_in(finding) == f"refresh --source mixpanel --from {SUNDAY} --to {SUNDAY}".split()
    assert run(*command_in(finding))[0] == 0
    assert wrong(run) == []
    assert published(home) == before


@pytest.mark.parametrize("damage", ["flipped", "deleted"])
def test_damaged_versions_are_named_and_can_only_be_restored(damage: str, home: Path, run: Run) -> None:
    file = data_file(home, table=PRODUCTS)
    if damage == "flipped":
        flip(file, file.stat().st_size // 2)
    else:
        file.unlink()
    findings = [finding for finding in wrong(run) if "stripe.products" in finding]
    assert len(findings) == 1
    assert "restore lake/ and quarantine/ whole from a backup" in findings[0]


def test_a_build_that_meets_a_damaged_day_says_so_in_one_line(home: Path, run: Run) -> None:
    file = data_file(home, "2024-03-31")
    flip(file, file.stat().st_size - 6)  # in the length of the footer
    # A day that would be pulled again is not the one that is damaged.
    assert run("refresh", "--from", str(TUESDAY), "--to", str(TUESDAY))[0] == 1
    (error,) = json.loads(max((home / "runs").iterdir()).read_bytes())["errors"]
    assert error == (
        f"build: {file.relative_to(home)} is not as it was written: `tailtracker-bi verify` says how to mend it"
    )


@pytest.mark.slow
@pytest.mark.parametrize("has_backup", [True, False])
def test_a_lake_is_restored_from_a_backup_or_told_anew(has_backup: bool, home: Path, run: Run, tmp_path: Path) -> None:
    before = published(home)
    for part in ("lake", "quarantine"):
        shutil.copytree(home / part, tmp_path / "backup" / part)
    assert run("refresh")[0] == 0  # since the backup
    data_file(home, table=PRODUCTS).unlink()
    (*_, finding) = (finding for finding in wrong(run) if "stripe.products" in finding)
    for part in ("lake", "quarantine"):
        (home / part).rename(tmp_path / part)
        if has_backup:
            shutil.copytree(tmp_path / "backup" / part, home / part)
    assert run(*command_in(finding))[0] == 0
    assert wrong(run) == []
    assert published(home) == before


def test_a_text_that_changed_in_the_ledger_is_named(home: Path, run: Run) -> None:
    """One letter, in a file that can be read as before."""
    tables = {Path(name): pq.read_table(name) for name in DeltaTable(home / "lake/_landings").file_uris()}
    (file, rows) = next(
        (file, rows)
        for file, rows in tables.items()
        if ("mixpanel", "landed") in zip(rows["source"].to_pylist(), rows["status"].to_pylist(), strict=True)
    )
    changed = [{**row, "digests": row["digests"] and row["digests"].replace("a", "b", 1)} for row in rows.to_pylist()]
    pq.write_table(pa.Table.from_pylist(changed, rows.schema), file)
    assert any("of mixpanel.events, or the one before it, is not as it was written" in found for found in wrong(run))


def test_rows_that_the_ledger_does_not_know_of_are_named(home: Path, run: Run) -> None:
    """Another program deletes rows, in good order: the files are whole, and the table has another version."""
    ledger = DeltaTable(home / "lake/_landings")
    rows = ledger.to_pyarrow_table().to_pylist()
    wrongly = [{**row, "loaded": row["loaded"] + 1} if row["day"] == MONDAY else row for row in rows]
    write_deltalake(
        home / "lake/_landings", ledger.to_pyarrow_table().from_pylist(wrongly, ledger.to_pyarrow_table().schema),
        mode="overwrite",
    )  # fmt: skip
    findings = wrong(run)
    assert any("2024-04-01" in finding and "does not add up" in finding for finding in findings)
    assert any("2024-04-01: 2 rows, and the ledger says 3" in finding for finding in findings)


@pytest.mark.parametrize("damage", ["flipped", "deleted"])
def test_a_ledger_that_cannot_be_read_is_named(damage: str, home: Path, run: Run) -> None:
    file = Path(DeltaTable(home / "lake/_landings").file_uris()[0])
    if damage == "flipped":
        flip(file, file.stat().st_size - 6)  # in the length of the footer
    else:
        file.unlink()
    (finding,) = wrong(run)
    assert "lake/_landings" in finding
    assert "restore lake/ and quarantine/ whole from a backup" in finding


@pytest.mark.slow
def test_records_set_aside_that_are_lost_are_named_and_pulled_again(home: Path, run: Run) -> None:
    file = home / "quarantine/mixpanel/events/2024-04-01.jsonl"
    content = file.read_bytes()
    file.write_bytes(content[:-20])
    assert "mixpanel.events 2024-04-01: can't be read" in wrong(run)[0]
    file.unlink()
    (finding,) = wrong(run)
    assert "0 records in 2024-04-01.jsonl, and the ledger says 1" in finding
    assert run(*command_in(finding))[0] == 0
    assert file.read_bytes() == content
    assert wrong(run) == []


def bad_block(warehouse: Path) -> None:
    """Flip a byte where a stored table's own values are."""
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("checkpoint")
        blocks = {
            block
            for (block,) in connection.execute(
                "select block_id from pragma_storage_info('intermediate.int_raw_id_days') where block_id >= 0"
            ).fetchall()
        }
    # Three headers of 4 KiB, then blocks of 256 KiB, each of which begins with its checksum.
    flip(warehouse, 3 * 4096 + min(blocks) * 262_144 + 20)


@pytest.mark.slow
def test_a_warehouse_with_a_bad_block_is_named_and_a_refresh_makes_it_anew(home: Path, run: Run) -> None:
    before = published(home)
    bad_block(home / "warehouse.duckdb")
    findings = wrong(run)
    assert any(finding.startswith("warehouse") and "can't be read" in finding for finding in findings)
    assert command_in(findings[0]) == ["refresh", "--rebuild"]
    # Without being told: a build that comes upon it does so by itself.
    code, _ = run("refresh", "--from", str(TUESDAY), "--to", str(TUESDAY))
    assert code == 0
    assert wrong(run) == []
    assert published(home) == before


@pytest.mark.slow
def test_a_row_that_is_gone_from_a_stored_table_is_named_and_a_rebuild_brings_it_back(home: Path, run: Run) -> None:
    before = published(home)
    with duckdb.connect(str(home / "warehouse.duckdb")) as connection:
        connection.execute("delete from marts.fct_person_days where event_date = '2024-03-31'")
        connection.execute(
            "delete from intermediate.int_raw_id_days where export_day = '2024-03-30' and raw_id = 'bob'"
        )
    findings = wrong(run)
    assert [finding.split()[1].rstrip(":") for finding in findings] == [
        "intermediate.int_raw_id_days", "marts.fct_person_days", "mixpanel.events",
    ]  # fmt: skip
    assert "2024-03-30: 1 events are stored, and the lake has 2" in findings[2]
    assert run(*command_in(findings[0]))[0] == 0
    assert wrong(run) == []
    assert published(home) == before


@pytest.mark.slow
def test_a_build_with_other_values_than_the_warehouse_is_named_and_published_anew(home: Path, run: Run) -> None:
    before = published(home)
    with duckdb.connect(str(bundle.current(home).path)) as connection:
        connection.execute(
            "update metric_values set value = value + 1 where metric_id = 'dau' and period_start = '2024-03-30' "
            "and segment = 'all'"
        )
    (finding,) = wrong(run)
    assert "metric_values: 2 rows differ from the warehouse" in finding
    assert run(*command_in(finding))[0] == 0
    assert wrong(run) == []
    assert published(home) == before


@pytest.mark.slow
def test_a_build_that_cannot_be_opened_is_named(home: Path, run: Run) -> None:
    older, newer = bundle.builds(home)
    older.path.write_bytes(b"not a database" * 1000)
    (finding,) = wrong(run)
    assert older.path.name in finding
    older.path.unlink()
    newer.path.write_bytes(b"not a database" * 1000)
    (finding,) = wrong(run)
    assert newer.path.name in finding
    # Nothing can be compared with it; that does not keep the next build from being published.
    assert run(*command_in(finding))[0] == 0
    (finding,) = wrong(run)
    assert f"remove published/{newer.path.name}" in finding
    (home / "published" / newer.path.name).unlink()
    assert wrong(run) == []


def test_a_torn_pointer_is_named_and_written_anew(home: Path, run: Run) -> None:
    current = bundle.current(home)
    (home / "published" / "current").write_text("2024")
    (finding,) = wrong(run)
    assert "published/current" in finding
    assert run(*command_in(finding))[0] == 0
    assert wrong(run) == []
    assert bundle.current(home) == current


def test_an_older_build_is_not_taken_for_a_corrupt_one(home: Path, run: Run) -> None:
    assert run("rollback")[0] == 0
    code, told = run("verify")
    assert code == 0
    assert "older than the last build and was not compared" in told
