"""Views that readers saved: a page of the dashboard and what its address asks of it, under a name of one's own."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qs, urlencode

from tailtracker_bi.readers.annotations import one_line
from tailtracker_bi.readers.store import Store, UnfitError

LONGEST_NAME, LONGEST_QUERY = 60, 8_000
MOST_OF_ONE = 50
_A_PAGE = re.compile(r"[a-z_]{1,60}")


@dataclass(frozen=True)
class SavedView:
    """A page by the name of its file, and what its address asks of it: no address stands in it that leads elsewhere."""

    name: str
    page: str
    query: Mapping[str, Sequence[str]]
    view_id: int = 0


def views(store: Store, reader: str) -> Sequence[SavedView]:
    """Those of a reader, by name. Raises StoreError."""
    found = store.rows(
        "select name, page, query, view_id from views where reader = ? order by lower(name), view_id", reader
    )
    known = [
        SavedView(name, page, parse_qs(query, keep_blank_values=True), view_id) for name, page, query, view_id in found
    ]
    return [view for view in known if _A_PAGE.fullmatch(view.page)]


def save_view(store: Store, reader: str, view: SavedView, now: datetime) -> None:
    """Keep a view under a name that the reader has not got yet. Raises UnfitError and StoreError."""
    name = one_line(view.name, "The name", LONGEST_NAME)
    if not _A_PAGE.fullmatch(view.page):
        raise UnfitError("There is no such page.")
    query = urlencode(view.query, doseq=True)
    if len(query) > LONGEST_QUERY:
        raise UnfitError(f"What is asked of this page has {len(query):,} characters; {LONGEST_QUERY:,} fit.")
    with store.writing() as connection:
        _check_free(store, reader, name)
        [(own,)] = connection.execute("select count(*) from views where reader = ?", [reader])
        if own >= MOST_OF_ONE:
            raise UnfitError(f"You have {own} saved views, which is as many as are kept: remove some first.")
        connection.execute(
            "insert into views (reader, name, page, query, saved_at) values (?, ?, ?, ?, ?)",
            [reader, name, view.page, query, f"{now:%Y-%m-%dT%H:%M:%SZ}"],
        )


def rename_view(store: Store, reader: str, view_id: int, name: str) -> None:
    """Give a view of one's own another name. Raises UnfitError and StoreError."""
    name = one_line(name, "The name", LONGEST_NAME)
    with store.writing() as connection:
        _check_free(store, reader, name, view_id)
        renamed = connection.execute(
            "update views set name = ? where view_id = ? and reader = ?", [name, view_id, reader]
        )
        if not renamed.rowcount:
            raise UnfitError("That view is gone.")


def remove_view(store: Store, reader: str, view_id: int) -> None:
    """Remove a view of one's own. Raises UnfitError and StoreError."""
    with store.writing() as connection:
        if not connection.execute("delete from views where view_id = ? and reader = ?", [view_id, reader]).rowcount:
            raise UnfitError("That view is gone.")


def _check_free(store: Store, reader: str, name: str, but_for: int = 0) -> None:
    taken = {view.name.casefold() for view in views(store, reader) if view.view_id != but_for}
    if name.casefold() in taken:
        raise UnfitError("You have a view of that name: choose another, or remove that one first.")
