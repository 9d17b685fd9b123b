"""What the app's database can hold of the story at a moment, and how it writes it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl

from tailtracker_bi.sandbox.story import chance
from tailtracker_bi.sandbox.story.chance import Flags, Ints, between
from tailtracker_bi.sandbox.story.money import Customer
from tailtracker_bi.sandbox.story.plot import NEVER
from tailtracker_bi.sandbox.story.story import Story

Row = dict[str, Any]


class View:
    """The story at one moment. What belongs to a deleted account is gone with it."""

    def __init__(self, story: Story, now: int) -> None:
        self.now = now
        self.plot, self.people, self.plans = story.plot, story.people, story.plans
        self.pets, self.alerts, self.customers = story.pets, story.alerts, story.customers
        self.users = story.people.user_id
        accounts = story.people.accounts
        self.is_there: Flags = (story.people.signed_up[:accounts] <= now) & (story.people.deleted[:accounts] > now)
        self.pets_there: Ints = np.flatnonzero((story.pets.created <= now) & self.is_there[story.pets.person])
        self.subscription_ids = ids_of("subscription", np.arange(accounts))
        self._who_stays = np.flatnonzero(story.people.deleted[:accounts] == NEVER)

    def somebody(self, key: Ints) -> Ints:
        """Somebody with an account that stays, for each key."""
        return self._who_stays[between(key, "somebody", 0, len(self._who_stays) - 1)]

    def customers_there(self) -> Iterator[Customer]:
        """Whose accounts are there."""
        return (customer for customer in self.customers if self.is_there[customer.person])


def ids_of(kind: str, numbers: Ints) -> pl.Series:
    """The UUIDs of things of a kind."""
    return chance.uuids_of(numbers, kind)


def moments_of(times: Ints) -> pl.Series:
    """Times as Postgres writes them, null for what has not happened."""
    series = pl.Series("time", times, pl.Int64)
    return pl.from_epoch(series).dt.strftime("%Y-%m-%d %H:%M:%S+00").set(series >= NEVER, None)


def moment_of(at: int) -> str:
    """A time as Postgres writes it."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S+00")


def frame_of(rows: Iterator[Row], columns: str) -> pl.DataFrame:
    """Rows as a table that has its columns also where there is no row."""
    return pl.DataFrame(list(rows), dict.fromkeys(columns.split()), infer_schema_length=None)
