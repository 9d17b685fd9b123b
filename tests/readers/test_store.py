"""The file of what readers write: whole whatever happens to it, seen by all at once, and private."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path

import pytest

from tailtracker_bi.readers import Note, Store, StoreError, notes, store_of, write_note
from tailtracker_bi.readers import store as stores

NOW = datetime(2025, 3, 12, 7, tzinfo=UTC)
DAY = date(2025, 3, 3)
ANOTHER_PROCESS = """
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from tailtracker_bi.readers import Note, Store, write_note
store = Store(Path(sys.argv[1]))
for number in range(20):
    write_note(store, sys.argv[2], Note(f"{sys.argv[2]} {number}", date(2025, 3, 3)), datetime.now(UTC))
"""


def titles(store: Store) -> list[str]:
    return [note.title for note in notes(store)]


def write(store: Store, title: str) -> None:
    write_note(store, "ada", Note(title, DAY), NOW)


def test_processes_and_threads_that_write_at_once_lose_nothing(store: Store, tmp_path: Path) -> None:
    others = [subprocess.Popen([sys.executable, "-c", ANOTHER_PROCESS, str(tmp_path), name]) for name in ("one", "two")]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda number: write(store, f"own {number}"), range(20)))
    assert [other.wait(60) for other in others] == [0, 0]
    assert sorted(titles(store)) == sorted(f"{who} {number}" for who in ("own", "one", "two") for number in range(20))


def test_what_one_writes_the_others_have_at_their_next_look(store: Store, tmp_path: Path) -> None:
    other = Store(tmp_path)
    assert titles(other) == titles(store) == []
    for title in ("a", "b"):
        write(store, title)
        assert titles(other) == titles(store)
    assert titles(other) == ["a", "b"]
    other.close()


def test_what_is_read_again_asks_the_file_once(store: Store) -> None:
    write(store, "a")
    asked: list[str] = []
    assert titles(store) == ["a"]
    assert store._connection is not None
    store._connection.set_trace_callback(asked.append)
    assert titles(store) == ["a"]
    assert asked == ["pragma data_version"]


def test_of_a_write_that_fails_nothing_is_kept(store: Store) -> None:
    def fails() -> None:
        with store.writing() as connection:
            connection.execute("delete from notes")
            raise KeyError("midway")

    write(store, "a")
    with pytest.raises(KeyError):
        fails()
    assert titles(store) == ["a"]
    write(store, "b")
    assert titles(store) == ["a", "b"]


def test_nobody_else_may_look_into_it(store: Store) -> None:
    write(store, "a")
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (store.file.parent, *store.file.parent.iterdir())}
    assert modes.pop("readers") == 0o700
    assert {mode & 0o077 for mode in modes.values()} == {0}
    store.close()
    store.file.chmod(0o644)
    titles(store)
    assert stat.S_IMODE(store.file.stat().st_mode) == 0o600


def test_a_reader_is_the_same_in_each_process_and_no_address_stands_in_the_file(store: Store, tmp_path: Path) -> None:
    ada = store.reader("https://id.example\0ada@example.com")
    write_note(store, ada, Note("Title", DAY), NOW)
    assert ada == Store(tmp_path).reader("https://id.example\0ada@example.com")
    assert ada != store.reader("https://id.example\0bob@example.com")
    assert b"ada@example.com" not in b"".join(file.read_bytes() for file in store.file.parent.iterdir())
    (tmp_path / "elsewhere").mkdir()
    assert ada != Store(tmp_path / "elsewhere").reader("https://id.example\0ada@example.com")


def test_a_copy_of_the_file_alone_is_whole(store: Store, tmp_path: Path) -> None:
    write(store, "a")
    (tmp_path / "back/readers").mkdir(parents=True)
    shutil.copy(store.file, tmp_path / "back/readers")
    assert titles(Store(tmp_path / "back")) == ["a"]


def garbage(file: Path) -> None:
    file.write_bytes(os.urandom(5_000))


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def bad_pages(file: Path) -> None:
    """But for the first one, which says what tables there are."""
    whole = file.read_bytes()
    file.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))


def no_day(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("update notes set first_day = 'Monday'")


def a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def later(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("pragma user_version = 99")


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (garbage, "is damaged .*: put a copy of it back, or move it away"),
        (cut, "is damaged"),
        (bad_pages, "is damaged"),
        (no_day, "is damaged"),
        (a_folder, "can't be read and written .*: let the account"),
        (later, "later version of TailTracker BI: run that one, or move the file away"),
    ],
)
def test_a_file_that_can_not_be_used_is_told_and_left_as_it_is(
    damage: Callable[[Path], None], told: str, store: Store
) -> None:
    write(store, "a")
    store.close()
    damage(store.file)
    before = store.file.is_file() and store.file.read_bytes()
    for _ in range(2):
        with pytest.raises(StoreError, match=told):
            notes(store)
    assert before == (store.file.is_file() and store.file.read_bytes())


def test_what_can_not_be_opened_is_tried_again_in_a_while(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.file.parent.write_text("a file in the folder's place")
    clock = [100.0]
    monkeypatch.setattr(stores, "monotonic", lambda: clock[0])
    with pytest.raises(StoreError, match="File exists"):
        notes(store)
    store.file.parent.unlink()
    with pytest.raises(StoreError, match="File exists"):
        notes(store)
    clock[0] += stores.TRIED_AGAIN_AFTER
    assert titles(store) == []


def test_where_nothing_can_be_written_what_is_there_is_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    write(store, "a")
    store.close()
    connect = sqlite3.connect
    monkeypatch.setattr("sqlite3.connect", lambda file, **named: connect(f"file:{file}?mode=ro", uri=True, **named))
    assert titles(store) == ["a"]
    with pytest.raises(StoreError, match=r"can't be read and written \(attempt to write a readonly database\)"):
        write(store, "b")
    assert titles(store) == ["a"]


def test_who_waits_too_long_for_another_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "PATIENCE", 0.05)
    write(store, "a")
    with closing(sqlite3.connect(store.file)) as other:
        other.execute("begin immediate")
        with pytest.raises(StoreError, match="being written by another process: try again"):
            write(store, "b")
        assert titles(store) == ["a"]
        other.rollback()
    write(store, "b")
    assert titles(store) == ["a", "b"]


@pytest.mark.parametrize("parts", [("",), ("", "-wal", "-shm")])
def test_a_file_that_is_taken_away_is_begun_anew_without_a_restart(store: Store, parts: tuple[str, ...]) -> None:
    write(store, "a")
    for part in parts:
        store.file.with_name(store.file.name + part).unlink()
    assert titles(store) == []
    write(store, "b")
    assert titles(store) == ["b"]


def test_a_copy_that_is_put_back_is_read_without_a_restart(store: Store, tmp_path: Path) -> None:
    write(store, "a")
    shutil.copy(store.file, tmp_path / "copy")
    write(store, "b")
    (tmp_path / "copy").rename(store.file)
    assert titles(store) == ["a"]


def test_a_file_of_an_earlier_version_is_brought_up_to_date_with_what_is_in_it(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(store, "a")
    monkeypatch.setattr(stores, "SCHEMA", (*stores.SCHEMA, "alter table notes add column colour text;"))
    later_one = Store(tmp_path)
    assert titles(later_one) == ["a"]
    assert later_one.rows("select colour from notes") == [(None,)]
    assert later_one.rows("pragma user_version") == [(2,)]
    later_one.close()


def test_a_step_of_the_schema_that_fails_leaves_the_file_as_it_was(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(store, "a")
    known = stores.SCHEMA
    monkeypatch.setattr(stores, "SCHEMA", (*known, "drop table looks; drop table unheard_of;"))
    with pytest.raises(StoreError, match="unheard_of"):
        notes(Store(tmp_path))
    monkeypatch.setattr(stores, "SCHEMA", known)
    assert store.rows("select count(*) from looks") == [(0,)]


def test_the_store_of_a_home_is_the_same_for_all_and_lets_another_go(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    one = store_of(tmp_path / "one")
    write(one, "a")
    with ThreadPoolExecutor(4) as threads:
        assert {*threads.map(store_of, [tmp_path / "one"] * 8)} == {one}
    assert titles(store_of(tmp_path / "two")) == []
    assert one._connection is None
    assert titles(one) == ["a"]
    list(map(partial(Store.close), (one, store_of(tmp_path / "two"))))
