"""What pages take from what readers write, and give to it. Who is reading is what `access` says, asked each time.

Whoever may not write is refused here, whatever the page has checked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

from dashboards import access, data
from tailtracker_bi import readers
from tailtracker_bi.access import Right
from tailtracker_bi.bundle import Bundle
from tailtracker_bi.figures.wording import day
from tailtracker_bi.readers import Look, Note, SavedView, Store, StoreError, UnfitError, store_of
from tailtracker_bi.settings import load_reader_settings

AHEAD = timedelta(days=366)
"""How far from today a note may lie: of what is planned."""
NOTES = "Notes"


@dataclass(frozen=True)
class Kept:
    """What is kept that a page shows; `trouble` says what could not be read or written, else it is empty."""

    reader: str = ""
    notes: Sequence[Note] = ()
    look: Look | None = None
    """The build that the reader knows."""
    trouble: str = ""


def kept(build: Bundle) -> Kept:
    """What is kept for who looks at a build; that they do is noted. Raises AccessError, and nothing else."""
    identity, store = access.identity(), _store()
    found = Kept()
    try:
        found = Kept(store.reader(identity), readers.notes(store))
        return replace(found, look=readers.look(store, found.reader, build.build, data.as_of(build), _now()))
    except StoreError as error:
        return replace(found, trouble=str(error))


def note_bounds(build: Bundle) -> tuple[date, date]:
    """The days that a note may be on: from the first that anything is known of, to what is planned."""
    today = data.today()
    known = data.span(build, tuple(data.catalog(build)))
    return min(known[0] if known else today, today), today + AHEAD


@data.needs(Right.annotate, NOTES)
def write_note(build: Bundle, note: Note) -> None:
    """Raises AccessError, UnfitError and StoreError."""
    _check(build, note)
    store = _store()
    readers.write_note(store, _reader(store), note, _now())


@data.needs(Right.annotate, NOTES)
def change_note(build: Bundle, note_id: int, note: Note) -> None:
    """Of one's own. Raises AccessError, UnfitError and StoreError."""
    _check(build, note)
    store = _store()
    readers.change_note(store, _reader(store), note_id, note)


@data.needs(Right.annotate, NOTES)
def remove_note(note_id: int) -> None:
    """One's own; who sees who may see what may remove anybody's. Raises AccessError, UnfitError and StoreError."""
    store = _store()
    readers.remove_note(store, None if Right.access in access.rights() else _reader(store), note_id)


def views() -> Sequence[SavedView]:
    """One's own. Raises AccessError and StoreError."""
    store = _store()
    return readers.views(store, _reader(store))


def save_view(view: SavedView) -> None:
    """Raises AccessError, UnfitError and StoreError."""
    store = _store()
    readers.save_view(store, _reader(store), view, _now())


def rename_view(view_id: int, name: str) -> None:
    """Raises AccessError, UnfitError and StoreError."""
    store = _store()
    readers.rename_view(store, _reader(store), view_id, name)


def remove_view(view_id: int) -> None:
    """Raises AccessError, UnfitError and StoreError."""
    store = _store()
    readers.remove_view(store, _reader(store), view_id)


def look_anew(build: Bundle) -> None:
    """Note that who looks knows a build. Raises AccessError and StoreError."""
    store = _store()
    readers.look_anew(store, _reader(store), build.build, data.as_of(build), _now())


def _check(build: Bundle, note: Note) -> None:
    first, last = note_bounds(build)
    if not first <= note.first_day <= (note.last_day or note.first_day) <= last:
        raise UnfitError(f"The days must lie between {day(first)} and {day(last)}, the last one after the first.")
    if note.metric_id is not None and note.metric_id not in data.catalog(build):
        raise UnfitError("There is no such metric.")


def _store() -> Store:
    return store_of(load_reader_settings().home)


def _reader(store: Store) -> str:
    return store.reader(access.identity())


def _now() -> datetime:
    return datetime.now(UTC)
