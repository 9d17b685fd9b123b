"""What a pull is to ask of the sources.

plan            what the ledger, the calendar and the settings say is to be asked for
check_accepted  what is held, and may land all the same
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from tailtracker_bi.errors import SettingsError, TailTrackerError
from tailtracker_bi.lake import Lake
from tailtracker_bi.settings import Settings, history_start
from tailtracker_bi.sources import SOURCES, DaySource, ObjectSource, Source, each_day

SECONDS_PER_REQUEST = 5.0
"""What a request takes, roughly; for the estimate of a dry run only."""


@dataclass(frozen=True)
class DayPlan:
    """The requests that a pull will make of a day source."""

    source: type[DaySource]
    requests: list[tuple[date, date]]

    @property
    def steps(self) -> int:
        return len(self.requests)

    def __str__(self) -> str:
        days = sum((last - first).days + 1 for first, last in self.requests)
        span = f", {self.requests[0][0]} to {self.requests[-1][1]}" if self.requests else ""
        seconds = len(self.requests) * SECONDS_PER_REQUEST
        return f"{self.source.name}: {days} days{span}; {len(self.requests)} requests, about {seconds:.0f} s"


@dataclass(frozen=True)
class ObjectPlan:
    """The tables that a pull will bring to their state now, and as of when they are that already."""

    source: type[ObjectSource]
    since: dict[str, datetime]

    @property
    def steps(self) -> int:
        return len(self.source.tables)

    def __str__(self) -> str:
        new = len(self.source.tables) - len(self.since)
        known = f"{len(self.since)} of them since {min(self.since.values()):%Y-%m-%d %H:%M}Z" if self.since else ""
        in_full = f"{new} in full" if new else ""
        return f"{self.source.name}: {self.steps} tables, {', '.join(filter(None, (known, in_full)))}"


Plan = DayPlan | ObjectPlan


def plan(
    settings: Settings,
    lake: Lake,
    first: date | None = None,
    last: date | None = None,
    sources: Sequence[str] = (),
    *,
    relist: bool = False,
) -> list[Plan]:
    """What brings the sources up to date, oldest days first.

    Of days without dates: every day from history start to yesterday that has not landed, or was last read while it
    might still change, and days on which the latest attempt failed; with dates exactly those days. Objects are brought
    to their state now, whatever the dates; `relist` has them all read again where a source would read what changed.
    Raises SettingsError for a range that is not over yet, or sources that do not exist or are off.
    """
    if first and last and first > last:
        raise SettingsError(f"--from {first} is after --to {last}")
    known = {source.name: source for source in SOURCES}
    for name in sources:
        if name not in known:
            raise SettingsError(f"--source {name}: there is no such source; there are: {', '.join(known)}")
        if not known[name].is_on(settings):
            raise SettingsError(f"--source {name}: it is off, no credentials are set")
    return [
        _plan_of(settings, lake, source, first, last, relist)
        for name, source in known.items()
        if source.is_on(settings) and (not sources or name in sources)
    ]


def _plan_of(
    settings: Settings, lake: Lake, source: type[Source], first: date | None, last: date | None, relist: bool
) -> Plan:
    if issubclass(source, ObjectSource):
        if relist and source.follows_changes:
            return ObjectPlan(source, {})
        synced = {table.name: lake.ledger.synced_at(source.name, table.name) for table in source.tables}
        return ObjectPlan(source, {name: moment for name, moment in synced.items() if moment})
    if not issubclass(source, DaySource):
        raise TypeError(f"{source.name} is neither a DaySource nor an ObjectSource")
    days = _wanted(settings, lake, source, first, last)
    return DayPlan(source, source.split(days, lake.ledger.records_a_day(source.name, source.tables[0].name)))


def _wanted(
    settings: Settings, lake: Lake, source: type[DaySource], first: date | None, last: date | None
) -> list[date]:
    yesterday = source.today(settings) - timedelta(days=1)
    if first or last:
        first, last = first or last, last or yesterday
        if first is None or first > last:
            raise SettingsError(f"--from {first} is after --to {last}")
        if last > yesterday:
            raise SettingsError(
                f"--to {last}: that day is not over yet in {source.timezone(settings)}; the last is {yesterday}"
            )
        return list(each_day(first, last))
    table = source.tables[0].name
    landed = lake.ledger.landed_as_of(source.name, table)
    zone = ZoneInfo(source.timezone(settings))

    def may_have_changed(day: date) -> bool:
        read_at = landed[day]
        was_read_early = read_at is not None and read_at.astimezone(zone).date() - day < source.look_back
        # Read by a clock that was ahead: nobody knows when.
        was_read_in_future = read_at is not None and read_at > settings.now
        return was_read_early or was_read_in_future or day > yesterday - source.look_back

    def was_read_long_ago(day: date) -> bool:
        read_at = landed[day]
        return read_at is not None and settings.now - read_at >= source.long_look_back_every

    over = [day for day in landed if day <= yesterday]
    wanted = {day for day in each_day(history_start(settings, landed), yesterday) if day not in landed}
    wanted.update(filter(may_have_changed, over))
    # All of them at once, now and then: each at a time of its own would be a request each.
    recent = [day for day in over if day > yesterday - source.long_look_back]
    if any(map(was_read_long_ago, recent)):
        wanted.update(recent)
    wanted.update(day for day in lake.ledger.troubled_days(source.name, table) if day <= yesterday)
    return sorted(wanted)


Accepted = Mapping[tuple[str, str], Mapping[date, str]]
"""By source and table: the days that are held and accepted, each with why it is held."""


def check_accepted(lake: Lake, accepted: Iterable[str], plans: Sequence[Plan]) -> Accepted:
    """What is accepted, given as SOURCE:DAY or SOURCE:TABLE.

    Raises SettingsError for what is not held, or what these plans would not ask for.
    """
    found: dict[tuple[str, str], dict[date, str]] = {}
    for text in accepted:
        name, _, what = text.partition(":")
        days = {key: held for key, held in _held(lake, plans, what).items() if key[0] == name and held}
        if not days:
            raise SettingsError(
                f"--accept {text}: nothing of that name is held, or this run would not ask for it; `tailtracker-bi "
                "status` says what is held"
            )
        for key, held in days.items():
            found.setdefault(key, {}).update(held)
    return found


def _held(lake: Lake, plans: Sequence[Plan], what: str) -> dict[tuple[str, str], dict[date, str]]:
    """The days of that date, or of the table of that name, whose latest attempt is held, among those planned."""
    found = {}
    for item in plans:
        for table in item.source.tables:
            attempts = lake.ledger.attempts(item.source.name, table.name)
            if isinstance(item, DayPlan):
                planned = {day for first, last in item.requests for day in each_day(first, last)}
                latest = {row["day"]: row for row in attempts if row["day"] in planned}
            else:
                latest = {row["day"]: row for row in attempts[-1:]}
            found[item.source.name, table.name] = {
                day: without_names(row["reason"], item.source.name, table.name)  # of older versions, with its names
                for day, row in latest.items()
                if row["status"] == "held" and what in {table.name, str(day)}
            }
    return found


def without_names(error: TailTrackerError | str, *names: str) -> str:
    """An error without the names that it begins with: the ledger has them in columns of their own."""
    text = str(error)
    while (found := text.partition(": "))[0] in names:
        text = found[2]
    return text
