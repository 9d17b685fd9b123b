"""What alerts there were: since when, until when, what was said, and which are snoozed.

    delivery/alerts.sqlite3     in HOME

An alert is noted when a build first shows it, whether or not anybody may be told then: so what is held back is not
lost. Whom it was told to stands in the ledger of deliveries.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from tailtracker_bi.alerts.judging import Firing
from tailtracker_bi.figures.points import LENGTHS
from tailtracker_bi.readers import Store

FILE = "delivery/alerts.sqlite3"
FORGOTTEN = timedelta(days=60)
"""What began so long before the build's day is told of no more."""
SCHEMA = (
    """
    create table episodes (
        alert text not null,
        what text not null,
        began text not null,
        severity text not null,
        said text not null,
        build text not null,
        ended text,
        over text not null,
        seen_over text,
        is_passed_over integer not null,
        primary key (alert, what, began)
    ) strict, without rowid;

    create table judged (build text primary key, as_of text not null) strict, without rowid;

    create table snoozed (alert text primary key, until text not null) strict, without rowid;
    """,
)


@dataclass(frozen=True)
class Episode:
    """An alert from its onset on; where it is over, `ended` is the first day without it and `over` says so.

    `build` showed it first; `seen_over` is the day of the build that showed its end. `is_passed_over` where it
    came and went while it was snoozed.
    """

    alert: str
    what: str
    began: date
    severity: str
    said: str
    build: str
    ended: date | None = None
    over: str = ""
    seen_over: date | None = None
    is_passed_over: bool = False

    @property
    def key(self) -> str:
        """What it is told apart by in the ledger."""
        return f"alert {self.alert} {self.what}".strip()


class Book:
    """The alerts of one HOME. Each method raises StoreError where the file can't be read or written."""

    def __init__(self, home: Path) -> None:
        self._store = Store(home, FILE, SCHEMA)

    def note(
        self,
        found: Iterable[Firing],
        build: str,
        as_of: date,
        is_judged: Callable[[Episode], bool] = lambda _: True,
    ) -> None:
        """Note what a build shows: what is new, what goes on, what is over.

        Of the past only that is news which a build before could not know. What a build shows no more, as its figures
        were corrected or its source is well again, is over, too, unless it is not judged: nobody knows then.
        """
        [(latest,)] = self._store.rows("select max(build) from judged")
        if latest is not None and latest > build:
            # Readers went back to an earlier build, which knows less.
            return
        [(before,)] = self._store.rows("select max(as_of) from judged where build < ?", build)
        since = None if before is None else date.fromisoformat(before)
        shown: defaultdict[tuple[str, str], list[Firing]] = defaultdict(list)
        for firing in found:
            shown[firing.rules.id, firing.what].append(firing)
        known: defaultdict[tuple[str, str], list[Episode]] = defaultdict(list)
        for episode in self.episodes():
            known[episode.alert, episode.what].append(episode)
        for key in {*shown, *known}:
            known[key] = [
                _gone_on(episode, shown[key], as_of) if shown[key] or is_judged(episode) else episode
                for episode in known[key]
            ]
            for firing in shown[key]:
                known[key] += _news(firing, known[key], build, as_of, since)
        with self._store.writing() as connection:
            connection.execute("insert or ignore into judged values (?, ?)", (build, as_of.isoformat()))
            connection.executemany(
                "insert or replace into episodes values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [_as_row(episode) for own in known.values() for episode in own],
            )

    def episodes(self) -> list[Episode]:
        """All that was noted, the latest first."""
        rows = self._store.rows(
            "select alert, what, began, severity, said, build, ended, over, seen_over, is_passed_over from episodes "
            "order by began desc, alert, what"
        )
        return [
            Episode(
                *(alert, what, date.fromisoformat(began), severity, said, build),
                *(_day(ended), over, _day(seen_over), bool(is_passed_over)),
            )
            for alert, what, began, severity, said, build, ended, over, seen_over, is_passed_over in rows
        ]

    def pass_over(self, episode: Episode) -> None:
        """Tell nobody of an alert that came and went while it was snoozed."""
        with self._store.writing() as connection:
            connection.execute(
                "update episodes set is_passed_over = 1 where alert = ? and what = ? and began = ?",
                (episode.alert, episode.what, episode.began.isoformat()),
            )

    def snooze(self, alert: str, until: datetime) -> None:
        """Tell nobody that an alert began until a moment; if it still is then, it is told."""
        with self._store.writing() as connection:
            connection.execute(
                "insert or replace into snoozed values (?, ?)", (alert, until.astimezone(UTC).isoformat())
            )

    def wake(self, alert: str) -> None:
        with self._store.writing() as connection:
            connection.execute("delete from snoozed where alert = ?", (alert,))

    def snoozed(self, now: datetime) -> dict[str, datetime]:
        """Until when which alerts are snoozed at a moment."""
        rows = self._store.rows("select alert, until from snoozed order by alert")
        found = {alert: datetime.fromisoformat(until) for alert, until in rows}
        return {alert: until for alert, until in found.items() if now < until}


def _gone_on(episode: Episode, shown: Sequence[Firing], as_of: date) -> Episode:
    """An alert that was noted, as a build shows it: corrected figures may move its beginning."""
    if episode.ended is not None:
        return episode
    for firing in shown:
        if firing.ended is None:
            return episode
        if firing.ended > episode.began:
            return _over(episode, firing.ended, as_of)
    over = f"It is over: what is known by {as_of} shows it no more."
    return replace(episode, ended=max(as_of, episode.began), over=over, seen_over=as_of)


def _over(episode: Episode, ended: date, as_of: date) -> Episode:
    return replace(episode, ended=ended, over=f"It is over since {ended}.", seen_over=as_of)


def _news(firing: Firing, known: Sequence[Episode], build: str, as_of: date, since: date | None) -> Iterator[Episode]:
    """What a build shows for the first time; `since` is the day of the build before it."""
    last = max((episode.ended for episode in known if episode.ended is not None), default=date.min)
    began = max(firing.began, last)
    episode = Episode(firing.rules.id, firing.what, began, firing.rules.severity, firing.said, build)
    if firing.ended is None:
        if as_of - began <= FORGOTTEN and all(one.ended is not None for one in known):
            yield episode
    elif firing.ended > last and since is not None and (began + LENGTHS[firing.rules.grain]).date() > since:
        yield _over(episode, firing.ended, as_of)


def _day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)


def _as_row(episode: Episode) -> tuple[object, ...]:
    ended, seen_over = (None if day is None else day.isoformat() for day in (episode.ended, episode.seen_over))
    return (
        *(episode.alert, episode.what, episode.began.isoformat(), episode.severity, episode.said, episode.build),
        *(ended, episode.over, seen_over, int(episode.is_passed_over)),
    )
