"""Grafana and Prometheus load what is made for them, and it reads gauges that are there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from itertools import combinations
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from typer.testing import CliRunner

from tailtracker_bi import bundle
from tailtracker_bi.analytics import Analytics, load_analytics
from tailtracker_bi.bundle import Bundle
from tailtracker_bi.cli.app import app
from tailtracker_bi.figures.catalogue import Metric, catalog
from tailtracker_bi.gauges import as_text
from tailtracker_bi.monitoring import files, rules
from tests.worlds import sample_bundle
from tests.worlds.sample_bundle import changed


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return sample_bundle.publish(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def made(build: Bundle) -> dict[str, str]:
    return files(build, load_analytics())


@pytest.fixture(scope="module")
def gauges(build: Bundle, tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names that a scrape has where a refresh has ended and a delivery failed."""
    home = changed(build, tmp_path_factory.mktemp("told"), "select 1").path.parent.parent
    (home / "runs").mkdir()
    told = {
        "started_at": "2025-03-10T06:00:00Z",
        "finished_at": "2025-03-10T06:05:00Z",
        "status": "success",
        "held": [],
    }
    (home / "runs" / "20250310T060000-aaaaaa.json").write_bytes(orjson.dumps(told))
    return {family.name for family in text_string_to_metric_families(as_text(home))}


def panels(text: str) -> list[dict[str, Any]]:
    return [panel for panel in json.loads(text)["panels"] if panel["type"] != "row"]


def named(text: str) -> set[str]:
    return set(re.findall(r"tailtracker_[a-z0-9_]+", text))


DASHBOARDS = ["tailtracker-kpis.json", "tailtracker-pipeline.json"]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_dashboard_is_of_grafanas_schema(name: str, made: dict[str, str]) -> None:
    # What the schema does not know would be lost on the way.
    read = Dashboard.from_json(json.loads(made[name]))
    assert json.loads(JSONEncoder(sort_keys=True).encode(read)) == json.loads(made[name])
    assert json.loads(made[name])["uid"] == name.removesuffix(".json")


@pytest.mark.parametrize("name", DASHBOARDS)
def test_no_panel_lies_on_another_or_beyond_the_edge(name: str, made: dict[str, str]) -> None:
    places = [panel["gridPos"] for panel in json.loads(made[name])["panels"]]
    assert all(place["x"] >= 0 and place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below


def test_every_metric_has_a_panel_in_its_unit_and_no_panel_reads_what_is_no_gauge(
    build: Bundle, made: dict[str, str], gauges: set[str]
) -> None:
    shown = panels(made["tailtracker-kpis.json"])
    metrics = metrics_of(build)
    lines = {panel["targets"][0]["expr"]: panel for panel in shown if panel["type"] == "timeseries"}
    assert lines.keys() == {f"tailtracker_{metric_id}" for metric_id in metrics}
    units = {name: lines[f"tailtracker_{name}"]["fieldConfig"]["defaults"]["unit"] for name in metrics}
    assert (units["mrr"], units["payment_success_rate"], units["recovery_hours_avg"], units["dau"]) == (
        "currency:EUR", "percentunit", "h", "none",
    )  # fmt: skip
    tiles = [panel for panel in shown if panel["type"] == "stat"]
    assert len(tiles) == len([one for one in metrics.values() if one.headline_rank is not None])
    assert {panel["datasource"]["uid"] for panel in shown} == {"${datasource}"}
    for name in DASHBOARDS:
        read = {exp for panel in panels(made[name]) for exp in named(panel["targets"][0]["expr"])}
        assert read - {f"tailtracker_{metric_id}" for metric_id in metrics} <= gauges, name


def metrics_of(build: Bundle) -> dict[str, Metric]:
    return catalog(bundle.read(build, "metric_catalog"), "EUR")


def test_rules_read_gauges_that_are_there_and_say_what_analytics_yml_does(
    build: Bundle, made: dict[str, str], gauges: set[str]
) -> None:
    groups = {group["name"]: group["rules"] for group in yaml.safe_load(made["tailtracker.rules.yaml"])["groups"]}
    for group in groups.values():
        for one in group:
            assert named(one["expr"]) <= gauges, one
            assert one["labels"]["severity"] in ("warning", "critical")
    by_name = {one["alert"]: one["expr"] for group in groups.values() for one in group}
    assert by_name["TailTrackerAvailabilityLow"] == 'tailtracker_availability{grain="day"} < 0.995'
    # What a ratio is of has no gauge: it is left to the alerts.
    assert "TailTrackerPaymentsFail" not in by_name
    assert by_name["TailTrackerLatencyP95MsAllBroken"] == (
        "1000 * histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket[5m]))) > 2000"
    )
    assert by_name["TailTrackerErrorRateAllBroken"].endswith("> 0.01")
    assert by_name["TailTrackerAvailabilityApiBroken"].endswith("< 0.995")
    fast = by_name["TailTrackerAvailabilityAllBurnsFast"]
    assert fast.count("> 6") == 2
    assert fast.index("[1h]") < fast.index("[5m]")
    assert "TailTrackerAppCrashRateAllBurnsFast" not in by_name


def promtool() -> str:
    """The program that Prometheus loads rules by; skipped where there is none."""
    found = shutil.which("promtool")
    if found is None:
        reason = "NO RULE HAS BEEN CHECKED: no promtool found; install it (Debian: prometheus)"
        if os.environ.get("TAILTRACKER_REQUIRE_PROMTOOL") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def test_prometheus_loads_the_rules(made: dict[str, str], build: Bundle, tmp_path: Path) -> None:
    program = promtool()
    awkward = load_analytics().service_levels[0].model_copy(update={"service": "the api's \u00fc-part 2"})
    own: Analytics = load_analytics().model_copy(update={"service_levels": [awkward]})
    (tmp_path / "shipped.yml").write_text(made["tailtracker.rules.yaml"])
    (tmp_path / "own.yml").write_text(yaml.safe_dump(rules(metrics_of(build), own)))
    checked = subprocess.run(
        [program, "check", "rules", "shipped.yml", "own.yml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert checked.stdout.count("SUCCESS") == 2
    (tmp_path / "broken.yml").write_text(made["tailtracker.rules.yaml"].replace("rate(", "rates("))
    broken = subprocess.run([program, "check", "rules", "broken.yml"], cwd=tmp_path, capture_output=True, check=False)
    assert broken.returncode != 0


def test_the_command_writes_what_is_to_be_loaded(
    build: Bundle, made: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAILTRACKER_HOME", str(build.path.parent.parent))
    done = CliRunner().invoke(app, ["monitoring", "--out", str(tmp_path / "new")])
    assert done.exit_code == 0, done.exception
    assert {file.name: file.read_text() for file in (tmp_path / "new").iterdir()} == made
