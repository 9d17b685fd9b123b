"""What pages read: a table once a build, for all sessions; few a page; never from a build that is shown no more."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import sleep
from typing import Any

import duckdb
import pytest

from dashboards import data, readers
from tailtracker_bi import bundle
from tailtracker_bi.bundle import Bundle
from tailtracker_bi.readers import Store, store_of
from tests.dashboards import PAGES, open_page
from tests.worlds import sample_bundle

MOST_READS = 12
"""Of a page: what all pages say, its own tables, and amounts in their currencies."""
MOST_ASKED = 4
"""Of what readers write."""


@pytest.fixture
def reads(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The tables that are read from now on, of a build that nobody has looked at."""
    sample_bundle.changed(bundle.current(home), tmp_path)
    monkeypatch.setenv("TAILTRACKER_HOME", str(tmp_path))
    found: list[str] = []

    def counted(read: Callable[..., Any]) -> Callable[..., Any]:
        def seen(build: Bundle, table: str = "", *args: Any, **named: Any) -> Any:
            found.append(table)
            return read(build, *filter(None, [table]), *args, **named)

        return seen

    for name in ("read", "read_distinct", "read_if_there", "tables"):
        monkeypatch.setattr(bundle, name, counted(getattr(bundle, name)))
    return found


@pytest.mark.parametrize("title", PAGES)
def test_a_page_takes_few_reads_and_one_connection_and_the_next_session_none(
    title: str, reads: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connected: list[str] = []
    connect = duckdb.connect
    monkeypatch.setattr("duckdb.connect", lambda path, **options: connected.append(path) or connect(path, **options))
    build = data.current_build()
    readers.kept(build)  # of who has looked already nothing is written
    asked: list[str] = []
    store, rows = store_of(tmp_path), Store.rows
    monkeypatch.setattr(Store, "rows", lambda own, sql, *of: (asked.append(sql), rows(own, sql, *of))[1])
    monkeypatch.setattr(store, "writing", lambda: pytest.fail("it was written to"))
    open_page(title)
    assert 0 < len(reads) <= MOST_READS, reads
    assert len(asked) <= MOST_ASKED, asked
    assert connected == [str(build.path)]
    reads.clear()
    asked.clear()
    open_page(title)
    assert reads == []
    assert len(asked) <= MOST_ASKED, asked


@pytest.mark.parametrize(("of", "more"), [({}, 0), ({"of": "country=Japan"}, 1)])
def test_all_metrics_take_one_read_of_values_and_one_of_what_they_are_split_by(
    of: dict[str, str], more: int, reads: list[str]
) -> None:
    page = open_page("Metric catalogue", grain="month", **of)
    assert len(page.dataframe[0].value) > 40
    assert reads.count("metric_values") == 2 + more


def test_the_overview_takes_eight_reads(reads: list[str]) -> None:
    open_page("Overview")
    assert len(reads) <= 8, reads


def test_what_one_session_does_to_a_frame_no_other_sees(reads: list[str]) -> None:
    build = data.current_build()
    for ask in (
        lambda: data.series(build, "dau", "day"),
        lambda: data.rows(build, "funnel_steps"),
        lambda: data.series(build, "unheard_of", "day"),
    ):
        before = ask()
        spoilt = ask()
        spoilt["is_complete"] = False
        spoilt.loc[0, "is_complete"] = False
        assert ask().equals(before)


def test_many_sessions_at_once_ask_a_build_once(tmp_path: Path) -> None:
    asked: list[str] = []

    @data.once_a_build
    def slow(build: Bundle) -> str:
        asked.append(build.build)
        sleep(0.05)
        return build.build

    builds = [Bundle(name, tmp_path) for name in "ab"]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(slow, builds * 4)) == ["a", "b"] * 4
    assert sorted(asked) == ["a", "b"]


def test_what_was_read_of_builds_that_are_shown_no_more_is_let_go(tmp_path: Path) -> None:
    asked: list[str] = []

    @data.once_a_build
    def ask(build: Bundle, what: int = 0) -> int:
        asked.append(build.build)
        return what

    one, two, three = (Bundle(name, tmp_path / "kept") for name in "abc")
    for build in (one, two, one, three, one, two):
        ask(build)
    # Two are kept: one, which was looked at in between, and the latest.
    assert asked == ["a", "b", "c", "b"]


def test_no_more_is_kept_of_a_build_than_fits(tmp_path: Path) -> None:
    asked: list[int] = []

    @data.once_a_build
    def ask(_: Bundle, number: int) -> int:
        asked.append(number)
        return number

    build = Bundle("many", tmp_path)
    for number in (*range(data.MOST_KEPT + 1), data.MOST_KEPT, 0):
        assert ask(build, number) == number
    assert asked == [*range(data.MOST_KEPT + 1), 0]
