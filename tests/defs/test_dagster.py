"""The same refresh as Dagster runs: what it tells, that it agrees with the ledger, and that two runs do not mix."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import orjson
import pytest
import yaml

from tailtracker_bi import bundle, recent
from tailtracker_bi.analytics.mistakes import load_analytics
from tailtracker_bi.defs.serve import prepare
from tailtracker_bi.lake.lake import Lake
from tailtracker_bi.runs.lock import locked
from tailtracker_bi.runs.report import Progress
from tailtracker_bi.sandbox.servers.app_database import AppDatabase
from tailtracker_bi.sandbox.servers.export_api import SECRET, USER, ExportApi, serve
from tailtracker_bi.settings.environment import load_settings
from tailtracker_bi.settings.model import Settings
from tailtracker_bi.sources import SOURCES
from tailtracker_bi.sources.mixpanel import export
from tailtracker_bi.sources.records import each_day
from tailtracker_bi.traits import Plan
from tailtracker_bi.warehouse import BuildError
from tailtracker_bi.warehouse.warehouse import Warehouse
from tests.sources.export_lines import event_line
from tests.worlds.tiny import at, land

FIRST, LAST = date(2024, 3, 1), date(2024, 3, 30)
YESTERDAY = date(2024, 4, 1)
LOOK_BACK = list(each_day(date(2024, 3, 26), YESTERDAY))
EVENTS = dg.AssetKey(["raw_mixpanel", "events"])
MIXPANEL, CSV_FILES = dg.AssetKey(["lake", "mixpanel"]), dg.AssetKey(["lake", "csv_files"])
BUNDLE = dg.AssetKey(["published", "bundle"])
DAYS = {
    day: [
        event_line("Open", at(f"{day:%m-%d} 10:{minute:02}"), user, _user_id=user, _insert_id=f"{day}-{user}")
        for minute, user in enumerate(["anna", "bob"][: 1 + day.day % 2])
    ]
    for day in each_day(FIRST, LAST)
}


@pytest.fixture(scope="module")
def api() -> Iterator[ExportApi]:
    with serve(DAYS) as server:
        yield server


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second source, of one table."""
    folder = tmp_path_factory.mktemp("csv")
    (folder / "nps_responses.csv").write_text("id,user_id,score,created_at\nn1,anna,9,2024-03-01\n")
    return folder


@pytest.fixture(scope="module")
def environment(api: ExportApi, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return {
        "TAILTRACKER_HOME": str(tmp_path_factory.mktemp("home")),
        "TAILTRACKER_ALLOW_LOOPBACK": "1",
        "TAILTRACKER_RETRY_SCALE": "0",
        "TAILTRACKER_NOW": "2024-04-02T12:00:00Z",
        "TAILTRACKER_HISTORY_START": str(FIRST),
        "TAILTRACKER_CSV_FOLDER": str(folder),
        "MIXPANEL_PROJECT_ID": "2195193",
        "MIXPANEL_USERNAME": USER,
        "MIXPANEL_SECRET": SECRET,
        "MIXPANEL_EXPORT_URL": api.url,
    }


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


Execute = Callable[..., dg.ExecuteInProcessResult]


@pytest.fixture(scope="module")
def execute(environment: dict[str, str], instance: dg.DagsterInstance) -> Execute:
    """Executes the daily job or a selection of it; or a table alone, for a range of days."""

    def run(*days: date, selection: list[dg.AssetKey] | None = None) -> dg.ExecuteInProcessResult:
        ends = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            from tailtracker_bi.definitions import defs

            return (
                defs()
                .resolve_job_def("__ASSET_JOB" if days else "daily")
                .execute_in_process(
                    instance=instance,
                    asset_selection=selection,
                    tags=dict(zip(ends, map(str, days), strict=False)),
                    raise_on_error=False,
                )
            )

    return run


@dataclass
class Both:
    """What became of a daily run of Dagster and a refresh by the command line at the same time."""

    of_dagster: dg.ExecuteInProcessResult
    exit_code: int
    said: str


@pytest.fixture(scope="module")
def both(environment: dict[str, str], execute: Execute) -> Both:
    """The two of them; after them HOME has a build that every test may go on from."""
    command = [sys.executable, "-c", "from tailtracker_bi.cli import main; main()", "refresh"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as other:
        result = execute()
        _, said = other.communicate(timeout=300)
    return Both(result, other.returncode, said)


@pytest.fixture
def settings(environment: dict[str, str], both: Both, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """What runs of Dagster read, from the environment as ever."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return load_settings()


@pytest.fixture
def tell(settings: Settings, instance: dg.DagsterInstance) -> Callable[[], dg.SensorResult | dg.SkipReason]:
    """Evaluates the sensor of the ledger, and takes its events in as the daemon does."""
    from tailtracker_bi.defs.jobs import ledger

    def evaluate() -> dg.SensorResult | dg.SkipReason:
        with dg.build_sensor_context(instance=instance) as context:
            result = ledger(context)
        for event in getattr(result, "asset_events", []):
            instance.report_runless_asset_event(event)
        assert isinstance(result, dg.SensorResult | dg.SkipReason)
        return result

    return evaluate


def told_days(instance: dg.DagsterInstance) -> set[date]:
    return {date.fromisoformat(day) for day in instance.get_materialized_partitions(EVENTS)}


def last_check(instance: dg.DagsterInstance, key: dg.AssetKey, name: str) -> dg.AssetCheckEvaluation:
    """The last result of a check, whoever told of it."""
    (record, *_) = instance.event_log_storage.get_asset_check_execution_history(dg.AssetCheckKey(key, name), limit=1)
    assert record.event
    assert record.event.dagster_event
    return record.event.dagster_event.asset_check_evaluation_data


def outcomes(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    """The steps of a run, each with whether it is green."""
    ends = {dg.DagsterEventType.STEP_SUCCESS: True, dg.DagsterEventType.STEP_FAILURE: False}
    return {event.step_key: ends[event.event_type] for event in result.all_events if event.event_type in ends}


def content(build: bundle.Bundle) -> dict[str, list[str]]:
    """Every table of a build, sorted, less what tells one build from another."""
    names = bundle.query(build, "select table_name from duckdb_tables() where table_name <> 'bundle_info'")
    columns = {"data_status": "* exclude (loaded_at)"}
    return {
        name: sorted(map(repr, bundle.query(build, f"select {columns.get(name, '*')} from {name}").to_pylist()))
        for name in names["table_name"].to_pylist()
    }


def read_report(file: Path) -> dict[str, Any]:
    report: dict[str, Any] = orjson.loads(file.read_bytes())
    assert report["status"] == "success"
    return report


@pytest.mark.slow
def test_a_run_of_dagster_and_one_of_the_command_line_at_once_give_the_same_bundle(
    both: Both, settings: Settings, tell: Callable[[], Any], instance: dg.DagsterInstance, api: ExportApi
) -> None:
    assert (both.of_dagster.success, both.exit_code) == (True, 0), both.said

    # One asked for all days, and the other, which came after it, for those that may have changed.
    attempts = Lake(settings.home).ledger.attempts("mixpanel", "events")
    days = list(each_day(FIRST, YESTERDAY))
    assert [row["day"] for row in attempts] == [*days, *LOOK_BACK]
    assert [row["status"] for row in attempts] == ["landed"] * len(days) + ["unchanged"] * len(LOOK_BACK)
    asked = [map(date.fromisoformat, (request.from_date or "", request.to_date or "")) for request in api.requests]
    assert list(chain.from_iterable(each_day(*ends) for ends in asked)) == [*days, *LOOK_BACK]

    lines = [read_report(file)["days"] for file in (settings.home / "runs").iterdir()]
    assert sorted(sum(line["table"] == "events" for line in report) for report in lines) == [7, 32]
    assert all(line["received"] == line["loaded"] for report in lines for line in report if line["table"] == "events")

    # The lock was one run's until it had published: only then did the other read.
    one, two = bundle.builds(settings.home)
    published_at = bundle.query(one, "select built_at from bundle_info").to_pylist()[0]["built_at"]
    assert published_at.replace(tzinfo=None) <= attempts[-1]["landed_at"]
    # The first of them was alone with its days, the second read some again: their bundles are the same.
    assert content(one)["metric_values"]
    assert content(one) == content(two)
    tell()
    assert told_days(instance) == set(days)


def test_a_run_tells_every_model_and_every_data_test(both: Both) -> None:
    models = {event.asset_key.to_user_string(): event for event in both.of_dagster.get_asset_materialization_events()}
    person_days, segments = 15 * 2 + 15, 5
    counts = models["marts/fct_person_days"].materialization.metadata
    assert counts["dagster/row_count"].value == person_days * segments
    assert "dagster/row_count" not in models["staging/stg_mixpanel__events"].materialization.metadata
    checks = both.of_dagster.get_asset_check_evaluations()
    assert all(check.passed for check in checks)
    assert {"landed", "dau_within_wau_within_mau", "lake_holds_what_landed"} <= {check.check_name for check in checks}


def test_the_daily_run_asks_for_no_partition_and_tells_what_it_did(
    execute: Execute, tell: Callable[[], Any], settings: Settings
) -> None:
    """The daily run, less the models, which are as the last test left them."""
    from tailtracker_bi.definitions import defs

    assert defs().resolve_job_def("daily").partitions_def is None
    tell()
    result = execute(selection=[*(dg.AssetKey(["lake", source.name]) for source in SOURCES), BUNDLE])
    assert result.success
    # The look-back and the days that are missing, and nothing that says no day; nor of what is off.
    events = result.get_asset_materialization_events()
    days = [event for event in events if event.asset_key == EVENTS]
    assert [event.partition for event in days] == [str(day) for day in LOOK_BACK]
    responses = dg.AssetKey(["raw_csv_files", "nps_responses"])
    assert {event.asset_key for event in events} == {EVENTS, MIXPANEL, responses, CSV_FILES, BUNDLE}
    landed = Lake(settings.home).ledger.attempts("mixpanel", "events")[-1]
    counts = {name: value.value for name, value in days[-1].materialization.metadata.items()}
    assert [counts[name] for name in ("received", "loaded", "landing")] == [0, 0, landed["landing"]]
    assert events[-1].materialization.metadata["build"].value == bundle.current(settings.home).build


def test_a_backfill_asks_for_exactly_its_days_and_says_that_what_is_published_is_behind(
    execute: Execute, tell: Callable[[], Any], settings: Settings, instance: dg.DagsterInstance, api: ExportApi
) -> None:
    api.requests.clear()
    first, last = FIRST, FIRST + timedelta(2)
    api.days[last] = [*api.days[last], event_line("Late", at("03-03 12:00"))]
    result = execute(first, last, selection=[EVENTS])
    assert result.success
    assert [(request.from_date, request.to_date) for request in api.requests] == [(str(first), str(last))]
    told = [event.partition for event in result.get_asset_materialization_events()]
    assert told == [str(day) for day in each_day(first, last)], "those that had not changed, too"
    statuses = [row["status"] for row in Lake(settings.home).ledger.attempts("mixpanel", "events")[-3:]]
    assert statuses == ["unchanged", "unchanged", "landed"]
    behind = last_check(instance, BUNDLE, "up_to_date")
    assert not behind.passed
    assert "mixpanel.events" in str(behind.metadata["landed since"].value)
    assert isinstance(tell(), dg.SkipReason), "it is told once"


def test_what_the_command_line_landed_is_told_once(
    tell: Callable[[], Any], settings: Settings, instance: dg.DagsterInstance, api: ExportApi
) -> None:
    land(settings, FIRST, FIRST)
    land(settings, FIRST, FIRST + timedelta(1))
    tell()
    assert told_days(instance) == Lake(settings.home).ledger.landed_days("mixpanel", "events")
    assert isinstance(tell(), dg.SkipReason)

    land(settings, FIRST, FIRST)
    before = len(instance.fetch_materializations(EVENTS, limit=1000).records)
    api.faults = lambda _: "cut_gzip"
    land(settings, LAST, LAST)
    api.faults = ()
    tell()
    # One day landed, and one failed: the day that is there from before stays, and the check says what went wrong.
    assert len(instance.fetch_materializations(EVENTS, limit=1000).records) == before + 1
    assert not last_check(instance, EVENTS, "landed").passed
    assert isinstance(tell(), dg.SkipReason)

    land(settings, LAST, LAST)
    with locked(settings.home, Progress()):
        assert isinstance(tell(), dg.SkipReason)
    assert isinstance(tell(), dg.SensorResult)


def test_a_source_that_fails_is_red_alone_and_the_others_and_the_bundle_go_on(
    execute: Execute, settings: Settings, api: ExportApi, folder: Path
) -> None:
    before = bundle.current(settings.home).build
    selection = [MIXPANEL, CSV_FILES, BUNDLE]
    api.faults = lambda _: "http_403"
    events_failed = execute(selection=selection)
    api.faults = ()
    file = folder / "nps_responses.csv"
    whole = file.read_text()
    file.write_text(whole + "n2,bob,1")
    file_failed = execute(selection=selection)
    file.write_text(whole)

    green = {"lake__mixpanel": True, "lake__csv_files": True, "published__bundle": True}
    for result, red, what in (
        (events_failed, "lake__mixpanel", "403"),
        (file_failed, "lake__csv_files", "nps_responses"),
    ):
        assert not result.success
        assert outcomes(result) == green | {red: False}
        failure = result.failure_data_for_node(red)
        assert failure
        assert failure.error
        assert what in failure.error.message
        (published,) = (event for event in result.get_asset_materialization_events() if event.asset_key == BUNDLE)
        assert what in str(published.materialization.metadata["published without"].value)
    assert bundle.current(settings.home).build > before


@pytest.mark.parametrize("when", ["before its first step", "at a step"])
def test_the_failure_sensor_says_why_a_run_failed_in_the_words_of_the_error(
    when: str,
    execute: Execute,
    settings: Settings,
    instance: dg.DagsterInstance,
    environment: dict[str, str],
    api: ExportApi,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from tailtracker_bi.defs.jobs import failure

    if when == "at a step":
        api.faults = lambda _: "http_403"
        said = "whether the project's data residency is us"
    else:
        analytics = tmp_path / "analytics.yml"
        analytics.write_text("retention:\n  - id: [\n")
        monkeypatch.setitem(environment, "TAILTRACKER_ANALYTICS", str(analytics))
        said = f": {analytics}: line 3: not YAML"
    result = execute(selection=[MIXPANEL])
    api.faults = ()
    capsys.readouterr()
    (event,) = (e for e in result.all_events if e.event_type is dg.DagsterEventType.RUN_FAILURE)
    context = dg.build_run_status_sensor_context("failure", event, instance, result.dagster_run).for_run_failure()
    failure(context)
    (line,) = (line for line in capsys.readouterr().err.splitlines() if "daily failed" in line)
    assert said in line
    assert "dagster" not in line.partition("daily failed")[2]


def test_a_rerun_of_the_sources_that_failed_is_followed_by_build_and_publish(
    both: Both, execute: Execute, settings: Settings, instance: dg.DagsterInstance
) -> None:
    """Re-execution from failure runs the red step alone: the steps that were green are not run again."""
    from tailtracker_bi.defs.jobs import rerun
    from tailtracker_bi.defs.transformation import models

    def follows(result: dg.ExecuteInProcessResult, parent: str | None) -> object:
        run = dg.DagsterRun("daily", run_id=result.run_id, parent_run_id=parent, root_run_id=parent)
        (event,) = (e for e in result.all_events if e.event_type is dg.DagsterEventType.RUN_SUCCESS)
        return rerun(dg.build_run_status_sensor_context("rerun", event, instance, run))

    alone = execute(selection=[MIXPANEL])
    request = follows(alone, both.of_dagster.run_id)
    assert isinstance(request, dg.RunRequest)
    assert set(request.asset_selection or ()) == {*models.keys, BUNDLE}
    assert isinstance(follows(alone, None), dg.SkipReason)
    assert isinstance(follows(both.of_dagster, alone.run_id), dg.SkipReason)


def test_sources_are_pulled_before_anything_is_built() -> None:
    """Models depend on no pull, so that they go on where one fails: the order is that of priorities."""
    from tailtracker_bi.definitions import defs

    job = defs().resolve_job_def("daily")
    priorities = {node.name: int(node.tags.get("dagster/priority", 0)) for node in job.nodes}
    pulls = {f"lake__{source.name}" for source in SOURCES}
    assert pulls < set(priorities)
    assert min(priorities[name] for name in pulls) > max(priorities[name] for name in priorities.keys() - pulls)


def test_days_that_failed_are_told_apart_from_those_that_landed(
    execute: Execute, settings: Settings, instance: dg.DagsterInstance, api: ExportApi
) -> None:
    api.faults = lambda request: "cut_gzip" if request.from_date <= str(LAST) <= request.to_date else None
    result = execute(LAST - timedelta(1), LAST, selection=[EVENTS])
    api.faults = ()
    assert not result.success
    logs = instance.all_logs(result.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    told = [log.dagster_event.partition for log in logs if log.dagster_event]
    assert told == [str(LAST - timedelta(1))]


def test_a_failed_test_is_a_failed_check_and_nothing_is_published(
    execute: Execute, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tailtracker_bi.defs import transformation

    before = bundle.current(settings.home).build
    test = next(spec for spec in transformation.models.check_specs if spec.name == "dau_within_wau_within_mau")
    node = SimpleNamespace(id=test.metadata["dagster_dbt/unique_id"], schema="", name=test.name)

    def fails(settings: Settings, *_: object) -> None:
        Warehouse(settings, load_analytics(None), Lake(settings.home)).prepare()
        error = BuildError("build: dau_within_wau_within_mau: 1 rows fail")
        error.results = [SimpleNamespace(node=node, status="fail", seconds=0.1, message="1 rows fail")]
        raise error

    monkeypatch.setattr(transformation, "build", fails)
    models = list(transformation.models.keys)
    result = execute(selection=[*models, BUNDLE])
    assert not result.success
    (check,) = result.get_asset_check_evaluations()
    assert (check.check_name, check.passed) == ("dau_within_wau_within_mau", False)
    # Nor can what that build left behind be published by a run of its own.
    alone = execute(selection=[BUNDLE])
    assert not alone.success
    assert "did not finish" in alone.failure_data_for_node("published__bundle").error.message  # type: ignore[union-attr]
    assert bundle.current(settings.home).build == before


def test_a_report_is_written_from_the_published_build_and_sent_once(
    settings: Settings, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from tailtracker_bi.definitions import defs
    from tailtracker_bi.defs.reporting import deliveries

    monkeypatch.setenv("REPORT_FOLDER", str(tmp_path / "sent"))
    with dg.build_sensor_context(instance=instance) as context:
        asked = deliveries(context)
    requests = {request.run_key.split(":")[0]: request for request in asked.run_requests}
    assert list(requests) == ["alerts", "pulse", "weekly", "board"]
    build = bundle.current(settings.home).build
    assert all(build in request.run_key for request in requests.values())

    def told() -> dict[str, dg.MetadataValue]:
        keys = requests["pulse"].asset_selection
        result = defs().resolve_job_def("reports").execute_in_process(instance=instance, asset_selection=keys)
        (event,) = result.get_asset_materialization_events()
        assert event.asset_key == dg.AssetKey(["reports", "pulse"])
        return dict(event.materialization.metadata)

    first = told()
    file = Path(str(first["file"].value))
    assert file.parent == settings.home / "reports"
    assert build in file.name
    assert (first["delivery"].value, first["recipients"].value) == ("sent", 1)
    assert told()["delivery"].value == "done"
    assert len(list((tmp_path / "sent").glob("pulse-*.html"))) == 1


def test_dagster_keeps_what_it_knows_in_home_unless_a_postgres_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAILTRACKER_HOME", str(tmp_path))
    config = Path(prepare()["DAGSTER_HOME"], "dagster.yaml")
    assert "storage" not in yaml.safe_load(config.read_text())
    monkeypatch.setenv("TAILTRACKER_DAGSTER_STORAGE_URL", "postgresql://dagster:hush@db.internal/dagster")
    assert prepare()["TAILTRACKER_DAGSTER_STORAGE_URL"].startswith("postgresql+psycopg2://")
    told = config.read_text()
    assert yaml.safe_load(told)["storage"] == {"postgres": {"postgres_url": {"env": "TAILTRACKER_DAGSTER_STORAGE_URL"}}}
    assert "hush" not in told


@pytest.mark.slow
def test_the_daily_job_is_remembered_by_a_postgres(
    settings: Settings, app_database: AppDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tailtracker_bi.definitions import defs

    home = settings.home
    monkeypatch.setenv("TAILTRACKER_HOME", str(tmp_path))
    monkeypatch.setenv("TAILTRACKER_DAGSTER_STORAGE_URL", app_database.owner_url)
    environment = prepare()
    monkeypatch.setenv("TAILTRACKER_DAGSTER_STORAGE_URL", environment["TAILTRACKER_DAGSTER_STORAGE_URL"])
    monkeypatch.setenv("TAILTRACKER_HOME", str(home))
    with dg.DagsterInstance.from_config(environment["DAGSTER_HOME"]) as kept:
        run = defs().resolve_job_def("daily").execute_in_process(instance=kept)
        assert run.success
    # Another process, which knows nothing but what stands there.
    with dg.DagsterInstance.from_config(environment["DAGSTER_HOME"]) as later:
        assert later.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.SUCCESS  # type: ignore[union-attr]
        assert later.get_latest_materialization_event(BUNDLE) is not None
        assert len(later.all_logs(run.run_id)) > 100
    assert app_database.execute("select count(*) from runs") == [(1,)]
    assert not list(tmp_path.rglob("*.db"))


def test_the_definitions_are_valid_without_any_setting(tmp_path: Path) -> None:
    workspace = Path(__file__).parents[2] / "workspace.yaml"
    program = Path(sys.executable).with_name("dagster")
    command = [program, "definitions", "validate", "-w", workspace]
    result = subprocess.run(command, env={}, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    assert "WARNING" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_last_hours_are_off_until_turned_on_and_leave_the_build_alone(
    settings: Settings,
    instance: dg.DagsterInstance,
    api: ExportApi,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from tailtracker_bi.definitions import defs
    from tailtracker_bi.defs.jobs import failure

    monkeypatch.setattr(export, "REQUESTS_PER_PULL", 0)  # Other tests have asked before.
    [schedule] = (one for one in defs().get_repository_def().schedule_defs if one.name == "last_hours")
    assert (schedule.cron_schedule, schedule.default_status.value) == ("*/15 * * * *", "STOPPED")
    build = bundle.current(settings.home)
    before = build.path.read_bytes()
    job = defs().resolve_job_def("last_hours")
    assert [node.name for node in job.nodes] == ["recent__activity"]
    assert job.execute_in_process(instance=instance).success
    found = recent.read(settings.home)
    assert found is not None
    assert found["as_of"][0].as_py() == settings.now
    assert (bundle.current(settings.home), build.path.read_bytes()) == (build, before)
    api.faults = lambda _: "http_403"
    failed = job.execute_in_process(instance=instance, raise_on_error=False)
    api.faults = ()
    [event] = (one for one in failed.all_events if one.event_type is dg.DagsterEventType.RUN_FAILURE)
    monkeypatch.setattr("tailtracker_bi.defs.jobs.tell_owner", lambda *_: pytest.fail("the next turn comes soon"))
    failure(dg.build_run_status_sensor_context("failure", event, instance, failed.dagster_run).for_run_failure())
    kept = dg.DagsterInstance.local_temp(str(tmp_path))
    with dg.build_schedule_context(instance=kept) as context:
        assert schedule.evaluate_tick(context).run_requests
        kept.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
        assert schedule.evaluate_tick(context).skip_message == "the turn before is not over"


def test_profiles_are_told_by_a_schedule_that_is_off_until_turned_on(
    settings: Settings, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tailtracker_bi.definitions import defs

    [schedule] = (one for one in defs().get_repository_def().schedule_defs if one.name == "traits")
    assert (schedule.cron_schedule, schedule.default_status.value) == ("0 9 * * *", "STOPPED")
    job = defs().resolve_job_def("traits")
    failed = job.execute_in_process(instance=instance, raise_on_error=False)
    said = failed.failure_data_for_node("traits__profiles").error.message  # type: ignore[union-attr]
    assert "set MIXPANEL_TOKEN and MIXPANEL_CONSENT" in said
    plan = Plan({"anna": {}}, ("bob", "carl"), 0, 0)
    monkeypatch.setattr("tailtracker_bi.defs.traits.update_profiles", lambda *_: plan)
    [event] = job.execute_in_process(instance=instance).get_asset_materialization_events()
    assert {name: it.value for name, it in event.materialization.metadata.items()} == {"told": 1, "taken away": 2}
    plan = replace(plan, too_old="too long ago")
    assert not job.execute_in_process(instance=instance, raise_on_error=False).success


def test_every_source_table_and_model_has_an_asset_with_a_group_an_owner_and_a_description(settings: Settings) -> None:
    from tailtracker_bi.definitions import defs

    nodes = [node for node in defs().resolve_asset_graph().asset_nodes if node.is_materializable]
    keys = {node.key.to_user_string() for node in nodes}
    assert {f"raw_{source.name}/{table.name}" for source in SOURCES for table in source.tables} < keys
    assert [n.key for n in nodes if not (n.group_name != "default" and n.owners and n.description)] == []


def test_every_check_sensor_and_schedule_says_what_it_is_for_and_schedules_are_named_after_their_jobs(
    settings: Settings,
) -> None:
    from tailtracker_bi.definitions import defs

    repository = defs().get_repository_def()
    checks = {
        (spec.asset_key, spec.name): spec.description
        for assets in repository.assets_defs_by_key.values()
        for spec in assets.check_specs
    }
    assert len(checks) > 100
    assert [name for name, said in checks.items() if not said] == []
    assert [sensor.name for sensor in repository.sensor_defs if not sensor.description] == []
    assert [(schedule.name, bool(schedule.description)) for schedule in repository.schedule_defs] == [
        (schedule.job_name, True) for schedule in repository.schedule_defs
    ]
