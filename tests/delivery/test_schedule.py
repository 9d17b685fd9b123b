"""When a report is due: each period once, whatever the clocks do."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from tailtracker_bi.analytics import ReportRules, load_analytics
from tailtracker_bi.delivery import due

REPORTS = {rules.id: rules for rules in load_analytics().reports}


def at(report: str, moment: str, zone: str = "UTC", week_start: str = "monday") -> tuple[date, date]:
    found = due(REPORTS[report], datetime.fromisoformat(moment).replace(tzinfo=UTC), zone, week_start)
    return found.period_start, found.made_on


def test_a_report_is_of_the_last_period_that_is_over_once_its_time_has_come() -> None:
    assert at("weekly", "2025-03-10 06:59") == (date(2025, 2, 24), date(2025, 3, 3))
    assert at("weekly", "2025-03-10 07:00") == (date(2025, 3, 3), date(2025, 3, 10))
    assert at("weekly", "2025-03-16 23:00") == (date(2025, 3, 3), date(2025, 3, 10))
    assert at("weekly", "2025-03-16 07:00", week_start="sunday") == (date(2025, 3, 9), date(2025, 3, 16))
    assert at("pulse", "2025-03-10 07:29") == (date(2025, 3, 8), date(2025, 3, 9))
    assert at("pulse", "2025-03-10 07:30") == (date(2025, 3, 9), date(2025, 3, 10))
    assert at("board", "2025-03-01 07:59") == (date(2025, 1, 1), date(2025, 2, 1))
    assert at("board", "2025-03-01 08:00") == (date(2025, 2, 1), date(2025, 3, 1))
    # Seven in Auckland is the evening before in UTC.
    assert at("weekly", "2025-03-09 18:00", "Pacific/Auckland") == (date(2025, 3, 3), date(2025, 3, 10))


def test_a_time_that_the_clocks_leave_out_or_show_twice_is_one_moment() -> None:
    def due_at(at: str, day: str) -> datetime:
        send = REPORTS["pulse"].send.model_copy(update={"at": datetime.fromisoformat(f"{day} {at}").time()})
        rules = REPORTS["pulse"].model_copy(update={"send": send})
        return due(rules, datetime.fromisoformat(f"{day} 12:00").replace(tzinfo=UTC), "Europe/Berlin", "monday").at

    assert due_at("02:30", "2025-03-30") == datetime(2025, 3, 30, 1, 30, tzinfo=UTC)
    assert due_at("02:30", "2025-10-26") == datetime(2025, 10, 26, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "zone",
    [
        "Europe/Berlin",
        *(pytest.param(zone, marks=pytest.mark.slow) for zone in ("America/New_York", "Australia/Lord_Howe")),
    ],
)
@pytest.mark.parametrize("report", list(REPORTS))
def test_in_two_years_each_period_comes_once_and_in_order(report: str, zone: str) -> None:
    rules, seen, moment = REPORTS[report], [], datetime(2024, 1, 1, tzinfo=UTC)
    while moment < datetime(2026, 1, 1, tzinfo=UTC):
        found = due(rules, moment, zone, "monday")
        if not seen or found != seen[-1]:
            seen.append(found)
        assert found.at <= moment
        moment += timedelta(minutes=60 if report == "pulse" else 180)
    starts = [one.period_start for one in seen]
    assert starts == sorted(set(starts))
    apart = {(later - earlier).days for earlier, later in pairwise(starts)}
    assert apart == {"pulse": {1}, "weekly": {7}, "board": {28, 29, 30, 31}}[report]
    assert (starts[-1] - starts[0]).days > 700
    local = {one.at.astimezone(ZoneInfo(rules.send.timezone or zone)).time() for one in seen}
    assert local == {rules.send.at}
    assert all(one.at <= one.deadline for one in seen)


def test_a_report_may_have_a_time_zone_of_its_own() -> None:
    send = REPORTS["weekly"].send.model_copy(update={"timezone": "Asia/Tokyo"})
    rules: ReportRules = REPORTS["weekly"].model_copy(update={"send": send})
    assert due(rules, datetime(2025, 3, 9, 22, tzinfo=UTC), "UTC", "monday").period_start == date(2025, 3, 3)
