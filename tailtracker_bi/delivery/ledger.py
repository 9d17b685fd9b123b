"""What was sent of which report to whom: the file that keeps a report from going out twice, or not at all.

    delivery/deliveries.sqlite3     in HOME

A delivery is noted as begun before it is tried and as sent when it was: one that was begun and never ended, because the
process died, is tried again and marked, as nobody can tell whether it arrived. Who gets a report is a keyed hash, and
how their address begins.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import orjson

from tailtracker_bi.privacy import hash_personal_id
from tailtracker_bi.readers import Store

FILE = "delivery/deliveries.sqlite3"
ABANDONED = timedelta(minutes=10)
"""After so long nobody is at a delivery any more that was begun: each try ends far earlier."""
SCHEMA = (
    """
    create table deliveries (
        report text not null,
        period_start text not null,
        revision integer not null,
        channel text not null,
        recipient text not null,
        shown text not null,
        state text not null check (state in ('begun', 'sent', 'failed')),
        build text not null,
        headline text not null,
        is_troubled integer not null,
        tries integer not null,
        may_be_twice integer not null,
        changed_at text not null,
        error text not null,
        primary key (report, period_start, revision, channel, recipient)
    ) strict, without rowid;

    create table secret (key blob not null);
    insert into secret values (randomblob(32));

    create table paused (report text primary key, since text not null) strict, without rowid;
    """,
)


@dataclass(frozen=True)
class Sent:
    """What was said last of a period: by which build, which revision, the figures of the headline by metric."""

    revision: int
    build: str
    headline: Mapping[str, float | None]


@dataclass(frozen=True)
class Delivery:
    """A report to somebody on a channel; `state` is begun, sent or failed."""

    report: str
    period_start: str
    revision: int
    channel: str
    shown: str
    state: str
    build: str
    tries: int
    may_be_twice: bool
    changed_at: str
    error: str


@dataclass(frozen=True)
class Claim:
    """A delivery that is this process's to try; `may_be_twice` where an earlier try may have arrived."""

    report: str
    period_start: date
    revision: int
    channel: str
    recipient: str
    may_be_twice: bool


class Ledger:
    """The deliveries of one HOME. Each method raises StoreError where the file can't be read or written."""

    def __init__(self, home: Path) -> None:
        self._store = Store(home, FILE, SCHEMA)

    def claim(
        self,
        report: str,
        period_start: date,
        revision: int,
        channel: str,
        recipient: str,
        *,
        shown: str,
        build: str,
        headline: Mapping[str, float | None],
        is_troubled: bool,
    ) -> Claim | None:
        """Note that a delivery is begun; None where it was sent, or another process is at it."""
        now = datetime.now(UTC)
        key = (report, period_start.isoformat(), revision, channel, recipient)
        with self._store.writing() as connection:
            found = connection.execute(
                "select state, tries, may_be_twice, changed_at from deliveries where report = ? and period_start = ? "
                "and revision = ? and channel = ? and recipient = ?",
                key,
            ).fetchone()
            state, tries, may_be_twice, changed_at = found or ("", 0, 0, "")
            if state == "sent":
                return None
            if state == "begun":
                if now - datetime.fromisoformat(changed_at) < ABANDONED:
                    return None
                may_be_twice = 1
            connection.execute(
                "insert or replace into deliveries values (?, ?, ?, ?, ?, ?, 'begun', ?, ?, ?, ?, ?, ?, '')",
                (
                    *(*key, shown, build, orjson.dumps(headline).decode()),
                    *(is_troubled, tries + 1, may_be_twice, now.isoformat()),
                ),
            )
        return Claim(report, period_start, revision, channel, recipient, bool(may_be_twice))

    def end(self, claim: Claim, error: str = "", may_have_arrived: bool = False) -> None:
        """Note that a delivery arrived or, with an error, that it did not, or that nobody can tell."""
        with self._store.writing() as connection:
            connection.execute(
                "update deliveries set state = ?, error = ?, changed_at = ?, may_be_twice = max(may_be_twice, ?) "
                "where report = ? and period_start = ? and revision = ? and channel = ? and recipient = ?",
                (
                    *("failed" if error else "sent", error, datetime.now(UTC).isoformat(), may_have_arrived),
                    *(claim.report, claim.period_start.isoformat()),
                    *(claim.revision, claim.channel, claim.recipient),
                ),
            )

    def hashed(self, recipient: str) -> str:
        """Who somebody is here: a keyed hash of their address."""
        [(key,)] = self._store.rows("select key from secret")
        return hash_personal_id(recipient, key)

    def recipients(self, report: str, period_start: date, revision: int) -> set[tuple[str, str]]:
        """Who has got a revision, by channel and hash."""
        rows = self._store.rows(
            "select channel, recipient from deliveries where report = ? and period_start = ? and revision = ? "
            "and state = 'sent'",
            report,
            period_start.isoformat(),
            revision,
        )
        return {(channel, recipient) for channel, recipient in rows}

    def last_sent(self, report: str, period_start: date) -> Sent | None:
        """What was said last of a period, to anybody."""
        return next(
            self._sent("report = ? and period_start = ? and state = 'sent'", report, period_start.isoformat()), None
        )

    def last_build(self, report: str, before: date) -> str | None:
        """The build that the report on an earlier period was last sent from."""
        sent = self._sent("report = ? and period_start < ? and state = 'sent'", report, before.isoformat())
        return next((one.build for one in sent), None)

    def _sent(self, where: str, *of: object) -> Iterator[Sent]:
        rows = self._store.rows(
            f"select revision, build, headline from deliveries where {where} "  # noqa: S608 - texts of this file
            "order by period_start desc, revision desc, changed_at desc limit 1",
            *of,
        )
        return (Sent(revision, build, orjson.loads(headline)) for revision, build, headline in rows)

    def has_failed(self, report: str, period_start: date) -> bool:
        """Whether somebody was to get a period and, as far as is known, did not."""
        [(failed,)] = self._store.rows(
            "select count(*) from deliveries where report = ? and period_start = ? and state <> 'sent'",
            report,
            period_start.isoformat(),
        )
        return bool(failed)

    def revision(self, report: str, period_start: date) -> int:
        """The highest revision of a period that was begun; 0 where none was."""
        [(highest,)] = self._store.rows(
            "select coalesce(max(revision), 0) from deliveries where report = ? and period_start = ?",
            report,
            period_start.isoformat(),
        )
        return int(highest)

    def deliveries(self, most: int = 100) -> list[Delivery]:
        """The latest first."""
        rows = self._store.rows(
            "select report, period_start, revision, channel, shown, state, build, tries, may_be_twice, changed_at, "
            "error from deliveries order by changed_at desc limit ?",
            most,
        )
        return [Delivery(*row) for row in rows]

    def pause(self, report: str) -> None:
        """Send nothing of a report until it is resumed."""
        with self._store.writing() as connection:
            now = datetime.now(UTC).isoformat(timespec="seconds")
            connection.execute("insert or ignore into paused values (?, ?)", (report, now))

    def resume(self, report: str) -> None:
        with self._store.writing() as connection:
            connection.execute("delete from paused where report = ?", (report,))

    def paused(self) -> dict[str, str]:
        """Since when which report is paused."""
        return dict(self._store.rows("select report, since from paused order by report"))

    def forget(self, report: str, period_start: date) -> int:
        """Let a period be sent anew; how many deliveries were forgotten."""
        with self._store.writing() as connection:
            found = connection.execute(
                "delete from deliveries where report = ? and period_start = ?", (report, period_start.isoformat())
            )
            return found.rowcount

    def close(self) -> None:
        """Let the file go."""
        self._store.close()
