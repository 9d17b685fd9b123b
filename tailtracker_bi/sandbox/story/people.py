"""Who there is: people with an account, people who only look, their devices, where they are from, how keen they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from tailtracker_bi.sandbox.story import chance
from tailtracker_bi.sandbox.story.chance import Flags, Floats, Ints
from tailtracker_bi.sandbox.story.plot import (
    CHECKLIST,
    DAY,
    HOUR,
    MINUTE,
    NEVER,
    PAYWALL,
    Experiment,
    Plot,
    times_of_day,
)


@dataclass(frozen=True)
class Country:
    """Where people live, how many of them, and what they pay in."""

    code: str
    weight: float
    cities: tuple[str, ...]
    currency: str = "eur"


@dataclass(frozen=True)
class Channel:
    """How people find the app."""

    name: str
    weight: float
    keenness: float
    """Multiplies how active people from there are, and how likely they subscribe."""
    cost: int
    """Cents of marketing for each person who signs up."""
    source: str | None
    medium: str | None


COUNTRIES = (
    Country("DE", 30, ("Berlin", "Hamburg", "Munich", "Cologne", "Leipzig")),
    Country("FR", 17, ("Paris", "Lyon", "Marseille", "Toulouse")),
    Country("ES", 13, ("Madrid", "Barcelona", "Valencia", "Seville")),
    Country("IT", 12, ("Rome", "Milan", "Naples", "Turin")),
    Country("NL", 9, ("Amsterdam", "Rotterdam", "Utrecht")),
    Country("AT", 6, ("Vienna", "Graz", "Linz")),
    Country("BE", 5, ("Brussels", "Antwerp", "Ghent")),
    Country("PT", 4, ("Lisbon", "Porto")),
    Country("IE", 2, ("Dublin", "Cork")),
    Country("FI", 2, ("Helsinki", "Tampere")),
)
CHANNELS = (
    Channel("organic", 34, 1.15, 0, None, None),
    Channel("instagram", 20, 0.8, 210, "instagram", "paid_social"),
    Channel("google_ads", 18, 1.0, 320, "google", "cpc"),
    Channel("tiktok", 11, 0.65, 140, "tiktok", "paid_social"),
    Channel("referral", 10, 1.4, 90, "friend", "referral"),
    Channel("vet_partner", 7, 1.6, 260, "vet", "partner"),
)
PLATFORMS = ("ios", "android", "web")
_PLATFORM_WEIGHTS = (46, 43, 11)
WEB = 2
_FIRST_NAMES = ("Anna", "Ben", "Carla", "David", "Elena", "Felix", "Greta", "Hugo", "Ines", "Jonas", "Klara")
_LAST_NAMES = (
    "Testmann",
    "Exempel",
    "Beispiel",
    "Muster",
    "Dupont-Exemple",
    "Ejemplo",
    "Esempio",
    "Voorbeeld",
    "Sample",
)
_TYING_SECONDS = 40
"""How long someone is on a second device before logging in."""
SIGN_UP_SECONDS = 75
"""How long the visit has lasted in which someone signs up."""


@dataclass(frozen=True)
class Devices:
    """Phones, tablets and browsers. The first ones are the main devices of all people, in their order."""

    device_id: pl.Series
    person: Ints
    platform: Ints
    """Position in PLATFORMS."""
    tied_at: Ints
    """From when on the app knows on it who its user is."""
    first_used: Ints
    update_lag: Ints
    """Seconds after which it has a release."""


@dataclass(frozen=True)
class People:
    """Everyone, in arrays by person: first those who sign up, in the order in which they do, then who only looks."""

    user_id: pl.Series
    """Of those who sign up."""
    signed_up: Ints
    """NEVER for who only looks, as in `deleted`."""
    first_seen: Ints
    deleted: Ints
    """When the account is deleted."""
    country: Ints
    """Position in COUNTRIES, as channel and platform in theirs."""
    channel: Ints
    platform: Ints
    keenness: Floats
    """Around 1, above 0."""
    variants: dict[str, Ints]
    """By experiment: position in VARIANTS, -1 for who is not in it."""
    second_device: Ints
    """-1 for who has none."""
    devices: Devices

    @property
    def accounts(self) -> int:
        return len(self.user_id)

    def __len__(self) -> int:
        return len(self.signed_up)


def invent(people: int, plot: Plot, seed: int) -> People:
    """So many people who sign up by `until`, those who do later at the same pace, and every third as many who don't."""
    random = chance.generator(seed, "people")
    weights = plot.sign_up_weights()
    history = weights[: plot.days] / weights[: plot.days].sum()
    later = random.poisson(people * weights[plot.days :] / weights[: plot.days].sum())
    sign_up_days = np.concatenate(
        (
            random.choice(plot.days, size=people, p=history),
            np.repeat(plot.days + np.arange(plot.ahead), later),
        )
    )
    # Late enough to have been there for a while, early enough for what follows to be on the same day.
    signed_up = plot.start + sign_up_days * DAY + np.maximum(times_of_day(random, len(sign_up_days), 22), 10 * MINUTE)
    signed_up.sort()
    accounts, lookers = len(signed_up), len(signed_up) // 3
    everyone = accounts + lookers

    lag = np.where(random.random(accounts) < 0.3, random.exponential(4 * DAY, accounts), 0).astype(np.int64)
    visits = signed_up - SIGN_UP_SECONDS - lag
    first_seen = np.where((lag < HOUR) | (visits < plot.start), signed_up - SIGN_UP_SECONDS, visits)
    looking_days = random.choice(len(weights), size=lookers, p=weights / weights.sum())
    looking = plot.start + looking_days * DAY + times_of_day(random, lookers)

    channel = chance.weighted(random, [channel.weight for channel in CHANNELS], everyone)
    keenness = random.gamma(1.6, 1 / 1.6, everyone) * np.array([channel.keenness for channel in CHANNELS])[channel]
    deletion = np.where(random.random(accounts) < 0.025, DAY + random.exponential(40 * DAY, accounts), NEVER)
    platform = chance.weighted(random, _PLATFORM_WEIGHTS, everyone)
    signed_up = np.concatenate((signed_up, np.full(lookers, NEVER)))
    deleted = np.minimum(signed_up + np.concatenate((deletion, np.full(lookers, NEVER))).astype(np.int64), NEVER)
    second_device, devices = _devices(random, plot, signed_up, np.concatenate((first_seen, looking)), deleted, platform)
    return People(
        user_id=chance.uuids(random, accounts),
        signed_up=signed_up,
        first_seen=np.concatenate((first_seen, looking)),
        deleted=deleted,
        country=chance.weighted(random, [country.weight for country in COUNTRIES], everyone),
        channel=channel,
        platform=platform,
        keenness=np.maximum(keenness, 0.02),
        variants={
            experiment.name: _variants(random, plot, experiment, signed_up) for experiment in (CHECKLIST, PAYWALL)
        },
        second_device=second_device,
        devices=devices,
    )


def _devices(
    random: np.random.Generator, plot: Plot, signed_up: Ints, first_seen: Ints, deleted: Ints, platform: Ints
) -> tuple[Ints, Devices]:
    """The number of each person's second device, and all devices."""
    # A second one comes a week after sign-up at the earliest, when nothing of the first is still on its way.
    after = signed_up + (7 * DAY + random.exponential(60 * DAY, len(signed_up))).astype(np.int64)
    second_used = after - after % DAY + times_of_day(random, len(after), 22)
    has_second = (
        (signed_up < NEVER) & (random.random(len(after)) < 0.2) & (second_used < np.minimum(plot.end, deleted - DAY))
    )
    owners = np.flatnonzero(has_second)
    second_device = np.full(len(after), -1)
    second_device[owners] = len(after) + np.arange(len(owners))
    person = np.concatenate((np.arange(len(after)), owners))
    return second_device, Devices(
        device_id=chance.uuids(random, len(person)),
        person=person,
        platform=np.concatenate((platform, chance.weighted(random, _PLATFORM_WEIGHTS, len(owners)))),
        tied_at=np.concatenate((signed_up, second_used[owners] + _TYING_SECONDS)),
        first_used=np.concatenate((first_seen, second_used[owners])),
        update_lag=random.exponential(5 * DAY, len(person)).astype(np.int64),
    )


def _variants(random: np.random.Generator, plot: Plot, experiment: Experiment, signed_up: Ints) -> Ints:
    begins, ends = plot.span(experiment)
    variant = random.integers(0, 2, len(signed_up))
    return np.where((signed_up >= begins) & (signed_up < ends), variant, -1)


def is_treated(people: People, experiment: Experiment) -> Flags:
    """Whether each person sees the treatment of an experiment."""
    return np.asarray(people.variants[experiment.name] == 1)


def name_of(person: int) -> str:
    """An invented name: nobody's."""
    return f"{_FIRST_NAMES[person % len(_FIRST_NAMES)]} {_LAST_NAMES[person // 7 % len(_LAST_NAMES)]}"
