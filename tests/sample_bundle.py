"""A small published build for page tests: 70 days of 260 invented people, the same on every run.

7 March was not received, so days and windows from there on are incomplete. Every number is counted from the
same people, so the identities between metrics hold. Stripe is off: its metric has no data.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from random import Random

import duckdb
import pandas as pd

from tailtracker_bi.bundle import Bundle

BUILD = "20250312T060000-5a3e10"
FIRST, COMPLETE, GAP, LAST = date(2025, 1, 1), date(2025, 3, 6), date(2025, 3, 7), date(2025, 3, 11)
DAYS = [FIRST + timedelta(days=n) for n in range((LAST - FIRST).days + 1)]
GRAINS = ("day", "week", "month")
COUNTRIES = ("Germany", "France", "United States", "Japan", "Brazil", "Canada", "(unknown)")
ONBOARDING = (
    "User Registration",
    "Pet Profile Created",
    "Location Services Enabled",
    "Subscription Conversion",
)
RECOVERY = ("Lost Pet Alert Created", "Alert Shared", "Search Initiated", "Pet Recovered")

ACTIVE = ("engagement", "active", "mixpanel.events")
CATALOG = """
dau | Daily active people | People active on the day. | people integer up | day
wau | Weekly active people | People active in the 7 days up to the day. | people integer up | day
mau | Monthly active people | People active in the 30 days up to the day. | people integer up | day
active_users | Active people | People active in the day, week or month. | people integer up | day,week,month
stickiness | Stickiness | Daily divided by monthly active people. | share percent up | day
users_new | New people | First activity ever. | people integer up | day,week,month
users_returning | Returning people | Active now and in the period before. | people integer up | day,week,month
users_resurrecting | Resurrecting people | Active now, away before. | people integer up | day,week,month
users_dormant | Dormant people | Active in the period before, not now. | people integer down | day,week,month
pulse | Pulse | New and resurrecting people divided by dormant ones. | ratio decimal up | day,week,month
events | Events | Events received. | events integer - | day,week,month
retention_d1 | Day 1 retention | Back one day after signing up. | share percent up | day
retention_d7 | Day 7 retention | Back seven days after signing up. | share percent up | day
retention_d30 | Day 30 retention | Back 30 days after signing up. | share percent up | day
onboarding_conversion | Onboarding | Reached the last step within 7 days. | share percent up | day,week,month
lost_pet_recovery_conversion | Lost pet recovery | The pet was found. | share percent up | day,week,month
subscribers | Subscribers | Customers who pay. | people integer up | day
"""


@dataclass
class Person:
    number: int
    first: date
    segments: dict[str, str]
    active: set[date] = field(default_factory=set)
    step_reached: int = 1


def invent_people() -> list[Person]:
    random = Random(11)
    people = []
    for number in range(260):
        first = FIRST + timedelta(days=min(int(random.triangular(0, 69, 50)), 69))
        segments = {
            "platform": random.choices(["ios", "android"], [3, 2])[0],
            "country": random.choices(COUNTRIES, [8, 6, 5, 3, 2, 1, 1])[0],
            "app_version": "5.2.0" if first > date(2025, 2, 1) else "5.1.3",
        }
        person = Person(number, first, segments, {first} - {GAP})
        keen = random.uniform(0.05, 0.7)
        for day in DAYS:
            age = (day - first).days
            chance = keen * (0.3 + 0.7 * math.exp(-age / 12)) * (1.15 if day.weekday() < 5 else 0.7)
            if age > 0 and day != GAP and random.random() < chance:
                person.active.add(day)
        person.step_reached = random.choices([1, 2, 3, 4], [2, 3, 3, 2])[0]
        people.append(person)
    return [person for person in people if person.active]


def start(day: date, grain: str) -> date:
    return {"day": day, "week": day - timedelta(days=day.weekday()), "month": day.replace(day=1)}[grain]


def later(first: date, grain: str, periods: int) -> date:
    if grain == "month":
        months = first.year * 12 + first.month - 1 + periods
        return date(months // 12, months % 12 + 1, 1)
    return first + timedelta(days=periods * {"day": 1, "week": 7}[grain])


def is_complete(grain: str, first: date) -> bool:
    return first >= FIRST and later(first, grain, 1) - timedelta(days=1) <= COMPLETE


def segments_of(people: list[Person]) -> Iterator[tuple[str, str, list[Person]]]:
    yield "all", "all", people
    for segment in ("platform", "country", "app_version"):
        for value in sorted({person.segments[segment] for person in people}):
            yield segment, value, [person for person in people if person.segments[segment] == value]


Row = tuple[object, ...]


def metric_values(people: list[Person]) -> Iterator[Row]:
    for segment, value, group in segments_of(people):
        for row in (*_activity(group), *_lifecycle(group), *_retention_by_day(group), *_funnel_shares(group)):
            metric, grain, first, numerator, denominator, complete = row
            known = None if (grain, first) == ("day", GAP) else numerator
            result = known
            if denominator is not None and known is not None:
                result = known / denominator if denominator else None
            yield metric, grain, first, segment, value, known, denominator, result, complete


def _active_on(group: list[Person], first: date, last: date) -> set[int]:
    return {person.number for person in group if any(first <= day <= last for day in person.active)}


def _activity(group: list[Person]) -> Iterator[tuple[str, str, date, float, float | None, bool]]:
    for day in DAYS:
        dau, wau, mau = (len(_active_on(group, day - timedelta(days=n), day)) for n in (0, 6, 29))
        whole_week, whole_month = (day <= COMPLETE and day - timedelta(days=n) >= FIRST for n in (6, 29))
        yield "dau", "day", day, dau, None, is_complete("day", day)
        yield "wau", "day", day, wau, None, whole_week
        yield "mau", "day", day, mau, None, whole_month
        yield "stickiness", "day", day, dau, mau, whole_month
    for grain in GRAINS:
        for first in sorted({start(day, grain) for day in DAYS}):
            last = later(first, grain, 1) - timedelta(days=1)
            active, complete = _active_on(group, first, last), is_complete(grain, first)
            days = [day for person in group for day in person.active if first <= day <= last]
            yield "active_users", grain, first, len(active), None, complete
            yield "events", grain, first, sum(4 + day.day % 5 for day in days), None, complete


def _lifecycle(group: list[Person]) -> Iterator[tuple[str, str, date, float, float | None, bool]]:
    for grain in GRAINS:
        seen: set[int] = set()
        before: set[int] = set()
        for first in sorted({start(day, grain) for day in DAYS}):
            now = _active_on(group, first, later(first, grain, 1) - timedelta(days=1))
            new, returning, dormant = now - seen, now & before, before - now
            resurrecting = now - new - returning
            complete = is_complete(grain, first) and first > FIRST
            yield "users_new", grain, first, len(new), None, complete
            yield "users_returning", grain, first, len(returning), None, complete
            yield "users_resurrecting", grain, first, len(resurrecting), None, complete
            yield "users_dormant", grain, first, len(dormant), None, complete
            yield "pulse", grain, first, len(new) + len(resurrecting), len(dormant), complete
            seen, before = seen | now, now


def _retention_by_day(group: list[Person]) -> Iterator[tuple[str, str, date, float, float | None, bool]]:
    for row in _cohorts(group, "n_day", "day"):
        first, index, size, retained, complete = row
        if index in (1, 7, 30):
            yield f"retention_d{index}", "day", first, retained, size, complete


def _cohorts(group: list[Person], mode: str, grain: str) -> Iterator[tuple[date, int, int, int, bool]]:
    cohorts: dict[date, list[Person]] = defaultdict(list)
    for person in group:
        cohorts[start(person.first, grain)].append(person)
    for first, members in sorted(cohorts.items()):
        for index in range(60):
            cell = later(first, grain, index)
            if cell > LAST:
                break
            last = LAST if mode == "unbounded" else later(cell, grain, 1) - timedelta(days=1)
            back = len(_active_on(members, cell, last)) if index else len(members)
            yield first, index, len(members), back, first >= FIRST and is_complete(grain, cell)


def _steps(group: list[Person], grain: str) -> Iterator[tuple[str, date | None, int, str, int, bool]]:
    for funnel, steps, window, members in (
        ("onboarding", ONBOARDING, 7, group),
        ("lost_pet_recovery", RECOVERY, 30, group[::4]),
    ):
        entries: dict[date | None, list[Person]] = defaultdict(list)
        for person in members:
            entries[None if grain == "all" else start(person.first, grain)].append(person)
        for first in sorted(entries, key=str):
            closed = later(first, grain, 1) + timedelta(days=window - 1) <= COMPLETE if first else False
            for index, name in enumerate(steps, start=1):
                reached = sum(person.step_reached >= index for person in entries[first])
                yield funnel, first, index, name, reached, closed


def _funnel_shares(group: list[Person]) -> Iterator[tuple[str, str, date, float, float | None, bool]]:
    for grain in GRAINS:
        entered = 0
        for funnel, first, index, _, people, complete in _steps(group, grain):
            entered = people if index == 1 else entered
            if index == 4 and first:
                yield f"{funnel}_conversion", grain, first, people, entered, complete


def retention_cohorts(people: list[Person]) -> Iterator[Row]:
    for segment, value, group in segments_of(people):
        for mode in ("n_day", "unbounded"):
            for grain in GRAINS:
                for first, index, size, back, complete in _cohorts(group, mode, grain):
                    yield "sign_up", mode, grain, first, segment, value, index, size, back, complete


def stickiness(people: list[Person]) -> Iterator[Row]:
    for grain in ("week", "month"):
        for first in sorted({start(day, grain) for day in DAYS}):
            counts: dict[int, int] = defaultdict(int)
            for person in people:
                counts[sum(start(day, grain) == first for day in person.active)] += 1
            for days in sorted(counts.keys() - {0}):
                yield grain, first, days, counts[days], is_complete(grain, first)


def funnel_steps(people: list[Person]) -> Iterator[Row]:
    for segment, value, group in segments_of(people):
        for grain in ("all", *GRAINS):
            for funnel, first, index, name, reached, complete in _steps(group, grain):
                seconds = 3600.0 * index if index > 1 else None
                yield funnel, grain, first, segment, value, index, name, reached, seconds, seconds, complete


def metric_catalog() -> Iterator[Row]:
    not_for, decision = "Comparing complete periods with incomplete ones.", "Where to put effort next."
    for line in CATALOG.strip().splitlines():
        metric, label, description, shape, grains = line.split(" | ")
        unit, form, better = shape.split()
        is_up = {"up": True, "down": False}.get(better)
        target = 60.0 if metric == "dau" else None
        domain, status, source = ("subscriptions", "no_data", "stripe.charges") if metric == "subscribers" else ACTIVE
        what = (metric, label, description, not_for, unit, form, is_up)
        yield (*what, domain, "Growth", decision, status, target, source, grains)


LATE = ("late", "7 March 2025 has not been received")


METRIC = (
    "metric_id label description not_for unit format bigger_is_better domain owner decision status target "
    "sources grains"
)
INFO = "build built_at as_of currency engine version run_id"
STATUS = "source table_name last_day complete_through days_missing rows quarantined excluded loaded_at status reason"
TABLES: dict[str, tuple[str, Callable[[list[Person]], Iterable[Row]]]] = {
    "metric_catalog": (METRIC, lambda _: metric_catalog()),
    "metric_values": (
        "metric_id grain period_start segment segment_value numerator denominator value is_complete",
        metric_values,
    ),
    "retention_cohorts": (
        "retention_id mode cohort_grain cohort_start segment segment_value period_index cohort_size "
        "retained is_complete",
        retention_cohorts,
    ),
    "stickiness": ("grain period_start days_active users is_complete", stickiness),
    "funnel_steps": (
        "funnel_id entry_grain entry_start segment segment_value step_index step_name users "
        "avg_seconds_from_previous median_seconds_from_previous is_complete",
        funnel_steps,
    ),
}


def publish(home: Path, *, mixpanel: tuple[str, str | None] = LATE, build: str = BUILD) -> Bundle:
    """Write the build and make it the current one; `mixpanel` is that source's status and reason."""
    people = invent_people()
    built, received = datetime.fromisoformat("2025-03-12T06:00"), datetime.fromisoformat("2025-03-12T05:50")
    status: list[Row] = [
        ("mixpanel", "events", LAST, COMPLETE, 1, 42_000, 7, 120, received, *mixpanel),
        ("stripe", "charges", None, None, 0, 0, 0, 0, None, "off", "STRIPE_API_KEY is not set"),
    ]
    contents: dict[str, tuple[str, Iterable[Row]]] = {
        "bundle_info": (INFO, [(build, built, date(2025, 3, 12), "EUR", "duckdb", "0.1.0", "run-1")]),
        "data_status": (STATUS, status),
        **{name: (columns, rows(people)) for name, (columns, rows) in TABLES.items()},
    }
    folder = home / "published"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{build}.duckdb"
    with duckdb.connect(str(file)) as connection:
        for name, (columns, rows) in contents.items():
            connection.register("made", pd.DataFrame(list(rows), columns=columns.split(), dtype=object))
            connection.execute(f"create table {name} as select * from made")
    (folder / "current").write_text(build, encoding="utf-8")
    return Bundle(build, file)
