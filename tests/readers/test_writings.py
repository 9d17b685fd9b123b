"""Notes, saved views and looks: what may stand in the file, whose it is, and which build a reader knows."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailtracker_bi.readers import (
    Look,
    Note,
    SavedView,
    Store,
    UnfitError,
    annotations,
    change_note,
    look,
    look_anew,
    looks,
    notes,
    remove_note,
    remove_view,
    rename_view,
    save_view,
    saved_views,
    views,
    write_note,
)

NOW = datetime(2025, 3, 12, 7, tzinfo=UTC)
MONDAY, FRIDAY = date(2025, 3, 3), date(2025, 3, 7)


def test_a_note_is_read_as_it_was_written_in_the_order_of_days(store: Store) -> None:
    of_days = Note("Sale", MONDAY, FRIDAY, "dau")
    of_a_page = Note("Release", MONDAY - timedelta(days=1), None, None, "active_users")
    for note in (of_days, of_a_page):
        write_note(store, "ada", note, NOW)
    assert notes(store) == [
        Note("Release", MONDAY - timedelta(days=1), None, None, "active_users", 2, "ada"),
        Note("Sale", MONDAY, FRIDAY, "dau", None, 1, "ada"),
    ]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("  two\n\twords ", "two words"),
        ("<b>bold</b> [x](http://evil.example)", "<b>bold</b> [x](http://evil.example)"),
        ("told by ada@example.com", "told by [email]"),
        ("right\u202eleft\x1b[31m", "rightleft[31m"),
        ("\ud800half", "half"),
        ("x" * 120, "x" * 120),
    ],
)
def test_a_title_is_kept_on_one_line_without_what_is_personal_or_can_not_be_seen(
    text: str, kept: str, store: Store
) -> None:
    write_note(store, "ada", Note(text, MONDAY), NOW)
    assert notes(store)[0].title == kept


@pytest.mark.parametrize(
    ("note", "told"),
    [
        (Note("", MONDAY), "The title is missing."),
        (Note(" \n\u202e", MONDAY), "The title is missing."),
        (Note("x" * 121, MONDAY), "The title has 121 characters; 120 fit."),
        (Note("Sale", FRIDAY, MONDAY), "The last day is before the first."),
        (Note("Sale", MONDAY, None, "dau'; drop table notes"), "no such metric"),
        (Note("Sale", MONDAY, None, None, "../page"), "no such metric or page"),
    ],
)
def test_what_does_not_fit_is_told_and_changes_nothing(note: Note, told: str, store: Store) -> None:
    write_note(store, "ada", Note("Kept", MONDAY), NOW)
    for write in (
        lambda: write_note(store, "ada", note, NOW),
        lambda: change_note(store, "ada", 1, note),
    ):
        with pytest.raises(UnfitError, match=told):
            write()
    assert [one.title for one in notes(store)] == ["Kept"]


def test_a_note_is_changed_and_removed_by_who_wrote_it_alone(store: Store) -> None:
    write_note(store, "ada", Note("First", MONDAY, FRIDAY), NOW)
    with pytest.raises(UnfitError, match="not yours"):
        change_note(store, "bob", 1, Note("Changed", MONDAY))
    with pytest.raises(UnfitError, match="not yours"):
        remove_note(store, "bob", 1)
    change_note(store, "ada", 1, Note("Changed", MONDAY, MONDAY, "dau"))
    assert notes(store) == [Note("Changed", MONDAY, None, "dau", None, 1, "ada")]
    remove_note(store, "ada", 1)
    assert notes(store) == []
    with pytest.raises(UnfitError, match="gone"):
        remove_note(store, "ada", 1)
    write_note(store, "ada", Note("Second", MONDAY), NOW)
    # A tab that still shows the first one must not remove the second.
    assert notes(store)[0].note_id == 2
    remove_note(store, None, 2)
    assert notes(store) == []


def test_nobody_fills_the_file(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(annotations, "MOST_OF_ONE", 2)
    monkeypatch.setattr(annotations, "MOST_OF_ALL", 3)
    for reader in ("ada", "ada", "bob"):
        write_note(store, reader, Note("Title", MONDAY), NOW)
    with pytest.raises(UnfitError, match="You have 2 notes, which is as many as are kept: remove some first"):
        write_note(store, "ada", Note("Title", MONDAY), NOW)
    with pytest.raises(UnfitError, match="There are 3 notes"):
        write_note(store, "bob", Note("Title", MONDAY), NOW)
    monkeypatch.setattr(saved_views, "MOST_OF_ONE", 1)
    save_view(store, "ada", SavedView("One", "overview", {}), NOW)
    with pytest.raises(UnfitError, match="You have 1 saved views"):
        save_view(store, "ada", SavedView("Two", "overview", {}), NOW)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """For many examples, each of which leaves nothing."""
    own = Store(tmp_path_factory.mktemp("home"))
    yield own
    own.close()


TEXT = st.text(st.characters(codec="utf-8"), max_size=9)


@given(query=st.dictionaries(TEXT.filter(bool), st.lists(TEXT, min_size=1, max_size=3), max_size=4))
@settings(max_examples=40, deadline=None)
def test_a_view_asks_what_it_asked_when_it_was_saved(query: Mapping[str, Sequence[str]], shared: Store) -> None:
    save_view(shared, "ada", SavedView("Mine", "revenue", query), NOW)
    [view] = views(shared, "ada")
    assert view == SavedView("Mine", "revenue", query, view.view_id)
    assert views(shared, "bob") == []
    remove_view(shared, "ada", view.view_id)


@pytest.mark.parametrize(
    "page",
    ["https://evil.example", "//evil.example", "../admin", "", "a b", "javascript:alert(1)", "Overview", "a" * 61],
)
def test_what_is_no_page_is_neither_saved_nor_read(page: str, store: Store) -> None:
    with pytest.raises(UnfitError, match="no such page"):
        save_view(store, "ada", SavedView("Mine", page, {}), NOW)
    store.rows("select 1")
    with closing(sqlite3.connect(store.file)) as connection, connection:
        connection.execute(
            "insert into views (reader, name, page, query, saved_at) values ('ada', 'x', ?, '', '')", [page]
        )
    assert views(store, "ada") == []


def test_a_name_is_taken_once_by_each_and_views_are_ones_own(store: Store) -> None:
    for reader, name in (("ada", "Weekly"), ("bob", "Weekly"), ("ada", "daily")):
        save_view(store, reader, SavedView(name, "revenue", {"grain": ["week"]}), NOW)
    for name in ("Weekly", "WEEKLY", " weekly "):
        with pytest.raises(UnfitError, match="You have a view of that name"):
            save_view(store, "ada", SavedView(name, "overview", {}), NOW)
    with pytest.raises(UnfitError, match="You have a view of that name"):
        rename_view(store, "ada", 3, "weekly")
    rename_view(store, "ada", 1, "weekly")
    for act in (lambda: rename_view(store, "bob", 1, "x"), lambda: remove_view(store, "bob", 1)):
        with pytest.raises(UnfitError, match="gone"):
            act()
    assert [view.name for view in views(store, "ada")] == ["daily", "weekly"]
    remove_view(store, "ada", 1)
    assert [view.name for view in views(store, "ada")] == ["daily"]
    assert [view.name for view in views(store, "bob")] == ["Weekly"]
    with pytest.raises(UnfitError, match="8,000 fit"):
        save_view(store, "ada", SavedView("Long", "sql", {"sql": ["x" * 8_000]}), NOW)


A, B, C = (
    ("20250310T060000-a", date(2025, 3, 10)),
    ("20250311T060000-b", date(2025, 3, 11)),
    ("20250312T060000-c", date(2025, 3, 12)),
)


@pytest.mark.parametrize(
    ("seen", "known"),
    [
        # Who comes for the first time knows what they see.
        ([(0, A)], "a"),
        ([(0, A), (100, A)], "a"),
        # A build that came since is news for a working day, and known on the next.
        ([(0, A), (24, B)], "a"),
        ([(0, A), (24, B), (31, B)], "a"),
        ([(0, A), (24, B), (32, B)], "b"),
        ([(0, A), (24, B), (48, C)], "b"),
        ([(0, A), (24, B), (48, C), (49, C)], "b"),
        # Builds that follow each other quickly are news together, until the one before them is left behind.
        ([(0, A), (1, B), (2, C)], "a"),
        ([(0, A), (1, B), (2, C), (9, C)], "b"),
        ([(0, A), (1, B), (2, C), (10, C)], "c"),
        # After a long time away: what was known then.
        ([(0, A), (900, C)], "a"),
        # A build that was rolled back, and came again.
        ([(0, A), (24, B), (48, A), (72, B), (81, B)], "b"),
    ],
)
def test_which_build_a_reader_knows(seen: list[tuple[int, tuple[str, date]]], known: str, store: Store) -> None:
    for hours, (build, as_of) in seen:
        found = look(store, "ada", build, as_of, NOW + timedelta(hours=hours))
    assert found.build[-1] == known
    assert found == Look(found.build, found.as_of, found.seen_at)
    assert {A[0]: A[1], B[0]: B[1], C[0]: C[1]}[found.build] == found.as_of
    # Another reader has nothing to do with it.
    assert look(store, "bob", *C, NOW).build == C[0]


def test_who_says_that_a_build_is_known_knows_it_at_once(store: Store) -> None:
    look(store, "ada", *A, NOW)
    look(store, "ada", *B, NOW + timedelta(days=1))
    look_anew(store, "ada", *B, NOW + timedelta(days=1))
    assert look(store, "ada", *B, NOW + timedelta(days=1)).build == B[0]
    assert look(store, "ada", *C, NOW + timedelta(days=1, minutes=1)).build == B[0]


def test_a_look_is_written_once_a_build_and_few_are_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    writing = store.writing
    monkeypatch.setattr(store, "writing", lambda: (written.append(1), writing())[1])
    for hour in range(60):
        build = f"202503{10 + hour // 24}T{hour % 24:02}0000-x"
        for minutes in (0, 20):
            look(store, "ada", build, A[1], NOW + timedelta(hours=hour, minutes=minutes))
    assert len(written) == 60
    [(kept,)] = store.rows("select count(*) from looks")
    assert kept <= looks.KNOWN_AFTER / timedelta(hours=1) + 2
