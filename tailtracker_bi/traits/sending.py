"""Sends what changed to Mixpanel by its own client, in batches, and keeps what was told.

    traits/told.sqlite3     in HOME

Of each user it holds a keyed hash and a digest of what their profile was told: no id, no trait. A batch is noted once
it was taken. What was sent and not noted, as the process died, is sent again, which changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from tailtracker_bi.crash_points import reached
from tailtracker_bi.errors import TailTrackerError
from tailtracker_bi.readers import Store
from tailtracker_bi.runs import Progress, locked
from tailtracker_bi.settings import Settings
from tailtracker_bi.sources import MixpanelSettings, readable
from tailtracker_bi.traits.profiles import PROPERTIES, Profiles, current_profiles
from tailtracker_bi.warehouse import Engine, engine_of

FILE = "traits/told.sqlite3"
MOST_AT_ONCE = 2_000
"""Profiles of a request, as many as Mixpanel takes."""
SECONDS = 60.0
SCHEMA = (
    """
    create table secret (key blob not null);
    insert into secret values (randomblob(32));

    create table told (user text primary key, digest text not null, told_at text not null) strict, without rowid;
    """,
)


class Told:
    """What profiles were told, of one HOME. Each method raises StoreError where the file can't be read or written."""

    def __init__(self, home: Path) -> None:
        self._store = Store(home, FILE, SCHEMA)

    def digests(self) -> dict[str, str]:
        """Of what each was told, by the hash of the user."""
        return dict(self._store.rows("select user, digest from told"))

    def hashed(self, user: str) -> str:
        return self._store.reader(user)

    def note(self, told: Mapping[str, str | None]) -> None:
        """By the hash of the user, the digest of what their profile has now; None where nothing is left there."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with self._store.writing() as connection:
            for user, digest in told.items():
                if digest is None:
                    connection.execute("delete from told where user = ?", (user,))
                else:
                    connection.execute("insert or replace into told values (?, ?, ?)", (user, digest, now))


@dataclass(frozen=True)
class Plan:
    """What is to be sent: whose profile is told what, and from whose all of it is taken away.

    `too_old` says why nothing that changed is told; empty where it is.
    """

    told: Mapping[str, Mapping[str, str]]
    removed: tuple[str, ...]
    unchanged: int
    without_consent: int
    too_old: str = ""

    @property
    def requests(self) -> int:
        return -(-len(self.told) // MOST_AT_ONCE) + -(-len(self.removed) // MOST_AT_ONCE)


def planned(profiles: Profiles, told: Told) -> Plan:
    """What differs from what was told last; of who does not consent any more, or is gone, all is taken away."""
    known = told.digests()
    hashes = {user: told.hashed(user) for user in profiles.users}
    current = {} if profiles.too_old else profiles.told
    changed = {user: own for user, own in current.items() if known.get(hashes[user]) != _digest(own)}
    removed = sorted(user for user in profiles.users - profiles.told.keys() if hashes[user] in known)
    return Plan(changed, tuple(removed), len(current) - len(changed), profiles.without_consent, profiles.too_old)


def update_profiles(
    settings: Settings,
    progress: Progress,
    profiles_by: Callable[[Settings, Engine], Profiles] = current_profiles,
    *,
    is_dry: bool = False,
) -> Plan:
    """Under the lock of HOME, tell profiles what changed since the last time, and say what that was; dry, it only says.

    Raises TailTrackerError.
    """
    with locked(settings.home, progress):
        told = Told(settings.home)
        plan = planned(profiles_by(settings, engine_of(settings)), told)
        if not is_dry:
            send(plan, settings.of(MixpanelSettings), told)
    return plan


def send(plan: Plan, settings: MixpanelSettings, told: Told) -> None:
    """Send it, what is taken away first. Raises TailTrackerError; what was taken until then is noted."""
    from mixpanel import Consumer, Mixpanel, MixpanelException

    if settings.token is None:
        raise TailTrackerError("traits: MIXPANEL_TOKEN is not set")
    consumer = Consumer(people_url=settings.profiles_url, request_timeout=SECONDS)
    # What is told of people is for no other host than this one.
    consumer._session.max_redirects = 0
    batch = _Batch(consumer)
    client = Mixpanel(settings.token.get_secret_value(), consumer=batch)
    # Nobody was seen by it, nowhere.
    meta = {"$ignore_time": True, "$ip": 0}
    try:
        for users in _batches(plan.removed):
            for user in users:
                client.people_unset(user, [*PROPERTIES.values()], meta)
            batch.send_all()
            reached("traits.sent")
            told.note({told.hashed(user): None for user in users})
        for users in _batches(plan.told):
            for user in users:
                client.people_set(user, dict(plan.told[user]), meta)
            batch.send_all()
            reached("traits.sent")
            told.note({told.hashed(user): _digest(plan.told[user]) for user in users})
    except MixpanelException as error:
        why = readable(str(error), settings.secrets)
        raise TailTrackerError(
            f"traits: Mixpanel did not take profiles: {why}; the next run goes on from there"
        ) from None


class _Batch:
    """Takes the client's messages one by one, and sends them as one: its own buffer holds no more than 50."""

    def __init__(self, consumer: Any) -> None:
        self._consumer, self._messages = consumer, list[str]()

    def send(self, endpoint: str, json_message: str, api_key: object = None, api_secret: object = None) -> None:
        del endpoint, api_key, api_secret
        self._messages.append(json_message)

    def send_all(self) -> None:
        messages, self._messages = self._messages, []
        self._consumer.send("people", f"[{','.join(messages)}]")


def _batches(users: Iterable[str]) -> Iterator[list[str]]:
    waiting = iter(users)
    while batch := list(islice(waiting, MOST_AT_ONCE)):
        yield batch


def _digest(traits: Mapping[str, str]) -> str:
    return hashlib.sha256(orjson.dumps(traits, option=orjson.OPT_SORT_KEYS)).hexdigest()
