"""Faults of Mixpanel's export over real sockets: what is in the lake and the ledger after a pull that met them.

Each test names the number of its fault. They end in the lake, without dbt: a day that has not landed is in no number
(`test_refresh.py` goes the whole way with some).

    1-6, 14, 15   an answer that is cut, marked as broken off, damaged, or no export: tried again, then refused
    7, 18         an answer in another form, and one without events: whole
    9             Retry-After is obeyed: test_mixpanel.py; here: what follows when it does not help
    10            the limits, over processes; over restarts: test_mixpanel.py
    11-13, 16, 31 what will not get better is asked for once; 13 lets other sources go on
    17            an answer that drips, and a host that does not answer
    20, 21, 29    a day that changed between two pulls; 18, 20 also when it changed too much: held
    22            times that are not what the settings say: test_mixpanel.py
    28            events nobody has heard of

    72            a clock that is ahead, or behind; and a day that failed in the middle

Shown elsewhere, where nothing but a line is needed: 19, 23-27 (test_event_lines.py), 8 (test_http.py). Not staged: 30,
profiles are not pulled, since no metric needs them; 32, which is about the disk and not about the export.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import orjson
import pytest
from pyarrow.dataset import dataset

from tailtracker_bi.lake.lake import Lake
from tailtracker_bi.runs.planning import check_accepted, plan
from tailtracker_bi.runs.pulling import pull
from tailtracker_bi.runs.report import Progress, RunReport, new_report
from tailtracker_bi.sandbox.servers import stripe_api
from tailtracker_bi.sandbox.servers.export_api import (
    SECRET,
    Cut,
    ExportApi,
    Fault,
    Framing,
    Marked,
    Place,
    Request,
    serve,
)
from tailtracker_bi.settings.model import Settings
from tailtracker_bi.sources import http
from tailtracker_bi.sources.mixpanel import export as mixpanel
from tailtracker_bi.sources.records import each_day
from tests.sources.export_lines import event_line

MakeSettings = Callable[..., Settings]
Content = dict[date, list[str]]

FIRST = date(2024, 1, 8)
LINES_A_DAY = 24


def day(number: int) -> date:
    return FIRST + timedelta(days=number - 1)


def events(number: int, count: int = LINES_A_DAY, **properties: Any) -> list[bytes]:
    """That many events, spread over a day."""
    start = int(datetime.combine(day(number), datetime.min.time(), UTC).timestamp())
    return [
        event_line("Open", start + place * 86_400 // count, f"u{place}", _insert_id=f"i{place}", **properties)
        for place in range(count)
    ]


EXPORT = {day(number): events(number) for number in range(1, 9)}


@dataclass
class Outcome:
    """What a pull did, and what was there after it."""

    report: RunReport
    content: Content
    """The properties of the events of each day that is there, sorted; days without events, too."""
    statuses: dict[date, tuple[str, str | None]]
    """The latest attempt at each day, and its reason."""

    @property
    def failed(self) -> list[date]:
        return [one for one, (status, _) in self.statuses.items() if status == "failed"]


@pytest.fixture
def _no_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixpanel, "REQUESTS_PER_SECOND", 1000)
    monkeypatch.setattr(mixpanel, "REQUESTS_PER_HOUR", 2000)


pytestmark = pytest.mark.usefixtures("_no_limits")


@pytest.fixture
def make(make_settings: MakeSettings) -> Callable[[ExportApi], Settings]:
    """Settings for this API, three weeks after its days: all are old enough not to be pulled again by themselves."""

    def settings(api: ExportApi, **overrides: Any) -> Settings:
        defaults = {"TAILTRACKER_HISTORY_START": FIRST, "TAILTRACKER_NOW": "2024-02-01T06:00Z"}
        return make_settings(MIXPANEL_EXPORT_URL=api.url, **defaults | overrides)

    return settings


def pulled(settings: Settings, first: int | None = 1, last: int | None = 3, accept: tuple[str, ...] = ()) -> Outcome:
    """Pull these days as a refresh does, and check what holds for every pull."""
    lake, report = Lake(settings.home), new_report()
    plans = plan(settings, lake, first and day(first), last and day(last))
    pull(settings, lake, plans, report, Progress(), check_accepted(lake, accept, plans))
    for line in report.days:
        assert line["received"] == sum(line[part] for part in ("loaded", "deduplicated", "filtered", "quarantined"))
    statuses = {row["day"]: (row["status"], row["reason"]) for row in lake.ledger.attempts("mixpanel", "events")}
    told = report.write(settings.home).read_text() + str(statuses)
    assert not [secret for secret in settings.secrets if secret in told]
    return Outcome(report, content(lake), dict(sorted(statuses.items())))


def content(lake: Lake) -> Content:
    found: Content = {one: [] for one in sorted(lake.ledger.landed_days("mixpanel", "events"))}
    files = lake.files("mixpanel", "events")
    for file in files:
        of_day = date.fromisoformat(file.split("day=")[1].split("/")[0])
        found[of_day] += dataset(file, format="parquet").to_table(columns=["properties"])["properties"].to_pylist()
    return {one: sorted(texts) for one, texts in found.items()}


def expected(*numbers: int, days: Mapping[date, Sequence[bytes]] = EXPORT) -> Content:
    """What an undisturbed pull of these days leaves."""
    return {
        day(number): sorted(orjson.dumps(orjson.loads(line)["properties"]).decode() for line in days[day(number)])
        for number in numbers
    }


def same(left: Content, right: Content) -> bool:
    def parsed(found: Content) -> dict[date, list[str]]:
        return {
            one: sorted(orjson.dumps(orjson.loads(text), option=orjson.OPT_SORT_KEYS).decode() for text in texts)
            for one, texts in found.items()
        }

    return parsed(left) == parsed(right)


def asks_for(number: int) -> Callable[[Request], bool]:
    return lambda request: (request.from_date or "") <= str(day(number)) <= (request.to_date or "")


# Faults that may pass: 1 to 6, 9, 14, 15.

MARKERS = (b"terminated early", b"terminated early\n", b"export terminated early", b"export terminated early\n")
MAY_PASS: list[tuple[str, Fault, str]] = [
    ("1 gzip cut, clean chunk end", "cut_gzip", "cut off before its end"),
    ("2 gzip cut, closed without length", "cut_gzip_no_length", "cut off before its end"),
    ("3 gzip cut, Content-Length of the whole", "cut_gzip_with_length", "RemoteProtocolError"),
    ("4 plain body without length", "plain_unknown_length", "can't be told whether it is whole"),
    *((f"5 {marker!r}", Marked(marker), "the export was terminated early") for marker in MARKERS),
    *((f"5 {marker!r}, plain", Marked(marker, is_plain=True), "the export was terminated early") for marker in MARKERS),
    ("6 wrong checksum", "bad_crc", "the gzip stream is broken"),
    ("14 500", "http_500", "answered 500"),
    ("14 502", "http_502", "answered 502"),
    ("14 503", "http_503", "answered 503"),
    ("14 200 with an HTML page", "html_200", "not an export"),
    ("15 JSON error in place of lines", "json_error_200", "query took too long"),
    ("15 JSON error over several lines", "pretty_json_error_200", "not an export"),
]


@pytest.mark.parametrize(("fault", "reason"), [pytest.param(*rest, id=name) for name, *rest in MAY_PASS])
def test_a_fault_that_passes_leaves_no_trace_and_a_lasting_one_leaves_the_last_good_state(
    make: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch, fault: Fault, reason: str
) -> None:
    monkeypatch.setattr(http, "TRIES", 2)
    older = {**EXPORT, day(2): EXPORT[day(2)][:-4]}
    with serve(older, faults=[fault]) as api:
        settings = make(api)
        passed = pulled(settings, 1, 2)
        assert same(passed.content, expected(1, 2, days=older))
        assert (passed.report.errors, passed.report.exit_code) == ([], 0)

        api.days, api.faults = EXPORT, lambda request: fault if asks_for(2)(request) else None
        lasting = pulled(settings, 1, 3)
    # The 2nd is as it was, the 1st and the 3rd are there though they were asked for together with it.
    assert same(lasting.content, expected(1, 3) | expected(2, days=older))
    assert lasting.failed == [day(2)]
    assert reason in str(lasting.statuses[day(2)][1])
    (error,) = lasting.report.errors
    assert "mixpanel: 2024-01-09 to 2024-01-09: " in error
    assert lasting.report.exit_code == 1


def test_9_a_source_that_takes_no_more_requests_is_not_asked_for_other_days(
    make: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(EXPORT, faults=lambda request: "http_429" if asks_for(3)(request) else None) as api:
        settings = make(api)
        monkeypatch.setattr(
            mixpanel.Mixpanel, "split", lambda *_: [(day(number), day(number)) for number in range(1, 7)]
        )
        outcome = pulled(settings, 1, 6)
        assert same(outcome.content, expected(1, 2))
        assert len(api.requests) == 2 + http.TRIES
        assert outcome.failed == [day(3)]
        assert [line["status"] for line in outcome.report.days[3:]] == ["not tried"] * 3
        api.faults = ()
        assert same(pulled(settings, 1, 6).content, expected(1, 2, 3, 4, 5, 6))


# 7 and 18: whole in another form.


@pytest.mark.parametrize("fault", ["two_members", "plain_with_length"])
def test_7_an_export_of_two_gzip_members_or_in_plain_text_is_whole(make: Callable[..., Settings], fault: str) -> None:
    with serve(EXPORT, faults=[fault]) as api:
        assert same(pulled(make(api)).content, expected(1, 2, 3))
    assert len(api.requests) == 1


def test_18_an_empty_day_lands_as_empty_where_custom_says_nothing(make: Callable[..., Settings]) -> None:
    with serve({**EXPORT, day(2): []}) as api:
        outcome = pulled(make(api))
    assert same(outcome.content, expected(1, 3) | {day(2): []})
    assert outcome.report.exit_code == 0


# 11 to 13, 16, 31: what will not get better.


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        pytest.param("too_late_to_date", "(MIXPANEL_TIMEZONE)", id="11 to_date later than today"),
        pytest.param("http_401", "check MIXPANEL_USERNAME", id="12 401"),
        pytest.param("http_403", "check MIXPANEL_USERNAME", id="12 403"),
        pytest.param("http_400", "MIXPANEL_PROJECT_ID", id="12 400"),
        pytest.param("http_402", "plan does not include the raw export", id="13 402"),
        *(
            pytest.param(f"http_{status}", "residency is eu (MIXPANEL_REGION)", id=f"31 {status}")
            for status in (400, 401, 403)
        ),
    ],
)
def test_what_will_not_get_better_is_asked_for_once(make: Callable[..., Settings], fault: str, told: str) -> None:
    with serve(EXPORT, faults=lambda _: fault) as api:
        outcome = pulled(make(api, MIXPANEL_REGION="eu"), 2, 2)
    assert outcome.content == {}
    assert outcome.failed == [day(2)]
    assert told in outcome.report.errors[0]
    assert outcome.report.exit_code == 1
    assert len(api.requests) == 1


def test_13_other_sources_go_on(make: Callable[..., Settings]) -> None:
    with serve(EXPORT, faults=lambda _: "http_402") as api, stripe_api.serve() as stripe:
        outcome = pulled(make(api, STRIPE_API_KEY=stripe.key, STRIPE_API_BASE=stripe.url), 1, 1)
    assert {line["status"] for line in outcome.report.days if line["source"] == "stripe"} == {"landed"}
    assert [error for error in outcome.report.errors if "402" not in error] == []


def test_16_a_redirect_is_refused_and_the_other_host_never_hears_of_it(make: Callable[..., Settings]) -> None:
    with serve({}) as other, serve(EXPORT, faults=lambda _: "redirect") as api:
        api.redirect_to = other.url.replace("127.0.0.1", "localhost") + "/api/2.0/export"
        outcome = pulled(make(api))
    assert other.requests == []
    assert "redirects are not followed" in outcome.report.errors[0]
    assert outcome.content == {}


# 17: time.


def test_17_an_answer_that_drips_is_given_up_in_time_also_before_its_first_byte_of_data(
    make: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mixpanel, "TRANSFER_SECONDS", 1.0)
    monkeypatch.setattr(http, "TRIES", 2)
    with serve(EXPORT, faults=["drip"]) as api:
        settings = make(api)
        assert same(pulled(settings).content, expected(1, 2, 3))
        assert len(api.requests) == 2
        api.faults = lambda request: "drip" if asks_for(4)(request) else None
        outcome = pulled(settings, 4, 5)
    assert outcome.failed == [day(4)]
    assert "ReadTimeout" in outcome.report.errors[0]
    assert day(5) in outcome.content


@pytest.fixture
def deaf_host() -> Iterator[str]:
    """The URL of a host that takes no connection: what waits for it to be accepted fills all there is."""
    with socket.socket() as server, socket.socket() as one, socket.socket() as another:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for waiting in (one, another):
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_17_a_host_that_does_not_answer_is_given_up_and_not_asked_for_other_days(
    make: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch, deaf_host: str
) -> None:
    monkeypatch.setattr(mixpanel, "TRANSFER_SECONDS", 0.2)
    outcome = pulled(make(ExportApi({}, url=deaf_host)))
    assert f"can't reach {deaf_host}" in outcome.report.errors[0]
    assert outcome.failed == [day(1), day(2), day(3)]


# 10: the limits.

_FETCHES = """
from datetime import date, timedelta
from tailtracker_bi.settings import load_settings
from tailtracker_bi.sources.mixpanel import Mixpanel
source = Mixpanel(load_settings())
for number in range(4):
    with source.fetch(date(2024, 1, 8), date(2024, 1, 8), source.settings.home / "spool"):
        pass
"""


def test_10_two_processes_at_once_keep_to_what_mixpanel_allows(make: Callable[..., Settings]) -> None:
    with serve(EXPORT, is_limited=True) as api:
        settings = make(api)
        environment = {
            "TAILTRACKER_HOME": str(settings.home),
            "TAILTRACKER_ALLOW_LOOPBACK": "1",
            "TAILTRACKER_NOW": "2024-02-01",
            "MIXPANEL_EXPORT_URL": api.url,
            "MIXPANEL_PROJECT_ID": "1",
            "MIXPANEL_USERNAME": api.user,
            "MIXPANEL_SECRET": SECRET,
        }
        running = [subprocess.Popen([sys.executable, "-c", _FETCHES], env=environment) for _ in range(2)]
        assert [process.wait(timeout=120) for process in running] == [0, 0]
        arrived = sorted(request.received_at for request in api.requests)
    # None was refused: a refused one would have been sent again.
    assert len(arrived) == 8
    assert all(later - earlier > 1 for earlier, later in zip(arrived, arrived[3:], strict=False))


# 1 to 3, 7: every place at which an answer can end, in every way in which it can end there.

PLACES: tuple[Place, ...] = (
    "nothing",
    "gzip header",
    "first block",
    "newline",
    "inside a line",
    "before the checksum",
    "inside the checksum",
    "between members",
    "second member",
)
FRAMINGS: tuple[Framing, ...] = ("chunked", "no last chunk", "length", "too long", "close", "reset")
LOOKS_WHOLE = {("between members", framing) for framing in ("chunked", "length", "close")}
"""A gzip stream that ended properly, in an answer that ended properly: nothing tells that another member was to come.
What is left is that days are pulled again for a week, and that a day that shrank, or is empty, is held."""


def is_quick(place: Place, framing: Framing) -> bool:
    """Each place and each framing once, and what looks whole; all others with what takes long."""
    return framing == "chunked" or place == "inside a line" or (place, framing) in LOOKS_WHOLE


@pytest.mark.parametrize(
    ("place", "framing"),
    [
        pytest.param(place, framing, marks=() if is_quick(place, framing) else pytest.mark.slow)
        for place in PLACES
        for framing in FRAMINGS
    ],
)
def test_an_answer_that_ends_early_is_never_a_day(
    make: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch, place: Place, framing: Framing
) -> None:
    monkeypatch.setattr(http, "TRIES", 2)
    # That a request is made anew in halves is shown above; here it would only take time.
    monkeypatch.setattr("tailtracker_bi.runs.pulling.HALVINGS_PER_PULL", 0)
    cut, tried = Cut(place, framing), set[str | None]()

    def faults(request: Request) -> Cut | None:
        """Days 1 to 3 are cut at the first try, days 5 to 7 at all."""
        is_first = request.from_date not in tried
        tried.add(request.from_date)
        return cut if is_first or str(request.from_date) >= str(day(5)) else None

    asked_for = [(day(1), day(1)), (day(2), day(3)), (day(5), day(5)), (day(6), day(7))]
    monkeypatch.setattr(mixpanel.Mixpanel, "split", lambda *_: asked_for)
    with serve(EXPORT, faults=faults) as api:
        outcome = pulled(make(api), 1, 7)
    if (place, framing) in LOOKS_WHOLE:
        assert outcome.report.errors == []
        return
    assert same(outcome.content, expected(1, 2, 3))
    assert outcome.failed == [day(5), day(6), day(7)]
    assert len(outcome.report.errors) == 2
    assert len(api.requests) == 8


@pytest.mark.parametrize("framing", FRAMINGS)
def test_an_answer_that_looks_whole_and_lacks_half_is_held_where_the_day_was_there(
    make: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch, framing: Framing
) -> None:
    monkeypatch.setattr(http, "TRIES", 1)
    days = {day(1): events(1, 201)}
    with serve(days) as api:
        settings = make(api)
        pulled(settings, 1, 1)
        api.faults = lambda _: Cut("between members", framing)
        outcome = pulled(settings, 1, 1)
    assert same(outcome.content, expected(1, days=days))
    assert outcome.report.exit_code == (3 if ("between members", framing) in LOOKS_WHOLE else 1)


# 18, 20, 21, 29: a day that is another one when it is pulled again.


def test_20_late_events_come_in_and_removed_ones_go(make: Callable[..., Settings]) -> None:
    with serve(EXPORT) as api:
        settings = make(api)
        pulled(settings)
        late = event_line("Open", 1_704_672_000, "late", _insert_id="late")
        changed = {**EXPORT, day(1): [*events(1), late], day(2): events(2)[3:]}
        api.days = changed
        outcome = pulled(settings)
    assert same(outcome.content, expected(1, 2, 3, days=changed))
    assert outcome.report.exit_code == 0


def test_21_a_merge_between_two_pulls_makes_no_duplicate(make: Callable[..., Settings]) -> None:
    with serve(EXPORT) as api:
        settings = make(api)
        pulled(settings, 1, 1)
        merged = {day(1): [line.replace(b'"distinct_id": "u', b'"distinct_id": "merged-u') for line in events(1)]}
        api.days = merged
        outcome = pulled(settings, 1, 1)
    assert same(outcome.content, expected(1, days=merged))


def test_29_events_at_the_edges_land_once_whatever_is_asked_for_together(make: Callable[..., Settings]) -> None:
    start = int(datetime(2024, 1, 8, tzinfo=UTC).timestamp())
    edges = {
        day(number): [event_line("E", start + 86_400 * (number - 1) + second, "u", _insert_id="same", at_edge=second)
                      for second in (0, 86_399)]
        for number in (1, 2)
    }  # fmt: skip
    with serve(edges) as api:
        settings = make(api)
        together = pulled(settings, 1, 2)
        apart = [pulled(settings, number, number) for number in (1, 2)]
    assert {one: len(texts) for one, texts in together.content.items()} == {day(1): 1, day(2): 1}
    assert apart[-1].content == together.content


SHRUNK = events(2, 100)[:40]


def test_20_a_day_that_shrank_is_held_until_somebody_accepts_it(
    make: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "olga")
    full = {**EXPORT, day(2): events(2, 100)}
    with serve(full) as api:
        settings = make(api)
        pulled(settings)
        api.days = shrunk = {**full, day(2): SHRUNK, day(3): events(3, 30)}
        held = pulled(settings)
        assert same(held.content, expected(1, 2, days=full) | expected(3, days=shrunk))
        assert held.statuses[day(2)] == ("held", "it has 40 rows, and had 100")
        assert (held.report.exit_code, held.report.errors) == (3, [])
        assert "refresh --accept mixpanel:2024-01-09" in held.report.held[0]
        assert [(line["received"], line["held"]) for line in held.report.days if line["status"] == "held"] == [(0, 40)]

        # It is asked for again without being named, and held again.
        again = pulled(settings, None, None)
        assert (again.statuses[day(2)][0], again.report.exit_code) == ("held", 3)

        accepted = pulled(settings, None, None, accept=("mixpanel:2024-01-09",))
    assert same({day(2): accepted.content[day(2)]}, expected(2, days=shrunk))
    assert accepted.report.exit_code == 0
    row = Lake(settings.home).ledger.attempts("mixpanel", "events")
    remarks = [line["remark"] for line in row if line["day"] == day(2) and line["status"] == "landed"]
    assert remarks == [None, "accepted by olga, though it has 40 rows, and had 100"]


def test_18_an_empty_day_is_held_against_four_full_weekdays(make: Callable[..., Settings]) -> None:
    weeks = {day(number): events(number, 100) for number in (1, 8, 15, 22)}
    with serve(weeks) as api:
        settings = make(api, TAILTRACKER_NOW="2024-02-20")
        assert pulled(settings, 1, 28).report.exit_code == 0
        outcome = pulled(settings, 29, 30)
    assert outcome.statuses[day(29)] == (
        "held", "it came empty, while the 4 same weekdays before had 100 rows or more",
    )  # fmt: skip
    assert outcome.statuses[day(30)][0] == "landed"
    assert outcome.report.exit_code == 3


# 28: what nobody has heard of.


def test_28_an_event_and_properties_that_nobody_knows_are_kept_as_they_are(make: Callable[..., Settings]) -> None:
    line = event_line("Brand New", 1_704_672_000, "u", novel={"a": [1, None, {"b": "2"}]}, _novel=1.50)
    with serve({day(1): [line]}) as api:
        settings = make(api)
        outcome = pulled(settings, 1, 1)
    ((text,),) = outcome.content.values()
    assert orjson.loads(text) == orjson.loads(line)["properties"]


# Catching up, and clocks.


@dataclass
class Clock:
    """A clock that can be set."""

    ahead: timedelta = field(default_factory=timedelta)

    def now(self, _: Settings) -> datetime:
        return datetime.now(UTC) + self.ahead


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(Settings, "now", property(clock.now))
    return clock


def test_72_a_clock_that_is_ten_years_ahead_lands_nothing_and_costs_no_day(
    make_settings: MakeSettings, clock: Clock
) -> None:
    today = datetime.now(UTC).date()
    with serve({}) as api:
        settings = make_settings(MIXPANEL_EXPORT_URL=api.url, TAILTRACKER_HISTORY_START=today - timedelta(days=3))
        clock.ahead = timedelta(days=3650)
        ahead = pulled(settings, None, None)
        assert "set its clock right" in ahead.report.errors[0]
        assert ahead.report.exit_code == 1
        assert ahead.statuses == {}
        assert len(api.requests) == 1

        clock.ahead = timedelta()
        right = pulled(settings, None, None)
    assert list(right.content) == list(each_day(today - timedelta(days=3), today - timedelta(days=1)))
    assert right.report.exit_code == 0


def test_72_a_clock_that_is_a_day_behind_costs_no_day(make_settings: MakeSettings, clock: Clock) -> None:
    today = datetime.now(UTC).date()
    with serve({}) as api:
        settings = make_settings(MIXPANEL_EXPORT_URL=api.url, TAILTRACKER_HISTORY_START=today - timedelta(days=3))
        assert len(pulled(settings, None, None).content) == 3
        clock.ahead = timedelta(days=-1)
        assert pulled(settings, None, None).report.exit_code == 0
        assert {request.to_date for request in api.requests[1:]} == {str(today - timedelta(days=2))}
        clock.ahead = timedelta()
        assert len(pulled(settings, None, None).content) == 3


def test_a_day_that_failed_in_the_middle_is_asked_for_by_the_next_run(make: Callable[..., Settings]) -> None:
    with serve(EXPORT, faults=lambda request: "cut_gzip" if asks_for(4)(request) else None) as api:
        assert pulled(make(api, TAILTRACKER_NOW="2024-01-31T06:00Z"), None, None).failed == [day(4)]
        later = make(api)
        asked = len(api.requests)
        api.faults = ()
        outcome = pulled(later, None, None)
    assert same({day(4): outcome.content[day(4)]}, expected(4))
    days_asked = [(request.from_date, request.to_date) for request in api.requests[asked:]]
    assert days_asked == [(str(day(4)), str(day(4))), ("2024-01-25", "2024-01-31")]
    assert outcome.failed == []
