"""What Grafana and Prometheus are to load for the gauges: dashboards as JSON, and rules that Alertmanager hears of.

    tailtracker-kpis.json        a row a domain of the catalogue, a panel a metric
    tailtracker-pipeline.json    how the pipeline is
    tailtracker.rules.yaml       the pipeline's troubles, what analytics.yml declares of metrics with one bound, and its
                                 service levels by the app's own counters, within minutes

All of it is made from the catalogue of a build and from analytics.yml, so that it is made anew where these change.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import yaml
from grafana_foundation_sdk.builders import dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import DataSourceRef, GridPos

from tailtracker_bi import bundle
from tailtracker_bi.analytics import AlertRules, Analytics, ServiceLevel
from tailtracker_bi.bundle import Bundle
from tailtracker_bi.figures.catalogue import Metric, catalog
from tailtracker_bi.figures.wording import currency_of, is_money, words

WIDTH, HEIGHT, STAT_HEIGHT, ACROSS = 8, 7, 4, 24
"""Of panels, in Grafana's squares; a dashboard is 24 across."""
UNITS = {"percent": "percentunit", "integer": "none", "decimal": "none"}
UNITS_OF = {"hours": "h", "milliseconds": "ms", "minutes": "m"}
OLD, TOO_OLD = "26h", "30h"
"""Of a build: a day and what a refresh takes, and somebody has to look; as Dagster's check of the bundle has it."""
HOURS = {OLD: 26 * 3600, TOO_OLD: 30 * 3600}
PIPELINE = {
    "Build": {
        "Is anything published?": ("tailtracker_bi_has_build", "bool_yes_no"),
        "Age of the build": ("time() - tailtracker_bi_build_timestamp_seconds", "s"),
        "Deliveries that failed": ("tailtracker_bi_deliveries_failed", "none"),
    },
    "Refreshes": {
        "Did the last one do all?": ("tailtracker_bi_last_refresh_success", "bool_yes_no"),
        "Held by the last one": ("tailtracker_bi_last_refresh_held", "none"),
        "How long they take": ("tailtracker_bi_last_refresh_seconds", "s"),
    },
    "Sources": {
        "Tables that are well": ("tailtracker_bi_source_ok", "bool_yes_no"),
        "Days that are missing": ("tailtracker_bi_source_days_missing", "none"),
        "Set aside": ("tailtracker_bi_source_quarantined", "none"),
        "Rows": ("tailtracker_bi_source_rows", "none"),
        "Time since they were read": ("time() - tailtracker_bi_source_read_timestamp_seconds", "s"),
    },
}
"""By row and title: the expression, and the unit that Grafana shows it in."""
SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
BURN = {"fast": ("> 6", "1h", "5m"), "slow": (">= 1", "6h", "30m")}
"""Minutes of an error budget that an hour spends, over a long window and, so that it ends soon, a short one."""
LOST_PETS, JUMP = "lost_pet_alerts_created_total", 50
"""The app's counter of lost-pet alerts, and by how many more an hour may have than the one before."""


def files(build: Bundle, analytics: Analytics) -> dict[str, str]:
    """The name and the content of each file."""
    info = bundle.read(build, "bundle_info").iloc[0]
    metrics = catalog(bundle.read(build, "metric_catalog"), str(info.get("currency", "")))
    return {
        "tailtracker-kpis.json": _as_json(_kpis([*metrics.values()])),
        "tailtracker-pipeline.json": _as_json(_pipeline()),
        "tailtracker.rules.yaml": yaml.safe_dump(rules(metrics, analytics), sort_keys=False, width=120),
    }


def rules(metrics: Mapping[str, Metric], analytics: Analytics) -> dict[str, Any]:
    """Groups of Prometheus' alerting rules."""
    groups = {
        "tailtracker-pipeline": [*_of_the_pipeline()],
        "tailtracker-metrics": [rule for one in analytics.alerts if one.metric in metrics for rule in _of_metric(one)],
        "tailtracker-service-levels": [rule for level in analytics.service_levels for rule in _of_level(level)],
        "tailtracker-business": [
            _rule(
                "LostPetAlertsJump",
                f"increase({LOST_PETS}[1h]) - increase({LOST_PETS}[1h] offset 1h) > {JUMP}",
                *("0m", "critical", "{{ $value }} more lost-pet alerts in an hour than in the one before"),
            )
        ],
    }
    return {"groups": [{"name": name, "rules": own} for name, own in groups.items() if own]}


def _kpis(metrics: Sequence[Metric]) -> dashboard.Dashboard:
    made = _dashboard("TailTracker: key figures", "tailtracker-kpis")
    tiles = sorted((one for one in metrics if one.headline_rank is not None), key=lambda one: one.headline_rank or 0)
    for place, metric in enumerate(tiles):
        x, y = place * WIDTH // 2 % ACROSS, place * WIDTH // 2 // ACROSS * STAT_HEIGHT
        made.with_panel(
            stat.Panel()
            .title(metric.label)
            .description(metric.about)
            .unit(_unit(metric))
            .datasource(SOURCE)
            .grid_pos(GridPos(h=STAT_HEIGHT, w=WIDTH // 2, x=x, y=y))
            .with_target(_query(f"tailtracker_{metric.metric_id}"))
        )
    below = -(-len(tiles) * WIDTH // 2 // ACROSS) * STAT_HEIGHT
    domains = groupby(sorted(metrics, key=lambda one: one.domain), key=lambda one: one.domain)
    rows = {
        words(domain): [(one.label, one.about, f"tailtracker_{one.metric_id}", _unit(one)) for one in own]
        for domain, own in domains
    }
    return _with_rows(made, rows, below)


def _pipeline() -> dashboard.Dashboard:
    rows = {
        row: [(title, "", expression, unit) for title, (expression, unit) in own.items()]
        for row, own in PIPELINE.items()
    }
    return _with_rows(_dashboard("TailTracker BI: the pipeline", "tailtracker-pipeline"), rows, 0)


def _dashboard(title: str, uid: str) -> dashboard.Dashboard:
    # Whoever loads it chooses which Prometheus it reads.
    source = dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus")
    made = dashboard.Dashboard(title).uid(uid).tags(["tailtracker"]).time("now-90d", "now").refresh("5m").readonly()
    return made.with_variable(source)


def _with_rows(
    made: dashboard.Dashboard, rows: Mapping[str, Sequence[tuple[str, str, str, str]]], y: int
) -> dashboard.Dashboard:
    """Rows of panels, each with its title, meaning, expression and unit."""
    for title, panels in rows.items():
        made.with_row(dashboard.Row(title).grid_pos(GridPos(h=1, w=ACROSS, x=0, y=y)))
        y += 1
        for place, (label, about, expression, unit) in enumerate(panels):
            x, down = place * WIDTH % ACROSS, place * WIDTH // ACROSS * HEIGHT
            made.with_panel(
                timeseries.Panel()
                .title(label)
                .description(about)
                .unit(unit)
                .datasource(SOURCE)
                .grid_pos(GridPos(h=HEIGHT, w=WIDTH, x=x, y=y + down))
                .with_target(_query(expression))
            )
        y += -(-len(panels) * WIDTH // ACROSS) * HEIGHT
    return made


def _query(expression: str) -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(expression).datasource(SOURCE).ref_id("A")


def _unit(metric: Metric) -> str:
    if is_money(metric.format):
        return f"currency:{currency_of(metric.format)}"
    return UNITS_OF.get(metric.unit, UNITS.get(metric.format, "none"))


def _as_json(made: dashboard.Dashboard) -> str:
    return JSONEncoder(sort_keys=True, indent=2).encode(made.build()) + "\n"


def _of_the_pipeline() -> Iterator[dict[str, Any]]:
    yield _rule("NothingIsScraped", "absent(tailtracker_bi_has_build)", "15m", "critical", "No gauges are scraped")
    yield _rule("NothingIsPublished", "tailtracker_bi_has_build == 0", "15m", "critical", "There is no build to read")
    for severity, age in (("warning", OLD), ("critical", TOO_OLD)):
        expression = f"time() - tailtracker_bi_build_timestamp_seconds > {HOURS[age]}"
        yield _rule("BuildIsOld", expression, "0m", severity, f"Nothing has been published for {age}")
    yield _rule(
        "RefreshFailed", "tailtracker_bi_last_refresh_success == 0", "1h", "warning", "A refresh did not do all"
    )
    held = "A refresh held {{ $value }} days or tables: `tailtracker-bi status`"
    yield _rule("RefreshHeld", "tailtracker_bi_last_refresh_held > 0", "0m", "warning", held)
    source = "{{ $labels.source }} {{ $labels.table }} is in trouble"
    yield _rule("SourceInTrouble", "tailtracker_bi_source_ok == 0", "1h", "warning", source)
    delivery = "{{ $value }} deliveries of {{ $labels.report }} failed"
    yield _rule("DeliveryFailed", "tailtracker_bi_deliveries_failed > 0", "30m", "warning", delivery)


def _of_metric(rules: AlertRules) -> Iterator[dict[str, Any]]:
    """Of a metric as a whole with one bound, by the gauge of its latest complete period."""
    sign = {"below": "<", "above": ">"}.get(rules.condition)
    # What a ratio is of has no gauge, nor have earlier periods and parts.
    if sign is None or rules.segment != "all" or rules.of_at_least or rules.in_a_row > 1:
        return
    bound = float(getattr(rules, rules.condition))
    expression = f'tailtracker_{rules.metric}{{grain="{rules.grain}"}} {sign} {bound:g}'
    said = f"{rules.metric} of the last {rules.grain} is {{{{ $value }}}}, {rules.condition} {bound:g}"
    yield _rule(_name(rules.id), expression, "0m", rules.severity, said)


def _of_level(level: ServiceLevel) -> Iterator[dict[str, Any]]:
    """What the app's counters tell: beyond the value at which somebody is to be told within minutes, of what has none
    beyond its target for an hour; and budgets that burn."""
    name, bound = _name(f"{level.slo}_{level.service}"), level.alert_threshold
    window, severity = ("5m", "critical") if bound is not None else ("1h", "warning")
    bound = level.target if bound is None else bound
    if level.buckets is not None:
        value = f"1000 * histogram_quantile({level.quantile:g}, sum by (le) (rate({level.buckets}[{window}])))"
        sign = ">"
    else:
        value, sign = _share(level, window), "<" if level.good else ">"
    said = f"{level} is {{{{ $value }}}} over {window}, beyond {bound:g}"
    yield _rule(f"{name}Broken", f"{value} {sign} {bound:g}", "5m", severity, said)
    if level.buckets is not None or level.alert_threshold is None:
        return
    for speed, (beyond, *windows) in BURN.items():
        spent = [f"60 * {_failed(level, each)} {beyond}" for each in windows]
        said = f"{level} spends {beyond} minutes of its error budget an hour, over {windows[0]}"
        severity = "critical" if speed == "fast" else "warning"
        yield _rule(f"{name}Burns{speed.title()}", " and ".join(spent), "2m", severity, said)


def _share(level: ServiceLevel, window: str) -> str:
    return f"sum(rate({level.part}[{window}])) / sum(rate({level.total}[{window}]))"


def _failed(level: ServiceLevel, window: str) -> str:
    return f"(1 - {_share(level, window)})" if level.good else f"({_share(level, window)})"


def _name(of: str) -> str:
    return "".join(part.title() for part in re.findall("[A-Za-z0-9]+", of))


def _rule(name: str, expression: str, held_for: str, severity: str, said: str) -> dict[str, Any]:
    return {
        "alert": f"TailTracker{name}",
        "expr": expression,
        "for": held_for,
        "labels": {"severity": severity},
        "annotations": {"summary": said},
    }
