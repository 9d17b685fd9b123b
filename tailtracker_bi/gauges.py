"""What Prometheus scrapes: each metric's latest complete value, and how the pipeline is.

Names are `tailtracker_<metric>` and `tailtracker_bi_<...>`. Values are read anew at each scrape, from the published
build and the reports of runs alone. A metric without a complete value has no gauge: it is absent, never 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pandas as pd
from prometheus_client import CollectorRegistry, start_http_server, write_to_textfile
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.registry import Collector

from tailtracker_bi import bundle
from tailtracker_bi.bundle import Bundle, BundleError, NoBundleError
from tailtracker_bi.delivery import Ledger
from tailtracker_bi.figures.catalogue import Metric, catalog
from tailtracker_bi.figures.points import LENGTHS, by_metric
from tailtracker_bi.figures.readings import latest
from tailtracker_bi.figures.wording import currency_of

ALL_IS_WELL = {"ok", "off"}


class Gauges(Collector):
    """The gauges of one HOME."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """As prometheus_client asks for them at each scrape."""
        try:
            build: Bundle | None = bundle.current(self._home)
        except (BundleError, NoBundleError):
            build = None
        yield GaugeMetricFamily("tailtracker_bi_has_build", "Whether anything is published.", value=build is not None)
        if build is not None:
            yield from _of_metrics(build)
            yield from _of_build(build)
        yield from _of_runs(self._home)
        yield _of_deliveries(self._home)


def as_text(home: Path) -> str:
    """All gauges in the format of OpenMetrics."""
    text: bytes = generate_latest(_registry(home))  # type: ignore[no-untyped-call]
    return text.decode()


def write_textfile(home: Path, file: Path) -> None:
    """All gauges for the textfile collector of a node exporter, whole or not at all."""
    write_to_textfile(str(file), _registry(home))


def serve(home: Path, address: str, port: int) -> None:
    """Answer scrapes until interrupted."""
    server, thread = start_http_server(port, address, _registry(home))
    try:
        thread.join()
    finally:
        server.shutdown()


def _registry(home: Path) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=False)
    # Who registers is asked at once; what is there then may be gone at the next scrape.
    registry.register(Gauges(home))
    return registry


def _of_metrics(build: Bundle) -> Iterator[GaugeMetricFamily]:
    info = bundle.read(build, "bundle_info").iloc[0]
    metrics = catalog(bundle.read(build, "metric_catalog"), str(info.get("currency", "")))
    series = by_metric(bundle.read(build, "metric_values", None, segment="all"))
    ends = GaugeMetricFamily(
        "tailtracker_metric_period_end_timestamp_seconds",
        "End of the period that a metric's gauge is of, midnight UTC after its last day.",
        labels=["metric_id", "grain"],
    )
    for metric_id, metric in metrics.items():
        family = GaugeMetricFamily(f"tailtracker_{metric_id}", _about(metric), labels=["grain", "currency"])
        for grain, length in LENGTHS.items():
            if (metric_id, grain) not in series:
                continue
            now = latest(metric, series[metric_id, grain]).now
            if now.value is None or now.period_start is None:
                continue
            family.add_metric([grain, currency_of(metric.format)], now.value)
            ends.add_metric([metric_id, grain], (now.period_start + length).tz_localize("UTC").timestamp())
        if family.samples:
            yield family
    yield ends


def _about(metric: Metric) -> str:
    return f"{metric.label} ({metric.unit}): {metric.description}"


def _of_build(build: Bundle) -> Iterator[GaugeMetricFamily]:
    info = bundle.read(build, "bundle_info").iloc[0]
    built = pd.Timestamp(info["built_at"]).tz_localize("UTC").timestamp()
    yield GaugeMetricFamily("tailtracker_bi_build_timestamp_seconds", "When what readers see was built.", value=built)
    described = {"build": str(info["build"]), "engine": str(info["engine"]), "version": str(info["version"])}
    about = GaugeMetricFamily("tailtracker_bi_build_info", "Which build readers see.", labels=list(described))
    about.add_metric(list(described.values()), 1)
    yield about
    tables = bundle.read(build, "data_status").to_dict("records")
    for name, said, column in (
        ("rows", "Rows kept of a table of a source.", "rows"),
        ("quarantined", "Records of a table that were set aside.", "quarantined"),
        ("days_missing", "Days of a table that have not landed.", "days_missing"),
    ):
        yield _of_tables(f"tailtracker_bi_source_{name}", said, tables, lambda table, column=column: table[column])
    yield _of_tables(
        "tailtracker_bi_source_ok",
        "Whether a table of a source is neither late nor held, failed, suspect or empty.",
        tables,
        lambda table: table["status"] in ALL_IS_WELL,
    )
    yield _of_tables(
        "tailtracker_bi_source_read_timestamp_seconds",
        "When a table of a source was last read.",
        tables,
        lambda table: None if pd.isna(table["loaded_at"]) else table["loaded_at"].tz_localize("UTC").timestamp(),
    )


def _of_tables(name: str, said: str, tables: list[dict[Any, Any]], value: Any) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, said, labels=["source", "table"])
    for table in tables:
        found = value(table)
        if found is not None and not pd.isna(found):
            family.add_metric([str(table["source"]), str(table["table_name"])], float(found))
    return family


def _of_runs(home: Path) -> Iterator[GaugeMetricFamily]:
    """Of the last refresh that came to its end, and of the last one that did all that was asked for."""
    # Names begin with the time at which a run began.
    files = sorted((home / "runs").glob("*.json"), reverse=True)
    for name, is_told in (("last", lambda _: True), ("last_successful", lambda run: run["status"] == "success")):
        run = next((run for run in map(_read, files) if run is not None and is_told(run)), None)
        if run is None:
            continue
        began, ended = (pd.Timestamp(run[key]).timestamp() for key in ("started_at", "finished_at"))
        yield GaugeMetricFamily(f"tailtracker_bi_{name}_refresh_timestamp_seconds", "When it ended.", value=ended)
        yield GaugeMetricFamily(f"tailtracker_bi_{name}_refresh_seconds", "How long it took.", value=ended - began)
        if name == "last":
            done = run["status"] == "success"
            yield GaugeMetricFamily("tailtracker_bi_last_refresh_success", "Whether all of it was done.", value=done)
            held = len(run["held"])
            yield GaugeMetricFamily("tailtracker_bi_last_refresh_held", "Days and tables that it held.", value=held)


def _read(file: Path) -> dict[str, Any] | None:
    """A run's report; none where it can't be read, as one that is being written."""
    try:
        run: dict[str, Any] = orjson.loads(file.read_bytes())
    except (OSError, ValueError):
        return None
    return run if run.get("finished_at") else None


def _of_deliveries(home: Path) -> GaugeMetricFamily:
    ledger, failed = Ledger(home), dict[str, int]()
    family = GaugeMetricFamily(
        "tailtracker_bi_deliveries_failed", "Deliveries of a report that did not arrive.", labels=["report"]
    )
    for one in ledger.deliveries():
        failed[one.report] = failed.get(one.report, 0) + (one.state == "failed")
    for report, count in failed.items():
        family.add_metric([report], count)
    return family
