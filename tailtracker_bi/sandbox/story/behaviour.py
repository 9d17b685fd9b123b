"""What people do in the app: visits, and the events of each; and what servers and testers send.

Everything is computed in whole arrays: a large story has ten million events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tailtracker_bi.sandbox.story import chance
from tailtracker_bi.sandbox.story.chance import Flags, Ints
from tailtracker_bi.sandbox.story.money import Customer, Plans, failed_attempts
from tailtracker_bi.sandbox.story.people import SIGN_UP_SECONDS, WEB, People
from tailtracker_bi.sandbox.story.pets import Alert, Pets
from tailtracker_bi.sandbox.story.plot import CHECKLIST, DAY, HOUR, MINUTE, NEVER, PAYWALL, Plot, times_of_day

KINDS = (
    "$ae_first_open", "$ae_session", "$ae_updated", "$ae_crashed", "User Registration", "User Login",
    "Pet Profile Created", "Location Services Enabled", "Lost Pet Alert Created", "Alert Shared", "Search Initiated",
    "Pet Recovered", "Subscription Conversion", "Payment Failed", "Feature Used", "App Performance Issue",
    "Conversion Funnel", "AB Test Exposure", "Business Metrics Report", "Daily Report Generated", "Urgent Alert",
)  # fmt: skip
"""Names of events; an event's kind is the position here."""
KIND = {name: kind for kind, name in enumerate(KINDS)}
FEATURES = (
    "pet_profile", "health_record", "reminder", "photo_upload", "community", "vet_search", "weight_chart",
    "family_sharing", "health_export", "lost_pet_alert_map", "vet_chat", "multi_pet_dashboard",
)  # fmt: skip
FREE_FEATURES = 7
"""So many of them come with every plan; the rest is for those who pay."""
FUNNEL_STEPS = ("welcome", "choose_goal", "create_account")
NOBODY, SERVER, TESTER = -1, -1, -2
"""In place of a person: sent by a server, or by a load test; NOBODY also in place of a device."""
_LATE_SHARE, _LATEST = 0.015, 5 * DAY - HOUR
_COPIES_SHARE = 0.004
_CHUNK = 8192
"""People whose days are decided at a time: a row a person, a column a day."""


@dataclass(frozen=True)
class Events:
    """All events by time, one array a column; `subject` and `value` mean something else for each kind."""

    time: Ints
    kind: NDArray[np.int8]
    person: NDArray[np.int32]
    device: NDArray[np.int32]
    version: NDArray[np.int16]
    """Position in the plot's releases."""
    subject: NDArray[np.int32]
    value: NDArray[np.int32]
    arrived: Ints
    """When Mixpanel had it."""
    number: NDArray[np.int64]
    """What tells events apart; copies share it."""
    is_copy: Flags

    def __len__(self) -> int:
        return len(self.time)

    def rows(self, places: NDArray[Any] | slice) -> Events:
        """Some of the events."""
        return Events(*(getattr(self, name)[places] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class _Visits:
    """Visits of people on their devices: when they begin, and when what happened in them arrives."""

    person: Ints
    device: Ints
    start: Ints
    delay: Ints
    """Seconds from an event to its arrival."""


class _Draft:
    """Events in the order in which they come to mind."""

    def __init__(self) -> None:
        self._parts: dict[str, list[NDArray[Any]]] = {name: [] for name in _COLUMNS}

    def add(
        self, name: str, time: Ints, person: Ints, device: Ints, delay: Ints | int, subject: Ints | int = 0,
        value: Ints | int = 0,
    ) -> None:  # fmt: skip
        columns = (time, KIND[name], person, device, subject, value, time + delay)
        for (column, type_), values in zip(_COLUMNS.items(), columns, strict=True):
            self._parts[column].append(np.broadcast_to(np.asarray(values, type_), time.shape))

    def column(self, name: str) -> NDArray[Any]:
        return np.concatenate(self._parts.pop(name))


_COLUMNS: dict[str, Any] = {
    "time": np.int64, "kind": np.int8, "person": np.int32, "device": np.int32, "subject": np.int32, "value": np.int32,
    "arrived": np.int64,
}  # fmt: skip


def invent(
    people: People,
    pets: Pets,
    alerts: Sequence[Alert],
    customers: Sequence[Customer],
    plans: Plans,
    plot: Plot,
    seed: int,
) -> Events:
    """All events of the story."""
    random = chance.generator(seed, "behaviour")
    draft = _Draft()
    visits = _visits(random, people, plot)
    _fill_visits(random, draft, visits, people, plans, plot)
    _sign_up(random, draft, people, plot)
    _keep_pets(random, draft, people, pets, alerts)
    _pay(draft, customers)
    _report(random, draft, plot)
    _test(random, draft, plot)
    return _finish(random, draft, people, plot)


def _visits(random: np.random.Generator, people: People, plot: Plot) -> _Visits:
    parts = list(_later_visits(random, people, plot))
    accounts = people.accounts
    # The first visit; between it and the sign-up there may be another; who only looks may look again.
    again = np.where(
        people.signed_up < NEVER,
        (people.first_seen + people.signed_up) // 2,
        people.first_seen + HOUR + random.exponential(3 * DAY, len(people)).astype(np.int64),
    )
    looks_again = random.random(len(people)) < 0.4
    looks_again &= people.signed_up - people.first_seen > DAY
    signs_up = np.arange(len(people)) < accounts
    comes_earlier = ~signs_up | (people.first_seen < people.signed_up - SIGN_UP_SECONDS)
    parts += [(np.flatnonzero(comes_earlier), people.first_seen[comes_earlier])]
    parts += [(np.flatnonzero(looks_again), again[looks_again])]
    parts += [(np.flatnonzero(signs_up), people.signed_up[signs_up] - SIGN_UP_SECONDS)]
    person, start = (np.concatenate(column) for column in zip(*parts, strict=True))
    device = _device(random, people, person, start)
    seconds = np.flatnonzero(people.second_device >= 0)
    person = np.concatenate((person, seconds))
    device = np.concatenate((device, people.second_device[seconds]))
    start = np.concatenate((start, people.devices.first_used[people.second_device[seconds]]))
    order = np.lexsort((start, device))
    is_late = random.random(len(order)) < _LATE_SHARE
    delay = np.where(is_late, random.integers(HOUR, _LATEST, len(order)), random.integers(1, 40, len(order)))
    return _Visits(person[order], device[order], start[order], delay)


def _later_visits(random: np.random.Generator, people: People, plot: Plot) -> Iterator[tuple[Ints, Ints]]:
    """(person, start) of visits after the day of sign-up: fewer with time, none while somebody has left for a while."""
    weights = plot.activity_weights()[None, :]
    ages = np.arange(plot.days + plot.ahead)[None, :]
    for first in range(0, people.accounts, _CHUNK):
        rows = slice(first, min(first + _CHUNK, people.accounts))
        keenness = people.keenness[rows, None]
        size = keenness.shape[0]
        joined = ((people.signed_up[rows] - plot.start) // DAY)[:, None]
        gone = ((np.minimum(people.deleted[rows], plot.end) - plot.start) // DAY)[:, None]
        # Half of the people leave at some time; a third of them come back.
        leaves = joined + np.where(random.random((size, 1)) < 0.5, random.exponential(35, (size, 1)), 10_000)
        back = leaves + np.where(random.random((size, 1)) < 0.35, 10 + random.exponential(40, (size, 1)), 10_000)
        age = ages - joined
        likely = keenness * (0.045 + 0.28 * np.exp(-np.maximum(age, 0) / (5 + 25 * keenness))) * weights
        is_there = (age > 0) & (ages < gone) & ((ages < leaves) | (ages >= back))
        person, day = np.nonzero(is_there & (random.random(likely.shape) < np.minimum(likely, 0.9)))
        often = 1 + random.poisson(0.35, len(person))
        person, day = np.repeat(person + first, often), np.repeat(day, often)
        yield person, plot.start + day * DAY + times_of_day(random, len(person))


def _device(random: np.random.Generator, people: People, person: Ints, start: Ints) -> Ints:
    """On which device each visit is: the main one, or the second one once that is tied to the person."""
    second = people.second_device[person]
    is_second = (second >= 0) & (start > people.devices.tied_at[second] + MINUTE) & (random.random(len(person)) < 0.4)
    return np.where(is_second, second, person)


def _fill_visits(
    random: np.random.Generator, draft: _Draft, visits: _Visits, people: People, plans: Plans, plot: Plot
) -> None:
    """The events inside visits: what was used, log-ins, and what the SDK sends by itself."""
    person, device, start, delay = visits.person, visits.device, visits.start, visits.delay
    devices = people.devices
    size = len(start)

    def some(name: str, chosen: Flags, offset: Ints | int, value: Ints | int = 0) -> None:
        times = (start + offset)[chosen]
        values = value[chosen] if isinstance(value, np.ndarray) else value
        draft.add(name, times, person[chosen], device[chosen], delay[chosen], value=values)

    is_known = start >= devices.tied_at[device]
    uses = np.where(is_known, 1 + random.poisson(1.6, size), random.poisson(0.7, size))
    gap = random.integers(15, 70, size)
    # What comes after sign-up has its own events; a visit to log in begins with looking around.
    begins = np.where(is_known, 6, 8)
    is_joining = start == people.signed_up[person] - SIGN_UP_SECONDS
    length = begins + (uses + 1) * gap + np.where(is_known, 0, MINUTE) + np.where(is_joining, 2 * MINUTE, 0)
    visit = np.repeat(np.arange(size), uses)
    place = np.arange(len(visit)) - np.repeat(np.cumsum(uses) - uses, uses)
    offset = begins[visit] + place * gap[visit] + random.integers(0, 14, len(visit))
    tier = plans.at(person, start)
    can_use = np.where(tier > 0, len(FEATURES), FREE_FEATURES)[visit]
    # Features at the front of the list are the favourites.
    feature = (can_use * random.random(len(visit)) ** 1.6).astype(np.int64)
    draft.add("Feature Used", start[visit] + offset, person[visit], device[visit], delay[visit], tier[visit], feature)

    is_mobile = devices.platform[device] != WEB
    is_first = start == devices.first_used[device]
    is_tying = is_first & (device >= len(people))
    some("$ae_first_open", is_mobile & is_first, 0)
    some("User Login", is_tying, devices.tied_at[device] - start)
    some("User Login", is_known & (random.random(size) < 0.08), 3)
    some("$ae_session", is_mobile, length, length)
    version = _version(plot, devices.update_lag[device], start)
    is_updated = is_mobile & ~is_first & (np.diff(version, prepend=-1) > 0) & (np.diff(device, prepend=-1) == 0)
    some("$ae_updated", is_updated, 1)
    # The very first release was bad until it was repaired; the incident was worse.
    is_bad = plot.is_incident(start) | (version == 0)
    crashes = random.random(size) < np.where(plot.is_incident(start), 0.07, np.where(version == 0, 0.012, 0.003))
    some("$ae_crashed", is_mobile & crashes, length - 1)
    some("App Performance Issue", random.random(size) < np.where(is_bad, 0.06, 0.015), gap)


def _sign_up(random: np.random.Generator, draft: _Draft, people: People, plot: Plot) -> None:
    """The way to an account, and the experiments that are shown with it."""
    who = np.arange(people.accounts)
    at = people.signed_up[who]
    delay = random.integers(1, 20, len(who))
    for step in range(len(FUNNEL_STEPS)):
        draft.add("Conversion Funnel", at - 60 + 20 * step, who, who, delay, value=step)
    draft.add("User Registration", at, who, who, delay)
    for place, experiment in enumerate((CHECKLIST, PAYWALL)):
        sees = np.flatnonzero(people.variants[experiment.name] >= 0)
        variant = people.variants[experiment.name][sees]
        draft.add("AB Test Exposure", people.signed_up[sees] + 5, sees, sees, 10, place, variant)


def _keep_pets(random: np.random.Generator, draft: _Draft, people: People, pets: Pets, alerts: Sequence[Alert]) -> None:
    """Pets, where they are, and the search for them."""
    number = np.arange(len(pets))
    draft.add("Pet Profile Created", pets.created, pets.person, pets.person, random.integers(1, 30, len(pets)), number)
    _, first_pets = np.unique(pets.person, return_index=True)
    switches_on = first_pets[pets.has_location[first_pets] & (people.platform[pets.person[first_pets]] != WEB)]
    delays = random.exponential(0.4 * DAY, len(switches_on)).astype(np.int64) + 30
    at, who = pets.created[switches_on] + delays, pets.person[switches_on]
    stays = at < people.deleted[who]
    draft.add("Location Services Enabled", at[stays], who[stays], who[stays], 5)

    def of_alerts(name: str, moments_of: Callable[[int, Alert], list[tuple[int, int]]]) -> None:
        found = [(at, alert.person, n, value) for n, alert in enumerate(alerts) for at, value in moments_of(n, alert)]
        times, owners, subjects, values = np.array(found, np.int64).reshape(-1, 4).T
        draft.add(name, times, owners, owners, 3, subjects, values)

    of_alerts("Lost Pet Alert Created", lambda n, alert: [(alert.created, 0)])
    of_alerts("Alert Shared", lambda n, alert: list(alert.shares))
    of_alerts("Search Initiated", lambda n, alert: [(at, 0) for at in alert.searches])
    of_alerts("Pet Recovered", lambda n, alert: [(alert.found, 0)] if alert.found < NEVER else [])


def _pay(draft: _Draft, customers: Sequence[Customer]) -> None:
    """Who subscribes, told by the app; whose payment fails, told by a server."""
    begun = [
        (subscription.paid_first + 2, customer.person, number, place)
        for number, customer in enumerate(customers)
        for place, subscription in enumerate(customer.subscriptions)
        if subscription.paid_first < NEVER
    ]
    failed = [
        (payment.attempts[attempt].at + 1, customer.person, number, 0)
        for number, (customer, payment, attempt) in enumerate(failed_attempts(customers))
    ]
    for name, rows, is_server in (("Subscription Conversion", begun, False), ("Payment Failed", failed, True)):
        times, who, subjects, values = np.array(rows, np.int64).reshape(-1, 4).T
        draft.add(name, times, who, np.full(len(who), NOBODY) if is_server else who, 2, subjects, values)


def _report(random: np.random.Generator, draft: _Draft, plot: Plot) -> None:
    """What jobs send every day, and an alarm on bad days."""
    days = plot.start + np.arange(plot.days + plot.ahead) * DAY
    server = np.full(len(days), SERVER)
    for name, hour in (("Business Metrics Report", 6), ("Daily Report Generated", 7)):
        draft.add(name, days + hour * HOUR, server, server, 1)
    is_bad = plot.is_incident(days) | (random.random(len(days)) < 0.02)
    draft.add("Urgent Alert", days[is_bad] + 9 * HOUR, server[is_bad], server[is_bad], 1)


def _test(random: np.random.Generator, draft: _Draft, plot: Plot) -> None:
    """A load test on a few days, under ids that are nobody's."""
    days = np.unique(random.integers(0, plot.days, 3))
    times = np.sort(plot.start + np.repeat(days, 40) * DAY + 14 * HOUR + random.integers(0, HOUR, 40 * len(days)))
    tester = np.full(len(times), TESTER)
    draft.add("Feature Used", times, tester, np.full(len(times), NOBODY), 2, 0, random.integers(0, 3, len(times)))


def _version(plot: Plot, lag: Ints, times: Ints) -> Ints:
    """Which release a device has: position among the releases; at the beginning everyone has the first."""
    return np.maximum(np.searchsorted(plot.release_times, times - lag, side="right") - 1, 0)


def _finish(random: np.random.Generator, draft: _Draft, people: People, plot: Plot) -> Events:
    """All events in order, with the copies that arrive a second time."""
    time = draft.column("time")
    order = np.argsort(time, kind="stable")
    order = order[time[order] < plot.end]
    columns = {name: draft.column(name)[order] for name in _COLUMNS if name != "time"}
    time = time[order]
    device = columns["device"]
    lag = np.where(device >= 0, people.devices.update_lag[device], 0)
    copies = np.flatnonzero(random.random(len(time)) < _COPIES_SHARE)
    # An event and its copy stand side by side.
    places = np.insert(np.arange(len(time)), copies + 1, copies)
    is_copy = np.insert(np.zeros(len(time), bool), copies + 1, True)
    arrived = columns.pop("arrived")[places]
    arrived[is_copy] += random.integers(5, 10 * MINUTE, len(copies))
    return Events(
        time=time[places],
        version=_version(plot, lag, time)[places].astype(np.int16),
        arrived=arrived,
        number=places,
        is_copy=is_copy,
        **{name: column[places] for name, column in columns.items()},
    )
