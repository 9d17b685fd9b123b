"""The story's events as Mixpanel's raw export gives them: a line of JSON an event, a file a UTC day."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tailtracker_bi.sandbox.shown.files import replaced
from tailtracker_bi.sandbox.story import chance
from tailtracker_bi.sandbox.story.behaviour import FEATURES, FREE_FEATURES, FUNNEL_STEPS, KINDS, NOBODY, TESTER, Events
from tailtracker_bi.sandbox.story.billing import TRIAL_DAYS
from tailtracker_bi.sandbox.story.chance import between, is_chosen, picked
from tailtracker_bi.sandbox.story.money import TIERS, failed_attempts, major_units
from tailtracker_bi.sandbox.story.people import CHANNELS, COUNTRIES, PLATFORMS
from tailtracker_bi.sandbox.story.pets import BREEDS, CHANNELS_OF_SHARES, SPECIES
from tailtracker_bi.sandbox.story.plot import CHECKLIST, DAY, PAYWALL, VARIANTS, dates_of
from tailtracker_bi.sandbox.story.story import Progress, Story

Columns = dict[str, Any]
"""Properties: a series or array with a value for each event, or one value for all."""

_CHUNK = 60_000
"""How many events are put into words at a time."""
_OS = {"ios": ("iOS",), "android": ("Android",), "web": ("Mac OS X", "Windows", "Linux")}
_MODELS = {
    "ios": ("iPhone14,7", "iPhone15,4", "iPhone16,1", "iPhone17,3", "iPad13,18"),
    "android": ("SM-S911B", "SM-A546B", "Pixel 8", "Pixel 7a", "2201117TG"),
    "web": ("desktop",),
}
_LIBRARIES = {"ios": "swift", "android": "android", "web": "web"}
_SCREENS = ("home", "pet", "health", "map", "community", "settings")


def write(story: Story, directory: Path, now: int, before: int | None, progress: Progress) -> None:
    """Files of all days that have begun; given `before`, of those into which something arrived since then."""
    directory.mkdir(parents=True, exist_ok=True)
    events, plot = story.events, story.plot
    days = np.arange(min((now - plot.start) // DAY + 1, plot.days + plot.ahead))
    if before is not None:
        arrived = (events.arrived > before) & (events.arrived <= now)
        changed = np.unique((events.time[arrived] - plot.start) // DAY)
        days = days[np.isin(days, changed) | (days >= (before - plot.start) // DAY)]
    bounds = np.searchsorted(events.time, plot.start + np.stack((days, days + 1)) * DAY)
    sizes = bounds[1] - bounds[0]
    chunks = np.split(np.arange(len(days)), np.flatnonzero(np.diff(np.cumsum(sizes) // _CHUNK)) + 1)
    words = _Words(story)

    def write_some(places: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
        parts = [np.arange(bounds[0, place], bounds[1, place]) for place in places]
        rows = events.rows(np.concatenate(parts) if parts else np.array([], np.int64))
        rows = rows.rows(rows.arrived <= now)
        lines = words.lines(rows)
        ends = np.searchsorted(rows.time, plot.start + (days[places] + 1) * DAY)
        for place, first, last in zip(places, [0, *ends[:-1]], ends, strict=True):
            text = "".join(f"{line}\n" for line in lines[first:last])
            with replaced(directory / f"{plot.first + timedelta(days=int(days[place]))}.jsonl.gz") as file:
                file.write(gzip.compress(text.encode(), 1, mtime=0))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done, _ in enumerate(pool.map(write_some, chunks)):
            progress("mixpanel: days", done, len(chunks))


@dataclass(frozen=True)
class _Sender:
    """Which events have the same properties of the SDK."""

    has_device: bool
    has_user: bool
    is_test: bool


class _Words:
    """Puts events into words."""

    def __init__(self, story: Story) -> None:
        self._story = story
        people, devices = story.people, story.people.devices
        number = np.arange(len(devices.person))
        self._users = people.user_id
        self._devices = pl.DataFrame(
            {
                "device_id": devices.device_id,
                "os": _by_platform(devices.platform, number, "os", _OS),
                "model": _by_platform(devices.platform, number, "model", _MODELS),
                "platform": pl.Series(PLATFORMS).gather(devices.platform),
                "lib": pl.Series([_LIBRARIES[platform] for platform in PLATFORMS]).gather(devices.platform),
                "country": pl.Series([country.code for country in COUNTRIES]).gather(people.country[devices.person]),
                "city": _by_country(people.country[devices.person], devices.person),
            }
        )
        self._failed = failed_attempts(story.customers)
        self._versions = pl.Series([name for name, _ in story.plot.releases])

    def lines(self, rows: Events) -> list[str]:
        """A line of JSON for each event, in their order."""
        if len(rows) == 0:
            return []
        devices = self._story.people.devices
        has_device = rows.device != NOBODY
        has_user = np.where(has_device, rows.time >= devices.tied_at[rows.device], rows.person >= 0)
        groups = rows.kind * np.int64(8) + has_device * 4 + has_user * 2 + (rows.person == TESTER)
        found = []
        for group in np.unique(groups).tolist():
            places = np.flatnonzero(groups == group)
            sender = _Sender(bool(group & 4), bool(group & 2), bool(group & 1))
            found.append(self._worded(rows.rows(places), KINDS[group // 8], sender).with_columns(place=places))
        return pl.concat(found).sort("place")["line"].to_list()

    def _worded(self, rows: Events, name: str, sender: _Sender) -> pl.DataFrame:
        own = _PROPERTIES[name](self, rows) if name in _PROPERTIES else {}
        columns = {**self._sdk(rows, sender), **own}
        frame = pl.DataFrame({"time": rows.time}).with_columns(
            **{key: pl.Series(value) if isinstance(value, np.ndarray) else value for key, value in columns.items()}
            | {key: pl.lit(value) for key, value in columns.items() if not isinstance(value, np.ndarray | pl.Series)}
        )
        event = pl.struct(event=pl.lit(name), properties=pl.struct(pl.all()))
        return frame.select(line=event.struct.json_encode())

    def _sdk(self, rows: Events, sender: _Sender) -> Columns:
        """What the SDK, or a server's library, adds to each event."""
        processed = rows.arrived * 1000 + between(rows.arrived + rows.number, "processed", 0, 999)
        columns: Columns = {
            "$insert_id": chance.letters(rows.number, f"insert {self._story.scenario.seed}"),
            "mp_processing_time_ms": processed,
        }
        if sender.is_test:
            return {"distinct_id": picked(rows.number, "tester", _TESTERS), **columns, "mp_lib": "load-test"}
        users = self._users.gather(rows.person) if sender.has_user else None
        if not sender.has_device:
            who: Columns = {"distinct_id": "server"} if users is None else {"distinct_id": users, "$user_id": users}
            return {**who, **columns, "mp_lib": "node"}
        device = self._devices[rows.device]
        who = {"distinct_id": "$device:" + device["device_id"]}
        if users is not None:
            who = {"distinct_id": users, "$user_id": users}
        return {
            **who,
            "$device_id": device["device_id"],
            **columns,
            "$os": device["os"],
            "$model": device["model"],
            "$app_version_string": self._versions.gather(rows.version),
            "mp_country_code": device["country"],
            "$city": device["city"],
            "mp_lib": device["lib"],
        }

    def first_open(self, rows: Events) -> Columns:
        return {"$ae_first_app_open_date": dates_of(rows.time).cast(pl.String)}

    def session(self, rows: Events) -> Columns:
        return {"$ae_session_length": rows.value}

    def updated(self, rows: Events) -> Columns:
        return {"$ae_updated_version": self._versions.gather(rows.version)}

    def crashed(self, rows: Events) -> Columns:
        return {"$ae_crashed_reason": picked(rows.number, "crash", ("SIGSEGV", "OutOfMemory", "NullPointerException"))}

    def registration(self, rows: Events) -> Columns:
        people = self._story.people
        device = self._devices[rows.device]
        channel = people.channel[rows.person]
        return {
            "registration_method": picked(rows.number, "method", ("email", "apple", "google")),
            "platform": device["platform"],
            "device_type": _device_types(device),
            "referrer": pl.Series([each.source for each in CHANNELS]).gather(channel),
            "utm_source": pl.Series([each.source for each in CHANNELS]).gather(channel),
            "utm_medium": pl.Series([each.medium for each in CHANNELS]).gather(channel),
            "utm_campaign": pl.Series([each.source and f"{each.source}_always_on" for each in CHANNELS]).gather(
                channel
            ),
            "country": device["country"],
            "email": "user" + pl.Series(rows.person).cast(pl.String) + "@example.com",
            "user_agent": "TailTracker/" + self._versions.gather(rows.version) + " (" + device["os"] + ")",
        }

    def login(self, rows: Events) -> Columns:
        device = self._devices[rows.device]
        return {
            "login_method": picked(rows.number, "login", ("email", "apple", "google", "biometric")),
            "platform": device["platform"],
            "device_type": _device_types(device),
            "session_id": chance.letters(rows.number, "session"),
        }

    def pet(self, rows: Events) -> Columns:
        pets = self._story.pets
        return {
            "pet_id": pets.pet_id.gather(rows.subject),
            "pet_type": pl.Series(SPECIES).gather(pets.species[rows.subject]),
            "pet_breed": breeds(pets.species[rows.subject], rows.subject),
            "pet_age": between(rows.subject, "age", 0, 14),
            "has_photo": is_chosen(rows.subject, "photo", 0.6),
            "has_microchip": is_chosen(rows.subject, "microchip", 0.5),
            "location_enabled": pets.has_location[rows.subject],
        }

    def location(self, rows: Events) -> Columns:
        return {"platform": self._devices[rows.device]["platform"]}

    def alert(self, rows: Events) -> Columns:
        alerts = [self._story.alerts[number] for number in rows.subject]
        pets = np.array([alert.pet for alert in alerts])
        return {
            **self.of_alert(rows),
            "pet_id": self._story.pets.pet_id.gather(pets),
            "pet_type": pl.Series(SPECIES).gather(self._story.pets.species[pets]),
            "alert_type": picked(rows.subject, "alert type", ("lost", "lost", "stolen")),
            "location_lat": 47 + between(rows.subject, "lat", 0, 99_999) / 100_000,
            "location_lng": 8 + between(rows.subject, "lng", 0, 99_999) / 100_000,
            "has_reward": [alert.reward > 0 for alert in alerts],
            "reward_amount": [alert.reward for alert in alerts],
            "emergency_contacts": between(rows.subject, "contacts", 0, 3),
            "social_share_enabled": is_chosen(rows.subject, "social", 0.7),
        }

    def of_alert(self, rows: Events) -> Columns:
        return {"alert_id": pl.Series([self._story.alerts[number].alert_id for number in rows.subject])}

    def share(self, rows: Events) -> Columns:
        return {**self.of_alert(rows), "channel": pl.Series(CHANNELS_OF_SHARES).gather(rows.value)}

    def recovery(self, rows: Events) -> Columns:
        alerts = [self._story.alerts[number] for number in rows.subject]
        return {
            **self.of_alert(rows),
            "pet_id": self._story.pets.pet_id.gather([alert.pet for alert in alerts]),
            "recovery_method": pl.Series([alert.recovery for alert in alerts]),
            "time_missing": pl.Series([round((alert.found - alert.created) / 3600, 2) for alert in alerts]),
            "recovery_location_distance": between(rows.subject, "distance", 20, 9000),
            "reward_paid": pl.Series([alert.reward > 0 and alert.recovery == "found_by_stranger" for alert in alerts]),
        }

    def conversion(self, rows: Events) -> Columns:
        customers = [self._story.customers[number] for number in rows.subject]
        begun = [each.subscriptions[place] for each, place in zip(customers, rows.value, strict=True)]
        prices = [subscription.terms[0][1] for subscription in begun]
        signed_up = self._story.people.signed_up[rows.person]
        return {
            "subscription_id": pl.Series([subscription.subscription_id for subscription in begun]),
            "plan_type": pl.Series([price.tier for price in prices]),
            "billing_cycle": pl.Series([price.cycle_in_app for price in prices]),
            "price": pl.Series([float(major_units(price.cents, price.currency)) for price in prices]),
            "currency": pl.Series([price.currency.upper() for price in prices]),
            "payment_method": "card",
            "trial_days": pl.Series([TRIAL_DAYS if subscription.trial_ends else 0 for subscription in begun]),
            "discount_code": pl.Series(
                [subscription.coupon.coupon_id if subscription.coupon else None for subscription in begun],
                dtype=pl.String,
            ),
            "conversion_source": pl.Series([subscription.source for subscription in begun]),
            "days_from_registration": (rows.time - signed_up) // DAY,
        }

    def payment_failed(self, rows: Events) -> Columns:
        failed = [self._failed[number] for number in rows.subject]
        return {
            "payment_id": pl.Series([payment.payment_id for _, payment, _ in failed]),
            "failure_reason": pl.Series([payment.attempts[number].code for _, payment, number in failed]),
            "payment_method": "card",
            "amount": pl.Series([float(major_units(each.cents, each.currency)) for _, each, _ in failed]),
            "currency": pl.Series([payment.currency.upper() for _, payment, _ in failed]),
            "retry_count": pl.Series([number for _, _, number in failed]),
        }

    def feature(self, rows: Events) -> Columns:
        return {
            "feature": pl.Series(FEATURES).gather(rows.value),
            "screen": picked(rows.number, "screen", _SCREENS),
            "action": picked(rows.number, "action", ("open", "open", "save", "share")),
            "value": between(rows.number, "value", 1, 20),
            "is_premium_feature": rows.value >= FREE_FEATURES,
            "subscription_status": pl.Series(TIERS).gather(rows.subject),
        }

    def performance(self, rows: Events) -> Columns:
        device = self._devices[rows.device]
        return {
            "screen": picked(rows.number, "screen", _SCREENS),
            "load_time": between(rows.number, "load", 2100, 9000),
            "memory_usage": between(rows.number, "memory", 180, 900),
            "network_type": picked(rows.number, "network", ("wifi", "4g", "4g", "5g")),
            "device_type": _device_types(device),
            "os_version": picked(rows.number, "os version", ("14", "15", "16", "17")),
            "app_version": self._versions.gather(rows.version),
        }

    def step(self, rows: Events) -> Columns:
        return {"funnel_step": pl.Series(FUNNEL_STEPS).gather(rows.value), "step_data": "{}"}

    def exposure(self, rows: Events) -> Columns:
        return {
            "test_name": pl.Series([CHECKLIST.name, PAYWALL.name]).gather(rows.subject),
            "variant": pl.Series(VARIANTS).gather(rows.value),
        }

    def report(self, rows: Events) -> Columns:
        return {"report_date": dates_of(rows.time - DAY).cast(pl.String)}


_TESTERS = tuple(f"load-test-{number}" for number in range(5))
_PROPERTIES: dict[str, Callable[[_Words, Events], Columns]] = {
    "$ae_first_open": _Words.first_open,
    "$ae_session": _Words.session,
    "$ae_updated": _Words.updated,
    "$ae_crashed": _Words.crashed,
    "User Registration": _Words.registration,
    "User Login": _Words.login,
    "Pet Profile Created": _Words.pet,
    "Location Services Enabled": _Words.location,
    "Lost Pet Alert Created": _Words.alert,
    "Alert Shared": _Words.share,
    "Search Initiated": _Words.of_alert,
    "Pet Recovered": _Words.recovery,
    "Subscription Conversion": _Words.conversion,
    "Payment Failed": _Words.payment_failed,
    "Feature Used": _Words.feature,
    "App Performance Issue": _Words.performance,
    "Conversion Funnel": _Words.step,
    "AB Test Exposure": _Words.exposure,
    "Business Metrics Report": _Words.report,
    "Daily Report Generated": _Words.report,
}


def breeds(species: Any, numbers: Any) -> pl.Series:
    """A breed for each pet of these species."""
    found = np.empty(len(species), object)
    for place, name in enumerate(SPECIES):
        found[species == place] = picked(numbers[species == place], "breed", BREEDS[name]).to_list()
    return pl.Series(found.tolist(), dtype=pl.String)


def _by_platform(platform: Any, numbers: Any, salt: str, choices: dict[str, tuple[str, ...]]) -> pl.Series:
    found = np.empty(len(platform), object)
    for place, name in enumerate(PLATFORMS):
        found[platform == place] = picked(numbers[platform == place], salt, choices[name]).to_list()
    return pl.Series(found.tolist(), dtype=pl.String)


def _by_country(country: Any, person: Any) -> pl.Series:
    found = np.empty(len(country), object)
    for place, each in enumerate(COUNTRIES):
        found[country == place] = picked(person[country == place], "city", each.cities).to_list()
    return pl.Series(found.tolist(), dtype=pl.String)


def _device_types(device: pl.DataFrame) -> pl.Series:
    types = pl.when(device["platform"] == "web").then(pl.lit("desktop"))
    is_tablet = device["model"].str.starts_with("iPad")
    return pl.select(types.when(is_tablet).then(pl.lit("tablet")).otherwise(pl.lit("phone"))).to_series()
