"""What is true of people: who was active, new, retained, and got through which funnel; accounts, pets, alerts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from statistics import fmean, median

from tailtracker_bi.sandbox.story.behaviour import KINDS, TESTER
from tailtracker_bi.sandbox.story.pets import TEST_SHARE
from tailtracker_bi.sandbox.story.plot import DAY
from tailtracker_bi.sandbox.truth.frame import Frame, Truth, ends_of, ratio_of, sums_of

INACTIVE = {"Business Metrics Report", "Urgent Alert", "Daily Report Generated", "Payment Failed"}
"""Sent by servers: no sign that a person was there."""
ONBOARDING = ("User Registration", "Pet Profile Created", "Location Services Enabled", "Subscription Conversion")
LOST_PET_RECOVERY = ("Lost Pet Alert Created", "Alert Shared", "Search Initiated", "Pet Recovered")


# People


def of_people(frame: Frame) -> Iterator[Truth]:
    """All that is counted from events: each that has arrived, once, and none of a load test."""
    story, plot = frame.story, frame.story.plot
    counted = [0] * frame.days
    active: list[set[int]] = [set() for _ in range(frame.days)]
    steps: dict[str, list[tuple[int, int, int, int]]] = defaultdict(list)
    events = story.events
    columns = (events.time, events.kind, events.person, events.arrived, events.is_copy, events.subject, events.value)
    for at, kind, person, arrived, is_copy, subject, value in zip(*(each.tolist() for each in columns), strict=True):
        if is_copy or person == TESTER or arrived > frame.now or not frame.has_been(at):
            continue
        name = KINDS[kind]
        day = (at - plot.start) // DAY
        counted[day] += 1
        if name not in INACTIVE:
            active[day].add(person)
        if name in ONBOARDING or name in LOST_PET_RECOVERY:
            steps[name].append((at, person, subject, value))
    converted = [0] * frame.days
    for at, *_ in steps["Subscription Conversion"]:
        converted[frame.day_of(at)] += 1
    yield from sums_of(frame, "events", counted)
    yield from sums_of(frame, "subscription_conversions", converted)
    yield from _active(frame, active)
    yield from _lifecycle(frame, active)
    yield from _retention(frame, active, steps["User Registration"])
    yield from _funnels(frame, steps)


def _active(frame: Frame, active: list[set[int]]) -> Iterator[Truth]:
    """People with an activity on the day, in the 7 and in the 30 days that end on it. Stickiness: DAU / MAU."""
    inside = {7: Counter[int](), 30: Counter[int]()}
    for start, day in frame.each_day():
        for length, people in inside.items():
            people.update(active[day])
            if day >= length:
                people.subtract(active[day - length])
                for person in active[day - length]:
                    if not people[person]:
                        del people[person]
        yield Truth("dau", "day", start, Decimal(len(active[day])))
        yield Truth("wau", "day", start, Decimal(len(inside[7])))
        yield Truth("mau", "day", start, Decimal(len(inside[30])))


def _lifecycle(frame: Frame, active: list[set[int]]) -> Iterator[Truth]:
    """New: never active before. Returning: active in the period before, too. Resurrecting: not then, but earlier.

    Dormant: active in the period before and not now. Pulse: (new + resurrecting) / dormant.
    """
    for grain, periods in frame.periods.items():
        before: set[int] = set()
        ever: set[int] = set()
        for start, days in periods.items():
            now = set().union(*(active[day] for day in days))
            new, returning, dormant = len(now - ever), len(now & before), len(before - now)
            resurrecting = len(now) - new - returning
            counts = {"new": new, "returning": returning, "resurrecting": resurrecting, "dormant": dormant}
            yield Truth("active_users", grain, start, Decimal(len(now)))
            for state, count in counts.items():
                yield Truth(f"users_{state}", grain, start, Decimal(count))
            yield Truth("pulse", grain, start, ratio_of(new + resurrecting, dormant))
            before = now
            ever |= now


def _retention(
    frame: Frame, active: list[set[int]], registrations: Iterable[tuple[int, int, int, int]]
) -> Iterator[Truth]:
    """Of those whose first registration is on the day, the share active on exactly the N-th day after it."""
    joined: dict[int, int] = {}
    for at, person, _, _ in registrations:
        joined.setdefault(person, frame.day_of(at))
    cohorts: list[set[int]] = [set() for _ in range(frame.days)]
    for person, day in joined.items():
        cohorts[day].add(person)
    for start, day in frame.each_day():
        for later in (1, 7, 30, 90):
            is_reached = day + later < frame.days
            back = len(cohorts[day] & active[day + later]) if is_reached else None
            yield Truth(f"retention_d{later}", "day", start, ratio_of(back, len(cohorts[day])))


def _funnels(frame: Frame, steps: dict[str, list[tuple[int, int, int, int]]]) -> Iterator[Truth]:
    """Of the people who enter in the period, the share that goes all the way within the window.

    Onboarding is a person's way, within 7 days. The search for a lost pet is the way of one alert, within 30 days;
    shares that only try it out are none.
    """
    ways: dict[str, dict[tuple[int, ...], list[list[int]]]] = {"onboarding": {}, "lost_pet_recovery": {}}
    for funnel_id, names in (("onboarding", ONBOARDING), ("lost_pet_recovery", LOST_PET_RECOVERY)):
        for place, name in enumerate(names):
            for at, person, subject, value in steps[name]:
                if name == "Alert Shared" and value == TEST_SHARE:
                    continue
                key = (person,) if funnel_id == "onboarding" else (person, subject)
                ways[funnel_id].setdefault(key, [[] for _ in names])[place].append(at)
    for funnel_id, window in (("onboarding", 7 * DAY), ("lost_pet_recovery", 30 * DAY)):
        entered: dict[int, set[int]] = defaultdict(set)
        through: dict[int, set[int]] = defaultdict(set)
        for (person, *_), times in ways[funnel_id].items():
            for entry in times[0]:
                day = frame.day_of(entry)
                entered[day].add(person)
                if _goes_through(entry, times[1:], entry + window):
                    through[day].add(person)
        for grain, periods in frame.periods.items():
            for start, days in periods.items():
                part, whole = (set().union(*(found[day] for day in days)) for found in (through, entered))
                yield Truth(f"{funnel_id}_conversion", grain, start, ratio_of(len(part), len(whole)))


def _goes_through(entry: int, steps: Sequence[Sequence[int]], until: int) -> bool:
    """Each step at or after the one before, the earliest that there is."""
    at = entry
    for times in steps:
        following = [time for time in times if at <= time <= until]
        if not following:
            return False
        at = min(following)
    return True


# Accounts, pets and alerts


def of_accounts(frame: Frame) -> Iterator[Truth]:
    """Accounts and pets that some reading shows, by the day of their making; they are there until one does not."""
    people, pets = frame.story.people, frame.story.pets
    signed_up, deleted = people.signed_up.tolist(), people.deleted.tolist()
    accounts = zip(signed_up[: people.accounts], deleted[: people.accounts], strict=True)
    theirs = ((at, deleted[person]) for at, person in zip(pets.created.tolist(), pets.person.tolist(), strict=True))
    for made, total, objects in (("sign_ups", "total_users", accounts), ("pets_created", "total_pets", theirs)):
        created, gone = [0] * frame.days, [0] * frame.days
        for at, until in objects:
            is_seen, missed = frame.seen_and_missed(at, until)
            if is_seen and frame.has_been(at):
                created[frame.day_of(at)] += 1
                if frame.has_been(missed):
                    gone[frame.day_of(missed)] += 1
        yield from sums_of(frame, made, created)
        yield from ends_of(frame, total, [sum(created[: day + 1]) - sum(gone[: day + 1]) for day in range(frame.days)])


def of_alerts(frame: Frame) -> Iterator[Truth]:
    """Alerts by the day they begin, pets found by the day of that.

    The recovery rate of a day is over the alerts of the 30 days that end on it, less those that are cancelled by now:
    the share found by the end of the day. Hours to recovery are over the pets found in the period.
    """
    begun, found = [0] * frame.days, [0] * frame.days
    hours: list[list[float]] = [[] for _ in range(frame.days)]
    lasting: list[tuple[int, int]] = []
    for alert in frame.story.alerts:
        if not frame.has_been(alert.created):
            continue
        begun[frame.day_of(alert.created)] += 1
        if alert.canceled <= frame.now:
            continue
        lasting.append((frame.day_of(alert.created), frame.day_of(alert.found)))
        if frame.has_been(alert.found):
            found[frame.day_of(alert.found)] += 1
            hours[frame.day_of(alert.found)].append((alert.found - alert.created) / 3600)
    yield from sums_of(frame, "lost_pet_alerts", begun)
    yield from sums_of(frame, "pets_recovered", found)
    for start, day in frame.each_day():
        window = [by for created, by in lasting if day - 30 < created <= day]
        yield Truth("recovery_rate_30d", "day", start, ratio_of(sum(by <= day for by in window), len(window)))
    for grain, periods in frame.periods.items():
        for start, days in periods.items():
            own = [each for day in days for each in hours[day]]
            yield Truth("recovery_hours_avg", grain, start, fmean(own) if own else None)
            yield Truth("recovery_hours_median", grain, start, median(own) if own else None)
