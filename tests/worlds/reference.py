"""The numbers of people, retention and funnels once more, slowly and plainly, to test the SQL against.

Brute force over sets and loops, standard library only. Nothing here knows the warehouse, and nothing is
fast. Each docstring says the definition that its function stands for.

An event is what Mixpanel's raw export gives: ``{"event": name, "properties": {...}}``, ``time`` in epoch
seconds (UTC).
"""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from statistics import fmean, median
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

Event = dict[str, Any]
Segment = tuple[str, str]
MetricKey = tuple[str, str, date, str, str]
MetricRow = tuple[int | None, int | None, float | None, bool]
CellKey = tuple[str, str, str, date, str, str, int]
CellRow = tuple[int, int, bool]
FunnelKey = tuple[str, str, date | None, str, str, int]
FunnelRow = tuple[int, float | None, float | None]

ALL: Segment = ("all", "all")
UNKNOWN = "(unknown)"
PLACEHOLDERS = {"undefined", "null", "-1", "anon", "guest", "[object object]"}
IDENTITY_EVENTS = {"$identify", "$create_alias", "$merge"}
GRAINS = ("day", "week", "month")
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
HEADLINE_DAYS = (1, 7, 30, 90)
LAST_DAY_CELL = 90
ONE_DAY = timedelta(days=1)


@dataclass
class World:
    """All that the numbers depend on."""

    events: list[Event]
    timezone: str = "UTC"
    week_start: str = "monday"
    landed_days: set[date] = field(default_factory=set)
    history_start: date | None = None
    exclude_events: set[str] | list[str] = field(default_factory=set)
    excluded_user_ids: set[str] | list[str] = field(default_factory=set)
    excluded_properties: list[tuple[str, Any]] = field(default_factory=list)
    retention: list[dict[str, Any]] = field(default_factory=list)
    funnels: list[dict[str, Any]] = field(default_factory=list)
    plans: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    has_app_database: bool = True
    """By user: when (epoch seconds, in order) which plan began; the first is the account's own beginning."""


@dataclass(eq=False)
class Seen:
    """An event that counts. Two with equal content are still two."""

    name: str
    time: int
    properties: dict[str, Any]
    person: str
    day: date
    is_activity: bool
    segments: dict[str, str]


class Measure(NamedTuple):
    """A number before the rules on gaps, zeros and completeness; no denominator: a count."""

    metric_id: str
    grain: str
    start: date
    segment: Segment
    numerator: int | None
    denominator: int | None
    reads_from: date
    reads_to: date
    reads_all_before: bool = False


# Days and periods


def export_day(event: Event) -> date:
    """The UTC day under which the event was exported."""
    return datetime.fromtimestamp(event["properties"]["time"], UTC).date()


def reporting_day(world: World, event: Event) -> date:
    """The day in the one reporting time zone."""
    return _day_of(world, event["properties"]["time"])


def _day_of(world: World, time: int) -> date:
    return datetime.fromtimestamp(time, ZoneInfo(world.timezone)).date()


def export_days_touched(timezone: str, day: date) -> set[date]:
    """The UTC days on which some second of the reporting day lies; it may have 23 or 25 hours."""
    zone = ZoneInfo(timezone)
    following = day + ONE_DAY
    start = datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
    end = datetime(following.year, following.month, following.day, tzinfo=zone).astimezone(UTC)
    return set(_days_between(start.date(), (end - timedelta(seconds=1)).date()))


def landed_reporting_days(world: World) -> frozenset[date]:
    """A reporting day needs every export day that it touches."""
    return _whole_days(world.timezone, frozenset(world.landed_days))


@cache
def _whole_days(timezone: str, landed: frozenset[date]) -> frozenset[date]:
    """Each value of a metric asks for them."""
    if not landed:
        return frozenset()
    candidates = _days_between(min(landed) - ONE_DAY, max(landed) + ONE_DAY)
    return frozenset(day for day in candidates if export_days_touched(timezone, day) <= landed)


def days(world: World) -> list[date]:
    """Reporting days from the first landed to the last landed, gaps included."""
    landed = landed_reporting_days(world)
    return _days_between(min(landed), max(landed)) if landed else []


def covered_from(world: World) -> date | None:
    """The first landed reporting day at or after history start."""
    start = world.history_start or date.min
    return min((day for day in landed_reporting_days(world) if day >= start), default=None)


def complete_through(world: World) -> date | None:
    """The last day of the unbroken run of landed days that begins at covered_from."""
    landed, last = landed_reporting_days(world), covered_from(world)
    while last is not None and last + ONE_DAY in landed:
        last += ONE_DAY
    return last


def period_of(world: World, grain: str, day: date) -> date:
    """First day of the day, week or month that the day lies in."""
    if grain == "week":
        return day - timedelta(days=(day.weekday() - WEEKDAYS.index(world.week_start)) % 7)
    return day.replace(day=1) if grain == "month" else day


def shifted(grain: str, start: date, periods: int) -> date:
    """First day of the period that lies so many periods later."""
    if grain == "month":
        months = start.year * 12 + start.month - 1 + periods
        return date(months // 12, months % 12 + 1, 1)
    return start + periods * timedelta(days=7 if grain == "week" else 1)


def period_end(grain: str, start: date) -> date:
    """Last day of the period."""
    return shifted(grain, start, 1) - ONE_DAY


def periods(world: World, grain: str) -> list[date]:
    """Every period that touches the range from the first to the last landed day."""
    return sorted({period_of(world, grain, day) for day in days(world)})


def _days_between(first: date, last: date) -> list[date]:
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


# Events and people


def deduplicated(events: list[Event]) -> list[Event]:
    """Same $insert_id, distinct_id, event name and export day: one event, the copy processed last.

    Without an $insert_id never a duplicate; distinct_id is compared before identities are merged.
    """
    kept: list[Event] = []
    copies: dict[tuple[Any, ...], list[Event]] = defaultdict(list)
    for event in events:
        properties = event["properties"]
        if properties.get("$insert_id"):
            key = (properties["$insert_id"], properties.get("distinct_id"), event["event"], export_day(event))
            copies[key].append(event)
        else:
            kept.append(event)
    return kept + [max(same, key=_processed_last) for same in copies.values()]


def _processed_last(event: Event) -> tuple[float, str]:
    processed = event["properties"].get("mp_processing_time_ms")
    return (-math.inf if processed is None else processed, _json(event["properties"]))


def received(world: World) -> list[Event]:
    """A day exists only once it has landed; what it holds is deduplicated."""
    return deduplicated([event for event in world.events if export_day(event) in world.landed_days])


def person_of(world: World) -> Callable[[Event], str]:
    """Event to person: ids that are tied, however long the chain, are one person, named by the smallest."""
    events = received(world)
    ties = device_ties(events) | legacy_ties(events)
    person = {identifier: identifier for tie in ties for identifier in tie}
    changed = True
    while changed:
        changed = False
        for left, right in ties:
            if person[left] != person[right]:
                person[left] = person[right] = min(person[left], person[right])
                changed = True

    def lookup(event: Event) -> str:
        return person.get(raw_id(event), raw_id(event))

    return lookup


def raw_id(event: Event) -> str:
    """An event with its own $user_id is that user's, whatever its device; else its distinct_id's; else the device's.

    Empty: it is nobody's.
    """
    properties = event["properties"]
    return next(filter(None, (_bare(properties.get(name)) for name in ("$user_id", "distinct_id", "$device_id"))), "")


def device_ties(events: list[Event]) -> set[tuple[str, str]]:
    """The first event with both $device_id and $user_id ties that device to that user.

    A distinct_id alone ties no device: people may share one.
    """
    users: dict[str, set[tuple[int, str]]] = defaultdict(set)
    for event in events:
        properties = event["properties"]
        device, user = _bare(properties.get("$device_id")), _bare(properties.get("$user_id"))
        if device and user:
            users[device].add((properties["time"], user))
    return {(device, min(seen)[1]) for device, seen in users.items()}


def legacy_ties(events: list[Event]) -> set[tuple[str, str]]:
    """Old-style exports carry $identify, $create_alias and $merge events: they tie ids too."""
    ties = set()
    for event in events:
        properties, pair = event["properties"], (None, None)
        if event["event"] == "$identify":
            pair = (properties.get("$anon_id"), properties.get("$identified_id"))
        elif event["event"] == "$create_alias":
            pair = (properties.get("distinct_id"), properties.get("alias"))
        elif event["event"] == "$merge" and len(properties.get("$distinct_ids") or []) == 2:
            pair = tuple(properties["$distinct_ids"])
        left, right = map(_bare, pair)
        if left and right:
            ties.add((left, right))
    return ties


def _bare(identifier: Any) -> str:
    """Without its prefix; empty where it is nobody's: a placeholder, zeros, nothing at all."""
    bare = "" if identifier is None else str(identifier).removeprefix("$device:")
    plain = bare.strip(" \"'").lower()
    return "" if plain in PLACEHOLDERS or not plain.strip("0-") else bare


def segments_of(event: Event) -> dict[str, str]:
    """Platform, country and app version as on the event; a missing value is (unknown)."""
    properties = event["properties"]
    platform = properties.get("platform")
    if not platform and properties.get("$os"):
        platform = {"ios": "ios", "ipados": "ios", "android": "android"}.get(properties["$os"].lower(), "web")
    return {
        "all": "all",
        "platform": (platform or UNKNOWN).lower(),
        "country": properties.get("mp_country_code") or properties.get("country") or UNKNOWN,
        "app_version": properties.get("$app_version_string") or UNKNOWN,
    }


def plan_of(world: World) -> Callable[[str, date], str]:
    """Person and day to the plan at the day's end; without an account by then it is unknown."""
    person = person_of(world)
    changes: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for user, plans in world.plans.items():
        changes[person({"properties": {"$user_id": user}})] += plans

    def plan(who: str, day: date) -> str:
        begun = [(time, plan) for time, plan in changes[who] if _day_of(world, time) <= day]
        return max(begun)[1] if begun else UNKNOWN

    return plan


def counted(world: World) -> list[Seen]:
    """Events of real people up to the last landed day, without identity events and test accounts.

    A test account is left out whole: under all ids it ever had.
    """
    known_days = days(world)
    if not known_days:
        return []
    person, plan = person_of(world), plan_of(world)
    testers = {person({"properties": {"$user_id": user}}) for user in world.excluded_user_ids}
    return [
        Seen(
            name=event["event"],
            time=event["properties"]["time"],
            properties=event["properties"],
            person=person(event),
            day=reporting_day(world, event),
            is_activity=event["event"] not in world.exclude_events and person(event) != "",
            segments=segments_of(event) | {"plan": plan(person(event), reporting_day(world, event))},
        )
        for event in received(world)
        if event["event"] not in IDENTITY_EVENTS
        and reporting_day(world, event) <= known_days[-1]
        and person(event) not in testers
        and not any(_equals(event["properties"], name, value) for name, value in world.excluded_properties)
    ]


def _equals(properties: dict[str, Any], name: str, value: str) -> bool:
    """A text equals itself, and a number or its plain text whatever reads as that number."""
    found = _value(properties, name)
    if found is None:
        return False
    text = _text(found)
    if text == value:
        return True
    try:
        return text == _text(json.loads(value, parse_float=Decimal))
    except json.JSONDecodeError:
        return False


def _value(properties: dict[str, Any], path: str) -> Any:
    """The property of this very name; without one, what a path of names leads to inside objects."""
    found: Any = properties
    if path in properties:
        return properties[path]
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _text(value: Any) -> str:
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        plain = f"{Decimal(str(value)):f}"
        plain = plain.rstrip("0").rstrip(".") if "." in plain else plain
        return "0" if plain == "-0" else plain
    return value if isinstance(value, str) else _json(value)


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


# Metrics


def metric_values(world: World) -> dict[MetricKey, MetricRow]:
    """(metric_id, grain, period_start, segment, segment_value) to its row.

    The row is (numerator, denominator, value, is_complete). Segment all has every period, zeros
    included; the others are sparse. A day not landed is null.
    """
    landed = landed_reporting_days(world)
    rows: dict[MetricKey, MetricRow] = {}
    for measure in _measures(world):
        key = (measure.metric_id, measure.grain, measure.start, *measure.segment)
        numerator, denominator = measure.numerator, measure.denominator
        if measure.grain == "day" and measure.start not in landed:
            if measure.segment == ALL:
                rows[key] = (None, None, None, False)
            continue
        value: float | None = numerator
        if denominator is not None:
            value = numerator / denominator if denominator and numerator is not None else None
        if measure.segment == ALL or value or denominator:
            rows[key] = (numerator, denominator, value, _is_complete(world, measure))
    return rows


def _is_complete(world: World, measure: Measure) -> bool:
    """Whether each day that the value reads has landed; for a segment by plan the app's tables, too."""
    first, last = covered_from(world), complete_through(world)
    if first is None or last is None or measure.reads_from < first:
        return False
    if measure.segment[0] == "plan" and not _plans_are_known(world):
        return False
    if measure.reads_all_before:
        return measure.reads_to <= last
    return set(_days_between(measure.reads_from, measure.reads_to)) <= landed_reporting_days(world)


def _plans_are_known(world: World) -> bool:
    """The app's tables landed; or there are none that could."""
    return bool(world.plans) or not world.has_app_database


def _measures(world: World) -> Iterator[Measure]:
    events = counted(world)
    yield from _rolling(world, events)
    yield from _events(world, events)
    for grain in GRAINS:
        yield from _lifecycle(world, events, grain)
    yield from _retention_headlines(world, events)
    yield from _conversions(world)


def _segment_values(events: list[Seen]) -> set[Segment]:
    return {ALL} | {pair for event in events for pair in event.segments.items()}


def _rolling(world: World, events: list[Seen]) -> Iterator[Measure]:
    """DAU, WAU, MAU: distinct active people on the day, in the 7, in the 30 days ending on it.

    Stickiness = DAU / MAU.
    """
    for segment in _segment_values(events):
        people: dict[date, set[str]] = defaultdict(set)
        for event in events:
            if event.is_activity and segment in event.segments.items():
                people[event.day].add(event.person)
        for day in days(world):
            active = {}
            for metric_id, length in (("dau", 1), ("wau", 7), ("mau", 30)):
                first = day - timedelta(days=length - 1)
                active[metric_id] = len(set().union(*(people.get(d, set()) for d in _days_between(first, day))))
                yield Measure(metric_id, "day", day, segment, active[metric_id], None, first, day)
            first = day - timedelta(days=29)
            yield Measure("stickiness", "day", day, segment, active["dau"], active["mau"], first, day)


def _events(world: World, events: list[Seen]) -> Iterator[Measure]:
    """Events, also those that are no activity; and those by which the app tells of a subscription."""
    told = [
        replace(event, segments=event.segments | {"source": event.properties.get("conversion_source", "(unknown)")})
        for event in events
        if event.name == "Subscription Conversion"
    ]
    for metric_id, own in (("events", events), ("subscription_conversions", told)):
        for segment in _segment_values(own):
            for grain in GRAINS:
                inside = [event for event in own if segment in event.segments.items()]
                number = Counter(period_of(world, grain, event.day) for event in inside)
                for start in periods(world, grain):
                    end = period_end(grain, start)
                    yield Measure(metric_id, grain, start, segment, number[start], None, start, end)


def _lifecycle(world: World, events: list[Seen], grain: str) -> Iterator[Measure]:
    """Active people of a period, and where they come from.

    new: first activity ever; returning: active now and in the period before; resurrecting: active now, not in
    the period before, active earlier; dormant: active in the period before, not now.
    Pulse = (new + resurrecting) / dormant. In a segment value, activity is activity there.
    """
    for segment in _segment_values(events):
        active: dict[str, set[date]] = defaultdict(set)
        for event in events:
            if event.is_activity and segment in event.segments.items():
                active[event.person].add(period_of(world, grain, event.day))
        debut = {person: min(its) for person, its in active.items()}
        for now in periods(world, grain):
            before, end = shifted(grain, now, -1), period_end(grain, now)
            new = returning = resurrecting = dormant = 0
            for person, its in active.items():
                new += now == debut[person]
                returning += now in its and before in its
                resurrecting += now in its and before not in its and debut[person] < before
                dormant += now not in its and before in its
            total = sum(now in its for its in active.values())
            yield Measure("active_users", grain, now, segment, total, None, now, end)
            yield Measure("users_new", grain, now, segment, new, None, now, end, True)
            yield Measure("users_returning", grain, now, segment, returning, None, before, end)
            yield Measure("users_resurrecting", grain, now, segment, resurrecting, None, before, end, True)
            yield Measure("users_dormant", grain, now, segment, dormant, None, before, end)
            yield Measure("pulse", grain, now, segment, new + resurrecting, dormant, before, end, True)


def _retention_headlines(world: World, events: list[Seen]) -> Iterator[Measure]:
    """retention_dN: the N-th day after sign-up, by cohort day; a cohort has a size before that day is there."""
    known_days = days(world)
    for spec in world.retention:
        if spec["id"] != "sign_up":
            continue
        cells = _cells(world, events, spec, "n_day", "day")
        for segment in _segment_values(events):
            for day in known_days:
                for n in HEADLINE_DAYS:
                    until = day + timedelta(days=n)
                    size = cells.get((day, segment, 0), (0, 0))[0]
                    retained = cells.get((day, segment, n), (0, 0))[1]
                    seen = retained if until <= known_days[-1] or not size else None
                    yield Measure(f"retention_d{n}", "day", day, segment, seen, size, day, until, True)


def _conversions(world: World) -> Iterator[Measure]:
    """People who came to the last step / people who entered; read until the last window ends."""
    rows = funnel_rows(world)
    for spec in world.funnels:
        window_days = math.ceil(spec["window"] / 86400)
        for (funnel_id, grain, start, segment, value, step), (entered, _, _) in rows.items():
            if funnel_id == spec["id"] and start is not None and step == 1:
                through = rows[(funnel_id, grain, start, segment, value, len(spec["steps"]))][0]
                until = period_end(grain, start) + timedelta(days=window_days)
                metric_id = f"{funnel_id}_conversion"
                yield Measure(metric_id, grain, start, (segment, value), through, entered, start, until)


# Retention


def retention_cells(world: World) -> dict[CellKey, CellRow]:
    """(id, mode, grain, cohort_start, segment, segment_value, k) to (size, retained, is_complete)."""
    first, last = covered_from(world), complete_through(world)
    events = counted(world)
    rows: dict[CellKey, CellRow] = {}
    for spec in world.retention:
        for mode in [m for m in spec.get("modes", ["n_day", "unbounded"]) if m in ("n_day", "unbounded")]:
            for grain in spec.get("grains", GRAINS):
                cells = _cells(world, events, spec, mode, grain)
                for (start, segment, k), (size, retained) in cells.items():
                    if segment == ALL or retained:
                        end = period_end(grain, shifted(grain, start, k))
                        is_complete = first is not None and last is not None and first <= start and end <= last
                        is_complete &= segment[0] != "plan" or _plans_are_known(world)
                        rows[(spec["id"], mode, grain, start, *segment, k)] = (size, retained, is_complete)
    return rows


def _cells(
    world: World, events: list[Seen], spec: dict[str, Any], mode: str, grain: str
) -> dict[tuple[date, Segment, int], tuple[int, int]]:
    """Of each cohort, how many did the return event in period k, or (unbounded) in k or any later one."""
    cells: dict[tuple[date, Segment, int], tuple[int, int]] = {}
    returned: dict[str, set[date]] = defaultdict(set)
    for event in events:
        if _is_named(event, spec["return_event"]):
            returned[event.person].add(period_of(world, grain, event.day))
    known_days = days(world)
    for (start, segment), people in _cohorts(world, events, spec, grain).items():
        if period_end(grain, start) < known_days[0]:
            continue
        for k, period in _observed(grain, start, known_days[-1]):
            if k == 0:
                back = len(people)
            elif mode == "unbounded":
                back = sum(any(p >= period for p in returned.get(person, ())) for person in people)
            else:
                back = sum(period in returned.get(person, ()) for person in people)
            cells[(start, segment, k)] = (len(people), back)
    return cells


def _cohorts(
    world: World, events: list[Seen], spec: dict[str, Any], grain: str
) -> dict[tuple[date, Segment], set[str]]:
    """People by the period of their first ever start event, or (recurring) by every period with one.

    The segment is that of the start event, in a recurring cohort of the first in the period.
    """
    first_start: dict[tuple[str, date | None], Seen] = {}
    for event in sorted(events, key=_start_order):
        if _is_named(event, spec["start_event"]):
            recurring = spec.get("cohort", "first") == "recurring"
            key = (event.person, period_of(world, grain, event.day) if recurring else None)
            first_start.setdefault(key, event)
    cohorts: dict[tuple[date, Segment], set[str]] = defaultdict(set)
    for event in first_start.values():
        for segment in event.segments.items():
            cohorts[(period_of(world, grain, event.day), segment)].add(event.person)
    return cohorts


def _start_order(event: Seen) -> tuple[Any, ...]:
    return (event.time, event.name, *(event.segments[s] for s in ("platform", "country", "app_version", "plan")))


def _observed(grain: str, start: date, last_day: date) -> list[tuple[int, date]]:
    """Periods of a cohort that start at or before the last landed day; of a day cohort 90 at the most."""
    observed: list[tuple[int, date]] = []
    while (period := shifted(grain, start, len(observed))) <= last_day:
        observed.append((len(observed), period))
    return observed[: LAST_DAY_CELL + 1] if grain == "day" else observed


def _is_named(event: Seen, name: str) -> bool:
    """An event of this name; any is any activity."""
    return event.is_activity if name == "any" else event.name == name and event.person != ""


# Funnels


def funnel_rows(world: World) -> dict[FunnelKey, FunnelRow]:
    """(funnel_id, entry_grain, entry_start, segment, segment_value, step) to (users, avg and median seconds).

    Seconds from the step before. Every step has a row, with 0 where nobody came.
    """
    rows: dict[FunnelKey, FunnelRow] = {}
    events = counted(world)
    known_days = days(world)
    if not known_days:
        return rows
    for spec in world.funnels:
        groups: dict[tuple[str, date | None, Segment], list[list[Seen]]] = {("all", None, ALL): []}
        groups |= {(grain, start, ALL): [] for grain in GRAINS for start in periods(world, grain)}
        for person in {event.person for event in events} - {""}:
            own = [event for event in events if event.person == person]
            for (grain, start), attempt in _chosen(world, spec, attempts(own, spec), known_days[0]).items():
                for segment in attempt[0].segments.items():
                    groups.setdefault((grain, start, segment), []).append(attempt)
        for (grain, start, segment), chosen in groups.items():
            for step in range(1, len(spec["steps"]) + 1):
                rows[(spec["id"], grain, start, *segment, step)] = _step_row(chosen, step)
    return rows


def _step_row(chosen: list[list[Seen]], step: int) -> FunnelRow:
    reached = [attempt for attempt in chosen if len(attempt) >= step]
    seconds = [attempt[step - 1].time - attempt[step - 2].time for attempt in reached] if step > 1 else []
    return (len(reached), fmean(seconds) if seconds else None, float(median(seconds)) if seconds else None)


def _chosen(
    world: World, spec: dict[str, Any], tries: list[list[Seen]], first_day: date
) -> dict[tuple[str, date | None], list[Seen]]:
    """A person counts once per entry period and once in all: the longest attempt, then the earliest entry."""
    by_period: dict[tuple[str, date | None], list[list[Seen]]] = defaultdict(list)
    for attempt in tries:
        by_period[("all", None)].append(attempt)
        for grain in GRAINS:
            start = period_of(world, grain, attempt[0].day)
            if period_end(grain, start) >= first_day:
                by_period[(grain, start)].append(attempt)

    def preference(attempt: list[Seen]) -> tuple[Any, ...]:
        return (-len(attempt), _event_order(attempt[0], spec["steps"]))

    return {period: min(candidates, key=preference) for period, candidates in by_period.items()}


def attempts(events: list[Seen], spec: dict[str, Any]) -> list[list[Seen]]:
    """One person's attempts: one from each event that matches step 1, for each value that must stay equal."""
    parts: dict[str, list[Seen]] = defaultdict(list)
    for event in events:
        if any(matches(event, step) for step in spec["steps"]):
            if not spec.get("same_property"):
                parts[""].append(event)
            elif _value(event.properties, spec["same_property"]) is not None:
                parts[_text(_value(event.properties, spec["same_property"]))].append(event)
    return [
        _attempt(entry, part, spec) for part in parts.values() for entry in part if matches(entry, spec["steps"][0])
    ]


def _attempt(entry: Seen, events: list[Seen], spec: dict[str, Any]) -> list[Seen]:
    """Each next step takes the earliest unused matching event at or after the step before.

    The window counts from the entry; an event exactly at its end still converts.
    """
    taken = [entry]
    for step in spec["steps"][1:]:
        candidates = [
            event
            for event in events
            if matches(event, step)
            and event not in taken
            and taken[-1].time <= event.time <= entry.time + spec["window"]
        ]
        if not candidates:
            break
        taken.append(min(candidates, key=lambda event: _event_order(event, spec["steps"])))
    return taken


def matches(event: Seen, step: dict[str, Any]) -> bool:
    """The event's name and every filter; a missing property is equal to nothing."""
    return event.name == step["event"] and all(
        _equals(event.properties, where["property"], where["equals"])
        if "equals" in where
        else not _equals(event.properties, where["property"], where["not_equals"])
        for where in step.get("where") or []
    )


def _event_order(event: Seen, steps: list[dict[str, Any]]) -> tuple[Any, ...]:
    """Time, smallest step it matches, name, $insert_id, content: the same order on every run."""
    step = min(index for index, step in enumerate(steps) if matches(event, step))
    return (event.time, step, event.name, event.properties.get("$insert_id") or "", _json(event.properties))
