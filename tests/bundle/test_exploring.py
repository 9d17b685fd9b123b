"""Explore answers as a build would, over files of which no person can be told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest

from tailtracker_bi import bundle
from tailtracker_bi.analytics.mistakes import load_analytics
from tailtracker_bi.analytics.rules import Analytics, Funnel, Retention
from tailtracker_bi.bundle import exploring
from tailtracker_bi.bundle.asking import QueryError
from tailtracker_bi.bundle.events import events_of
from tailtracker_bi.bundle.exploring import AskedRetention, Question, Trend, explore
from tailtracker_bi.runs.pipeline import refresh
from tailtracker_bi.runs.report import Progress
from tailtracker_bi.sandbox.servers.export_api import serve
from tailtracker_bi.settings.model import Settings
from tests.sources.export_lines import event_line
from tests.worlds.random_worlds import analytics_file, by_day, random_world
from tests.worlds.tiny import FRIDAY, MONDAY, TINY, TUESDAY, at

MakeSettings = Callable[..., Settings]
SECONDS = 120
NESTED = {"a": {"b": "x", "e": "s3cret"}}


def ask(build: bundle.Bundle, question: Question) -> duckdb.DuckDBPyRelation:
    """What Explore answers, beside the build's own tables."""
    answer = explore(build.path, question, SECONDS, lambda: None)
    connection = duckdb.connect()
    connection.execute(f"attach '{build.path}' as build (read_only)")
    connection.register("answer", answer)
    return connection.table("answer")


def assert_all_that_is_declared_is_answered_as_published(build: bundle.Bundle, analytics: Analytics) -> None:
    def assert_same(answer: duckdb.DuckDBPyRelation, table: str, condition: str) -> None:
        published = bundle.query(build, f"select {', '.join(answer.columns)} from {table} where {condition}")
        rows = Counter(answer.fetchall())
        assert rows
        assert rows == Counter(tuple(row.values()) for row in published.to_pylist()), condition

    for funnel in analytics.funnels:
        assert_same(ask(build, funnel), "funnel_steps", f"funnel_id = '{funnel.id}'")
    for retention in analytics.retention:
        assert_same(ask(build, retention), "retention_cohorts", f"retention_id = '{retention.id}'")
    people = ask(build, Trend(event="any")).filter("metric_id = 'people'").project("* exclude (metric_id)")
    assert_same(people, "metric_values", "metric_id = 'active_users' and value > 0")


@pytest.mark.usefixtures("answered_here")
@pytest.mark.parametrize("seed", [pytest.param(seed, marks=pytest.mark.slow) for seed in (3, *range(20, 26))])
def test_what_is_declared_is_answered_as_it_is_published(
    seed: int, make_settings: MakeSettings, tmp_path: Path
) -> None:
    world = random_world(seed)
    first, last = min(world.landed_days), max(world.landed_days)
    file = analytics_file(world, tmp_path / "analytics.yml")
    with serve(by_day(world.events)) as api:
        settings = make_settings(
            MIXPANEL_EXPORT_URL=api.url, TAILTRACKER_ANALYTICS=file, TAILTRACKER_NOW=f"{last.year + 1}-01-01"
        )
        assert refresh(settings, Progress(), first=first, last=last).errors == []
    assert_all_that_is_declared_is_answered_as_published(bundle.current(settings.home), load_analytics(file))


@pytest.fixture
def tiny(make_settings: MakeSettings) -> Callable[[dict[date, list[bytes]]], bundle.Bundle]:
    def build(days: dict[date, list[bytes]], **overrides: str) -> bundle.Bundle:
        with serve(days) as api:
            settings = make_settings(MIXPANEL_EXPORT_URL=api.url, TAILTRACKER_NOW="2024-04-12T12:00:00Z", **overrides)
            assert refresh(settings, Progress(), first=min(days), last=max(days)).errors == []
        return bundle.current(settings.home)

    return build


def test_answers_worked_out_by_hand_and_files_that_stay(
    tiny: Callable[..., bundle.Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    answered_apart = exploring.answered
    request.getfixturevalue("answered_here")
    build = tiny(TINY)

    # Those of Anna's device and Bob's two; the robot's is a test's.
    opens = ask(build, Trend(event="Open")).filter("segment = 'all' and grain = 'day'").order("metric_id, period_start")
    assert [row[:3] + row[5:] for row in opens.fetchall()] == [
        ("events", "day", FRIDAY, 1.0, True),
        ("events", "day", FRIDAY + timedelta(1), 1.0, True),
        ("events", "day", FRIDAY + timedelta(2), 1.0, True),
        ("people", "day", FRIDAY, 1.0, True),
        ("people", "day", FRIDAY + timedelta(1), 1.0, True),
        ("people", "day", FRIDAY + timedelta(2), 1.0, True),
    ]
    steps = [{"event": "Open"}, {"event": "User Registration"}, {"event": "Pet Profile Created"}]
    funnel = Funnel.model_validate({"id": "asked", "steps": steps, "window": {"days": 3}})
    reached = ask(build, funnel).filter("entry_grain = 'all' and segment = 'all'").order("step_index")
    # Anna opened on her device, before it was hers; her pet came three days and two hours after that.
    assert reached.project("step_name, users").fetchall() == [
        ("Open", 2), ("User Registration", 1), ("Pet Profile Created", 0),
    ]  # fmt: skip
    once = Retention.model_validate({"id": "asked", "start_event": "Open", "grains": ["day"], "modes": ["n_day"]})
    back = ask(build, once).filter("segment = 'all' and retained > 0").order("cohort_start, period_index")
    assert back.project("cohort_start, period_index, cohort_size, retained").fetchall() == [
        (FRIDAY, 0, 1, 1), (FRIDAY, 1, 1, 1), (FRIDAY, 3, 1, 1),
        (FRIDAY + timedelta(1), 0, 1, 1), (FRIDAY + timedelta(1), 1, 1, 1),
    ]  # fmt: skip

    # Nobody is named, and no property is there that no funnel names.
    found = [file.read_bytes() for file in events_of(build.path).rglob("*") if file.is_file()]
    assert found
    assert not [name for name in (b"anna", b"bob", b"robot") for file in found if name in file]
    with duckdb.connect() as connection:
        rows = connection.execute(
            f"select distinct properties from '{events_of(build.path)}/events/*.parquet'"
        ).fetchall()
    assert rows == [('{"alert_id":null,"channel":null}',)]

    # A month of which nothing landed anew is the same file in the next build; one that changed is another.
    march, april = sorted((events_of(build.path) / "events").iterdir())
    more = event_line("Open", at("04-09 09:00"), "carl", _user_id="carl", _insert_id="i9")
    later = tiny({date(2024, 4, 9): [more]})
    now = {file.name: file for file in (events_of(later.path) / "events").iterdir()}
    assert now[march.name].samefile(march)
    assert april.name not in now
    assert ask(later, Trend(event="Open")).filter("segment = 'all' and grain = 'month'").sum("value").fetchall() == [
        (7,)
    ]

    # Files go with their builds, and so does what a build that broke off has left.
    (tmp_path / "published" / "20240101T000000-abcdef.events.draft" / "events").mkdir(parents=True)
    monkeypatch.setattr("tailtracker_bi.bundle.pointer.KEEP_BUILDS", 2)
    last = tiny({MONDAY: TINY[MONDAY]})
    kept = {build.path for build in bundle.builds(tmp_path)}
    assert set((tmp_path / "published").glob("*.events*")) == {events_of(path) for path in kept}
    assert now[march.name].is_file() is (later.path in kept)

    # What can't be answered is told in a line, and leaves nothing behind.
    monkeypatch.setattr(exploring, "answered", answered_apart)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    with pytest.raises(QueryError, match=r"explore: it took longer than 0\.01 s \(TAILTRACKER_QUERY_SECONDS\)"):
        explore(last.path, Trend(event="Open"), 0.01, lambda: None)
    nobody = explore(last.path, Trend(event="it's not there"), SECONDS, lambda: None)
    assert nobody.num_rows == 0
    assert list(scratch.iterdir()) == []
    older = bundle.builds(tmp_path)[0]
    for file in events_of(older.path).rglob("*.parquet"):
        file.unlink()
    with pytest.raises(QueryError, match="explore: no events have landed yet"):
        explore(older.path, Trend(event="Open"), SECONDS, lambda: None)


@pytest.mark.slow
@pytest.mark.usefixtures("answered_here")
def test_properties_that_may_be_asked_of_are_there_and_compared_as_a_build_compares_them(
    tiny: Callable[..., bundle.Bundle], tmp_path: Path
) -> None:
    file = tmp_path / "asked.yml"
    file.write_text("explore: {properties: [size, 'a.b', 'c.d', \"it's\"]}\nfunnels: []\n", encoding="utf-8")
    hour = at("04-01 10:00")
    events = [
        event_line("Open", hour, "u1", _user_id="u1", _insert_id="i1", size=5, secret="s3cret", mp_country_code="DE"),
        event_line("Open", hour, "u2", _user_id="u2", _insert_id="i2", size=5.0, **{"a.b": "x"}),
        event_line(
            "Open",
            hour,
            "u3",
            _user_id="u3",
            _insert_id="i3",
            size=6,
            mp_country_code="DE",
            a={"b": "x", "e": "s3cret"},
        ),
        *(
            event_line("Close", hour + 60, user, _user_id=user, _insert_id=f"j{user}", **{"it's": "so", "c.d": None})
            for user in ("u1", "u2", "u3")
        ),
    ]
    next_day = [
        event_line("Close", hour + 86_400, user, _user_id=user, _insert_id=f"k{user}", size=size)
        for user, size in (("u1", 1), ("u2", 2), ("u3", 1))
    ]
    build = tiny({MONDAY: events, TUESDAY: next_day}, TAILTRACKER_ANALYTICS=str(file))

    def entered(**rule: str) -> int:
        closed = [{"property": "it's", "equals": "so"}]
        steps = [{"event": "Open", "where": [rule]}, {"event": "Close", "where": closed}]
        funnel = Funnel.model_validate({"id": "asked", "steps": steps, "window": {"days": 1}})
        [(first,), (second,)] = (
            ask(build, funnel)
            .filter("entry_grain = 'all' and segment = 'all'")
            .order("step_index")
            .project("users")
            .fetchall()
        )
        assert first == second
        assert people(Trend.model_validate({"event": "Open", "where": [rule]})) == first
        return int(first)

    def people(question: Question) -> int:
        """Of a trend by month."""
        of_month = "metric_id = 'people' and grain = 'month' and segment = 'all'"
        return int(sum(value for (value,) in ask(build, question).filter(of_month).project("value").fetchall()))

    def cohort(**conditions: list[dict[str, str]]) -> tuple[int, int]:
        """How many opened, and how many of these closed on the next day."""
        asked = {"id": "asked", "start_event": "Open", "return_event": "Close", "grains": ["day"], "modes": ["n_day"]}
        found = ask(build, AskedRetention.model_validate(asked | conditions)).filter("segment = 'all'")
        [row] = found.filter("period_index = 1").project("cohort_size, retained").fetchall() or [(0, 0)]
        return row[0], row[1]

    assert entered(property="size", equals="5") == 2
    assert entered(property="size", not_equals="5") == 1
    assert entered(property="a.b", equals="x") == 2
    assert entered(property="c.d", not_equals="x") == 3
    # On what people are split by, too, and on several at once; of Close there are more than those of Monday.
    assert entered(property="country", equals="DE") == 2
    assert entered(property="country", not_equals="DE") == 1
    assert entered(property="plan", equals="premium") == 0
    german, five = {"property": "country", "equals": "DE"}, {"property": "size", "equals": "5"}
    assert people(Trend.model_validate({"event": "Open", "where": [german, five]})) == 1
    assert people(Trend.model_validate({"event": "any", "where": [german]})) == 2
    assert cohort() == (3, 3)
    assert cohort(start_where=[five]) == (2, 2)
    assert cohort(start_where=[five], return_where=[{"property": "size", "equals": "1"}]) == (2, 1)
    assert cohort(return_where=[{"property": "size", "not_equals": "1"}]) == (3, 1)
    found = [file.read_bytes() for file in events_of(build.path).rglob("*") if file.is_file()]
    assert not [file for file in found if b"s3cret" in file]
