"""Pets, and what happens when one is lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from tailtracker_bi.sandbox.story import chance
from tailtracker_bi.sandbox.story.chance import Flags, Floats, Ints
from tailtracker_bi.sandbox.story.money import Plans
from tailtracker_bi.sandbox.story.people import People, is_treated
from tailtracker_bi.sandbox.story.plot import CHECKLIST, DAY, HOUR, MINUTE, NEVER, Plot

SPECIES = ("dog", "cat", "bird", "other")
_SPECIES_WEIGHTS = (52, 38, 4, 6)
BREEDS = {
    "dog": ("Labrador", "Mixed", "French Bulldog", "German Shepherd", "Dachshund", "Poodle"),
    "cat": ("Domestic Shorthair", "Maine Coon", "British Shorthair", "Siamese", "Mixed"),
    "bird": ("Budgerigar", "Cockatiel", "Canary"),
    "other": ("Rabbit", "Guinea Pig", "Hamster", "Tortoise"),
}
URGENCIES = ("low", "medium", "high", "critical")
CHANNELS_OF_SHARES = ("whatsapp", "facebook", "instagram", "link", "test")
TEST_SHARE = CHANNELS_OF_SHARES.index("test")
"""A share that only tries out what it would look like."""
_LIMITS = (1, 2, 100)
"""How many pets each of the TIERS allows."""
RECOVERIES = ("found_by_owner", "found_by_stranger", "returned_home")
_LOSSES_A_DAY = 0.012
"""How likely a pet of someone who may create alerts is lost on a usual day: they pay for it because it happens."""


@dataclass(frozen=True)
class Pets:
    """All pets, in arrays, in the order in which their profiles are made."""

    pet_id: pl.Series
    person: Ints
    created: Ints
    species: Ints
    """Position in SPECIES."""
    has_location: Flags

    def __len__(self) -> int:
        return len(self.person)


@dataclass(frozen=True)
class Alert:
    """A lost pet: times in seconds, NEVER for what does not happen."""

    alert_id: str
    pet: int
    person: int
    created: int
    urgency: str
    reward: int
    """Euros, 0 for none."""
    shares: tuple[tuple[int, int], ...]
    """When, and the position in CHANNELS_OF_SHARES."""
    searches: tuple[int, ...]
    found: int
    canceled: int
    recovery: str
    notified: int
    """How many people nearby are told."""

    @property
    def ends(self) -> int:
        return min(self.found, self.canceled)


def invent_pets(people: People, plans: Plans, plot: Plot, seed: int) -> Pets:
    """The pets of everyone with an account, as many as their plan allows; the checklist makes more people add one."""
    random = chance.generator(seed, "pets")
    accounts = people.accounts
    signed_up = people.signed_up[:accounts]
    adds = random.random(accounts) < np.clip(
        (0.58 + 0.08 * people.keenness[:accounts])
        * np.where(is_treated(people, CHECKLIST)[:accounts], CHECKLIST.lift, 1),
        0,
        0.97,
    )
    how_many = np.where(adds, 1 + random.poisson(0.8, accounts), 0)
    person = np.repeat(np.arange(accounts), how_many)
    is_first = np.diff(person, prepend=-1) != 0
    is_at_once = is_first & (random.random(len(person)) < 0.75)
    later = random.exponential(np.where(is_first, 4 * DAY, 45 * DAY)).astype(np.int64) + HOUR
    created = signed_up[person] + np.where(is_at_once, random.integers(MINUTE, 10 * MINUTE, len(person)), later)
    rank = np.arange(len(person)) - np.maximum.accumulate(np.where(is_first, np.arange(len(person)), 0))
    is_allowed = rank < np.array(_LIMITS)[plans.at(person, created)]
    happens = (created < np.minimum(plot.end, people.deleted[person])) & is_allowed
    person, created = person[happens], created[happens]
    order = np.argsort(created, kind="stable")
    return Pets(
        pet_id=chance.uuids(random, len(person)),
        person=person[order],
        created=created[order],
        species=chance.weighted(random, _SPECIES_WEIGHTS, len(person)),
        has_location=random.random(len(person)) < 0.55,
    )


def invent_alerts(
    people: People, pets: Pets, may_alert: Mapping[int, Sequence[tuple[int, int]]], plot: Plot, seed: int
) -> list[Alert]:
    """The alerts for the pets of people while they may create some (`may_alert`: from and until when), by time.

    People who delete their accounts have none: their alerts would go with them.
    """
    random = chance.generator(seed, "alerts")
    losses = plot.losses() * chance.of_rare_things(people.accounts)
    pets_of: dict[int, list[int]] = {}
    for pet, person in enumerate(pets.person.tolist()):
        if person in may_alert and people.deleted[person] >= NEVER:
            pets_of.setdefault(person, []).append(pet)
    moments: list[tuple[int, int]] = []
    for person in sorted(pets_of):
        for pet in pets_of[person]:
            for begins, ends in may_alert[person]:
                first = max(begins, int(pets.created[pet])) + MINUTE
                moments += [(at, pet) for at in _lost_at(random, first, min(ends, plot.end), losses, plot.start)]
    moments.sort()
    ids = chance.uuids(random, len(moments))
    return [
        _alert(random, ids[number], pet, int(pets.person[pet]), created)
        for number, (created, pet) in enumerate(moments)
    ]


def _lost_at(random: np.random.Generator, first: int, last: int, losses: Floats, start: int) -> list[int]:
    """When a pet is lost between these times: at most once in two months."""
    days = np.arange(max(0, (first - start) // DAY), (last - start) // DAY)
    lost = days[random.random(len(days)) < _LOSSES_A_DAY * losses[days]]
    found: list[int] = []
    for day in lost.tolist():
        at = start + day * DAY + int(random.integers(5 * HOUR, 23 * HOUR))
        if first < at < last and (not found or at > found[-1] + 60 * DAY):
            found.append(at)
    return found


def _alert(random: np.random.Generator, alert_id: str, pet: int, person: int, created: int) -> Alert:
    fate = random.random()
    hours = float(random.lognormal(2.3, 1.3))
    ends = created + 10 * MINUTE + int(hours * HOUR)
    # Most owners share the alert at once, and then look at where the pet was seen.
    at = created
    shares, searches = [], []
    for _ in range(int(random.choice(4, p=[0.2, 0.4, 0.25, 0.15]))):
        at += int(random.integers(MINUTE, HOUR))
        shares.append((at, int(random.integers(0, len(CHANNELS_OF_SHARES)))))
    for _ in range(int(random.choice(3, p=[0.35, 0.4, 0.25]))):
        at += int(random.integers(5 * MINUTE, 4 * HOUR))
        searches.append(at)
    return Alert(
        alert_id=alert_id,
        pet=pet,
        person=person,
        created=created,
        urgency=URGENCIES[int(random.choice(4, p=[0.15, 0.35, 0.35, 0.15]))],
        reward=int(random.choice([0, 0, 50, 100, 200])),
        shares=tuple((at, channel) for at, channel in shares if at < ends),
        searches=tuple(at for at in searches if at < ends),
        found=ends if fate < 0.62 else NEVER,
        canceled=ends if 0.62 <= fate < 0.75 else NEVER,
        recovery=RECOVERIES[int(random.choice(3, p=[0.4, 0.35, 0.25]))],
        notified=int(random.integers(2, 40)),
    )
