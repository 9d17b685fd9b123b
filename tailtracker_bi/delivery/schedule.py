"""When a report or an export is due: of which period, from when on, and until when it waits for its data. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from tailtracker_bi.analytics import ExportRules, ReportRules
from tailtracker_bi.warehouse import period_of

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Due:
    """A report's last period that is over, the day after it, and the moments, in UTC, at which the report may and must
    go out."""

    period_start: date
    made_on: date
    at: datetime
    deadline: datetime


def due(rules: ReportRules | ExportRules, now: datetime, timezone: str, week_start: str) -> Due:
    """What of a report was due last: each period is for as long as it is the last one that is over.

    A time of day that the clocks leave out is the one that they show instead; of one that comes twice the first counts.
    """
    zone = rules.send.timezone or timezone
    today = now.astimezone(ZoneInfo(zone)).date()
    current, _, _ = period_of(today, rules.period, week_start)
    if now < _moment(current, rules.send.at, zone):
        # The report of this morning is yet to come: what counts is the one before.
        current, _, _ = period_of(current - DAY, rules.period, week_start)
    start, _, _ = period_of(current - DAY, rules.period, week_start)
    return Due(start, current, _moment(current, rules.send.at, zone), _moment(current, rules.send.deadline, zone))


def _moment(day: date, at: time, zone: str) -> datetime:
    return datetime.combine(day, at, ZoneInfo(zone)).astimezone(UTC)
