"""What each question is answered with: plain values, of which the first says what must be known before the rest is.

Every answer carries what the number is, what it is not for, its unit, the day it is as of, how complete it is and what
else to know. Figures are read, compared and explained as on the pages and in reports.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from difflib import get_close_matches
from typing import Any

import orjson
import pandas as pd

from tailtracker_bi import bundle
from tailtracker_bi.assistants.seen import Seen
from tailtracker_bi.errors import SettingsError
from tailtracker_bi.figures import data_status, explained, points, readings
from tailtracker_bi.figures.catalogue import Metric
from tailtracker_bi.figures.data_status import STALE_AFTER_DAYS
from tailtracker_bi.figures.explain import explain
from tailtracker_bi.figures.json_output import json_lines
from tailtracker_bi.figures.not_counted import beside, in_lines
from tailtracker_bi.figures.readings import Figure, Reading
from tailtracker_bi.figures.wording import NOT_SHOWN, currency_of, day, is_money, number, period

MOST_PERIODS, MOST_VALUES, MOST_ROWS = 400, 50, 1_000
"""Of a metric: periods, values of a segment, and rows of an answer; what is more is said."""
LAST_PERIODS = 12
"""Where no dates are asked for."""
MOST_NAMED = 6
TOLD_ONCE = ["metric_id", "unit", "currency", "grain", "period_start", "before_start"]
"""Of each part of a change, what stands beside the change itself."""
NOT_COMPLETE, NOT_EXACT, NO_VALUE = "not complete, and may still change", "not exact", "no data"
ABOUT_SOURCES = {
    "definition": "How far the data of each source goes, in which state it is, and what of it no number counts.",
    "not_for": "Judging a single number: get_metric says of each whether it is complete and exact.",
    "unit": "days",
}
ABOUT_ROWS = {
    "definition": "Rows of the published tables as SQL makes them. What a table and its columns are stands in the "
    "comments of duckdb_tables() and duckdb_columns().",
    "not_for": "Adding up rates, averages or people over periods or segments; rows that are not complete.",
    "unit": "as the columns say; that of a metric's values stands below metrics",
}


def list_metrics(seen: Seen, today: date, domain: str | None = None) -> dict[str, Any]:
    """All metrics, or those of one domain."""
    domains = sorted({metric.domain for metric in seen.metrics.values()})
    if domain is not None and domain not in domains:
        raise SettingsError(f"there is no such domain; there are {', '.join(domains)}")
    metrics = [metric for metric in seen.metrics.values() if domain in (None, metric.domain)]
    without = [metric.metric_id for metric in metrics if metric.status == "no_data"]
    return {
        "caution": _caution(_of_age(seen, today), f"No data: {_named(without)}" if without else ""),
        "metrics": [
            {"caution": NO_VALUE if metric.status == "no_data" else _not_exact(metric, None), **_about(metric)}
            | {"domain": metric.domain, "caveat": metric.caveat}
            for metric in metrics
        ],
        "domains": domains,
        **_origin(seen),
        "completeness": _completeness(seen.sources),
        "caveats": _of_sources(seen.sources),
    }


def describe_metric(seen: Seen, today: date, metric_id: str) -> dict[str, Any]:
    """All that is known of a metric beside its values."""
    metric = _metric(seen, metric_id)
    over_time = seen.over_time(metric_id)
    segments = seen.values_of(metric_id)
    return {
        "caution": _caution(*_always(seen, metric, today), _not_exact(metric, None)),
        **_about(metric),
        "decision": metric.decision,
        "better": {True: "higher", False: "lower", None: None}[metric.bigger_is_better],
        "target": metric.target,
        "owner": metric.owner,
        "domain": metric.domain,
        "quotient_of": list(metric.quotient_of),
        "exact_since": _day(metric.exact_since),
        "grains": list(over_time),
        "segments": {name: _first(values) for name, values in segments.items()},
        **_origin(seen),
        "completeness": {
            "last_complete_period": {
                grain: _day(readings.latest(metric, own).now.period_start) for grain, own in over_time.items()
            },
            **_completeness(_sources_of(seen, metric)),
        },
        "caveats": _caveats(seen, metric),
    }


def get_metric(
    seen: Seen,
    today: date,
    metric_id: str,
    grain: str = "week",
    start: date | None = None,
    end: date | None = None,
    segment: str = "all",
    segment_value: str | None = None,
    comparison: str = "previous",
) -> dict[str, Any]:
    """A metric's values by day, week or month: of everyone, of one part, or of every value of a segment."""
    metric = _metric(seen, metric_id)
    whole = _by(seen, metric, grain)
    if start is not None and end is not None and start > end:
        raise SettingsError(f"the period ends before it begins: {start} to {end}")
    asked = points.within(whole, "period_start", (start or date.min, end or date.max), grain)
    cut = asked.tail(LAST_PERIODS if start is None and end is None else MOST_PERIODS)
    series, cuts = _series(seen, metric, grain, segment, segment_value, whole)
    most = max(1, MOST_ROWS // len(series))
    cut = cut.tail(most)
    if len(cut) < len(asked) and (start or end):
        cuts.append(
            f"The last {len(cut)} of {len(asked)} periods are told: ask for fewer at once, or by a longer grain"
        )
    told = [_told(own, name, found, cut, grain, comparison) for name, (own, found) in series.items()]
    rows = [row for one in told for row in one["rows"]]
    return {
        "caution": _caution(
            "" if rows else "No period of these dates has been published",
            *_of_rows(metric, rows, grain, seen.hidden_below),
            *_always(seen, metric, today),
            *cuts,
        ),
        **_about(metric),
        "grain": grain,
        "segment": segment,
        "series": told,
        **_origin(seen),
        "completeness": {
            "is_complete": bool(rows) and all(row["is_complete"] for row in rows),
            "last_complete_period": _day(readings.latest(metric, whole).now.period_start),
            **_completeness(_sources_of(seen, metric)),
        },
        "caveats": _caveats(seen, metric),
    }


def explain_change(
    seen: Seen, today: date, metric_id: str, grain: str = "week", now: date | None = None, before: date | None = None
) -> dict[str, Any]:
    """Which segments made a metric change between two periods, by default the last two that are complete."""
    metric = _metric(seen, metric_id)
    whole = _by(seen, metric, grain)
    starts = [start.date() for start in readings.complete(whole)["period_start"]]
    now = _start_of(whole, now, grain) if now else starts[-1] if starts else None
    earlier = [start for start in starts if now and start < now]
    before = _start_of(whole, before, grain) if before else earlier[-1] if earlier else None
    if now is None or before is None:
        raise SettingsError(f"{metric.label} has no two complete periods by {grain} to compare")
    found = explain(metric, bundle.read(seen.build, "metric_values", metric_id=metric_id, grain=grain), now, before)
    mute = {one.segment: one.why_not for one in found.segmentations if one.why_not}
    sentences = [explained.change_in_words(found, grain)]
    if not found.why_not:
        cause = explained.cause_in_words(found) or explained.why_no_cause(found)
        sentences += [cause, explained.terms_in_words(found, seen.metrics)]
    is_known = not found.why_not or found.reading.change
    figures = (found.reading.before, found.reading.now)
    return {
        "caution": _caution(
            "" if is_known else found.why_not,
            *(_not_exact(metric, figure.period_start) or "" for figure in figures),
            *_always(seen, metric, today),
        ),
        **_about(metric),
        "grain": grain,
        "in_words": " ".join(filter(None, sentences)),
        "before": _figure(metric, found.reading.before, grain),
        "now": _figure(metric, found.reading.now, grain),
        "change": found.reading.change,
        "judged": found.reading.judged,
        "parts": _plain(explained.as_data(found, grain).drop(columns=TOLD_ONCE, errors="ignore")),
        **_origin(seen),
        "completeness": {
            "is_complete": all(figure.is_complete for figure in figures),
            **_completeness(_sources_of(seen, metric)),
        },
        "caveats": [
            *_caveats(seen, metric),
            *(f"Not by {name}: {why}" for name, why in mute.items()),
            *([_hidden(seen.hidden_below)] if mute else []),
        ],
    }


def data_state(seen: Seen, today: date) -> dict[str, Any]:
    """How far each source goes, what is wrong with it, and what is in no number."""
    states = sorted(data_status.by_state(seen.sources), key=data_status.worst_first)
    troubles = [f"{one.name} {one.trouble}" for one in states if one.is_trouble]
    return {
        "caution": _caution(_of_age(seen, today), *troubles),
        **ABOUT_SOURCES,
        "sources": [
            {
                "caution": one.trouble or None,
                "source": one.name,
                "status": one.status,
                "last_day": one.last_day,
                "days_missing": int(one.tables["days_missing"].max()),
            }
            for one in states
        ],
        "not_counted": in_lines(seen.left_out),
        **_origin(seen),
        "completeness": _completeness(seen.sources),
        "caveats": _of_sources(seen.sources),
    }


def query(seen: Seen, today: date, sql: str, seconds: float) -> dict[str, Any]:
    """The first rows of one SELECT over the published tables. Raises QueryError."""
    found = bundle.ask_for_rows(seen.build.path, sql, seconds, MOST_ROWS, lambda: None)
    columns = found.rows.column_names
    rows = orjson.loads("".join(json_lines(columns, _as_rows(found.rows))))
    unfinished = sum(row.get("is_complete") is False for row in rows)
    hidden = sum(row.get("is_hidden") is True for row in rows)
    known = {str(row.get("metric_id")): seen.metrics.get(str(row.get("metric_id"))) for row in rows}
    metrics = {key: metric for key, metric in known.items() if metric is not None}
    return {
        "caution": _caution(
            _of_age(seen, today),
            f"The first {len(rows)} rows: there are more" if found.is_cut else "",
            f"{unfinished} of the rows are {NOT_COMPLETE}" if unfinished else "",
            "" if "is_complete" in columns else "Whether it is complete and exact the rows do not say",
            *(f"{key} is {NOT_EXACT} before {day(it.exact_since)}" for key, it in metrics.items() if it.exact_since),
            _hidden(seen.hidden_below) if hidden or "is_hidden" not in columns else "",
        ),
        **ABOUT_ROWS,
        "columns": dict(zip(columns, found.types, strict=True)),
        "rows": rows,
        "metrics": [_about(metric) | {"caveat": metric.caveat} for metric in metrics.values()],
        **_origin(seen),
        "completeness": {"rows_not_complete": unfinished if "is_complete" in columns else None}
        | _completeness(seen.sources),
        "caveats": [
            f"Parts of fewer than {seen.hidden_below} people are not in these tables: sums of parts lack them.",
            *_of_sources(seen.sources),
        ],
    }


def _metric(seen: Seen, metric_id: str) -> Metric:
    if metric_id not in seen.metrics:
        near = get_close_matches(metric_id, seen.metrics, 3)
        raise SettingsError(
            f"there is no such metric; did you mean {' or '.join(near)}?"
            if near
            else "there is no such metric: list_metrics names them"
        )
    return seen.metrics[metric_id]


def _by(seen: Seen, metric: Metric, grain: str) -> pd.DataFrame:
    over_time = seen.over_time(metric.metric_id)
    if not over_time:
        because = data_status.why_no_data(seen.sources, metric.sources)
        raise SettingsError(f"{metric.label} has no data: {because}")
    if grain not in over_time:
        raise SettingsError(f"{metric.label} is not counted by {grain}: by {', '.join(over_time)}")
    return over_time[grain]


def _start_of(whole: pd.DataFrame, moment: date, grain: str) -> date:
    """When the period begins in which a day is; the day itself where there is none, of which nothing is known."""
    found = points.within(whole, "period_start", (moment, moment), grain)
    return found["period_start"].iloc[0].date() if len(found) else moment


def _series(
    seen: Seen, metric: Metric, grain: str, segment: str, value: str | None, whole: pd.DataFrame
) -> tuple[dict[str, tuple[Metric, pd.DataFrame]], list[str]]:
    """By its name, what is told: the metric in its currency and its values; and what is left out of it."""
    if segment == "all":
        if value not in (None, "all"):
            raise SettingsError("a segment_value needs a segment: describe_metric names them")
        return {"all": (metric, whole)}, []
    values = seen.values_of(metric.metric_id)
    if segment not in values:
        split = f"by {', '.join(values)}" if values else "by nothing"
        raise SettingsError(f"{metric.label} is not split by such a segment: {split}")
    if value is not None and value not in values[segment]:
        raise SettingsError(f"{segment} has no such value: it has {_named(values[segment])}")
    rows = seen.rows(metric.metric_id, grain=grain, segment=segment)
    sizes = rows.assign(size=rows["denominator"].fillna(rows["value"])).groupby("segment_value")["size"].sum()
    largest = [str(name) for name in sizes.sort_values(ascending=False, kind="stable").index]
    names = [value] if value is not None else largest[:MOST_VALUES]
    known = {
        name: points.by_metric(own)[metric.metric_id, grain]
        for name, own in rows.groupby("segment_value")
        if name in names
    }
    none = points.NO_SERIES.assign(**{points.HIDDEN: pd.Series(dtype=bool)})
    series = {
        name: (metric.of_part(segment, name), points.of_part(metric, whole, known.get(name, none))) for name in names
    }
    left = len(largest) - MOST_VALUES
    return series, [f"The {MOST_VALUES} largest values are told, and {left} not"] if value is None and left > 0 else []


def _told(
    metric: Metric, name: str, found: pd.DataFrame, asked: pd.DataFrame, grain: str, against: str
) -> dict[str, Any]:
    """The periods that are asked for, and what the last complete one of them compares with."""
    own = found[found["period_start"].isin(asked["period_start"])]
    hidden = points.is_hidden(own).tolist()
    rows = [
        _figure(metric, figure, grain, is_hidden=is_hidden)
        for figure, is_hidden in zip(readings.figures(own), hidden, strict=True)
    ]
    until = asked["period_start"].max()
    known = found if pd.isna(until) else found[found["period_start"] <= until]
    # Cohorts are taken together: without some of them that is another figure.
    is_cut = metric.cohort_days and points.is_hidden(found).any()
    reading = Reading(metric) if is_cut or against == "none" else readings.read(metric, known, grain, against)
    told: dict[str, Any] = {"segment_value": name, "rows": rows}
    return told if against == "none" else told | {"compared": _compared(metric, reading, grain)}


def _compared(metric: Metric, reading: Reading, grain: str) -> dict[str, Any]:
    return {
        "caution": reading.not_compared or (None if reading.now.value is not None else NO_VALUE),
        "now": _figure(metric, reading.now, grain),
        "before": _figure(metric, reading.before, grain),
        "change": reading.change,
        "judged": reading.judged,
        "sample": reading.sample,
        "target": metric.target,
    }


def _figure(metric: Metric, figure: Figure, grain: str, *, is_hidden: bool = False) -> dict[str, Any]:
    """A number, and first what is to be known of it."""
    start = figure.period_start
    is_known = figure.value is not None
    cautions = (
        "hidden: of few people" if is_hidden else "" if is_known else NO_VALUE,
        "" if figure.is_complete or start is None else NOT_COMPLETE,
        _not_exact(metric, start) if start is not None else "",
    )
    return {
        "caution": "; ".join(filter(None, cautions)) or None,
        "period": None if start is None else period(start, grain),
        "start": _day(start),
        "value": figure.value,
        "shown": NOT_SHOWN if is_hidden else number(figure.value, metric.format, metric.unit),
        "numerator": figure.numerator,
        "denominator": figure.denominator,
        "is_complete": figure.is_complete,
    }


def _of_rows(metric: Metric, rows: Sequence[Mapping[str, Any]], grain: str, hidden_below: int) -> Iterator[str]:
    """What is to be known of rows before they are read."""
    for caution, said in ((NOT_COMPLETE, f"{NOT_COMPLETE[0].upper()}{NOT_COMPLETE[1:]}"), (NO_VALUE, "No data")):
        found = list(dict.fromkeys(row["period"] for row in rows if caution in (row["caution"] or "")))
        if found:
            yield f"{said}: {_named(found[::-1])}"
    yield _not_exact(metric, min((pd.Timestamp(row["start"]) for row in rows), default=None)) or ""
    if any(row["shown"] == NOT_SHOWN for row in rows):
        yield _hidden(hidden_below)


def _always(seen: Seen, metric: Metric, today: date) -> Iterator[str]:
    """What is to be known of a metric, whatever is asked of it."""
    yield _of_age(seen, today)
    if metric.status == "no_data":
        yield f"No data: {data_status.why_no_data(seen.sources, metric.sources)}"
    left_out = beside([metric.metric_id], seen.left_out)
    if left_out:
        yield f"Not counted, so that it is {NOT_EXACT}: {left_out}"


def _of_age(seen: Seen, today: date) -> str:
    age = (today - seen.as_of).days
    return f"The data is {age} days old" if age > STALE_AFTER_DAYS else ""


def _not_exact(metric: Metric, start: date | None) -> str | None:
    """That a metric, or what it is from a day on, is not exact; None where it is."""
    if metric.exact_since is None or (start is not None and pd.Timestamp(start).date() >= metric.exact_since):
        return None
    return f"{NOT_EXACT} before {day(metric.exact_since)}"


def _hidden(hidden_below: int) -> str:
    return f"Hidden: parts of fewer than {hidden_below} people, and the smallest beside them"


def _caution(*parts: str | None) -> str | None:
    said = [f"{part[0].upper()}{part[1:].rstrip('.')}" for part in dict.fromkeys(parts) if part]
    return ". ".join(said) + "." if said else None


def _about(metric: Metric) -> dict[str, Any]:
    return {
        "metric_id": metric.metric_id,
        "label": metric.label,
        "definition": metric.description,
        "not_for": metric.not_for,
        "unit": metric.unit,
        "currency": currency_of(metric.format) if is_money(metric.format) else None,
    }


def _origin(seen: Seen) -> dict[str, Any]:
    return {"as_of": _day(seen.as_of), "build": seen.build.build}


def _sources_of(seen: Seen, metric: Metric) -> pd.DataFrame:
    names = seen.sources["source"] + "." + seen.sources["table_name"]
    return seen.sources[names.isin(metric.sources)]


def _completeness(sources: pd.DataFrame) -> dict[str, Any]:
    """Through which day all that is read is complete, and the tables that are not well."""
    states = [one for one in data_status.by_state(sources) if one.status != "ok"]
    return {
        "complete_through": data_status.complete_through(sources) or None,
        "sources_not_ok": {one.name: one.status for one in states},
    }


def _caveats(seen: Seen, metric: Metric) -> list[str]:
    own = [metric.caveat, *_of_sources(_sources_of(seen, metric))]
    left_out = beside([metric.metric_id], seen.left_out)
    return list(filter(None, [*own, f"Not counted: {left_out}" if left_out else ""]))


def _of_sources(sources: pd.DataFrame) -> list[str]:
    return [f"{one.name} {one.trouble}" for one in data_status.by_state(sources) if one.is_trouble]


def _named(names: Sequence[str]) -> str:
    more = [f"{len(names) - MOST_NAMED} more"] if len(names) > MOST_NAMED else []
    return ", ".join([*names[:MOST_NAMED], *more])


def _first(values: Sequence[str]) -> list[str]:
    return [*values[:MOST_VALUES], *(["..."] if len(values) > MOST_VALUES else [])]


def _day(moment: date | None) -> str | None:
    return None if moment is None or pd.isna(moment) else pd.Timestamp(moment).date().isoformat()


def _plain(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as JSON has them: what is not known is null."""
    found: list[dict[str, Any]] = orjson.loads(
        rows.astype(object).where(rows.notna(), None).to_json(orient="records", date_format="iso") or "[]"
    )
    return found


def _as_rows(rows: Any) -> Iterable[tuple[object, ...]]:
    return zip(*(column.to_pylist() for column in rows.columns), strict=True)
