"""Configuration as data: what models read of the settings, of `analytics.yml` and of the calendar, as small tables.

Models join them, so that compiled SQL stays as it is. They are written anew before each build.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import pyarrow as pa

from tailtracker_bi.analytics import Analytics, Funnel, MetricNotes, Retention
from tailtracker_bi.privacy import hash_personal_id, is_personal_id
from tailtracker_bi.settings import Settings, history_start
from tailtracker_bi.sources import SOURCES, DaySource, Mixpanel, ObjectSource, each_day
from tailtracker_bi.warehouse.calendar import GRAINS, last_days, period_of, touched_days
from tailtracker_bi.warehouse.lineage import lineage

MARGIN = timedelta(days=3)
"""Days around those landed that the calendar knows: time zones reach over, and the day after the last is a gap."""

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_NUMBER_CONTEXT = Context(prec=38, rounding=ROUND_HALF_UP)
_WRITTEN_AS_IS = re.compile(r"[A-Za-z0-9_.:-]+")
"""No writer of JSON has another way to write these, other than by choice."""

DECLINE_CODES = Path(__file__).with_name("decline_codes.csv")

_STRING, _DATE, _LONG, _BOOL = pa.string(), pa.date32(), pa.int64(), pa.bool_()


def config_tables(
    settings: Settings,
    analytics: Analytics,
    landings: pa.Table,
    began: Mapping[str, date | None],
    manifest: Mapping[str, Any],
) -> dict[str, tuple[pa.Schema, Iterable[Any]]]:
    """The columns and rows of each table.

    `began` is the first day that a source of objects tells of, `manifest` dbt's of the project.
    """
    off = {(source.name, table.name) for source in SOURCES if not source.is_on(settings) for table in source.tables}
    metric_models, metric_tables = lineage(manifest, (f.id for f in analytics.funnels), off)
    landed = [row for row in landings.to_pylist() if row["status"] == "landed"]
    helping = {source.name for source in SOURCES if issubclass(source, ObjectSource) and not source.opens_calendar}
    known_days = [row["day"] for row in landed] + [day for name, day in began.items() if day and name not in helping]
    calendar = list(each_day(min(known_days) - MARGIN, max(known_days) + MARGIN)) if known_days else []
    started = history_start(settings, [row["day"] for row in landed])
    context = (
        settings.today,
        settings.timezone,
        Mixpanel.timezone(settings),
        settings.currency,
        started,
        analytics.gross_margin,
    )
    return {
        "run_context": (
            _schema(
                as_of=_DATE,
                timezone=_STRING,
                mixpanel_timezone=_STRING,
                currency=_STRING,
                history_start=_DATE,
                gross_margin=pa.decimal128(5, 4),
            ),
            [context],
        ),
        "sources": (
            _schema(
                source=_STRING,
                table_name=_STRING,
                title=_STRING,
                is_on=_BOOL,
                why_off=_STRING,
                is_daily=_BOOL,
                first_told_day=_DATE,
                last_source_day=_DATE,
                last_whole_day=_DATE,
            ),
            [
                (
                    source.name,
                    table.name,
                    source.title,
                    source.is_on(settings),
                    source.why_off,
                    issubclass(source, DaySource),
                    # One that has nothing to tell yet, and need not, has told of every day.
                    began[source.name] or (started if source.name in helping else None),
                    *last_days(settings, source),
                )
                for source in SOURCES
                for table in source.tables
            ],
        ),
        "day_periods": (
            _schema(day=_DATE, grain=_STRING, period_start=_DATE, period_end=_DATE, period_index=_LONG),
            [(day, grain, *period_of(day, grain, settings.week_start)) for day in calendar for grain in GRAINS],
        ),
        "source_days": (
            _schema(
                source=_STRING,
                table_name=_STRING,
                day=_DATE,
                first_source_day=_DATE,
                last_source_day=_DATE,
            ),
            [
                (
                    source.name,
                    table.name,
                    day,
                    *touched_days(day, settings.timezone, source.timezone(settings)),
                )
                for source in SOURCES
                if issubclass(source, DaySource)
                for table in source.tables
                for day in calendar
            ],
        ),
        "inactive_events": (
            _schema(event_name=_STRING),
            [(name,) for name in sorted(set(analytics.activity.exclude_events))],
        ),
        "nobodys_ids": (
            _schema(raw_id=_STRING),
            [(raw_id,) for raw_id in sorted(analytics.identities.all_nobodys)],
        ),
        "excluded_users": (
            _schema(user_id=_STRING),
            [(user,) for user in sorted({landed_id(user, settings) for user in analytics.test_accounts.user_ids})],
        ),
        "excluded_properties": (
            _schema(property=_STRING, value=_STRING, plain_value=_STRING, part=_STRING),
            [
                (rule.property, rule.equals, plain_value(rule.equals), certain_part(rule.equals))
                for rule in analytics.test_accounts.event_properties
            ],
        ),
        **asked_tables(analytics.funnels, analytics.retention),
        "service_levels": (
            _schema(
                slo=_STRING,
                service=_STRING,
                is_good=_BOOL,
                quantile=pa.float64(),
                target=pa.float64(),
                alert_threshold=pa.float64(),
                allowed_share=pa.float64(),
            ),
            [
                (
                    level.slo,
                    level.service,
                    level.good is not None,
                    level.quantile if level.buckets else None,
                    level.target,
                    level.alert_threshold,
                    level.allowed_share,
                )
                for level in analytics.service_levels
            ],
        ),
        "decline_codes": (_schema(decline_code=_STRING, kind=_STRING), decline_codes()),
        "metric_models": (_schema(metric_id=_STRING, model=_STRING), metric_models),
        "metric_tables": (
            _schema(metric_id=_STRING, source=_STRING, table_name=_STRING, needed_for=_STRING),
            metric_tables,
        ),
        "metric_notes": (
            _schema(metric_id=_STRING, label=_STRING, owner=_STRING, target=pa.float64()),
            [(name, note.label, note.owner, note.target) for name, note in _metric_notes(analytics).items()],
        ),
    }


def asked_tables(
    funnels: Sequence[Funnel], retentions: Sequence[Retention]
) -> dict[str, tuple[pa.Schema, list[tuple[Any, ...]]]]:
    """The columns and rows of the tables that say which funnels and retentions are computed."""
    return {
        "retentions": (
            _schema(
                retention_id=_STRING,
                label=_STRING,
                start_event=_STRING,
                return_event=_STRING,
                cohort=_STRING,
            ),
            [(r.id, r.label or r.id, r.start_event, r.return_event, r.cohort) for r in retentions],
        ),
        "retention_grains": (
            _schema(retention_id=_STRING, grain=_STRING),
            [(r.id, grain) for r in retentions for grain in dict.fromkeys(r.grains)],
        ),
        "retention_modes": (
            _schema(retention_id=_STRING, mode=_STRING),
            [(r.id, mode) for r in retentions for mode in dict.fromkeys(r.modes)],
        ),
        "funnels": (
            _schema(
                funnel_id=_STRING,
                label=_STRING,
                same_property=_STRING,
                window_seconds=_LONG,
                window_days=_LONG,
            ),
            [
                (
                    f.id,
                    f.label or f.id,
                    f.same_property,
                    f.window.total_seconds,
                    -(-f.window.total_seconds // 86_400),
                )
                for f in funnels
            ],
        ),
        "funnel_steps": (
            _schema(funnel_id=_STRING, step_index=pa.int32(), event_name=_STRING, step_name=_STRING),
            [(f.id, number, step.event, step.event) for f in funnels for number, step in enumerate(f.steps, start=1)],
        ),
        "funnel_filters": (
            _schema(
                funnel_id=_STRING,
                step_index=pa.int32(),
                property=_STRING,
                value=_STRING,
                plain_value=_STRING,
                is_equal=_BOOL,
            ),
            [
                (
                    f.id,
                    number,
                    rule.property,
                    rule.value(),
                    plain_value(rule.value()),
                    rule.not_equals is None,
                )
                for f in funnels
                for number, step in enumerate(f.steps, start=1)
                for rule in step.where
            ],
        ),
    }


def _metric_notes(analytics: Analytics) -> dict[str, MetricNotes]:
    """What the business says of its metrics; one that is a service level has the level's target, unless it says."""
    targets = {level.slo: level.target for level in analytics.service_levels if level.service == "all"}
    said = {name: MetricNotes(target=target) for name, target in targets.items()} | analytics.metrics
    return {
        name: note if note.target is not None else note.model_copy(update={"target": targets.get(name)})
        for name, note in said.items()
    }


def decline_codes() -> list[tuple[str, str]]:
    """Stripe's decline codes, and whether each is hard or soft; the file says where that is from."""
    with DECLINE_CODES.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(line for line in file if not line.startswith("#"))
        return [(row["decline_code"], row["kind"]) for row in rows]


def landed_id(raw_id: str, settings: Settings) -> str:
    """An id as events have it in the lake."""
    bare = raw_id.removeprefix("$device:")
    return hash_personal_id(bare, settings.hash_key) if is_personal_id(bare) else bare


def plain_value(value: str) -> str:
    """A value that reads as a number, as the SQL writes numbers to compare them: 5, 5.0 and 5e0 are 5."""
    if not _NUMBER.fullmatch(value):
        return value
    with suppress(InvalidOperation):
        exact = Decimal(value).quantize(Decimal("1e-10"), context=_NUMBER_CONTEXT)
        if float(exact) == float(value):
            plain = f"{exact:f}".rstrip("0").rstrip(".")
            return "0" if plain == "-0" else plain
    return value


def certain_part(value: str) -> str:
    """A piece of a value that stands in the JSON of every event that has it, however it is written there."""
    return "" if _NUMBER.fullmatch(value) else max(_WRITTEN_AS_IS.findall(value), key=len, default="")


def _schema(**columns: pa.DataType) -> pa.Schema:
    return pa.schema(list(columns.items()))
