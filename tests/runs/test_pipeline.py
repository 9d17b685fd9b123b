"""Which days a refresh asks for, and which objects."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tailtracker_bi import durable
from tailtracker_bi.analytics.mistakes import load_analytics
from tailtracker_bi.errors import SettingsError
from tailtracker_bi.lake import Lake, LakeError
from tailtracker_bi.runs.lock import LockedError, locked
from tailtracker_bi.runs.pipeline import build, refresh
from tailtracker_bi.runs.planning import DayPlan, check_accepted, plan
from tailtracker_bi.runs.report import Progress, new_report
from tailtracker_bi.settings.environment import load_settings
from tailtracker_bi.settings.history import note_first_run
from tailtracker_bi.settings.model import Settings
from tailtracker_bi.sources.app_db.reading import AppDb
from tailtracker_bi.sources.records import each_day
from tailtracker_bi.sources.stripe.reading import Stripe
from tailtracker_bi.warehouse import BuildError, DuckDb
from tailtracker_bi.warehouse.warehouse import Warehouse
from tests.lake.days import SOURCE, day, whole_days
from tests.worlds.random_worlds import land_objects
from tests.worlds.stripe_worlds import Version
from tests.worlds.stripe_worlds import land as land_stripe


def asked_for(settings: Settings, lake: Lake) -> list[int]:
    """The days of January that a refresh without dates would pull."""
    (found,) = plan(settings, lake, sources=["mixpanel"])
    assert isinstance(found, DayPlan)
    return [one.day for first, last in found.requests for one in each_day(first, last)]


def test_days_that_were_read_while_they_might_change_are_read_again_after_a_pause(
    make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    lake = Lake(tmp_path)
    later = make_settings(TAILTRACKER_HISTORY_START=day(1), TAILTRACKER_NOW="2024-01-17T06:00:00Z")
    # Read on 11 January: the 4th was over for 7 days by then, the 5th was not.
    lake.land(*SOURCE, whole_days({number: [] for number in range(1, 11)}), datetime.fromisoformat("2024-01-11T06:00Z"))
    assert asked_for(later, lake) == list(range(5, 17))
    lake.land(*SOURCE, whole_days({number: [] for number in range(5, 17)}), later.now)
    assert asked_for(later, lake) == list(range(10, 17))


def test_a_range_that_ends_before_it_begins_is_refused_whatever_is_asked(
    make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match="--from 2024-01-05 is after --to 2024-01-04"):
        plan(make_settings(), Lake(tmp_path), day(5), day(4), sources=["stripe"])


def test_once_a_week_older_days_are_read_again_too_all_in_one_request(
    make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    lake = Lake(tmp_path)
    first = datetime.fromisoformat("2024-01-31T06:00Z")
    lake.land(*SOURCE, whole_days({number: [] for number in range(-30, 31)}), first)
    for days_later, wanted in {1: range(25, 32), 6: range(25, 37), 7: range(3, 38)}.items():
        settings = make_settings(TAILTRACKER_HISTORY_START=day(-30), TAILTRACKER_NOW=first + timedelta(days=days_later))
        (found,) = plan(settings, lake, sources=["mixpanel"])
        assert isinstance(found, DayPlan)
        assert found.requests == [(day(wanted[0]), day(wanted[-1]))], days_later


@pytest.mark.parametrize("pause", [1, 12, 30])
def test_after_any_pause_all_that_is_missing_is_asked_for_in_one_request(
    make_settings: Callable[..., Settings], tmp_path: Path, pause: int
) -> None:
    lake = Lake(tmp_path)
    read_at = datetime.fromisoformat("2024-01-21T06:00Z")
    lake.land(*SOURCE, whole_days({number: [] for number in range(-60, 21)}), read_at)
    settings = make_settings(TAILTRACKER_HISTORY_START=day(-60), TAILTRACKER_NOW=read_at + timedelta(days=pause))
    (found,) = plan(settings, lake, sources=["mixpanel"])
    assert isinstance(found, DayPlan)
    # What was read before the 21st and within 7 days of its day is read again; after a week what is older, too.
    first = 15 if pause < 7 else 20 + pause - 34
    assert found.requests == [(day(min(first, 15)), day(20 + pause))]


def test_days_that_are_missing_here_and_there_are_asked_for_oldest_first(
    make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    lake = Lake(tmp_path)
    now = datetime.fromisoformat("2024-01-31T06:00Z")
    missing = {2, 3, 9, 14}
    for number in set(range(1, 31)) - missing:
        lake.land(*SOURCE, whole_days({number: []}), now)
    lake.note_failure(*SOURCE, [day(5)], "the gzip stream was cut off")
    settings = make_settings(TAILTRACKER_HISTORY_START=day(1), TAILTRACKER_NOW=now)
    assert asked_for(settings, lake) == [2, 3, 5, 9, 14, *range(24, 31)]


def test_a_clock_that_goes_back_asks_for_no_day_that_it_takes_for_unfinished_and_loses_none(
    make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    lake = Lake(tmp_path)
    now = datetime.fromisoformat("2024-01-31T06:00Z")
    lake.land(*SOURCE, whole_days({number: [] for number in range(1, 31)}), now)
    behind = make_settings(TAILTRACKER_HISTORY_START=day(1), TAILTRACKER_NOW=now - timedelta(days=1))
    assert max(asked_for(behind, lake)) == 29
    later = make_settings(TAILTRACKER_HISTORY_START=day(1), TAILTRACKER_NOW=now + timedelta(days=1))
    assert asked_for(later, lake) == list(range(25, 32))


def test_what_a_clock_that_was_ahead_read_is_read_again_and_what_it_failed_at_waits_for_its_day(
    make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    lake = Lake(tmp_path)
    now = datetime.fromisoformat("2024-01-31T06:00Z")
    lake.land(*SOURCE, whole_days({number: [] for number in range(1, 11)}), now + timedelta(days=3650))
    lake.land(*SOURCE, whole_days({number: [] for number in range(11, 31)}), now)
    lake.note_failure(*SOURCE, [day(700)], "to_date cannot be later than today")
    settings = make_settings(TAILTRACKER_HISTORY_START=day(1), TAILTRACKER_NOW=now)
    assert asked_for(settings, lake) == [*range(1, 11), *range(24, 31)]


def test_a_second_run_says_that_it_waits_and_leaves_with_a_clear_word(tmp_path: Path) -> None:
    told: list[str] = []

    class Heard(Progress):
        def say(self, message: str) -> None:
            told.append(message)

    with (
        locked(tmp_path, Progress()),
        pytest.raises(LockedError, match=r"another run has held .*refresh\.lock for 0 s: is it stuck"),
        locked(tmp_path, Heard(), patience=0.1),
    ):
        pass
    assert told == ["waiting for another run that works on the same data"]
    with locked(tmp_path, Heard(), patience=0):
        pass
    assert len(told) == 1


def test_relisting_asks_stripe_for_everything_and_other_sources_for_what_they_ever_give(
    make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    lake, now = Lake(tmp_path), datetime.fromisoformat("2024-01-31T06:00Z")
    customer = {"id": "cus_1", "object": "customer", "created": 1_700_000_000}
    others = {table.name for table in Stripe.tables} - {"customers"}
    land_stripe(lake, tmp_path / "spool", [Version(customer)], now, out=others)
    land_objects(lake, AppDb, {AppDb.tables[0].name: [{"id": "1"}]}, now, tmp_path / "spool")
    settings = make_settings(
        TAILTRACKER_NOW="2024-02-01T06:00:00Z",
        STRIPE_API_KEY="rk_live_key_of_the_tests",
        APP_DATABASE_URL="postgresql://reader:secret@127.0.0.1/app",
    )

    def said(*, relist: bool) -> list[str]:
        return [str(item) for item in plan(settings, lake, sources=["stripe", "app_db"], relist=relist)]

    of_app = f"app_db: {len(AppDb.tables)} tables, 1 of them since 2024-01-31 06:00Z, {len(AppDb.tables) - 1} in full"
    assert said(relist=False) == ["stripe: 13 tables, 1 of them since 2024-01-31 06:00Z, 12 in full", of_app]
    assert said(relist=True) == ["stripe: 13 tables, 13 in full", of_app]


def test_what_is_held_can_be_accepted_by_a_run_that_asks_for_it_and_by_no_other(
    make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    lake = Lake(tmp_path)
    settings = make_settings(TAILTRACKER_NOW="2024-01-03T06:00Z")
    lake.note_failure(*SOURCE, [day(1)], "it has 1 rows, and had 100", "held")
    wanted = {SOURCE: {day(1): "it has 1 rows, and had 100"}}
    for what in ("events", "2024-01-01"):
        assert check_accepted(lake, [f"mixpanel:{what}"], plan(settings, lake, day(1), day(2), ["mixpanel"])) == wanted
        with pytest.raises(SettingsError, match="or this run would not ask for it"):
            check_accepted(lake, [f"mixpanel:{what}"], plan(settings, lake, day(2), day(2), ["mixpanel"]))


@pytest.mark.parametrize(
    ("part", "told"), [("day=2024-01-01/*", "parquet is not there"), ("_delta_log", r"events can't be read \(Table")]
)
def test_a_lake_that_cannot_be_shown_to_the_engine_is_told_with_what_is_damaged(
    part: str, told: str, make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    lake = Lake(tmp_path)
    settings = make_settings(TAILTRACKER_HISTORY_START=day(1), TAILTRACKER_NOW="2024-01-03T06:00Z")
    lake.land(*SOURCE, whole_days({1: ["a"], 2: ["b"]}), settings.now)
    (found,) = (tmp_path / "lake" / "mixpanel" / "events").glob(part)
    found.rename(tmp_path / "gone")
    with pytest.raises(BuildError, match=rf"{told}.*: `tailtracker-bi verify` says how to mend it"):
        build(settings, load_analytics(None), lake, new_report(), Progress())


# HOME is its owner's alone.


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_home_and_what_is_written_in_it_is_for_its_owner_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with locked(home, Progress()):
        Lake(home).land(*SOURCE, whole_days({1: ["a"]}))
        new_report().write(home)
    assert mode(home) == 0o700
    assert {mode(path) for path in home.rglob("*") if path.is_file()} == {0o600}


def test_a_home_of_an_older_version_is_closed(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "lake").mkdir(parents=True)
    for path in (home, home / "lake"):
        path.chmod(0o755)
    with locked(home, Progress()):
        pass
    assert (mode(home), mode(home / "lake")) == (0o700, 0o700)


def test_others_may_pass_through_home_to_what_is_published_and_to_nothing_else(tmp_path: Path) -> None:
    home = tmp_path / "home"
    for name, rights in {"lake": 0o755, "published": 0o750, "": 0o710}.items():
        (home / name).mkdir(parents=True, exist_ok=True)
        (home / name).chmod(rights)
    with locked(home, Progress()):
        pass
    assert [mode(home / name) for name in ("", "lake", "published")] == [0o710, 0o700, 0o750]


def test_a_directory_with_other_things_that_others_look_into_is_no_home_and_stays_open(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "notes.txt").touch()
    (tmp_path / "shared").chmod(0o755)
    with (
        pytest.raises(SettingsError, match="holds other things, and others may look into it"),
        locked(tmp_path / "shared", Progress()),
    ):
        pass
    assert mode(tmp_path / "shared") == 0o755


# The warehouse: locked, damaged, of another lake.


@pytest.fixture
def warehouse(make_settings: Callable[..., Settings], tmp_path: Path) -> Warehouse:
    """One that was shown a small lake, in a folder whose name has a word of DuckDB's errors in it."""
    home = tmp_path / "locks"
    lake = Lake(home)
    lake.note_failure(*SOURCE, [day(1)], "down")
    found = Warehouse(make_settings(TAILTRACKER_HOME=home), load_analytics(None), lake)
    found.prepare()
    return found


@pytest.mark.parametrize("content", [b"", b"not a database" * 1_000, b"\0" * 20_000])
def test_a_damaged_warehouse_is_told_from_a_locked_one_whatever_its_path(warehouse: Warehouse, content: bytes) -> None:
    assert not warehouse.engine.is_damaged(to_its_last_block=True)
    DuckDb(warehouse.engine.home).path.write_bytes(content)
    assert warehouse.engine.is_damaged()
    warehouse.prepare()
    assert not warehouse.engine.is_damaged()


def test_a_warehouse_that_another_process_has_open_is_not_made_anew(warehouse: Warehouse) -> None:
    path = DuckDb(warehouse.engine.home).path
    script = f"import duckdb; c = duckdb.connect({str(path)!r}); print('open', flush=True); input()"
    before = path.stat().st_ino
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout
        other.stdout.readline()
        with pytest.raises(BuildError, match=r"another program has .*warehouse\.duckdb open: close it"):
            warehouse.prepare()
        other.kill()
    assert path.stat().st_ino == before


def test_a_warehouse_with_a_folder_in_its_place_says_what_to_do(warehouse: Warehouse) -> None:
    warehouse.drop()
    DuckDb(warehouse.engine.home).path.mkdir()
    with pytest.raises(BuildError, match="Is a directory: move it away, and refresh again"):
        warehouse.prepare()


def test_a_warehouse_that_took_in_what_the_lake_lacks_is_refused(warehouse: Warehouse, tmp_path: Path) -> None:
    warehouse.check_is_of_lake()
    home = tmp_path / "locks"
    (home / "lake").rename(tmp_path / "lake")
    for number in (1, 2):
        lake = Lake(home)
        other = Warehouse(load_settings(TAILTRACKER_HOME=home), load_analytics(None), lake)
        with pytest.raises(LakeError, match=r"took in landing 0, .*or, if this lake is the right one, `.* --rebuild`"):
            other.check_is_of_lake()
        lake.note_failure(*SOURCE, [day(number)], "another lake")


def test_a_first_run_that_is_no_day_says_what_to_write(make_settings: Callable[..., Settings], tmp_path: Path) -> None:
    settings = make_settings(TAILTRACKER_NOW="2024-01-03T06:00Z")
    note_first_run(settings)
    assert (tmp_path / "first_run").read_text() == "2024-01-03"
    for content in ("", "2024-13-45", "\0"):
        (tmp_path / "first_run").write_text(content)
        with pytest.raises(SettingsError, match="first_run does not hold the day of the first run: write it there"):
            note_first_run(settings)


def test_a_disk_without_room_is_told_with_what_is_needed_before_anything_is_asked(
    make_settings: Callable[..., Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "warehouse.duckdb").write_bytes(b"-" * (3 << 20))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=258 << 20))
    report = refresh(make_settings(MIXPANEL_EXPORT_URL="http://127.0.0.1:9"), Progress())
    assert report.errors == [f"the disk of {tmp_path} has 258 MiB free, and a refresh needs 259 MiB: make room"]
    assert report.days == [], "no source was asked"
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=259 << 20))
    assert durable.lacks_room(tmp_path) == ""


def test_a_disk_that_is_full_by_the_end_is_told_beside_what_went_wrong(
    make_settings: Callable[..., Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    free = iter([1 << 40])
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=next(free, 1 << 20)))
    report = refresh(make_settings(MIXPANEL_EXPORT_URL="http://127.0.0.1:9"), Progress())
    assert report.errors[0].startswith("mixpanel: can't reach ")
    assert report.errors[-1] == f"the disk of {tmp_path} has 1 MiB free, and a refresh needs 256 MiB: make room"
