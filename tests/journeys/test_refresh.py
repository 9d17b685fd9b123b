"""The whole way over real sockets: export, lake, dbt, bundle, query."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tailtracker_bi import bundle
from tailtracker_bi.analytics.mistakes import load_analytics
from tailtracker_bi.lake.lake import Lake
from tailtracker_bi.runs.pipeline import refresh
from tailtracker_bi.runs.report import Progress, RunReport
from tailtracker_bi.sandbox.servers.export_api import serve
from tailtracker_bi.settings.model import Settings
from tailtracker_bi.sources.http import TRIES
from tailtracker_bi.sources.records import each_day
from tailtracker_bi.warehouse import BuildError, DuckDb, Warehouse
from tailtracker_bi.warehouse.dbt_runner import run_dbt
from tailtracker_bi.warehouse.marks import FAMILIES
from tailtracker_bi.warehouse.warehouse import LAYERS
from tests.sources.export_lines import event_line
from tests.worlds.random_worlds import analytics_file, by_day, random_world, tables_built
from tests.worlds.stripe_worlds import Models
from tests.worlds.tiny import FRIDAY, MONDAY, SATURDAY, SUNDAY, TINY, TUESDAY, assert_adds_up, at, land, published, rows

MakeSettings = Callable[..., Settings]


def run(settings: Settings, first: date | None = FRIDAY, last: date | None = TUESDAY, **options: Any) -> RunReport:
    report = refresh(settings, Progress(), first=first, last=last, **options)
    assert_adds_up(report)
    return report


def daily(home: Path, metric_id: str) -> list[Any]:
    return [
        value
        for (value,) in rows(
            home,
            f"select value from metric_values where metric_id = '{metric_id}' and grain = 'day' and segment = 'all' "
            "order by period_start",
        )
    ]


def test_tiny_input_gives_the_answers_worked_out_by_hand(make_settings: MakeSettings, tmp_path: Path) -> None:
    with serve(TINY) as api:
        settings = make_settings(MIXPANEL_EXPORT_URL=api.url, TAILTRACKER_NOW="2024-04-03T12:00:00Z")
        report = run(settings)
    assert report.errors == []
    assert len(api.requests) == 1

    # Friday Anna (by her device), Saturday Anna and Bob, Sunday Bob, Monday Anna, Tuesday nobody.
    assert daily(tmp_path, "dau") == [1, 2, 1, 1, 0]
    assert daily(tmp_path, "wau") == [1, 2, 2, 2, 2]
    assert daily(tmp_path, "mau") == [1, 2, 2, 2, 2]
    assert daily(tmp_path, "stickiness") == [1, 1, 0.5, 0.5, 0]
    assert daily(tmp_path, "events") == [1, 2, 1, 2, 0]
    assert daily(tmp_path, "users_new") == [1, 1, 0, 0, 0]
    assert daily(tmp_path, "users_returning") == [0, 1, 1, 0, 0]
    assert daily(tmp_path, "users_resurrecting") == [0, 0, 0, 1, 0]
    assert daily(tmp_path, "users_dormant") == [0, 0, 1, 1, 1]
    # Of Saturday's cohort, Anna alone, nobody came on Sunday; the 7th day has not been seen.
    assert daily(tmp_path, "retention_d1") == [None, 0, None, None, None]
    assert daily(tmp_path, "retention_d7") == [None, None, None, None, None]
    assert rows(
        tmp_path,
        "select period_index, cohort_size, retained from retention_cohorts where retention_id = 'sign_up' "
        "and mode = 'n_day' and cohort_grain = 'day' and segment = 'all' order by 1",
    ) == [(0, 1, 1), (1, 1, 0), (2, 1, 1), (3, 1, 0)]
    # 51 hours from Anna's registration to her pet.
    assert rows(
        tmp_path,
        "select step_index, users, avg_seconds_from_previous from funnel_steps where funnel_id = 'onboarding' "
        "and entry_grain = 'all' and segment = 'all' order by 1",
    ) == [(1, 1, None), (2, 1, 183_600.0), (3, 0, None), (4, 0, None)]
    assert rows(
        tmp_path, "select last_day, rows, quarantined, excluded, status from data_status where source = 'mixpanel'"
    ) == [(TUESDAY, 7, 1, 1, "ok")]
    assert rows(
        tmp_path, "select event, first_day, last_day, events, people, is_new from event_catalog order by event"
    ) == [
        ("Open", FRIDAY, SUNDAY, 3, 2, False),
        ("Payment Failed", MONDAY, MONDAY, 1, 1, True),
        ("Pet Profile Created", MONDAY, MONDAY, 1, 1, True),
        ("User Registration", SATURDAY, SATURDAY, 1, 1, True),
    ]
    assert [(line["received"], line["loaded"], line["deduplicated"], line["quarantined"]) for line in report.days] == [
        (1, 1, 0, 0), (3, 2, 1, 0), (1, 1, 0, 0), (3, 2, 0, 1), (1, 1, 0, 0),
    ]  # fmt: skip

    run_dbt(DuckDb(tmp_path), ["test", "--select", "test_type:unit"])


@pytest.mark.slow
def test_dbt_by_hand_builds_the_same_tables(make_settings: MakeSettings, tmp_path: Path) -> None:
    """Whether it fills them in full, or what is pending alone."""
    with serve(TINY) as api:
        settings = make_settings(MIXPANEL_EXPORT_URL=api.url, TAILTRACKER_NOW="2024-04-03T12:00:00Z")
        land(settings, FRIDAY, SUNDAY)
        warehouse = Warehouse(settings, load_analytics(), Lake(tmp_path))
        warehouse.prepare()
        warehouse.build()
        warehouse.check_finished()
        land(settings, SATURDAY, MONDAY)
        warehouse.prepare()
        with pytest.raises(BuildError, match="did not finish"):
            warehouse.check_finished()
        by_hand = DuckDb(tmp_path / "by-hand")
        by_hand.home.mkdir()
        shutil.copy(DuckDb(tmp_path).path, by_hand.path)
        warehouse.build()
        kept = filled(DuckDb(tmp_path))
        assert len(kept) > 50
        run_dbt(by_hand, ["build", "--exclude-resource-type", "unit_test"])
        assert filled(by_hand) == kept
        run_dbt(by_hand, ["build", "--exclude-resource-type", "unit_test", "--full-refresh"])
        assert filled(by_hand) == kept


def filled(engine: DuckDb) -> dict[str, tuple[int, str]]:
    """Rows and digest of each table that models filled."""
    with engine.session() as session:
        return {f"{schema}.{name}": session.digest(f"{schema}.{name}") for schema, name in session.tables(LAYERS)}


def test_days_are_those_of_the_reporting_zone_also_when_the_clocks_change(
    make_settings: MakeSettings, models: Models, tmp_path: Path
) -> None:
    with serve(TINY) as api:
        settings = make_settings(
            MIXPANEL_EXPORT_URL=api.url,
            TAILTRACKER_NOW="2024-04-03T12:00:00Z",
            TAILTRACKER_TIMEZONE="Europe/Berlin",
        )
        assert land(settings, FRIDAY, MONDAY).errors == []
    tables = tables_built(Warehouse(settings, load_analytics(), Lake(tmp_path)), models)

    def by_date(metric_id: str) -> dict[date, Any]:
        found = (row for row in tables["pub_metric_values"] if row["metric_id"] == metric_id and row["grain"] == "day")
        return {row["period_start"]: row["value"] for row in found if row["segment"] == "all"}

    # Friday in Berlin began on Thursday UTC, which has not landed. Bob's events are of Sunday 00:30 and Monday 00:30.
    assert by_date("dau") == {SATURDAY: 1, SUNDAY: 1, MONDAY: 2}
    assert by_date("events") == {SATURDAY: 1, SUNDAY: 1, MONDAY: 3}
    # Anna was there on Friday already, a day that is not whole.
    assert by_date("users_new") == {SATURDAY: 0, SUNDAY: 1, MONDAY: 0}
    assert by_date("wau") == {SATURDAY: 1, SUNDAY: 2, MONDAY: 2}
    of_dau = [row["period_start"] for row in tables["pub_metric_values"] if row["metric_id"] == "dau"]
    assert (min(of_dau), max(of_dau)) == (SATURDAY, MONDAY)
    # Tuesday is over, and has not landed: one day is enough to be late.
    [status] = [row for row in tables["pub_data_status"] if row["source"] == "mixpanel"]
    assert (status["status"], status["reason"]) == (
        "late",
        "complete through 2024-04-01; the last day that is over is 2024-04-02",
    )


@pytest.mark.slow
@pytest.mark.parametrize("timezone", ["Europe/Berlin", "UTC"])
def test_any_order_of_landings_gives_what_one_landing_gives(
    timezone: str, make_settings: MakeSettings, tmp_path: Path
) -> None:
    world = random_world(11)
    first, last = min(world.landed_days), max(world.landed_days)
    middle = first + (last - first) // 2
    some_day = random.Random(1).choice(list(each_day(first, last)))
    common = {
        "TAILTRACKER_ANALYTICS": analytics_file(world, tmp_path / "analytics.yml"),
        "TAILTRACKER_NOW": f"{last.year + 1}-01-01",
        "TAILTRACKER_TIMEZONE": timezone,
    }
    # Every seventh event comes late; so do the ties that move earlier days from a device to a user.
    in_time = [event for number, event in enumerate(world.events) if number % 7]
    with serve(by_day(in_time)) as api:
        piecemeal = make_settings(TAILTRACKER_HOME=tmp_path / "piecemeal", MIXPANEL_EXPORT_URL=api.url, **common)
        assert run(piecemeal, some_day, some_day).errors == []
        assert run(piecemeal, middle, last).errors == []
        api.days = by_day(world.events)
        assert run(piecemeal, middle, last).errors == []
        assert run(piecemeal, first, middle).errors == []
        at_once = make_settings(TAILTRACKER_HOME=tmp_path / "at_once", MIXPANEL_EXPORT_URL=api.url, **common)
        assert run(at_once, first, last).errors == []
    left, right = published(piecemeal.home), published(at_once.home)
    assert left.keys() == right.keys()
    for table in left:
        assert left[table] == right[table], table


@pytest.mark.slow
def test_a_cut_export_is_retried_then_refused_and_no_number_changes(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    with serve(TINY) as api:
        settings = make_settings(
            MIXPANEL_EXPORT_URL=api.url, TAILTRACKER_NOW="2024-04-20T12:00:00Z", TAILTRACKER_HISTORY_START=FRIDAY
        )
        assert run(settings).errors == []
        before = published(tmp_path)
        api.faults = lambda _: "cut_gzip"
        asked = len(api.requests)
        report = run(settings, MONDAY, MONDAY)
        assert len(api.requests) - asked == TRIES
        after = published(tmp_path)

        assert len(report.errors) == 1
        assert "2024-04-01" in report.errors[0]
        (status,) = (row for row in after.pop("data_status") if row[:2] == ("mixpanel", "events"))
        before.pop("data_status")
        assert after == before
        assert "failed" in status

        # What failed is tried again by the next run that is not told which days to pull.
        api.faults = ()
        assert run(settings, None, None).errors == []
        assert rows(tmp_path, "select status from data_status where source = 'mixpanel'") == [("ok",)]


@pytest.mark.slow
def test_a_history_whose_beginning_failed_has_no_complete_value(make_settings: MakeSettings, tmp_path: Path) -> None:
    complete = "select count(*) from metric_values where metric_id = 'users_new' and grain = 'day' and is_complete"
    with serve(TINY, faults=lambda request: "cut_gzip" if str(FRIDAY) == request.from_date else None) as api:
        settings = make_settings(
            MIXPANEL_EXPORT_URL=api.url, TAILTRACKER_NOW="2024-04-03T12:00:00Z", TAILTRACKER_HISTORY_START=FRIDAY
        )
        assert run(settings, None, None).errors
        # Who was there on Saturday may have been new on Friday.
        assert daily(tmp_path, "dau")[0] == 2
        assert rows(tmp_path, complete) == [(0,)]
        api.faults = ()
        assert run(settings, None, None).errors == []
    assert rows(tmp_path, complete) != [(0,)]


def test_the_next_run_finds_and_repairs_missing_days_and_the_builds_before_are_kept(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    with serve(TINY) as api:
        settings = make_settings(
            MIXPANEL_EXPORT_URL=api.url,
            TAILTRACKER_NOW="2024-04-20T12:00:00Z",
            TAILTRACKER_HISTORY_START=FRIDAY,
        )
        land(settings, FRIDAY, SATURDAY)
        first = run(settings, MONDAY, TUESDAY).build
        # Sunday is missing: it has no value, and nothing that reads it is complete.
        assert daily(tmp_path, "dau") == [1, 2, None, 1, 0]
        complete = "select period_start from metric_values where segment = 'all' and grain = 'day' and is_complete"
        after = f"{complete} and period_start >= '2024-03-31' and metric_id"
        assert rows(tmp_path, f"{after} = 'dau' order by all") == [(MONDAY,), (TUESDAY,)]
        assert rows(tmp_path, f"{after} in ('wau', 'users_new', 'retention_d1')") == []
        asked = len(api.requests)
        report = run(settings, None, None)
        assert report.errors == []
        days_asked = [(request.from_date, request.to_date) for request in api.requests[asked:]]
        # The missing days, oldest first, and the last 7, which may still change.
        assert days_asked[0] == ("2024-03-31", "2024-03-31")
        assert days_asked[-1][1] == "2024-04-19"
        assert len(report.days) == 1 + 17
    assert daily(tmp_path, "dau")[:5] == [1, 2, 1, 1, 0]
    assert rows(tmp_path, "select days_missing, status from data_status where source = 'mixpanel'") == [(0, "ok")]

    # The last builds are kept, and can be gone back to.
    assert bundle.current(tmp_path).build == report.build
    assert bundle.roll_back(tmp_path).build == first
    assert daily(tmp_path, "dau") == [1, 2, None, 1, 0]
    # A torn pointer never hides what is there.
    (tmp_path / "published" / "current").write_text("")
    assert bundle.current(tmp_path).build == report.build
    assert not bundle.is_pointer_sound(tmp_path)


def stored(home: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every table in which the warehouse keeps what earlier builds computed, and what it marks of them, sorted."""
    with duckdb.connect(str(home / "warehouse.duckdb"), read_only=True) as connection:
        names = [name for family in FAMILIES.values() for name in family]
        names += [f"marks.{name}" for name in ("landings", "identities", "plans", "covered", "fingerprints")]
        found = {name: connection.execute(f"from {name}").fetchall() for name in names}
        # But for the table that says when sources were last seen.
        found["built"] = connection.execute(
            "select table_name, rows, digest from marks.built where table_name <> 'published.pub_data_status'"
        ).fetchall()
        return {name: sorted(rows, key=repr) for name, rows in found.items()}


@pytest.mark.slow
def test_a_rebuild_gives_the_warehouse_that_was_there_in_all_that_it_stores_and_publishes(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    world = random_world(11)
    first, last = min(world.landed_days), max(world.landed_days)
    in_time = [event for number, event in enumerate(world.events) if number % 7]
    with serve(by_day(in_time)) as api:
        settings = make_settings(
            MIXPANEL_EXPORT_URL=api.url,
            TAILTRACKER_NOW=f"{last.year + 1}-01-01",
            TAILTRACKER_ANALYTICS=analytics_file(world, tmp_path / "analytics.yml"),
            # West of UTC, where a day of the source begins on the reporting day before.
            TAILTRACKER_TIMEZONE="America/Los_Angeles",
        )
        assert run(settings, first, last).errors == []
        # What comes late is taken in day by day.
        api.days = by_day(world.events)
        assert run(settings, first + (last - first) // 2, last).errors == []
        # The first hours of a day of the source are of the reporting day before.
        night = int(datetime(last.year, last.month, last.day, 0, 30, tzinfo=UTC).timestamp())
        api.days[last] = [*api.days.get(last, []), event_line("A", night, "zoe", _insert_id="night")]
        assert run(settings, last, last).errors == []
        before = published(tmp_path), stored(tmp_path)
        restated = rows(tmp_path, "from restatements")
        report = run(settings, last, last, rebuild=True)
    assert any("made anew" in note for note in report.notes)
    after = published(tmp_path), stored(tmp_path)
    # The last day was read once more, and had not changed: it has not landed anew.
    for was, now in zip(before, after, strict=True):
        assert was.keys() == now.keys()
        for table in was:
            assert was[table] == now[table], table
    # Of Stripe there is nothing.
    assert all(before[1][name] for family in FAMILIES.keys() - {"objects"} for name in FAMILIES[family])
    # No value is another: nothing is restated by it.
    assert rows(tmp_path, "from restatements") == restated


@pytest.mark.slow
def test_late_events_and_another_configuration_restate_the_values_that_they_change_and_no_others(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    analytics = tmp_path / "analytics.yml"
    analytics.write_text("activity: {exclude_events: []}\n")
    carl = event_line("Open", at("03-30 12:00"), "carl", _user_id="carl", _insert_id="i9")
    key = "metric_id, grain, period_start, segment, segment_value"

    def values(build: bundle.Bundle, where: str) -> dict[tuple[Any, ...], Any]:
        found = bundle.query(build, f"select {key}, value from metric_values where {where}").to_pylist()
        return {tuple(row.values())[:-1]: row["value"] for row in found}

    def days(metric_id: str) -> list[tuple[Any, ...]]:
        return rows(
            tmp_path,
            f"select period_start, old_value, new_value from restatements where metric_id = '{metric_id}' "
            "and grain = 'day' and segment = 'all' order by all",
        )

    with serve(TINY) as api:
        settings = make_settings(
            MIXPANEL_EXPORT_URL=api.url,
            TAILTRACKER_NOW="2024-04-03T12:00:00Z",
            TAILTRACKER_HISTORY_START="2024-02-20",
            TAILTRACKER_ANALYTICS=analytics,
        )
        assert run(settings, None, None).errors == []
        assert run(settings, None, None).errors == []
        # The same days, read again, with what they had.
        assert rows(tmp_path, "from restatements") == []

        api.days = {**TINY, SATURDAY: [*TINY[SATURDAY], carl]}
        before = bundle.current(tmp_path)
        build = run(settings, None, None).build
        # Carl was active on Saturday alone; before, it was Anna and Bob on Saturday, and nobody else in the month.
        assert days("dau") == [(SATURDAY, 2, 3)]
        assert days("wau") == [(day, 2, 3) for day in (SATURDAY, SUNDAY, MONDAY, TUESDAY)]
        assert days("mau") == [(day, 2, 3) for day in (SATURDAY, SUNDAY, MONDAY, TUESDAY)]
        assert days("users_new") == [(SATURDAY, 1, 2)]
        assert days("users_dormant") == [(SUNDAY, 1, 2)]
        assert days("users_returning") == []
        # All others, too, are those that differ between the two builds.
        old, new = values(before, "is_complete"), values(bundle.current(tmp_path), "true")
        told = {one[:3] for one in old if one[3] == "all"}
        different = {one for one in {*old, *(one for one in new if one[:3] in told)} if old.get(one) != new.get(one)}
        restated = rows(tmp_path, f"select {key} from restatements")
        assert len(restated) == len(set(restated))
        assert set(restated) == different
        assert rows(tmp_path, "select distinct build, reason from restatements") == [(build, "late events")]

        analytics.write_text(
            "activity: {exclude_events: [Open]}\ntest_accounts: {user_ids: [anna], event_properties: []}\n"
        )
        report = run(settings, None, None)
        build = report.build
    # What depends on the configuration is rebuilt: Anna is left out, and Bob and Carl did nothing but open the app.
    assert any("people" in note for note in report.notes)
    assert set(daily(tmp_path, "dau")) == {0}
    assert rows(
        tmp_path,
        f"select period_start, old_value, new_value from restatements where metric_id = 'dau' and segment = 'all' "
        f"and build = '{build}' order by all",
    ) == [(FRIDAY, 1, 0), (SATURDAY, 3, 0), (SUNDAY, 1, 0), (MONDAY, 1, 0)]
    assert rows(tmp_path, f"select distinct build = '{build}', reason from restatements order by all") == [
        (False, "late events"), (True, "new definition"),
    ]  # fmt: skip


@pytest.mark.slow
def test_a_damaged_warehouse_is_made_anew_from_the_lake(make_settings: MakeSettings, tmp_path: Path) -> None:
    with serve(TINY) as api:
        settings = make_settings(MIXPANEL_EXPORT_URL=api.url, TAILTRACKER_NOW="2024-04-03T12:00:00Z")
        run(settings)
        before = published(tmp_path)
        (tmp_path / "warehouse.duckdb").write_bytes(b"not a database" * 1000)
        report = run(settings, TUESDAY, TUESDAY)
    assert report.errors == []
    assert any("made anew" in note for note in report.notes)
    assert published(tmp_path) == before


def interrupted_after(model: str) -> Callable[[str, int, int], None]:
    def progress(name: str, *_: int) -> None:
        if name == model:
            raise KeyboardInterrupt

    return progress


@pytest.mark.slow
def test_a_build_that_broke_off_under_another_configuration_leaves_no_trace(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    analytics = tmp_path / "analytics.yml"
    with serve(TINY) as api:
        settings = make_settings(
            MIXPANEL_EXPORT_URL=api.url, TAILTRACKER_NOW="2024-04-03T12:00:00Z", TAILTRACKER_ANALYTICS=analytics
        )
        analytics.write_text("activity: {exclude_events: []}\n")
        run(settings)
        before = published(tmp_path)
        # Anna is left out, and Open is no activity; the build ends after the person days.
        other = "activity: {exclude_events: [Open]}\ntest_accounts: {user_ids: [anna], event_properties: []}\n"
        analytics.write_text(other)
        warehouse = Warehouse(settings, load_analytics(analytics), Lake(tmp_path))
        warehouse.prepare()
        with pytest.raises(KeyboardInterrupt):
            warehouse.build(interrupted_after("fct_person_days"))
        analytics.write_text("activity: {exclude_events: []}\n")
        run(settings, TUESDAY, TUESDAY)
    assert published(tmp_path) == before
