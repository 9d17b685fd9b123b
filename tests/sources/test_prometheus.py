"""Service levels from Prometheus, over real sockets: what was not properly measured is unknown, never good."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tailtracker_bi.sandbox.servers.prometheus_api import PrometheusApi, Request, Series, serve
from tailtracker_bi.sandbox.story.chance import Floats, Ints
from tailtracker_bi.settings.model import Settings
from tailtracker_bi.sources import prometheus
from tailtracker_bi.sources.http import TRIES
from tailtracker_bi.sources.prometheus import POINTS_A_DAY, Prometheus
from tailtracker_bi.sources.records import BadResponseError, Counts, SourceUnavailableError, each_day

DAY, NEXT_DAY = date(2024, 1, 1), date(2024, 1, 2)
FIRST_SLOT = 1_704_067_200 // 300
"""DAY begins."""
LEVELS = """
service_levels:
  - slo: availability
    good: http_requests_total{status!~"5.."}
    total: http_requests_total
    target: 0.999
  - slo: latency_p95_ms
    buckets: http_request_duration_seconds_bucket
    target: 1000
"""

MakeSettings = Callable[..., Settings]


def always(number: float) -> Callable[[Ints], Floats]:
    return lambda slots: np.full(len(slots), number)


def except_in(slot: int, number: float, other: float) -> Callable[[Ints], Floats]:
    """One number in all slots of DAY but one, counted from its beginning."""
    return lambda slots: np.where(slots == FIRST_SLOT + slot, other, number)


REQUESTS = [
    Series("http_requests_total", {"status": "200"}, always(9.0)),
    Series("http_requests_total", {"status": "503"}, always(1.0)),
]
DURATIONS = [
    Series("http_request_duration_seconds_bucket", {"le": le}, always(number))
    for le, number in (("0.5", 8.0), ("1.0", 9.0), ("+Inf", 10.0))
]
ROWS_A_DAY = POINTS_A_DAY * 4
"""One of the availability; one of the latency, and one for each of its two buckets."""


@dataclass
class Received:
    """What a fetch gave."""

    rows: list[dict[str, Any]]
    counts: dict[date, Counts]
    remarks: dict[date, list[str]]

    def of(self, slo: str, slot: int = 0) -> list[tuple[Any, ...]]:
        """Bound, numerator, denominator and doubt of one interval of DAY."""
        at = datetime.combine(DAY, time.min) + slot * timedelta(minutes=5)
        names = ("le", "numerator", "denominator", "unknown_because")
        return [tuple(row[name] for name in names) for row in self.rows if (row["slo"], row["starts_at"]) == (slo, at)]


@pytest.fixture
def source_of(make_settings: MakeSettings, tmp_path: Path) -> Callable[..., Prometheus]:
    file = tmp_path / "own.yml"
    file.write_text(LEVELS)

    def make(url: str) -> Prometheus:
        return Prometheus(make_settings(PROMETHEUS_URL=url, TAILTRACKER_ANALYTICS=file))

    return make


SourceOf = Callable[..., Prometheus]


def fetch(source: Prometheus, first: date = DAY, last: date = DAY) -> Received:
    with source.fetch(first, last, source.settings.home / "spool") as days:
        rows = days.rows.read_all().to_pylist()
        assert days.quarantine.read_all().num_rows == 0
        return Received(
            rows, days.counts, {day: [str(remark) for remark in told] for day, told in days.remarks.items()}
        )


def test_what_was_asked_for_is_told_but_for_what_changes_no_row(source_of: SourceOf, tmp_path: Path) -> None:
    def shape(levels: str) -> object:
        with serve([*REQUESTS, *DURATIONS]) as api:
            source = source_of(api.url)
            (tmp_path / "own.yml").write_text(levels)
            source = Prometheus(source.settings)
            with source.fetch(DAY, DAY, tmp_path / "spool") as days:
                return days.shape

    assert shape(LEVELS) == shape(LEVELS.replace("0.999", "0.5"))
    assert shape(LEVELS) != shape(LEVELS.replace("5..", "4.."))


def on_totals(fault: str) -> Callable[[Request], str | None]:
    """The fault meets the first question, which is about the whole of the requests."""
    return lambda request: fault if request.query == "sum(increase(http_requests_total[300s]))" else None


def test_parts_and_wholes_come_apart_for_every_five_minutes(source_of: SourceOf) -> None:
    with serve([*REQUESTS, *DURATIONS]) as api:
        received = fetch(source_of(api.url), DAY, NEXT_DAY)
    assert received.counts == {day: Counts(ROWS_A_DAY, ROWS_A_DAY) for day in (DAY, NEXT_DAY)}
    assert received.remarks == {}
    assert received.of("availability") == [(None, 9.0, 10.0, None)]
    assert received.of("latency_p95_ms") == [(None, 10.0, 10.0, None), (0.5, 8.0, 10.0, None), (1.0, 9.0, 10.0, None)]
    assert {(row["day"], row["starts_at"].date()) for row in received.rows} == {(DAY, DAY), (NEXT_DAY, NEXT_DAY)}
    assert {row["seconds"] for row in received.rows} == {300}
    assert len({row["starts_at"] for row in received.rows}) == 2 * POINTS_A_DAY
    request = api.requests[0]
    assert (request.start, request.end) == ((FIRST_SLOT + 1) * 300, (FIRST_SLOT + 2 * POINTS_A_DAY) * 300)
    assert request.headers["accept-encoding"] == "gzip"
    assert "authorization" not in request.headers


def test_what_never_failed_is_wholly_good_and_what_only_failed_is_wholly_bad(source_of: SourceOf) -> None:
    for status, good in (("200", 9.0), ("500", 0.0)):
        with serve([Series("http_requests_total", {"status": status}, always(9.0))]) as api:
            received = fetch(source_of(api.url))
        assert received.of("availability") == [(None, good, 9.0, None)]


def test_no_requests_are_a_measurement_of_none(source_of: SourceOf) -> None:
    with serve([Series("http_requests_total", {"status": "200"}, always(0.0))]) as api:
        received = fetch(source_of(api.url))
    assert received.of("availability") == [(None, 0.0, 0.0, None)]


def test_days_that_are_no_longer_kept_land_empty_and_say_so(source_of: SourceOf) -> None:
    with serve([*REQUESTS, *DURATIONS], keeps_from=(FIRST_SLOT + POINTS_A_DAY) * 300) as api:
        received = fetch(source_of(api.url), DAY, NEXT_DAY)
    assert received.counts == {DAY: Counts(), NEXT_DAY: Counts(ROWS_A_DAY, ROWS_A_DAY)}
    assert received.remarks == {
        DAY: [
            f"{slo} of all: 288 of 288 intervals unknown (288 no sample)" for slo in ("availability", "latency_p95_ms")
        ]
    }


def test_a_gap_is_no_row(source_of: SourceOf) -> None:
    gap = except_in(3, 9.0, np.nan)
    with serve([Series("http_requests_total", {"status": "200"}, gap), *DURATIONS]) as api:
        received = fetch(source_of(api.url))
    assert received.of("availability", 3) == []
    assert received.of("availability", 4) == [(None, 9.0, 9.0, None)]
    assert received.remarks == {DAY: ["availability of all: 1 of 288 intervals unknown (1 no sample)"]}


def test_an_interval_in_which_a_counter_began_anew_is_unknown(source_of: SourceOf) -> None:
    restarted = Series("http_requests_total", {"status": "200"}, always(9.0), except_in(3, 0.0, 1.0))
    with serve([restarted, *DURATIONS]) as api:
        received = fetch(source_of(api.url))
    assert received.of("availability", 3) == [(None, None, None, "reset")]
    assert received.of("availability", 2) == [(None, 9.0, 9.0, None)]
    assert received.counts == {DAY: Counts(ROWS_A_DAY, ROWS_A_DAY)}
    assert received.remarks == {DAY: ["availability of all: 1 of 288 intervals unknown (1 reset)"]}


@pytest.mark.parametrize("fault", ["nan", "+inf", "-1"])
def test_what_is_no_count_is_unknown(source_of: SourceOf, fault: str) -> None:
    with serve([*REQUESTS, *DURATIONS], faults=on_totals(fault)) as api:
        received = fetch(source_of(api.url))
    assert received.of("availability", 0) == [(None, None, None, "not a number")]
    assert received.of("availability", 1) == [(None, 9.0, 10.0, None)]


def test_a_bucket_without_its_sample_makes_the_interval_unknown(source_of: SourceOf) -> None:
    half = Series("http_request_duration_seconds_bucket", {"le": "0.5"}, except_in(3, 8.0, np.nan))
    with serve([*REQUESTS, half, *DURATIONS[1:]]) as api:
        received = fetch(source_of(api.url))
    assert received.of("latency_p95_ms", 3) == [(None, None, None, "part missing")]
    assert len(received.of("latency_p95_ms", 4)) == 3


def test_warnings_make_their_day_unknown_and_no_other(source_of: SourceOf) -> None:
    def faults(request: Request) -> str | None:
        is_partial = request.start < (FIRST_SLOT + POINTS_A_DAY) * 300 and request.query.startswith("sum by")
        return "warnings" if is_partial else None

    with serve([*REQUESTS, *DURATIONS], faults=faults) as api:
        received = fetch(source_of(api.url), DAY, NEXT_DAY)
    assert received.of("latency_p95_ms", 7) == [(None, None, None, "warning")]
    assert received.of("availability", 7) == [(None, 9.0, 10.0, None)]
    assert received.counts == {DAY: Counts(576, 576), NEXT_DAY: Counts(ROWS_A_DAY, ROWS_A_DAY)}
    assert received.remarks == {
        DAY: [
            "latency_p95_ms of all: 288 of 288 intervals unknown (288 warning); Prometheus warns: "
            "PromQL warning: some replica of [email] did not answer"
        ]
    }


def test_infos_are_passed_on_and_doubt_nothing(source_of: SourceOf) -> None:
    with serve([*REQUESTS, *DURATIONS], faults=on_totals("infos")) as api:
        received = fetch(source_of(api.url))
    assert received.of("availability") == [(None, 9.0, 10.0, None)]
    (remark,) = received.remarks[DAY]
    assert remark.startswith("availability of all: Prometheus says: PromQL warning")


COMES = ["0", "3", "0.1", "-1", "NaN", "+Inf", None]
"""What a point may be in place of a regular one; None: it does not come."""
SLOTS = 2 * POINTS_A_DAY
BOUNDS = {None: "+Inf", 0.5: "0.5", 1.0: "1.0"}


def answers_of(dice: random.Random, levels: dict[str, bool]) -> dict[tuple[str, str, str | None], list[str | None]]:
    """For each slot of two days what comes of a service level: of its whole or buckets, its part and its resets."""
    found = {}
    for slo, has_buckets in levels.items():
        for asked, regular, bounds in (
            ("counted", "5", [*BOUNDS.values()] if has_buckets else [None]),
            ("part", "4", [] if has_buckets else [None]),
            ("resets", "0", [None]),
        ):
            for bound in bounds:
                points: list[str | None] = [regular] * SLOTS
                for slot in dice.sample(range(SLOTS), 60):
                    points[slot] = dice.choice(COMES)
                found[slo, asked, bound] = points
    return found


@pytest.mark.parametrize("seed", range(3))
def test_intervals_are_what_one_after_the_other_comes_to(
    source_of: SourceOf, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    dice = random.Random(seed)
    came = answers_of(dice, {"availability": False, "latency_p95_ms": True})
    warned = dice.choice([None, DAY, NEXT_DAY])

    def received(source: Prometheus, client: object, query: str, what: str, first: date, last: date) -> dict[str, Any]:
        slo = what.split()[0]
        asked = "resets" if "resets" in query else "part" if "status" in query else "counted"
        begin = (first - DAY).days * POINTS_A_DAY
        result = []
        for (of, question, bound), points in came.items():
            if (of, question) == (slo, asked):
                slots = range(begin, (last - DAY).days * POINTS_A_DAY + POINTS_A_DAY)
                values = [[(FIRST_SLOT + slot + 1) * 300, points[slot]] for slot in slots if points[slot] is not None]
                result.append({"metric": {"le": bound}, "values": dice.sample(values, len(values))})
        is_warned = warned is not None and first <= warned <= last and question_of_warning == (slo, asked)
        return {"data": {"resultType": "matrix", "result": result}, "warnings": ["part"] if is_warned else []}

    question_of_warning = dice.choice([("availability", "part"), ("latency_p95_ms", "resets")])
    monkeypatch.setattr(Prometheus, "_received", received)
    found = fetch(source_of("http://127.0.0.1:9"), DAY, NEXT_DAY)

    rows, unknown = [], Counter()
    for slo in ("availability", "latency_p95_ms"):
        for slot in range(SLOTS):
            day = DAY + timedelta(days=slot // POINTS_A_DAY)
            at = {(asked, bound): points[slot] for (of, asked, bound), points in came.items() if of == slo}
            whole = at.get(("counted", "+Inf"), at.get(("counted", None)))
            reason = None
            if whole is None:
                reason = "no sample"
            elif day == warned and question_of_warning[0] == slo:
                reason = "warning"
            elif None in at.values():
                reason = "part missing"
            elif not all(0 <= float(point or "nan") < math.inf for point in at.values()):
                reason = "not a number"
            elif float(at["resets", None] or "nan") > 0:
                reason = "reset"
            if reason:
                unknown[day, slo, reason] += 1
            moment = datetime.combine(DAY, time.min) + slot * timedelta(minutes=5)
            if reason and reason != "no sample":
                rows.append((day, slo, "all", moment, 300, None, None, None, reason))
            elif not reason and slo == "availability":
                numbers = float(at["part", None] or "nan"), float(whole or "nan")
                rows.append((day, slo, "all", moment, 300, None, *numbers, None))
            elif not reason:
                rows += [
                    (
                        day,
                        slo,
                        "all",
                        moment,
                        300,
                        bound,
                        float(at["counted", text] or "nan"),
                        float(whole or "nan"),
                        None,
                    )
                    for bound, text in BOUNDS.items()
                ]
    assert [tuple(row.values()) for row in found.rows] == rows
    for day in (DAY, NEXT_DAY):
        assert found.counts[day].loaded == sum(row[0] == day for row in rows)
        for told, slo in zip(found.remarks[day], ("availability", "latency_p95_ms"), strict=True):
            why = {reason: count for (of, level, reason), count in unknown.items() if (of, level) == (day, slo)}
            what = ", ".join(f"{count} {reason}" for reason, count in sorted(why.items()))
            assert told.startswith(f"{slo} of all: {sum(why.values())} of 288 intervals unknown ({what})")


TRANSIENT = {
    "cut_json": "the answer is not JSON",
    "cut_gzip": "cut off before its end",
    "cut_body": "RemoteProtocolError",
    "unknown_length": "can't be told whether it is whole",
    "html_200": "the answer is not JSON",
    "error_200": "no success: .*no space left",
    "http_429": "answered 429",
    "http_500": "answered 500",
    "http_503": "answered 503: .*query timed out",
}


@pytest.mark.parametrize("fault", TRANSIENT)
def test_what_may_pass_is_asked_for_again(source_of: SourceOf, fault: str) -> None:
    with serve([*REQUESTS, *DURATIONS], faults=[fault, fault]) as api:
        received = fetch(source_of(api.url))
    assert received.counts == {DAY: Counts(ROWS_A_DAY, ROWS_A_DAY)}
    with serve([*REQUESTS, *DURATIONS], faults=[fault] * TRIES) as api:
        where = f"prometheus: availability of all: {DAY} to {DAY}: .*{TRANSIENT[fault]}"
        with pytest.raises(BadResponseError, match=where):
            fetch(source_of(api.url))
    assert len(api.requests) == TRIES


UNUSABLE = {
    "too_many_points": "exceeded maximum resolution of 11,000 points.*a step of 300 s is too short",
    "http_422": "answered 422: .*too many samples.*it was asked for sum\\(increase",
    "two_series": "several series where one was expected",
    "off_grid": "points that were not asked for",
    "repeated_point": "points that were not asked for",
    "scalar": "a scalar in place of a matrix",
    "native_histogram": "a native histogram",
    "text": "could not convert string to float",
}


@pytest.mark.parametrize("fault", UNUSABLE)
def test_what_can_t_be_understood_lands_not_and_is_asked_for_once(source_of: SourceOf, fault: str) -> None:
    with serve([*REQUESTS, *DURATIONS], faults=[fault]) as api, pytest.raises(BadResponseError, match=UNUSABLE[fault]):
        fetch(source_of(api.url))
    assert len(api.requests) == 1


REFUSED = {
    "http_400": "parse error.*check service_levels in analytics.yml",
    "http_401": "answered 401.*without credentials",
    "http_404": "answered 404.*check PROMETHEUS_URL",
    "redirect": "answered 302; redirects are not followed; check PROMETHEUS_URL",
}


@pytest.mark.parametrize("fault", REFUSED)
def test_a_refusal_of_all_is_an_error_at_once(source_of: SourceOf, fault: str) -> None:
    with serve(REQUESTS, faults=[fault]) as api:
        with pytest.raises(SourceUnavailableError, match=REFUSED[fault]):
            fetch(source_of(api.url))
        assert len(api.requests) == 1
        assert not source_of(f"{api.url}/elsewhere").check().is_ok


def test_a_histogram_without_its_whole_is_refused(source_of: SourceOf) -> None:
    with serve([*REQUESTS, *DURATIONS[:2]]) as api, pytest.raises(BadResponseError, match="has no bucket \\+Inf"):
        fetch(source_of(api.url))


def test_an_answer_without_bounds_ends(source_of: SourceOf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus, "MOST_BYTES", 1000)
    with serve(REQUESTS) as api, pytest.raises(BadResponseError, match="the answer is longer than"):
        fetch(source_of(api.url))


def test_no_connection_means_the_source_can_t_be_used(source_of: SourceOf) -> None:
    with serve([]) as api:
        url = api.url
    assert "can't reach" in source_of(url).check().detail
    with pytest.raises(SourceUnavailableError, match="can't reach"):
        fetch(source_of(url))


def test_it_says_whether_it_answers(source_of: SourceOf) -> None:
    with serve([], faults=["plain"]) as api:
        check = source_of(api.url).check()
    assert (check.is_ok, check.detail) == (True, "answers, and is asked for 2 service levels")


def test_many_days_are_asked_for_by_the_week_and_never_beyond_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    days = list(each_day(DAY, DAY + timedelta(days=9)))
    assert Prometheus.split(days, None) == [(days[0], days[6]), (days[7], days[9])]
    monkeypatch.setattr(prometheus, "POINTS_A_DAY", 4000)
    assert Prometheus.split(days[:3], None) == [(days[0], days[1]), (days[2], days[2])]


def test_the_stand_in_refuses_more_points_than_prometheus_gives(source_of: SourceOf) -> None:
    with serve(REQUESTS) as api, pytest.raises(BadResponseError, match="11,000 points"):
        fetch(source_of(api.url), DAY, DAY + timedelta(days=40))


def test_matchers_are_those_of_promql() -> None:
    api = PrometheusApi(REQUESTS)
    seconds = np.array([(FIRST_SLOT + 1) * 300])
    for matchers, expected in (
        ('{status="200"}', 9.0), ('{status!="200"}', 1.0), ('{status=~"5.."}', 1.0),
        ('{status!~"5..",status!=""}', 9.0),
    ):  # fmt: skip
        found = api.evaluated(f"sum(increase(http_requests_total{matchers}[300s]))", seconds)
        assert found[None].tolist() == [expected]
