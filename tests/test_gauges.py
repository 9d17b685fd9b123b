"""Prometheus gets the latest complete values, knows what is absent from what is 0, and sees how the pipeline is."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.request import urlopen

import orjson
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.parser import text_string_to_metric_families as classic_families

from tailtracker_bi import bundle
from tailtracker_bi.bundle import Bundle
from tailtracker_bi.gauges import as_text, write_textfile
from tests.worlds import sample_bundle
from tests.worlds.sample_bundle import changed


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return sample_bundle.publish(tmp_path_factory.mktemp("home"))


def samples(home: Path) -> dict[tuple[str, ...], float]:
    """By name and labels, in the order of theirs, what the parser of OpenMetrics reads."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(as_text(home))
        for sample in family.samples
    }


def home_of(build: Bundle) -> Path:
    return build.path.parent.parent


def test_a_gauge_is_the_latest_complete_value_with_its_grain_and_currency(build: Bundle) -> None:
    found = samples(home_of(build))
    for metric, grain, currency in (("mrr", "day", "EUR"), ("sign_ups", "week", ""), ("dau", "day", "")):
        rows = bundle.read(build, "metric_values", metric_id=metric, grain=grain, segment="all")
        last = rows[rows["is_complete"] & rows["value"].notna()].sort_values("period_start").iloc[-1]
        assert found[f"tailtracker_{metric}", currency, grain] == last["value"]
        end = found["tailtracker_metric_period_end_timestamp_seconds", grain, metric]
        days = {"day": 1, "week": 7}[grain]
        assert datetime.fromtimestamp(end, UTC).date() == last["period_start"].date() + timedelta(days=days)


def test_what_is_not_known_is_absent_and_what_is_nothing_is_0(build: Bundle, tmp_path: Path) -> None:
    own = changed(
        build,
        tmp_path,
        "update metric_values set is_complete = false where metric_id = 'mrr'",
        "update metric_values set value = 0 where metric_id = 'sign_ups'",
    )
    found = samples(home_of(own))
    assert not any(name == "tailtracker_mrr" for name, *_ in found)
    assert found["tailtracker_sign_ups", "", "week"] == 0


def test_the_pipeline_is_told_by_source_and_by_run(build: Bundle, tmp_path: Path) -> None:
    own = home_of(changed(build, tmp_path, "select 1"))
    runs = own / "runs"
    runs.mkdir()
    for number, status in enumerate(["success", "failure"]):
        told = {
            "started_at": f"2025-03-1{number}T06:00:00Z", "finished_at": f"2025-03-1{number}T06:05:00Z",
            "status": status,
            "held": ["stripe:charges"] if status == "failure" else [],
        }  # fmt: skip
        (runs / f"2025031{number}T060000-aaaaaa.json").write_bytes(orjson.dumps(told))
    (runs / "20250312T060000-aaaaaa.json").write_text("{ half")
    found = samples(own)
    assert found["tailtracker_bi_has_build",] == 1
    assert found["tailtracker_bi_source_ok", "mixpanel", "events"] == 0
    assert found["tailtracker_bi_source_ok", "stripe", "charges"] == 1
    assert found["tailtracker_bi_source_days_missing", "mixpanel", "events"] == 1
    assert found["tailtracker_bi_last_refresh_success",] == 0
    assert found["tailtracker_bi_last_refresh_held",] == 1
    assert found["tailtracker_bi_last_refresh_seconds",] == 300
    ended = datetime(2025, 3, 10, 6, 5, tzinfo=UTC).timestamp()
    assert found["tailtracker_bi_last_successful_refresh_timestamp_seconds",] == ended


def test_where_nothing_is_published_that_is_what_is_told(tmp_path: Path) -> None:
    assert samples(tmp_path) == {("tailtracker_bi_has_build",): 0}


def test_a_label_from_outside_ends_no_line(build: Bundle, tmp_path: Path) -> None:
    text = 'x"} 1\ntailtracker_mrr 7 \\'
    own = changed(build, tmp_path, "update data_status set source = $text where source = 'mixpanel'", text=text)
    assert samples(home_of(own))["tailtracker_bi_source_ok", text, "events"] == 0


def test_the_textfile_is_what_a_node_exporter_reads(build: Bundle, tmp_path: Path) -> None:
    write_textfile(home_of(build), tmp_path / "gauges.prom")
    read = list(classic_families((tmp_path / "gauges.prom").read_text()))
    assert {family.type for family in read} == {"gauge"}
    assert {"tailtracker_mrr", "tailtracker_bi_build_info"} < {family.name for family in read}
    assert [file.name for file in tmp_path.iterdir()] == ["gauges.prom"]


def test_scrapes_are_answered(build: Bundle) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = str(Path(sys.executable).with_name("tailtracker-bi"))
    process = subprocess.Popen(
        [program, "gauges", "--http", str(port)],
        env={"PATH": "/usr/bin:/bin", "TAILTRACKER_HOME": str(home_of(build))},
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().decode().strip() == f"http://127.0.0.1:{port}/metrics"
        for _ in range(100):
            try:
                answer = urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read().decode()
                break
            except OSError:
                time.sleep(0.1)
        assert "tailtracker_mrr{" in answer
    finally:
        process.kill()
        process.wait()
