"""Notes that readers write on days: shown on all charts of those days, or on those of one metric or one page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from tailtracker_bi.privacy import mask_text
from tailtracker_bi.readers.store import Store, UnfitError

LONGEST_TITLE = 120
MOST_OF_ONE, MOST_OF_ALL = 200, 2_000
_AN_ID = re.compile(r"[a-z0-9_]{1,80}")


@dataclass(frozen=True)
class Note:
    """What somebody noted on a day, or on days from the first to the last; of one metric, of one page, or of all."""

    title: str
    first_day: date
    last_day: date | None = None
    metric_id: str | None = None
    page: str | None = None
    note_id: int = 0
    reader: str = ""


def notes(store: Store) -> Sequence[Note]:
    """Those of all readers, by their days. Raises StoreError."""
    found = store.rows(
        "select title, first_day, last_day, metric_id, page, note_id, reader from notes order by first_day, note_id"
    )
    return store.understood(lambda row: Note(row[0], _day(row[1]), row[2] and _day(row[2]), *row[3:]), found)


def write_note(store: Store, reader: str, note: Note, now: datetime) -> None:
    """Keep a note. Raises UnfitError, which says what is wrong with it, and StoreError."""
    values = _fit(note)
    with store.writing() as connection:
        [(of_all, own)] = connection.execute("select count(*), count(*) filter (where reader = ?) from notes", [reader])
        if own >= MOST_OF_ONE or of_all >= MOST_OF_ALL:
            whose = f"You have {own:,} notes" if own >= MOST_OF_ONE else f"There are {of_all:,} notes"
            raise UnfitError(f"{whose}, which is as many as are kept: remove some first.")
        connection.execute(
            "insert into notes (title, first_day, last_day, metric_id, page, reader, written_at) "
            "values (?, ?, ?, ?, ?, ?, ?)",
            [*values, reader, f"{now:%Y-%m-%dT%H:%M:%SZ}"],
        )


def change_note(store: Store, reader: str, note_id: int, note: Note) -> None:
    """Put another in the place of a note of one's own. Raises UnfitError and StoreError."""
    values = _fit(note)
    with store.writing() as connection:
        changed = connection.execute(
            "update notes set title = ?, first_day = ?, last_day = ?, metric_id = ?, page = ? "
            "where note_id = ? and reader = ?",
            [*values, note_id, reader],
        )
        if not changed.rowcount:
            raise UnfitError("That note is gone, or it is not yours.")


def remove_note(store: Store, reader: str | None, note_id: int) -> None:
    """Remove a note of one's own, or, where no reader is named, anybody's. Raises UnfitError and StoreError."""
    with store.writing() as connection:
        removed = connection.execute(
            "delete from notes where note_id = ? and reader = coalesce(?, reader)", [note_id, reader]
        )
        if not removed.rowcount:
            raise UnfitError("That note is gone, or it is not yours.")


def one_line(text: str, what: str, longest: int) -> str:
    """Text of people as it is kept: on one line, without what can't be seen. Raises UnfitError."""
    line = "".join(sign for sign in " ".join(text.split()) if sign.isprintable())
    if not line:
        raise UnfitError(f"{what} is missing.")
    if len(line) > longest:
        raise UnfitError(f"{what} has {len(line):,} characters; {longest:,} fit.")
    return line


def _fit(note: Note) -> list[str | None]:
    """Its values as they are kept, without personal data in the title."""
    title = mask_text(one_line(note.title, "The title", LONGEST_TITLE))
    if note.last_day is not None and note.last_day < note.first_day:
        raise UnfitError("The last day is before the first.")
    for one in (note.metric_id, note.page):
        if one is not None and not _AN_ID.fullmatch(one):
            raise UnfitError("There is no such metric or page.")
    last_day = None if note.last_day in {None, note.first_day} else str(note.last_day)
    return [title, str(note.first_day), last_day, note.metric_id, note.page]


def _day(text: str) -> date:
    return date.fromisoformat(text)
