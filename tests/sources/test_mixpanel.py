"""Mixpanel's export, over real sockets: whole days or an error, never half a day."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from email.utils import formatdate
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pyrate_limiter import RateItem

from tailtracker_bi.errors import TailTrackerError
from tailtracker_bi.lake.lake import Lake
from tailtracker_bi.runs.planning import DayPlan
from tailtracker_bi.runs.pulling import pull
from tailtracker_bi.runs.report import Progress, new_report
from tailtracker_bi.sandbox.servers.export_api import SECRET, USER, Days, serve
from tailtracker_bi.settings.model import Settings
from tailtracker_bi.sources.http import TRIES
from tailtracker_bi.sources.mixpanel import export as mixpanel
from tailtracker_bi.sources.mixpanel.export import Mixpanel
from tailtracker_bi.sources.records import BadResponseError, Counts, FutureDaysError, SourceUnavailableError, each_day
from tests.sources.export_lines import event_line

DAY, NEXT_DAY = date(2024, 1, 1), date(2024, 1, 2)
START = 1_704_067_200
"""DAY begins."""
# Enough, and random enough, that half of the compressed bytes hold whole lines.
LINES = [
    event_line("Open", START + number, f"user-{number * 7919 % 10007}", _insert_id=f"i{number}")
    for number in range(600)
]
EXPORT: Days = {DAY: LINES, NEXT_DAY: [event_line("Open", START + 86400, "u1")]}
WHOLE = {DAY: Counts(received=600, loaded=600), NEXT_DAY: Counts(received=1, loaded=1)}

MakeSettings = Callable[..., Settings]

# How each fault is refused once it does not go away.
TRANSIENT = {
    "cut_gzip": "cut off before its end",
    "cut_gzip_no_length": "cut off before its end",
    "cut_gzip_with_length": "RemoteProtocolError",
    "no_gzip_at_all": "cut off before its end",
    "bad_crc": "gzip stream is broken",
    "cut_line": "the last line was cut off",
    "terminated_early": "terminated early",
    "export_terminated_early": "terminated early",
    "plain_unknown_length": "can't be told whether it is whole",
    "html_200": "not an export",
    "json_error_200": "query took too long",
    "pretty_json_error_200": "not an export: none of 7 lines is an event",
    "http_429": "answered 429: .*Query rate limit exceeded",
    "http_500": "answered 500",
    "http_502": "answered 502",
    "http_503": "answered 503",
}


@dataclass
class Received:
    """What a fetch gave."""

    rows: list[dict[str, Any]]
    quarantine: list[dict[str, Any]]
    counts: dict[date, Counts]


def fetch(source: Mixpanel, first: date = DAY, last: date = NEXT_DAY) -> Received:
    with source.fetch(first, last, source.settings.home / "spool") as days:
        return Received(days.rows.read_all().to_pylist(), days.quarantine.read_all().to_pylist(), days.counts)


@pytest.fixture
def _no_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixpanel, "REQUESTS_PER_SECOND", 1000)
    monkeypatch.setattr(mixpanel, "REQUESTS_PER_HOUR", 2000)


pytestmark = pytest.mark.usefixtures("_no_limits")


@pytest.mark.parametrize("chunked", [True, False])
def test_whole_days_arrive_with_one_authorized_request(make_settings: MakeSettings, chunked: bool) -> None:
    with serve(EXPORT, chunked=chunked) as api:
        received = fetch(Mixpanel(make_settings(MIXPANEL_EXPORT_URL=api.url)))
    assert received.counts == WHOLE
    assert len({row["insert_id"] for row in received.rows}) == 601
    (request,) = api.requests
    assert (request.path, request.from_date, request.to_date) == (
        "/api/2.0/export",
        "2024-01-01",
        "2024-01-02",
    )
    assert request.headers["accept-encoding"] == "gzip"


def test_an_export_without_events_is_empty_days(make_settings: MakeSettings) -> None:
    with serve({}) as api:
        received = fetch(Mixpanel(make_settings(MIXPANEL_EXPORT_URL=api.url)))
    assert received == Received([], [], {DAY: Counts(), NEXT_DAY: Counts()})


def test_days_served_from_a_directory_arrive(make_settings: MakeSettings, tmp_path: Path) -> None:
    (tmp_path / "2024-01-01.jsonl.gz").write_bytes(gzip.compress(b"\n".join(LINES) + b"\n"))
    with serve(tmp_path) as api:
        received = fetch(Mixpanel(make_settings(MIXPANEL_EXPORT_URL=api.url)), DAY, NEXT_DAY)
    assert received.counts == {DAY: WHOLE[DAY], NEXT_DAY: Counts()}


@pytest.mark.parametrize("fault", ["two_members", "plain_with_length"])
def test_a_whole_answer_in_another_form_is_taken_at_once(make_settings: MakeSettings, fault: str) -> None:
    with serve(EXPORT, faults=[fault]) as api:
        assert fetch(Mixpanel(make_settings(MIXPANEL_EXPORT_URL=api.url))).counts == WHOLE
    assert len(api.requests) == 1


@pytest.mark.parametrize("fault", TRANSIENT)
def test_transient_fault_never_lands_half_a_day(make_settings: MakeSettings, fault: str) -> None:
    with serve(EXPORT, faults=[fault] * (TRIES - 1)) as api:
        assert fetch(Mixpanel(make_settings(MIXPANEL_EXPORT_URL=api.url))).counts == WHOLE
    assert len(api.requests) == TRIES


@pytest.mark.parametrize("fault", TRANSIENT)
def test_lasting_fault_is_refused_after_all_tries_naming_the_days(make_settings: MakeSettings, fault: str) -> None:
    with (
        serve(EXPORT, faults=lambda _: fault) as api,
        pytest.raises(
            SourceUnavailableError if fault == "http_429" else BadResponseError,
            match=f"(?s)mixpanel: 2024-01-01 to 2024-01-02: .*{TRANSIENT[fault]}",
        ) as refusal,
    ):
        fetch(Mixpanel(make_settings(MIXPANEL_EXPORT_URL=api.url)))
    assert len(api.requests) == TRIES
    assert SECRET not in str(refusal.value)
    assert "<" not in str(refusal.value) or fault == "html_200"


def test_faults_of_different_kinds_in_turn_are_survived(make_settings: MakeSettings) -> None:
    with serve(EXPORT, faults=["http_500", "cut_gzip", "html_200"]) as api:
        assert fetch(Mixpanel(make_settings(MIXPANEL_EXPORT_URL=api.url))).counts == WHOLE


def test_broken_records_in_a_whole_export_are_set_aside_and_the_rest_goes_on(
    make_settings: MakeSettings,
) -> None:
    with serve({DAY: [b'{"event": "Open", "properties": {"time": 17', *LINES]}) as api:
        received = fetch(Mixpanel(make_settings(MIXPANEL_EXPORT_URL=api.url)), DAY, DAY)
    assert received.counts == {DAY: Counts(received=601, loaded=600, quarantined=1)}
    assert [row["reason"] for row in received.quarantine] == ["not JSON"]


# Refused at once.


def refused(settings: Settings) -> str:
    with pytest.raises(TailTrackerError) as refusal:
        fetch(Mixpanel(settings))
    message = str(refusal.value)
    assert SECRET not in message
    assert refusal.value.exit_code == 1
    return message


def test_wrong_secret_is_refused_at_once_and_never_shown(make_settings: MakeSettings) -> None:
    with serve(EXPORT) as api:
        message = refused(make_settings(MIXPANEL_EXPORT_URL=api.url, MIXPANEL_SECRET="a-wrong-secret"))
    assert "a-wrong-secret" not in message
    assert "answered 401" in message
    assert "MIXPANEL_SECRET" in message
    assert "MIXPANEL_REGION" in message
    assert len(api.requests) == 1


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("http_400", "MIXPANEL_PROJECT_ID"),
        ("http_402", "plan does not include the raw export"),
        ("http_403", "MIXPANEL_USERNAME"),
        ("http_404", "answered 404"),
        ("redirect", "redirects are not followed"),
    ],
)
def test_lasting_refusal_is_told_at_once(make_settings: MakeSettings, fault: str, told: str) -> None:
    with serve(EXPORT, faults=lambda _: fault) as api:
        message = refused(make_settings(MIXPANEL_EXPORT_URL=api.url))
    assert told in message
    assert [request.path for request in api.requests] == ["/api/2.0/export"]


def test_answer_that_repeats_secret_and_addresses_is_told_without_them(make_settings: MakeSettings) -> None:
    with serve(EXPORT, faults=["echoed_secret"]) as api:
        message = refused(make_settings(MIXPANEL_EXPORT_URL=api.url))
    assert "[secret] of [email] may not read this project" in message
    assert "jane" not in message


def test_day_that_has_not_begun_for_mixpanel_is_refused_at_once_naming_the_time_zone(
    make_settings: MakeSettings,
) -> None:
    with serve(EXPORT, faults=lambda _: "too_late_to_date") as api:
        message = refused(make_settings(MIXPANEL_EXPORT_URL=api.url, MIXPANEL_TIMEZONE="Asia/Tokyo"))
    assert "to_date cannot be later than today" in message
    assert "is Asia/Tokyo the project's time zone (MIXPANEL_TIMEZONE)?" in message
    assert len(api.requests) == 1


@pytest.mark.parametrize("hours", [-7, 9])
def test_events_at_wrong_hours_are_refused_at_once_naming_the_setting(make_settings: MakeSettings, hours: int) -> None:
    events = [event_line("Open", START + (hour + hours) * 3600, f"u{hour}") for hour in range(24)]
    with (
        serve({DAY: events}) as api,
        pytest.raises(BadResponseError, match=r"not days in UTC; set MIXPANEL_TIMEZONE"),
    ):
        fetch(Mixpanel(make_settings(MIXPANEL_EXPORT_URL=api.url)), DAY, DAY)
    assert len(api.requests) == 1


def test_unreachable_host_is_told_without_the_secret(make_settings: MakeSettings) -> None:
    with serve({}) as api:
        pass
    assert f"can't reach {api.url}" in refused(make_settings(MIXPANEL_EXPORT_URL=api.url))


def test_missing_credentials_are_told_without_a_request(make_settings: MakeSettings) -> None:
    nothing = dict.fromkeys(("MIXPANEL_PROJECT_ID", "MIXPANEL_USERNAME", "MIXPANEL_SECRET"))
    with serve({}) as api:
        settings = make_settings(MIXPANEL_EXPORT_URL=api.url, **nothing)
        assert not Mixpanel.is_on(settings)
        assert "set MIXPANEL_USERNAME" in refused(settings)
    assert api.requests == []


# Waiting.


@pytest.mark.parametrize(
    ("retry_after", "waits"),
    [
        ("7", [7.0, 7.0, 7.0]),
        ("86400", [300.0, 300.0, 300.0]),
        ("Wed, 21 Oct 2015 07:28:00 GMT", [0.0, 0.0, 0.0]),
        (None, [2.0, 4.0, 8.0]),
    ],
)
def test_retry_after_is_respected_up_to_a_cap(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch, retry_after: str | None, waits: list[float]
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    with serve(EXPORT, faults=["http_429"] * 3, retry_after=retry_after) as api:
        received = fetch(Mixpanel(make_settings(MIXPANEL_EXPORT_URL=api.url, TAILTRACKER_RETRY_SCALE=1)))
    assert received.counts == WHOLE
    assert slept == waits


def test_retry_after_as_a_date_to_come_is_waited_for(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    told = formatdate(time.time() + 200, usegmt=True)
    with serve(EXPORT, faults=["http_429"], retry_after=told) as api:
        fetch(Mixpanel(make_settings(MIXPANEL_EXPORT_URL=api.url, TAILTRACKER_RETRY_SCALE=1)))
    assert 100 < slept[0] <= 200


def test_retry_scale_of_zero_waits_for_nothing(make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    with serve(EXPORT, faults=["http_429", "http_500"], retry_after="60") as api:
        fetch(Mixpanel(make_settings(MIXPANEL_EXPORT_URL=api.url)))
    assert sum(slept) == 0


class StillWaitingError(Exception):
    """An hour is too long for a test."""


class Impatient:
    """A limiter that is asked once, and then would have waited."""

    def __init__(self, limiter: Any) -> None:
        self._limiter = limiter

    def try_acquire(self, name: str, timeout: float | None = None) -> bool:
        if timeout is None:
            raise StillWaitingError
        return bool(self._limiter.try_acquire(name, timeout=timeout))


def test_request_limits_hold_over_restarts_and_for_retries(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mixpanel, "REQUESTS_PER_SECOND", 2)
    monkeypatch.setattr(mixpanel, "REQUESTS_PER_HOUR", 3)
    with serve(EXPORT, faults=["http_500"]) as api:
        settings = make_settings(MIXPANEL_EXPORT_URL=api.url)
        fetch(Mixpanel(settings))
        fetch(Mixpanel(settings))
        said: list[str] = []
        restarted = Mixpanel(settings, said.append)
        assert not restarted._limiter.try_acquire("export", timeout=0.05)
        monkeypatch.setattr(mixpanel, "MOMENT_SECONDS", 0.05)
        # As if the hour were over then.
        monkeypatch.setattr(restarted, "_limiter", Impatient(restarted._limiter))
        with pytest.raises(StillWaitingError):
            fetch(restarted)
    first, second, third = (request.received_at for request in api.requests)
    assert second - first < 1 <= third - first + 0.05
    [waiting] = said
    until = datetime.fromtimestamp(first, UTC) + timedelta(hours=1)
    assert f"waiting until {until:%H:%M} UTC: 3 requests an hour" in waiting


def test_who_does_not_wait_is_told_what_was_not_asked_for_and_keeps_what_landed(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mixpanel, "REQUESTS_PER_SECOND", 2)
    monkeypatch.setattr(mixpanel, "REQUESTS_PER_HOUR", 3)
    asked, later, last = date(2024, 3, 1), date(2024, 3, 2), date(2024, 3, 9)
    report = new_report()
    with serve(EXPORT, faults=["http_500"]) as api:
        settings = make_settings(MIXPANEL_EXPORT_URL=api.url, TAILTRACKER_WAIT=False)
        lake = Lake(settings.home)
        requests = [(asked, asked), (DAY, DAY), (later, later + timedelta(days=2)), (last, last)]
        pull(settings, lake, [DayPlan(Mixpanel, requests)], report, Progress())
    [error] = report.errors
    assert error.startswith("mixpanel: not asked any more until ")
    assert error.endswith("are used up; not asked for: 2024-03-02 to 2024-03-04, 2024-03-09")
    assert lake.ledger.landed_days("mixpanel", "events") == {asked, DAY}
    assert lake.ledger.troubled_days("mixpanel", "events") == {}, "nobody was asked for them: they are just missing"
    assert report.exit_code == 1


def test_who_does_not_wait_asks_no_server_again_that_is_asked_too_often(make_settings: MakeSettings) -> None:
    with serve(EXPORT, faults=["http_429"]) as api:
        settings = make_settings(MIXPANEL_EXPORT_URL=api.url, TAILTRACKER_WAIT=False)
        with pytest.raises(SourceUnavailableError, match="answered 429"):
            fetch(Mixpanel(settings))
        assert len(api.requests) == 1


def test_damaged_file_of_the_limits_is_begun_anew(make_settings: MakeSettings, tmp_path: Path) -> None:
    (tmp_path / "rate_limits.sqlite").write_bytes(b"not a database" * 1000)
    with serve(EXPORT) as api:
        assert fetch(Mixpanel(make_settings(MIXPANEL_EXPORT_URL=api.url))).counts == WHOLE


def test_requests_of_a_clock_that_was_ahead_hold_back_no_longer_than_any(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mixpanel, "REQUESTS_PER_HOUR", 2)
    monkeypatch.setattr(mixpanel, "REQUESTS_PER_SECOND", 1)
    settings = make_settings()
    ahead = Mixpanel(settings)._limiter.buckets()[0]
    a_day_on = time.time_ns() // 1_000_000 + 86_400_000
    assert ahead.put(RateItem("export", a_day_on))
    waiting = Mixpanel(settings)._limiter.buckets()[0]
    now = time.time_ns() // 1_000_000
    # It counts as one made now: not at once, but in two seconds.
    assert not waiting.put(RateItem("export", now))
    assert waiting.put(RateItem("export", now + 2100))


# Time zones that the times tell of.


def sent_at(zone: str, day: date = DAY, times: int = 144, late: float = 0.0) -> list[bytes]:
    """Events all over a day of a project in this zone, whose times are those of its clocks; some come hours late."""
    begins, ends = (
        datetime.combine(one, datetime.min.time(), ZoneInfo(zone)) for one in (day, day + timedelta(days=1))
    )
    first, length = begins.timestamp(), ends.timestamp() - begins.timestamp()
    lines = []
    for number in range(times):
        moment = first + length * number // times
        offset = datetime.fromtimestamp(moment, ZoneInfo(zone)).utcoffset()
        assert offset is not None
        # In whole seconds; some clocks are a minute ahead.
        delay = 7200 + number * 311 if number < late * times else number % 45 - (60 if number % 9 == 0 else 0)
        local = int(moment + offset.total_seconds())
        processed = int((moment + delay) * 1000)
        lines.append(event_line("Open", local, f"u{number}", mp_processing_time_ms=processed))
    return lines


ZONES = [
    ("Asia/Tokyo", DAY, "+09:00"),
    ("America/New_York", DAY, "-05:00"),
    ("America/New_York", date(2024, 7, 1), "-04:00"),
    ("Asia/Kolkata", DAY, "+05:30"),
    ("Asia/Kathmandu", DAY, "+05:45"),
    ("Pacific/Kiritimati", DAY, "+14:00"),
    ("Pacific/Pago_Pago", DAY, "-11:00"),
    # The clocks change on these days: they have 23, 25, 23, 25 and 24.5 hours.
    ("Europe/Berlin", date(2024, 3, 31), "+02:00"),
    ("Europe/Berlin", date(2024, 10, 27), "+01:00"),
    ("America/New_York", date(2024, 3, 10), "-04:00"),
    ("America/New_York", date(2024, 11, 3), "-05:00"),
    ("Australia/Lord_Howe", date(2024, 4, 7), "+10:30"),
]


@pytest.mark.parametrize(("zone", "day", "offset"), ZONES)
def test_local_times_are_found_out_by_when_they_were_processed(
    make_settings: MakeSettings, zone: str, day: date, offset: str
) -> None:
    with serve({day: sent_at(zone, day, late=0.3)}) as api:
        right = fetch(Mixpanel(make_settings(MIXPANEL_EXPORT_URL=api.url, MIXPANEL_TIMEZONE=zone)), day, day)
        assert right.counts[day].loaded == 144
        with pytest.raises(BadResponseError) as refusal:
            fetch(Mixpanel(make_settings(MIXPANEL_EXPORT_URL=api.url)), day, day)
    assert (
        f"the times of most events of {day} are those of UTC{offset}, but MIXPANEL_TIMEZONE is not set, so that times "
        f"are taken for UTC: set it to the project's time zone, one that was at UTC{offset} then"
    ) in str(refusal.value)
    assert len(api.requests) == 2


def test_a_zone_that_is_set_wrong_is_found_out(make_settings: MakeSettings) -> None:
    with serve({DAY: sent_at("America/New_York"), NEXT_DAY: sent_at("UTC", NEXT_DAY)}) as api:
        tokyo = Mixpanel(make_settings(MIXPANEL_EXPORT_URL=api.url, MIXPANEL_TIMEZONE="Asia/Tokyo"))
        with pytest.raises(BadResponseError, match=r"those of UTC-05:00, but MIXPANEL_TIMEZONE is Asia/Tokyo: set it"):
            fetch(tokyo, DAY, DAY)
        with pytest.raises(BadResponseError, match=r"UTC\+00:00, but MIXPANEL_TIMEZONE is Asia/Tokyo: leave it empty"):
            fetch(tokyo, NEXT_DAY, NEXT_DAY)
        # A zone is as good as another as long as their clocks agree.
        fetch(Mixpanel(make_settings(MIXPANEL_EXPORT_URL=api.url, MIXPANEL_TIMEZONE="America/Bogota")), DAY, DAY)


@pytest.mark.parametrize(
    "lines",
    [
        sent_at("Asia/Tokyo", times=99),
        sent_at("Asia/Tokyo", late=0.55),
        [line.replace(b"mp_processing_time_ms", b"other") for line in sent_at("Asia/Tokyo")],
        # A job's events, all of one time, taken in 7 hours later.
        [event_line("Job", START, f"u{n}", mp_processing_time_ms=(START + 25_200) * 1000) for n in range(1000)],
        # A nightly import of what happened all day.
        [event_line("Job", START + n * 600, "u", mp_processing_time_ms=(START + 90_000) * 1000) for n in range(144)],
    ],
    ids=["too few", "too many late", "no processing times", "one time", "nightly import"],
)
def test_where_processing_times_tell_nothing_the_setting_is_trusted(
    make_settings: MakeSettings, lines: list[bytes]
) -> None:
    with serve({DAY: lines}) as api:
        assert fetch(Mixpanel(make_settings(MIXPANEL_EXPORT_URL=api.url)), DAY, DAY).counts[DAY].loaded == len(lines)


def test_a_hundred_times_tell(make_settings: MakeSettings) -> None:
    with serve({DAY: sent_at("Asia/Tokyo", times=100)}) as api, pytest.raises(BadResponseError, match=r"UTC\+09:00"):
        fetch(Mixpanel(make_settings(MIXPANEL_EXPORT_URL=api.url)), DAY, DAY)


def test_a_day_that_is_not_over_by_mixpanels_clock_is_refused(make_settings: MakeSettings) -> None:
    today = datetime.now(UTC).date()
    with serve({}) as api:
        source = Mixpanel(make_settings(MIXPANEL_EXPORT_URL=api.url))
        with pytest.raises(FutureDaysError, match=r"is not over: Mixpanel says that it is .*; set its clock right"):
            fetch(source, today, today + timedelta(days=1))
        fetch(source, today - timedelta(days=2), today - timedelta(days=2))
    assert len(api.requests) == 2


# Planning, and doctor.


@pytest.mark.parametrize("records_a_day", [None, 0, 10.0, 1_000_000.0, 1e12])
def test_two_years_are_planned_within_half_an_hours_requests(records_a_day: float | None) -> None:
    days = list(each_day(date(2023, 1, 1), date(2023, 1, 1) + timedelta(days=736)))
    plan = Mixpanel.split(days[::-1], records_a_day)
    assert len(plan) <= 30
    assert [day for first, last in plan for day in each_day(first, last)] == days


@pytest.mark.parametrize("records_a_day", [None, 0, 10.0, 1e12])
@pytest.mark.parametrize("wanted", [[], [1], [3, 1, 1, 2], [1, 5], [31, 1, 2, 3, 10, 11, 30]])
def test_plan_asks_for_the_days_wanted_and_no_others(wanted: list[int], records_a_day: float | None) -> None:
    plan = Mixpanel.split([date(2024, 1, day) for day in wanted], records_a_day)
    assert [day.day for first, last in plan for day in each_day(first, last)] == sorted(set(wanted))


def test_a_request_takes_as_many_days_as_fit() -> None:
    days = list(each_day(date(2024, 1, 1), date(2024, 1, 28)))
    assert len(Mixpanel.split(days, mixpanel.RECORDS_PER_REQUEST)) == 28
    assert len(Mixpanel.split(days, mixpanel.RECORDS_PER_REQUEST / 8)) == 4
    assert max((last - first).days for first, last in Mixpanel.split(days, 0)) < mixpanel.LONGEST_REQUEST_DAYS


def test_check_says_what_to_do(make_settings: MakeSettings) -> None:
    now = {"TAILTRACKER_NOW": "2024-01-02T12:00:00"}
    with serve(EXPORT) as api:
        well = Mixpanel(make_settings(MIXPANEL_EXPORT_URL=api.url, **now)).check()
        wrong = Mixpanel(make_settings(MIXPANEL_EXPORT_URL=api.url, MIXPANEL_SECRET="wrong", **now)).check()
    assert (well.is_ok, well.detail) == (True, "answers to project 2195193")
    assert not wrong.is_ok
    assert "check MIXPANEL_USERNAME" in wrong.detail
    assert {request.from_date for request in api.requests} == {"2024-01-01"}


def test_check_does_not_wait_for_the_hours_requests(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mixpanel, "REQUESTS_PER_SECOND", 2)
    monkeypatch.setattr(mixpanel, "REQUESTS_PER_HOUR", 3)
    with serve(EXPORT) as api:
        settings = make_settings(MIXPANEL_EXPORT_URL=api.url, TAILTRACKER_NOW="2024-01-02T12:00:00")
        checks = [Mixpanel(settings).check() for _ in range(4)]
    assert [check.is_ok for check in checks] == [True, True, True, False]
    assert "not asked" in checks[-1].detail
    assert len(api.requests) == 3


def test_credentials_go_out_in_the_header_and_nowhere_else(make_settings: MakeSettings) -> None:
    with serve(EXPORT) as api:
        fetch(Mixpanel(make_settings(MIXPANEL_EXPORT_URL=api.url + "/")))
    (request,) = api.requests
    assert request.headers["authorization"].startswith("Basic ")
    rest = {name: value for name, value in request.headers.items() if name != "authorization"}
    assert not [text for text in (USER, SECRET) if text in json.dumps([request.path, rest])]


def test_source_errors_are_of_the_two_kinds_that_callers_tell_apart() -> None:
    assert not issubclass(SourceUnavailableError, BadResponseError)
    assert not issubclass(BadResponseError, SourceUnavailableError)
