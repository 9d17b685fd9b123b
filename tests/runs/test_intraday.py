"""The last hours: today so far, counted as days are, and nothing daily knows of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from tailtracker_bi import recent
from tailtracker_bi.analytics import Analytics, load_analytics
from tailtracker_bi.errors import SettingsError, TailTrackerError
from tailtracker_bi.runs import intraday
from tailtracker_bi.runs.intraday import spans_of, update_recent
from tailtracker_bi.sandbox.servers.export_api import ExportApi, serve
from tailtracker_bi.settings.model import Settings
from tailtracker_bi.sources import Charge
from tailtracker_bi.sources.mixpanel import export
from tests.sources.export_lines import event_line

MakeSettings = Callable[..., Settings]
NOW = "2024-04-02T12:40:00Z"
YESTERDAY, TODAY = date(2024, 4, 1), date(2024, 4, 2)


def event(moment: str, who: str | None, name: str = "Open", **more: Any) -> bytes:
    at = int(datetime.fromisoformat(f"2024-{moment}+00:00").timestamp())
    return event_line(name, at, who, _insert_id=f"{moment}{who}{name}{more}", **more)


DAYS = {
    YESTERDAY: [
        event("04-01 11:50", "anna"),
        event("04-01 12:20", "bob"),
        event("04-01 12:41", "carl"),  # later than now, a day before
    ],
    TODAY: [
        event("04-02 00:10", "anna"),
        event("04-02 12:05", "d1", _device_id="d1"),  # before she signed in on it
        event("04-02 12:10", "anna", _user_id="anna", _device_id="d1"),
        event("04-02 12:10", "anna", _user_id="anna", _device_id="d1"),  # a copy
        event("04-02 12:20", "bob", "Pet Profile Created"),
        event("04-02 12:39", "bob"),
        event("04-02 12:30", "undefined"),  # nobody's
        event("04-02 12:30", "robot", mp_lib="load-test"),
        event("04-02 12:30", "tester"),
        event("04-02 12:30", "d2", _device_id="d2"),  # the tester's device
        event("04-02 12:31", "tester", _user_id="tester", _device_id="d2"),
        event("04-02 12:30", "server", "Payment Failed"),
        event("04-02 12:30", "anna", "$identify"),
        event("04-02 12:30", "jane@example.com", "Mail of jane@example.com"),
        event("04-02 12:45", "dora"),  # of a clock that is ahead
    ],
}


@pytest.fixture
def api() -> Iterator[ExportApi]:
    with serve(DAYS, is_limited=True, today=lambda: TODAY) as server:
        yield server


@pytest.fixture
def settings(make_settings: MakeSettings, api: ExportApi) -> Settings:
    return make_settings(MIXPANEL_EXPORT_URL=api.url, TAILTRACKER_NOW=NOW)


@pytest.fixture(scope="module")
def analytics() -> Analytics:
    known = load_analytics()
    accounts = known.test_accounts.model_copy(update={"user_ids": ["tester"]})
    return known.model_copy(update={"test_accounts": accounts})


def rows(home: Path) -> list[dict[str, Any]]:
    found = recent.read(home)
    assert found is not None
    return found.to_pylist()


def counts(home: Path, span: str, *, is_day_before: bool = False) -> dict[str | None, tuple[int, int]]:
    """By event, how often it came and of how many."""
    return {
        row["event"]: (row["events"], row["people"])
        for row in rows(home)
        if (row["span"], row["is_day_before"]) == (span, is_day_before)
    }


def content(folder: Path) -> dict[str, str]:
    files = [file for file in folder.rglob("*") if file.is_file()]
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_today_so_far_is_counted_without_test_accounts_and_what_is_no_activity(
    settings: Settings, analytics: Analytics, api: ExportApi
) -> None:
    assert update_recent(settings, analytics, pytest.fail)
    masked = next(name for name in counts(settings.home, "day") if name and name.startswith("Mail of"))
    last_hour = {None: (6, 3), "Open": (4, 2), "Pet Profile Created": (1, 1), masked: (1, 1)}
    assert counts(settings.home, "last_hour") == last_hour
    assert counts(settings.home, "day") == last_hour | {None: (7, 3), "Open": (5, 2)}
    assert counts(settings.home, "last_hour", is_day_before=True) == {None: (2, 2), "Open": (2, 2)}
    hours = [row for row in rows(settings.home) if row["span"] == "hour" and row["event"] is None]
    assert [row["people"] for row in hours if not row["is_day_before"]] == [1, *[0] * 11, 3]
    assert [row["people"] for row in hours if row["is_day_before"]] == [*[0] * 11, 1, 1]
    assert {row["as_of"] for row in rows(settings.home)} == {datetime(2024, 4, 2, 12, 40, tzinfo=UTC)}
    assert datetime.now(UTC) - rows(settings.home)[0]["observed_at"] < timedelta(minutes=5)
    assert [(request.from_date, request.to_date) for request in api.requests] == [("2024-04-01", "2024-04-02")]


@pytest.mark.parametrize(
    ("properties", "name", "value"),
    [
        ('{"mp_lib": "load-test"}', "mp_lib", "load-test"),
        ('{"a.b": "own", "a": {"b": "inside"}}', "a.b", "own"),
        ('{"a": {"b": true}}', "a.b", "true"),
        ('{"n": 5.0}', "n", "5"),
        ('{"a": "b"}', "a.b", None),
        ('{"a": null}', "a", None),
    ],
)
def test_rules_for_test_accounts_find_values_as_the_daily_numbers_do(
    properties: str, name: str, value: str | None
) -> None:
    assert intraday._value(properties, name) == value


def test_nothing_about_a_person_is_kept(settings: Settings, analytics: Analytics) -> None:
    update_recent(settings, analytics, pytest.fail)
    kept = b"".join(file.read_bytes() for file in (settings.home / "recent").rglob("*") if file.is_file())
    assert b"Pet Profile Created" in kept
    for personal in (b"anna", b"bob", b"jane", b"example.com", b"d1", b"tester"):
        assert personal not in kept
    assert sorted(file.name for file in (settings.home / "recent").iterdir()) == ["activity.parquet", "lock"]


def test_nothing_but_its_own_folder_and_the_count_of_requests_changes(settings: Settings, analytics: Analytics) -> None:
    for name in ("lake/mixpanel/events/a.parquet", "published/current", "published/b.duckdb", "warehouse.duckdb"):
        (settings.home / name).parent.mkdir(parents=True, exist_ok=True)
        (settings.home / name).write_text(name)
    before = content(settings.home)
    update_recent(settings, analytics, pytest.fail)
    after = content(settings.home)
    assert {name: after[name] for name in before} == before
    assert {name.partition("/")[0] for name in set(after) - set(before)} <= {
        "recent", "rate_limits.sqlite", "rate_limits.sqlite-wal", "rate_limits.sqlite-shm", "rate_limits.sqlite.lock",
        "pyrate_limiter.lock", "refresh.lock", "hash.key",
    }  # fmt: skip


@pytest.mark.parametrize("fault", ["terminated_early", "cut_gzip", "http_401"])
def test_what_fails_leaves_what_was_read_before_and_says_so(
    settings: Settings, analytics: Analytics, api: ExportApi, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "SECOND", 1)
    api.is_limited = False
    api.faults = lambda _: fault
    with pytest.raises(TailTrackerError, match=r"mixpanel: .*; of the last hours, nothing was read before"):
        update_recent(settings, analytics, lambda _: None)
    assert recent.read(settings.home) is None
    api.faults = lambda _: None
    update_recent(settings, analytics, pytest.fail)
    before = content(settings.home / "recent")
    api.faults = lambda _: fault
    with pytest.raises(TailTrackerError, match=r"mixpanel: .*; of the last hours, what was read before stays"):
        update_recent(settings, analytics, lambda _: None)
    assert content(settings.home / "recent") == before


def test_a_further_run_asks_once_more_and_leaves_half_of_the_requests_to_refreshes(
    settings: Settings, analytics: Analytics, api: ExportApi
) -> None:
    assert update_recent(settings, analytics, pytest.fail)
    assert update_recent(settings, analytics, pytest.fail)
    assert len(api.requests) == 2
    bucket = export._bucket(settings.home / "rate_limits.sqlite")
    long_ago = bucket.now() - 3_000_000
    with bucket.lock:
        bucket.conn.executemany("insert into mixpanel_export values ('export', ?)", [(long_ago,)] * 28)
        bucket.conn.commit()
    with pytest.raises(TailTrackerError, match=r"not asked: 30 requests went out in the last hour.*stays"):
        update_recent(settings, analytics, pytest.fail)
    assert len(api.requests) == 2


@pytest.mark.parametrize(("lock", "told"), [("refresh.lock", "a refresh is at work"), ("recent/lock", "read already")])
def test_it_gives_way_to_a_run_that_is_at_work(
    settings: Settings, analytics: Analytics, api: ExportApi, lock: str, told: str
) -> None:
    (settings.home / "recent").mkdir()
    said: list[str] = []
    with FileLock(settings.home / lock):
        assert not update_recent(settings, analytics, said.append)
    assert told in said[0]
    assert list(api.requests) == []
    assert update_recent(settings, analytics, pytest.fail)


def test_charges_are_counted_beside_events_and_without_them(
    make_settings: MakeSettings, analytics: Analytics, api: ExportApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    def charge(moment: str, who: str, paid: str | None, currency: str = "EUR") -> Charge:
        at = datetime.fromisoformat(f"2024-{moment}+00:00")
        return Charge(at, currency, None if paid is None else Decimal(paid), who)

    charges = [
        charge("04-02 12:10", "cus_a", "5.99"), charge("04-02 12:20", "cus_a", "50"),
        charge("04-02 12:30", "cus_b", None), charge("04-02 09:00", "cus_c", "700", "JPY"),
        charge("04-01 12:20", "cus_a", "5.99"), charge("04-01 12:41", "cus_b", "5.99"),
    ]  # fmt: skip
    asked: list[datetime] = []

    def read(_: Settings, since: datetime, say: Callable[[str], None]) -> Iterator[Charge]:
        asked.append(since)
        yield from charges

    def told(found: list[dict[str, Any]], span: str, *, is_day_before: bool = False) -> dict[str | None, Any]:
        return {
            row["event"]: (row["events"], row["people"], row["amount"] and float(row["amount"]))
            for row in found
            if (row["source"], row["span"], row["is_day_before"]) == ("stripe", span, is_day_before)
        }

    monkeypatch.setattr(intraday, "recent_charges", read)
    named = {"STRIPE_API_KEY": "rk_test_1", "MIXPANEL_EXPORT_URL": api.url, "TAILTRACKER_NOW": NOW}
    no_mixpanel = dict.fromkeys(("MIXPANEL_PROJECT_ID", "MIXPANEL_USERNAME", "MIXPANEL_SECRET"))
    for off, sources in (({}, {"mixpanel", "stripe"}), (no_mixpanel, {"stripe"})):
        settings = make_settings(**named | off)
        assert update_recent(settings, analytics, pytest.fail)
        found = rows(settings.home)
        assert {row["source"] for row in found} == sources
        last_hour = {None: (3, 2, None), "Paid in EUR": (2, 1, 55.99), "Failed": (1, 1, None)}
        assert told(found, "last_hour") == last_hour
        assert told(found, "day") == last_hour | {None: (4, 3, None), "Paid in JPY": (1, 1, 700.0)}
        assert told(found, "last_hour", is_day_before=True) == {None: (1, 1, None), "Paid in EUR": (1, 1, 5.99)}
    assert asked == [datetime(2024, 4, 1, tzinfo=UTC)] * 2


def test_without_mixpanel_it_says_so(make_settings: MakeSettings, analytics: Analytics) -> None:
    off = make_settings(MIXPANEL_PROJECT_ID=None, MIXPANEL_USERNAME=None, MIXPANEL_SECRET=None)
    with pytest.raises(SettingsError, match="mixpanel is off"):
        update_recent(off, analytics, pytest.fail)


def test_a_file_that_is_broken_is_told_and_replaced(settings: Settings, analytics: Analytics) -> None:
    file = recent.file_in(settings.home)
    file.parent.mkdir()
    file.write_bytes(b"PAR1 no more")
    with pytest.raises(TailTrackerError, match="can't be read: run `tailtracker-bi recent`"):
        recent.read(settings.home)
    assert update_recent(settings, analytics, pytest.fail)
    assert rows(settings.home)


@pytest.mark.parametrize(
    ("now", "zone", "today", "hours", "hours_before"),
    [
        ("2024-04-02T12:40:00Z", "UTC", "2024-04-02T00:00", 13, 13),
        ("2024-04-02T00:20:00Z", "UTC", "2024-04-02T00:00", 1, 1),
        ("2024-04-02T02:00:00Z", "America/New_York", "2024-04-01T04:00", 22, 22),
        ("2024-04-02T00:00:00Z", "Asia/Kolkata", "2024-04-01T18:30", 6, 6),
        ("2024-03-31T10:00:00Z", "Europe/Berlin", "2024-03-30T23:00", 11, 12),  # clocks went ahead in the night
    ],
)
def test_spans_are_of_the_reporting_day_and_of_the_same_time_a_day_before(
    now: str, zone: str, today: str, hours: int, hours_before: int
) -> None:
    spans = list(spans_of(datetime.fromisoformat(now), zone))
    [day, day_before] = [span for span in spans if span.kind == "day"]
    assert f"{day.starts_at:%Y-%m-%dT%H:%M}" == today
    assert day.ends_at == datetime.fromisoformat(now)
    of = {
        is_before: [span for span in spans if span.kind == "hour" and span.is_day_before == is_before]
        for is_before in (False, True)
    }
    assert (len(of[False]), len(of[True])) == (hours, hours_before)
    for whole, parts in ((day, of[False]), (day_before, of[True])):
        assert (parts[0].starts_at, parts[-1].ends_at) == (whole.starts_at, whole.ends_at)
        assert all(one.ends_at == following.starts_at for one, following in pairwise(parts))
    assert [span.ends_at - span.starts_at for span in spans if span.kind == "last_hour"] == [timedelta(hours=1)] * 2
