"""The calendar: days, weeks and months of the reporting time zone, and the days of sources that touch them."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from tailtracker_bi.settings import Settings
from tailtracker_bi.sources import DaySource, Source

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
GRAINS = ("day", "week", "month")


def period_of(day: date, grain: str, week_start: str) -> tuple[date, date, int]:
    """First day, last day and running number of the day, week or month that the day is in."""
    if grain == "day":
        return day, day, day.toordinal()
    if grain == "week":
        first = day - timedelta(days=(day.weekday() - WEEKDAYS.index(week_start)) % 7)
        return first, first + timedelta(days=6), (first.toordinal() - WEEKDAYS.index(week_start)) // 7
    first = day.replace(day=1)
    following = (first + timedelta(days=31)).replace(day=1)
    return first, following - timedelta(days=1), first.year * 12 + first.month


def touched_days(day: date, timezone: str, source_timezone: str) -> tuple[date, date]:
    """The first and last day of a source in another time zone that share an instant with this day."""
    starts = datetime.combine(day, time.min, ZoneInfo(timezone))
    ends = datetime.combine(day + timedelta(days=1), time.min, ZoneInfo(timezone))
    zone = ZoneInfo(source_timezone)
    # Subtract in UTC: at a change of the clocks wall-clock arithmetic would be off by the change.
    last_instant = ends.astimezone(ZoneInfo("UTC")) - timedelta(microseconds=1)
    return starts.astimezone(zone).date(), last_instant.astimezone(zone).date()


def last_days(settings: Settings, source: type[Source]) -> tuple[date, date]:
    """The last day of the source that is over, and the last reporting day that such days cover."""
    if not issubclass(source, DaySource):
        return settings.today - timedelta(days=1), settings.today - timedelta(days=1)
    last_source_day = source.today(settings) - timedelta(days=1)
    whole = settings.today - timedelta(days=1)
    while touched_days(whole, settings.timezone, source.timezone(settings))[1] > last_source_day:
        whole -= timedelta(days=1)
    return last_source_day, whole
