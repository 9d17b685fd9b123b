"""Service levels the whole way from a Prometheus on this machine, against answers worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from tailtracker_bi.runs.pipeline import refresh
from tailtracker_bi.runs.report import Progress
from tailtracker_bi.sandbox.servers.prometheus_api import Series, serve
from tailtracker_bi.sandbox.story.chance import Floats, Ints
from tailtracker_bi.settings import load_settings
from tests.worlds.tiny import assert_adds_up, rows

FRIDAY = 1_711_670_400 // 300
"""The five minutes in which 29 March 2024 begins, the first day that Prometheus still has."""
A_DAY = 288


def on_days(*numbers: float) -> Callable[[Ints], Floats]:
    """So many in every five minutes of Friday, Saturday and Sunday."""
    return lambda slots: np.array(numbers)[np.clip((slots - FRIDAY) // A_DAY, 0, 2)]


def with_a_gap(counted: Callable[[Ints], Floats]) -> Callable[[Ints], Floats]:
    """Sunday's last six hours are missing."""
    return lambda slots: np.where(slots >= FRIDAY + 3 * A_DAY - 72, np.nan, counted(slots))


def restart(slots: Ints) -> Floats:
    """Saturday begins with one."""
    return (slots == FRIDAY + A_DAY).astype(np.float64)


COUNTED = [
    # Friday: 1 of 100 fails; Saturday: none, of 300; Sunday: 20 of 100.
    Series("http_requests_total", {"status": "200", "service": "api"}, with_a_gap(on_days(99, 300, 80)), restart),
    Series("http_requests_total", {"status": "500", "service": "api"}, with_a_gap(on_days(1, 0, 20)), restart),
    # Friday: 90 of 100 within half a second, 98 within one. Saturday: all within half a second.
    Series("http_request_duration_seconds_bucket", {"le": "0.5"}, on_days(90, 300, 0)),
    Series("http_request_duration_seconds_bucket", {"le": "1"}, on_days(98, 300, 0)),
    Series("http_request_duration_seconds_bucket", {"le": "+Inf"}, on_days(100, 300, 100)),
    # Nobody pays on Friday.
    Series("payments_attempted_total", {}, on_days(0, 10, 10)),
    Series("payments_successful_total", {}, on_days(0, 10, 9)),
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    with serve(COUNTED, keeps_from=FRIDAY * 300) as api:
        settings = load_settings(
            TAILTRACKER_HOME=home,
            TAILTRACKER_ALLOW_LOOPBACK=True,
            TAILTRACKER_RETRY_SCALE=0,
            PROMETHEUS_URL=api.url,
            TAILTRACKER_NOW="2024-04-01T06:00:00Z",
            TAILTRACKER_HISTORY_START="2024-03-27",
        )
        report = refresh(settings, Progress())
    assert_adds_up(report)
    assert (report.errors, report.held) == ([], [])
    return home


def by_day(home: Path, metric_id: str, segment_value: str = "all") -> dict[date, tuple[object, ...]]:
    """Value and completeness of each day from Wednesday to Sunday."""
    found = rows(
        home,
        "select period_start, value, is_complete from metric_values where grain = 'day' "
        f"and metric_id = '{metric_id}' and segment_value = '{segment_value}' order by period_start",
    )
    return {day: tuple(values) for day, *values in found}


def test_days_are_known_as_far_as_they_were_measured(home: Path) -> None:
    days = [date(2024, 3, day) for day in range(27, 32)]
    unknown = (None, False)
    # Wednesday and Thursday have landed, and nobody knows any more what they were.
    assert by_day(home, "availability") == dict(
        zip(days, [unknown, unknown, (0.99, True), (1.0, True), (0.8, False)], strict=True)
    )
    errors = by_day(home, "error_rate")
    assert [errors[day] for day in days[2:]] == [
        (pytest.approx(0.01), True), (0.0, True), (pytest.approx(0.2), False),
    ]  # fmt: skip
    # Friday: rank 95 lies 5/8 of the way from 90 to 98. Saturday: 0.95 of the first half second. Sunday: all beyond.
    assert [by_day(home, "latency_p95_ms")[day] for day in days] == [
        unknown, unknown, (pytest.approx(812.5), True), (pytest.approx(475), True), (pytest.approx(1000), True),
    ]  # fmt: skip
    assert by_day(home, "availability", "api") == by_day(home, "availability")
    assert by_day(home, "availability", "payments") == dict.fromkeys(days, unknown)


def test_longer_periods_are_sum_over_sum(home: Path) -> None:
    """The restart takes one interval from Saturday, the gap 72 from Sunday: 288 x 100, 287 x 300, 216 x 100."""
    for grain in ("week", "month"):
        (found,) = rows(
            home,
            "select numerator, denominator, is_complete from metric_values where metric_id = 'availability' "
            f"and segment = 'all' and grain = '{grain}'",
        )
        assert found == (288 * 99 + 287 * 300 + 216 * 80, 288 * 100 + 287 * 300 + 216 * 100, False)
    # Of 288 x 500 requests rank 136,800 lies beyond the last bound: 390 and 398 of 500 are within.
    assert rows(
        home, "select value from metric_values where metric_id = 'latency_p95_ms' and grain = 'month'"
    ) == [(1000.0,)]  # fmt: skip


def test_the_budget_is_the_month_s_and_counts_measured_minutes_only(home: Path) -> None:
    (status,) = rows(
        home,
        "select month, target, value, budget_minutes, measured_minutes, consumed_minutes, remaining_share, "
        "burn_per_hour, burn, policy, is_complete, alert_threshold from slo_status "
        "where slo = 'availability' and service = 'all'",
    )
    minutes = 5 * (288 + 287 + 216)
    failed = (288 * 1 + 216 * 20) / (288 * 100 + 287 * 300 + 216 * 100)
    assert status == (
        date(2024, 3, 1), 0.999, pytest.approx(1 - failed), pytest.approx(44.64), minutes,
        pytest.approx(failed * minutes), pytest.approx(1 - failed * minutes / 44.64), pytest.approx(12.0), "fast",
        "emergency", False, 0.995,
    )  # fmt: skip
    # One hundredth of Friday's 1,440 minutes, of 44.64: 32 % are used up, and Saturday's 1,435 add no failure.
    days = by_day(home, "error_budget_remaining")
    assert days[date(2024, 3, 29)] == (pytest.approx(1 - 14.4 / 44.64), False)
    saturday = 288 / (288 * 100 + 287 * 300) * 5 * (288 + 287)
    assert days[date(2024, 3, 30)] == (pytest.approx(1 - saturday / 44.64), False)
    assert days[date(2024, 3, 28)] == (None, False)


def test_nothing_measured_is_unknown_and_nothing_asked_for_is_no_failure(home: Path) -> None:
    found = rows(
        home,
        "select slo, service, value, consumed_minutes, policy, burn, measured_minutes from slo_status "
        "where slo in ('app_crash_rate', 'payment_success') or service = 'payments' order by slo, service",
    )
    assert found == [
        ("app_crash_rate", "all", None, None, None, None, 0.0),
        ("availability", "payments", None, None, None, None, 0.0),
        # 19 of 20: a twentieth of three days, of 0.5 % of a month.
        ("payment_success", "all", 0.95, pytest.approx(216.0), "emergency", "slow", 4320.0),
    ]


def test_the_state_of_the_source_says_what_is_unknown(home: Path) -> None:
    ((status, last_day, reason),) = rows(
        home, "select status, last_day, reason from data_status where source = 'prometheus'"
    )
    assert (status, last_day) == ("ok", date(2024, 3, 31))
    assert "availability of all: 72 of 288 intervals unknown (72 no sample)" in reason
    catalogued = rows(home, "select metric_id, target from metric_catalog where status = 'active' order by metric_id")
    assert catalogued == [
        ("availability", 0.999), ("error_budget_remaining", None), ("error_rate", 0.001), ("latency_p95_ms", 1000.0),
    ]  # fmt: skip
