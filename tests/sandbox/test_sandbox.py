"""The sandbox as people meet it: its numbers are true, its faults are told, and it comes up and goes down whole."""

from __future__ import annotations

import gzip
import math
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import orjson
import pytest

from tailtracker_bi import bundle
from tailtracker_bi.analytics import load_analytics
from tailtracker_bi.cli import sandbox as commands
from tailtracker_bi.errors import SettingsError
from tailtracker_bi.figures.catalogue import catalog
from tailtracker_bi.figures.explain import explain
from tailtracker_bi.figures.explained import shown
from tailtracker_bi.figures.readings import complete
from tailtracker_bi.figures.wording import difference
from tailtracker_bi.runs.pipeline import refresh
from tailtracker_bi.runs.report import Progress
from tailtracker_bi.sandbox.check import differences
from tailtracker_bi.sandbox.home import SandboxHome
from tailtracker_bi.sandbox.servers.faults import spoilt_day
from tailtracker_bi.sandbox.service import DAY, Plan, morning_after, serving
from tailtracker_bi.sandbox.shown.recording import record
from tailtracker_bi.sandbox.story.story import Scenario, Story, tell
from tailtracker_bi.sandbox.truth.frame import Value
from tailtracker_bi.sandbox.truth.metrics import truth
from tailtracker_bi.settings.environment import load_settings
from tailtracker_bi.settings.model import Settings
from tailtracker_bi.sources import SOURCES
from tailtracker_bi.sources.app_db.reading import AppDb
from tailtracker_bi.sources.mixpanel.export import Mixpanel
from tailtracker_bi.sources.stripe.api import StripeSettings
from tailtracker_bi.warehouse import DuckDb, engine_of
from tailtracker_bi.warehouse.dbt_runner import compiled_manifest
from tailtracker_bi.warehouse.models import nodes_of
from tests.bundle.test_exploring import assert_all_that_is_declared_is_answered_as_published
from tests.sources.export_lines import event_line
from tests.worlds.tiny import rows

UNTIL = date(2026, 10, 31)


def planned(story: Story, place: SandboxHome) -> Plan:
    """The plan of a story whose files stand in HOME, as `sandbox up` makes it."""
    scenario, files = story.scenario, place.folder / "story"
    record(story, files, morning_after(scenario.until))
    return Plan(
        {name: files / name for name in ("mixpanel", "stripe", "app_db")},
        now=morning_after(scenario.until),
        first_day=scenario.until - timedelta(days=scenario.days - 1),
        story=scenario,
    )


def settings_of(home: Path) -> Settings:
    return load_settings(TAILTRACKER_HOME=home, TAILTRACKER_RETRY_SCALE=0)


@pytest.fixture(scope="module")
def story() -> Story:
    """Of a small company to which everything happens that is counted: not with every seed it does."""
    return tell(Scenario(people=150, days=100, until=UNTIL, seed=9340))


def test_in_the_story_each_metric_has_values_that_a_wrong_reading_would_change(story: Story) -> None:
    of_currency: dict[str, dict[str, dict[tuple[str, date], Value]]] = defaultdict(lambda: defaultdict(dict))
    for row in truth(story, morning_after(UNTIL)):
        of_currency[row.currency][row.metric_id][row.grain, row.period_start] = row.value
    assert of_currency.keys() == {"all", "EUR", "USD", "JPY"}
    values = of_currency["all"]
    all_alike = [metric_id for metric_id, found in values.items() if len(set(found.values()) - {None}) < 2]
    assert all_alike == []
    # No metric passes for another one.
    assert len({tuple(found.items()) for found in values.values()}) == len(values)

    # By the day of the charge; of the whole payment; without what was won back; less refunds; when it was first tried.
    paid = [
        payment
        for customer in story.customers
        for _, invoice in customer.invoices()
        if (payment := invoice.payment) and payment.paid_at < story.plot.end and payment.currency == "eur"
    ]
    refunded = [(payment, payment.refund) for payment in paid if payment.refund and payment.refund.at < story.plot.end]
    taken = [(payment, payment.dispute) for payment in paid if payment.dispute and payment.dispute.at < story.plot.end]
    for metric_id, wrong in {
        "refunds": [
            [(payment.paid_at, refund.cents) for payment, refund in refunded],
            [(refund.at, payment.cents) for payment, refund in refunded],
        ],
        "disputes": [
            [(dispute.at, payment.cents) for payment, dispute in taken],
            [(payment.paid_at, payment.cents) for payment, _ in taken],
        ],
        "gross_volume": [
            [(payment.paid_at, payment.cents - refund.cents if (refund := payment.refund) else payment.cents)
             for payment in paid],
            [(payment.created, payment.cents) for payment in paid],
        ],
    }.items():  # fmt: skip
        for reading in wrong:
            by_day = Counter[date]()
            for at, cents in reading:
                by_day[datetime.fromtimestamp(at, UTC).date()] += cents
            of_days = of_currency["EUR"][metric_id].items()
            true = {start: value for (grain, start), value in of_days if grain == "day"}
            assert {start: Decimal(by_day[start]) / 100 for start in true} != true, metric_id


@pytest.fixture(scope="module")
def home_of_the_story(story: Story, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    place = SandboxHome(home)
    with serving(place, planned(story, place)):
        assert refresh(settings_of(home), Progress()).errors == []
    return home


def test_what_is_published_is_true(story: Story, home_of_the_story: Path) -> None:
    found = differences(story, morning_after(UNTIL), bundle.current(home_of_the_story))
    assert found.differences == []
    assert sum(found.compared.values()) > 1000
    assert min(found.compared.values()) > 0
    catalogue = {metric for (metric,) in rows(home_of_the_story, "select metric_id from metric_catalog")}
    published = {metric for (metric,) in rows(home_of_the_story, "select distinct metric_id from metric_values")}
    assert published == catalogue


def test_no_outer_join_by_equality_looks_at_every_pair(home_of_the_story: Path) -> None:
    """DuckDB does where there is a condition on the left side alone, or an `or`, beside the keys."""
    engine = DuckDb(home_of_the_story)
    found = []
    with duckdb.connect(str(engine.path), read_only=True) as connection:
        for node in nodes_of(compiled_manifest(engine)):
            [(_, plan)] = connection.execute(f"explain (format json) {node.sql}").fetchall()
            waiting = orjson.loads(plan)
            while waiting:
                step = waiting.pop()
                waiting += step["children"]
                told = str(step["extra_info"])
                is_outer = step["name"].strip() == "BLOCKWISE_NL_JOIN" and "INNER" not in told
                if is_outer and re.search(r"\(\w+ = \w+\)", told):
                    found.append(f"{node.name}: {told}")
    assert found == []


@pytest.mark.usefixtures("answered_here")
def test_explore_answers_as_published(home_of_the_story: Path) -> None:
    assert_all_that_is_declared_is_answered_as_published(bundle.current(home_of_the_story), load_analytics())


def test_the_change_of_every_metric_is_what_its_segments_add_up_to(home_of_the_story: Path) -> None:
    """Each metric by each grain: its last two periods, and those in which it was most and least."""
    build = bundle.current(home_of_the_story)
    metrics = catalog(bundle.read(build, "metric_catalog"), "EUR")
    why_not, changed = Counter[str](), set[str]()
    for (metric_id, _), values in bundle.read(build, "metric_values").groupby(["metric_id", "grain"]):
        metric = metrics[str(metric_id)]
        known = complete(values[values["segment"] == "all"]).set_index("period_start")["value"].sort_index()
        for now, before in [known.index[-1:-3:-1], [known.idxmax(), known.idxmin()]] if len(known) > 1 else []:
            found = explain(metric, values, now.date(), before.date())
            if not found.why_not:
                changed.add(metric.metric_id)
            for one in found.segmentations:
                why_not[one.why_not] += 1
                if one.why_not:
                    continue
                moves = [part.change for part in one.parts]
                scale = max(map(abs, [found.change, *moves]))
                assert abs(math.fsum([*moves, one.remainder]) - found.change) <= 1e-9 * scale, (metric_id, one.segment)
                written = difference(found.reading.now.value or 0, found.reading.before.value or 0, metric.format)
                assert sum(row.change for row in shown(found, one)) == written, (metric_id, one.segment)
            if found.numerator is not None and found.denominator is not None:
                assert found.numerator + found.denominator == pytest.approx(found.change, rel=1e-9)
    # Each metric has changed, unless it is a median or percentile, which is not made of its parts.
    assert {*metrics} - changed == {"recovery_hours_median", "latency_p95_ms"}
    # In a small company nothing else is in the way.
    assert {*why_not} == {"", "there is one value only", "each amount is in a currency of its own"}
    assert why_not[""] > 300


class Heard(Progress):
    """Remembers what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)


@pytest.mark.slow
def test_faults_are_told_and_all_else_is_true_on_a_further_day(tmp_path: Path) -> None:
    story = tell(Scenario(people=150, days=100, until=UNTIL, seed=2, ahead=1))
    place, told = SandboxHome(tmp_path), Heard()
    begins = morning_after(UNTIL)
    with serving(place, replace(planned(story, place), is_faulty=True)) as sandbox:
        record(story, place.folder / "story", begins + DAY, since=begins)
        sandbox.move_to(begins + DAY)
        settings = settings_of(tmp_path)
        assert settings.now == begins + DAY
        report = refresh(settings, told)
    assert report.build
    failed = dict(rows(tmp_path, "select table_name, reason from data_status where status = 'failed'"))
    assert failed.keys() == {"events", "disputes", "lost_pet_reports"}
    (cut,) = (line["day"] for line in report.days if (line["source"], line["status"]) == ("mixpanel", "failed"))
    assert failed["events"] == f"{cut}: the gzip stream was cut off before its end"
    assert failed["disputes"].startswith("answered 403: the key may not read disputes")
    assert failed["lost_pet_reports"] == "permission denied: grant select on lost_pet_reports to analytics"
    spoilt = spoilt_day(planned(story, place).first_day)
    (told_of,) = (line for line in report.days if (line["source"], line["day"]) == ("prometheus", spoilt))
    assert [remark for remark in told_of["remarks"] if "288 warning" in remark]
    for passing in (
        "terminated early",
        "Query rate limit exceeded",
        "charges: answered 429",
        "invoices: answered 429",
        "answered 503",
    ):
        assert any(passing in line for line in told.lines), told.lines
    found = differences(story, begins + DAY, bundle.current(tmp_path))
    assert found.differences == []
    assert {"mrr", "payments", "total_users", "dau"} <= found.compared.keys()
    # Of the latency nothing is known on the spoilt day and the one on which Prometheus itself was down.
    assert found.compared["latency_p95_ms"] < found.compared["availability"]
    assert found.compared["error_budget_remaining"] > 50
    landed = {line["day"] for line in report.days if line["source"] == "mixpanel" and line["status"] == "landed"}
    failed_days = {line["day"] for line in report.days if line["table"] == "events" and line["status"] == "failed"}
    assert (len(landed), failed_days) == (100, {spoilt})


def test_it_comes_up_and_goes_down_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TAILTRACKER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("STRIPE_API_KEY", "rk_live_of_the_real_account")
    monkeypatch.setenv("TAILTRACKER_NOW", "2026-11-01T12:00:00Z")
    place = SandboxHome(tmp_path / "home")
    commands.start(people=20, days=40)
    try:
        settings = load_settings()
        assert (settings.now, settings.history_start) == (morning_after(UNTIL), date(2026, 9, 22))
        assert {
            source.name: source(settings).check().is_ok for source in SOURCES if source.is_on(settings)
        } == dict.fromkeys(["mixpanel", "stripe", "app_db", "prometheus", "annotations", "exchange_rates"], True)
        assert (place.folder / "settings.env").stat().st_mode & 0o777 == 0o600
        up = place.running
        commands.start()
        assert place.running == up
        assert "up already, with a story of 20 people and 40 days up to 2026-10-31" in capsys.readouterr().out

        assert up
        assert up.postgres
        os.kill(up.pid, signal.SIGKILL)
        while place.is_up:
            time.sleep(0.01)
        with pytest.raises(SettingsError, match="is not up: run `tailtracker-bi sandbox up`"):
            refresh(load_settings(), Progress())
        commands.start(day_seconds=3600)
        again = place.running
        assert again
        assert again.postgres
        assert not Path(up.postgres).exists()
    finally:
        assert place.stop()
    assert not Path(again.postgres).exists()
    assert not place.stop()


def test_it_offers_a_warehouse_in_postgres_that_the_environment_may_name_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TAILTRACKER_HOME", str(tmp_path / "home"))
    commands.start(people=20, days=40, warehouse="postgres")
    place = SandboxHome(tmp_path / "home")
    try:
        assert "warehouse      Postgres on a socket in " in capsys.readouterr().out
        settings = load_settings()
        engine = engine_of(settings)
        assert settings.warehouse == engine.name == "postgres"
        assert [is_ok for is_ok, _ in engine.check()] == [True] * 6
        with engine.session() as session:
            session.create_schemas(["marts"])
        commands.start()
        assert load_settings().warehouse == "postgres"  # it stays as it is there
        monkeypatch.setenv("TAILTRACKER_WAREHOUSE", "duckdb")
        assert load_settings().warehouse == "duckdb"
        assert load_settings().warehouse_url == settings.warehouse_url
    finally:
        place.stop()


@pytest.mark.slow
def test_the_demo_and_its_check_from_nothing(tmp_path: Path) -> None:
    environment = {"TAILTRACKER_HOME": str(tmp_path / "home"), "PATH": os.environ["PATH"], "HOME": str(tmp_path)}

    def run(*arguments: str) -> str:
        program = Path(sys.executable).with_name("tailtracker-bi")
        done = subprocess.run(
            [program, *arguments], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    try:
        assert "bundle 2" in run("demo", "--no-dashboard", "--people", "30", "--days", "40")
        assert "total_users" in run("sandbox", "check")
    finally:
        assert run("sandbox", "down") == "the sandbox is down\n"
    assert run("sandbox", "down") == "no sandbox was up\n"


def test_recorded_files_are_served_as_of_the_day_after_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, mixpanel, app_db = tmp_path / "home", tmp_path / "mixpanel", tmp_path / "app_db"
    monkeypatch.setenv("TAILTRACKER_HOME", str(home))
    mixpanel.mkdir()
    app_db.mkdir()
    for day in (30, 31):
        line = event_line("Open", int(datetime(2024, 3, day, 12, tzinfo=UTC).timestamp()))
        (mixpanel / f"2024-03-{day}.jsonl.gz").write_bytes(gzip.compress(line + b"\n"))
    (app_db / "user_profiles.csv").write_text("id,user_id,shoe_size\np1,1,42\n")
    commands.replay(mixpanel=mixpanel, app_db=app_db)
    try:
        settings = load_settings()
        assert (settings.now, settings.history_start) == (datetime(2024, 4, 1, 6, tzinfo=UTC), date(2024, 3, 30))
        assert settings.of(StripeSettings).key is None
        source = AppDb(settings)
        with source.session({}, tmp_path) as read, read(source.tables[0]) as versions:
            assert versions.rows.read_all()["user_id"].to_pylist() == ["1"]
        with Mixpanel(settings).fetch(date(2024, 3, 30), date(2024, 3, 31), home / "spool") as days:
            assert [count.loaded for count in days.counts.values()] == [1, 1]
    finally:
        SandboxHome(home).stop()
    with pytest.raises(SettingsError, match="name at least one"):
        commands.replay()


def test_a_home_with_data_of_one_s_own_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAILTRACKER_HOME", str(tmp_path))
    monkeypatch.setattr("tailtracker_bi.lake.ledger.Ledger.is_empty", False)
    with pytest.raises(SettingsError, match="holds data that no sandbox has made: set TAILTRACKER_HOME"):
        commands.start(people=20, days=40)
    assert not SandboxHome(tmp_path).exists
