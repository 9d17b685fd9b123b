"""Reading a build: over one connection a process, which reaches nothing else and lets go of what is read no more."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest

from tailtracker_bi import bundle
from tailtracker_bi.bundle import Bundle, BundleError, reader

Publish = Callable[[str, int], Bundle]


@pytest.fixture
def publish(tmp_path: Path) -> Publish:
    def make(build: str, rows: int) -> Bundle:
        made = Bundle(build, tmp_path / f"{build}.duckdb")
        with duckdb.connect(str(made.path)) as connection:
            connection.execute(
                f"create table days as select range as n, range % 2 = 0 as is_even, 'x' as kind from range({rows})"
            )
        return made

    return make


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that DuckDB opens from now on."""
    files: list[str] = []
    connect = duckdb.connect

    def seen(path: str, **options: Any) -> duckdb.DuckDBPyConnection:
        files.append(Path(path).stem)
        return connect(path, **options)

    monkeypatch.setattr("duckdb.connect", seen)
    return files


def held(folder: Path) -> set[str]:
    """The files in a folder that this process has open, those that are deleted by now among them."""
    targets = [link.readlink() for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    return {target.name for target in targets if target.is_relative_to(folder)}


def test_many_reads_in_many_threads_open_a_build_once(publish: Publish, opened: list[str]) -> None:
    made = publish("a", 10)
    opened.clear()
    with ThreadPoolExecutor(8) as threads:
        sizes = list(threads.map(lambda n: len(bundle.read(made, "days", n=list(range(n)))), [*range(11)] * 8))
    assert sizes == [*range(11)] * 8
    assert len(bundle.read_distinct(made, "days", ["is_even", "kind"])) == 2
    assert bundle.tables(made) == ["days"]
    assert opened == ["a"]


def test_a_build_that_is_read_no_more_is_let_go(publish: Publish, tmp_path: Path) -> None:
    old, new = publish("old", 1), publish("new", 2)
    bundle.read(old, "days")
    assert held(tmp_path) == {"old.duckdb"}
    old.path.unlink()
    assert len(bundle.read(new, "days")) == 2
    assert held(tmp_path) == {"new.duckdb"}


def test_who_is_still_reading_a_build_finishes_when_another_is_read(publish: Publish, tmp_path: Path) -> None:
    old, new = publish("old", 300_000), publish("new", 2)
    with reader._reading(old) as connection:
        rows = connection.execute("from days")
        rows.fetchmany(10)
        bundle.read(new, "days")
        assert len(rows.fetchall()) == 300_000 - 10
        assert held(tmp_path) == {"old.duckdb", "new.duckdb"}
    assert held(tmp_path) == {"new.duckdb"}


def test_a_file_that_is_gone_damaged_or_another_by_now_is_not_read_from_what_was_open(publish: Publish) -> None:
    made, other = publish("a", 1), publish("b", 2)
    assert len(bundle.read(made, "days")) == 1
    other.path.rename(made.path)
    assert len(bundle.read(made, "days")) == 2
    made.path.write_bytes(b"not a database" * 1000)
    with pytest.raises(duckdb.Error):
        bundle.read(made, "days")
    made.path.unlink()
    with pytest.raises(duckdb.IOException):
        bundle.read(made, "days")
    assert not made.path.exists()


def test_what_is_read_over_can_reach_nothing_else(
    publish: Publish, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret.csv").write_text("a\n1\n")
    made = publish("a", 1)
    for way in (bundle.connect, reader._reading):
        with way(made) as connection:
            for statement in (
                f"from read_text('{tmp_path}/secret.csv')",
                f"attach '{tmp_path}/other.duckdb' as other",
                f"copy days to '{tmp_path}/copy.csv'",
                "set enable_external_access = true",
                "create table more as select 1",
            ):
                with pytest.raises(duckdb.Error):
                    connection.execute(statement)
            assert connection.execute("select current_setting('TimeZone')").fetchall() == [("UTC",)]


def test_rows_are_chosen_by_the_values_of_columns(publish: Publish) -> None:
    made = publish("a", 6)
    assert bundle.read(made, "days", ["n"], n=[1, 2, 4], is_even=True)["n"].tolist() == [2, 4]
    assert bundle.read(made, "days", n=[]).empty
    kinds = bundle.read_distinct(made, "days", ["is_even", "kind"])
    assert sorted(kinds.itertuples(index=False, name=None)) == [(False, "x"), (True, "x")]


def test_a_table_that_a_build_does_not_have_is_told(publish: Publish) -> None:
    made = publish("a", 1)
    for ask in (lambda: bundle.read(made, "weeks"), lambda: bundle.read_distinct(made, "duckdb_settings", ["name"])):
        with pytest.raises(BundleError, match=r"^build a has no table (weeks|duckdb_settings)$"):
            ask()
    assert bundle.read_if_there(made, "weeks").equals(pd.DataFrame())


def test_a_build_says_what_it_has_and_what_that_is(publish: Publish) -> None:
    made = publish("a", 3)
    with duckdb.connect(str(made.path)) as connection:
        connection.execute("create table empty as from days limit 0")
        connection.execute("comment on table days is 'One row per day.'; comment on column days.n is 'From 0 up.'")
    days, empty = bundle.describe(made)
    assert (days.name, days.rows, days.description) == ("days", 3, "One row per day.")
    assert [(column.name, column.type, column.description) for column in days.columns] == [
        ("n", "BIGINT", "From 0 up."),
        ("is_even", "BOOLEAN", ""),
        ("kind", "VARCHAR", ""),
    ]
    assert (empty.name, empty.rows, empty.description) == ("empty", 0, "")
    assert bundle.query(made, days.first_rows).num_rows == 3
