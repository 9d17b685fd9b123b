"""Prometheus: what each declared service level counted in every five minutes of whole days, in UTC.

    analytics.yml --selectors--> range queries --http.body--> points on a grid -> intervals, known or unknown -> Days

Parts and wholes are asked for apart and never as a quotient, so that any longer period is sum over sum; a latency comes
as the counts of its histogram's buckets. Prometheus answers 200 with less than all: what has no proper measurement is
unknown here, never 0 and never 100 %. A gap is no row; an interval with a doubt is a row that says which.

Facts this rests on (Prometheus' HTTP API and PromQL references): `increase(x[300s])` at a time covers the 300 s before
it; both ends of a range are evaluated; a series gives at most 11,000 points; warnings come with `status: success`; days
older than the server keeps come back empty.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
from pydantic import Field, model_validator

from tailtracker_bi.analytics import ServiceLevel, load_analytics
from tailtracker_bi.crash_points import declare, reached
from tailtracker_bi.settings import Settings, SourceSettings, check_own_url
from tailtracker_bi.sources import http
from tailtracker_bi.sources.base import Check, DaySource
from tailtracker_bi.sources.digests import digests_by_day
from tailtracker_bi.sources.foreign_text import readable
from tailtracker_bi.sources.records import (
    QUARANTINE_SCHEMA,
    BadResponseError,
    Counts,
    Days,
    Remark,
    SourceUnavailableError,
    Table,
    each_day,
    ranges,
)

if TYPE_CHECKING:
    import httpx

declare(
    {
        "prometheus.received": "all answers for some days are whole, nothing of them has landed",
    }
)

# It has to divide a day. Rows carry their own length, so days landed with another step stay right. Below 8 s a single
# day has more points than Prometheus gives: it refuses, and every day fails with its word for that.
STEP_SECONDS = 300
POINTS_A_DAY = 86_400 // STEP_SECONDS
MOST_POINTS = 11_000
LONGEST_REQUEST_DAYS = 7
"""What a query loads into Prometheus' memory grows with its days."""

MOST_BYTES = 64 << 20
REQUEST_SECONDS = 120.0

SERVICE_LEVELS_SCHEMA = pa.schema(
    [
        ("day", pa.date32()),
        ("slo", pa.string()),
        ("service", pa.string()),
        ("starts_at", pa.timestamp("us")),  # UTC
        ("seconds", pa.int32()),  # length of the interval
        ("le", pa.float64()),  # upper bound of a bucket, in the histogram's unit; null: the whole of the interval
        ("numerator", pa.float64()),  # what is good or bad, or lies in the bucket or a lower one
        ("denominator", pa.float64()),
        ("unknown_because", pa.string()),  # reset, warning, part missing, not a number: both numbers are null then
    ]
)

SELECTORS = ("good", "bad", "total", "buckets")
"""What of a service level decides on its rows."""

NO_SAMPLE = "no sample"
"""Why an interval is unknown that is no row."""

Points = npt.NDArray[np.float64]
"""A value for each interval of some days, in their order; NaN: no point came; infinite: one that is not a number."""


@dataclass
class _Answer:
    """The points of one query, by the upper bound of their bucket; one series without buckets has none."""

    series: dict[str | None, Points] = field(default_factory=dict)
    warnings: dict[date, str] = field(default_factory=dict)
    infos: set[str] = field(default_factory=set)

    @classmethod
    def of_days(cls, answers: Sequence[_Answer]) -> _Answer:
        """One of all days, of one for each."""
        bounds = dict.fromkeys(bound for answer in answers for bound in answer.series)
        return cls(
            {bound: np.concatenate([answer.points(bound, POINTS_A_DAY) for answer in answers]) for bound in bounds},
            {day: text for answer in answers for day, text in answer.warnings.items()},
            {info for answer in answers for info in answer.infos},
        )

    def points(self, bound: str | None, intervals: int) -> Points:
        """Those of one series; none where nothing came of it."""
        return self.series.get(bound, np.full(intervals, np.nan))


@dataclass
class _Intervals:
    """The rows of some days, and what is to be said of them."""

    first: date
    last: date
    rows: list[pa.Table] = field(default_factory=list)
    remarks: dict[date, list[Remark]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.begin = _ends(self.first, self.last) - np.timedelta64(STEP_SECONDS, "s")
        """When each interval begins."""

    def add(
        self,
        level: ServiceLevel,
        numerators: dict[float | None, Points],
        denominators: Points,
        reasons: npt.NDArray[np.str_],
    ) -> None:
        """Add those of a service level: a row for each bound where it is known, one without a bound where it is not.

        `reasons` say why an interval is unknown; empty: it is known; "no sample": there is nothing to be a row.
        """
        is_row = np.repeat((reasons == "")[:, None], len(numerators), axis=1)
        is_row[:, 0] = reasons != NO_SAMPLE
        at, series = np.nonzero(is_row)
        bounds = np.array([np.nan if bound is None else bound for bound in numerators])[series]
        is_unknown = reasons[at] != ""
        columns = (
            self.begin[at].astype("datetime64[D]"),
            pa.repeat(level.slo, len(at)),
            pa.repeat(level.service, len(at)),
            self.begin[at].astype("datetime64[us]"),
            pa.repeat(pa.scalar(STEP_SECONDS, pa.int32()), len(at)),
            pa.array(bounds, mask=np.isnan(bounds)),
            pa.array(np.stack([*numerators.values()])[series, at], mask=is_unknown),
            pa.array(denominators[at], mask=is_unknown),
            pa.array(reasons[at], mask=~is_unknown),
        )
        self.rows.append(pa.table(dict(zip(SERVICE_LEVELS_SCHEMA.names, columns, strict=True)), SERVICE_LEVELS_SCHEMA))

    def remark(self, day: date, text: str) -> None:
        self.remarks.setdefault(day, []).append(Remark(text))

    def days(self) -> Days:
        rows = pa.concat_tables([SERVICE_LEVELS_SCHEMA.empty_table(), *self.rows]).combine_chunks()
        held = {found["values"]: found["counts"] for found in rows["day"].value_counts().to_pylist()}
        counts = {day: Counts(held.get(day, 0), held.get(day, 0)) for day in each_day(self.first, self.last)}
        nothing = QUARANTINE_SCHEMA.empty_table().to_reader()
        content = digests_by_day(rows, counts)
        return Days(self.first, self.last, rows.to_reader(), nothing, counts, self.remarks, content=content)


class PrometheusSettings(SourceSettings):
    """Where a Prometheus of one's own is."""

    url: str | None = Field(None, alias="PROMETHEUS_URL")

    @model_validator(mode="after")
    def _check_url(self) -> PrometheusSettings:
        if self.url is not None:
            check_own_url("PROMETHEUS_URL", self.url, "Prometheus", self.allow_loopback)
        return self

    @property
    def base_url(self) -> str:
        return (self.url or "").rstrip("/")


class Prometheus(DaySource):
    """Service levels through range queries; it asks without credentials."""

    name = "prometheus"
    title = "Prometheus"
    why_off = "PROMETHEUS_URL is not set"
    tables = (Table("service_levels", SERVICE_LEVELS_SCHEMA),)
    look_back = timedelta(days=2)  # what is written to it remotely may come late

    def __init__(self, settings: Settings, say: Callable[[str], None] = lambda _: None) -> None:
        super().__init__(settings, say)
        self._levels = load_analytics(settings.analytics_path).service_levels

    @classmethod
    def is_on(cls, settings: Settings) -> bool:
        return settings.of(PrometheusSettings).url is not None

    @classmethod
    def timezone(cls, settings: Settings) -> str:
        return "UTC"

    @classmethod
    def split(cls, days: list[date], records_a_day: float | None) -> list[tuple[date, date]]:
        return ranges(days, longest=max(1, min(LONGEST_REQUEST_DAYS, MOST_POINTS // POINTS_A_DAY)))

    @contextmanager
    def fetch(self, first: date, last: date, spool: Path) -> Iterator[Days]:
        found = _Intervals(first, last)
        try:
            with http.client(REQUEST_SECONDS) as client:
                for level in self._levels:
                    self._measure(client, level, found)
        except http.UnreachableError as error:
            raise SourceUnavailableError(str(error)) from None
        reached("prometheus.received")
        days = found.days()
        days.shape = {str(level): level.model_dump_json(include=set(SELECTORS)) for level in self._levels}
        yield days

    def check(self) -> Check:
        yesterday = self.today(self.settings) - timedelta(days=1)
        try:
            with http.client(REQUEST_SECONDS) as client:
                self._received(client, "vector(1)", "a constant", yesterday, yesterday)
        except (BadResponseError, SourceUnavailableError) as error:
            return Check(self.name, is_ok=False, detail=str(error))
        return Check(self.name, is_ok=True, detail=f"answers, and is asked for {len(self._levels)} service levels")

    def _measure(self, client: httpx.Client, level: ServiceLevel, found: _Intervals) -> None:
        """Add the intervals of one service level."""
        window = f"[{STEP_SECONDS}s]"

        def ask(query: str, *, by_bucket: bool = False) -> _Answer:
            return self._asked(client, query, str(level), found.first, found.last, by_bucket=by_bucket)

        if level.buckets is not None:
            counted = ask(f"sum by (le) (increase({level.buckets}{window}))", by_bucket=True)
            part = None
            resets = ask(f"sum(resets({level.buckets}{window}))")
        else:
            counted = ask(f"sum(increase({level.total}{window}))")
            # Of one counter, what has never happened is not there yet, and is 0 beside a whole that is. Another counter
            # that is not there may have lost its exporter: unknown.
            none = " or vector(0)" if _counter(level.part) == _counter(level.total) else ""
            part = ask(f"sum(increase({level.part}{window})){none}")
            resets = ask(f"(sum(resets({level.part}{window})){none}) + sum(resets({level.total}{window}))")
        answers = [counted, resets, *([part] if part else [])]
        warnings = {day: text for answer in answers for day, text in answer.warnings.items()}
        intervals = len(found.begin)
        numerators = _bounded(counted, level, intervals)
        whole = numerators[None]
        if part:
            numerators[None] = part.points(None, intervals)
        is_warned = np.isin(found.begin.astype("datetime64[D]"), np.array([*warnings], "datetime64[D]"))
        reasons = _doubts(whole, [*numerators.values()], resets.points(None, intervals), is_warned)
        found.add(level, numerators, whole, reasons)
        for day, of_day in zip(each_day(found.first, found.last), reasons.reshape(-1, POINTS_A_DAY), strict=True):
            unknown = of_day[of_day != ""]
            if len(unknown):
                told = zip(*np.unique(unknown, return_counts=True), strict=True)
                what = ", ".join(f"{count} {reason}" for reason, count in told)
                warning = f"; Prometheus warns: {warnings[day]}" if day in warnings else ""
                found.remark(day, f"{level}: {len(unknown)} of {POINTS_A_DAY} intervals unknown ({what}){warning}")
            for info in sorted({info for answer in answers for info in answer.infos}):
                found.remark(day, f"{level}: Prometheus says: {info}")

    def _asked(
        self, client: httpx.Client, query: str, what: str, first: date, last: date, *, by_bucket: bool
    ) -> _Answer:
        """The points of a query. One with warnings is asked again for each day, to know the days that they are of."""
        where = f"prometheus: {what}: {first} to {last}"
        answered = http.retrying(self.settings, self.say)(self._received, client, query, what, first, last)
        if answered.get("warnings") and first < last:
            days = each_day(first, last)
            return _Answer.of_days([self._asked(client, query, what, day, day, by_bucket=by_bucket) for day in days])
        try:
            answer = _Answer(_series(answered["data"], by_bucket, first, last))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            why = f"{type(error).__name__}: {readable(str(error), self.settings.secrets)}"
            raise BadResponseError(f"{where}: not what a range query gives: {why}") from None
        if answered.get("warnings"):
            answer.warnings[first] = _texts(answered["warnings"], self.settings.secrets)
        if answered.get("infos"):
            answer.infos.add(_texts(answered["infos"], self.settings.secrets))
        return answer

    def _received(self, client: httpx.Client, query: str, what: str, first: date, last: date) -> dict[str, Any]:
        """The JSON of one answer that has proven to be whole and says that it is a success."""
        where = f"prometheus: {what}: {first} to {last}"
        ends = _ends(first, last).astype(np.int64)
        url = f"{self.settings.of(PrometheusSettings).base_url}/api/v1/query_range"
        asked = {"query": query, "start": str(ends[0]), "end": str(ends[-1]), "step": str(STEP_SECONDS)}
        secrets = self.settings.secrets
        with http.answer(
            client, url, where, lambda status, text: _refused(status, text, query), secrets, asked
        ) as response:
            content = http.content(response, MOST_BYTES, where)
        try:
            answered = orjson.loads(content)
        except orjson.JSONDecodeError:
            raise http.RetryableError(f"{where}: the answer is not JSON") from None
        if not isinstance(answered, dict) or answered.get("status") != "success":
            raise http.RetryableError(f"{where}: the answer is no success{http.shown(content, secrets)}")
        return answered


def _refused(status: int, message: str, query: str) -> Exception:
    """Refused as it stands: the days, the query, or who asks."""
    if status == 400 and "maximum resolution" in message:
        return BadResponseError(f"{message}; a step of {STEP_SECONDS} s is too short for so many days")
    if status == 422:
        return BadResponseError(f"{message}; it was asked for {query}")
    if status == 400:
        return SourceUnavailableError(f"{message}; it was asked for {query}: check service_levels in analytics.yml")
    return SourceUnavailableError(f"{message}; check PROMETHEUS_URL, and whether it may be asked without credentials")


def _ends(first: date, last: date) -> npt.NDArray[np.datetime64]:
    """The seconds at which the intervals of these days end."""
    step = np.timedelta64(STEP_SECONDS, "s")
    start, end = np.datetime64(first, "s"), np.datetime64(last + timedelta(days=1), "s")
    return np.arange(start + step, end + step, step)


def _series(data: dict[str, Any], by_bucket: bool, first: date, last: date) -> dict[str | None, Points]:
    """The series of a matrix; raises ValueError for what a sum over all series can't give."""
    if data["resultType"] != "matrix":
        raise ValueError(f"a {data['resultType']} in place of a matrix")
    ends = _ends(first, last).astype(np.float64)
    found: dict[str | None, Points] = {}
    for item in data["result"]:
        bound = item["metric"]["le"] if by_bucket else None
        if bound in found:
            raise ValueError("several series where one was expected")
        if "histograms" in item:
            raise ValueError("a native histogram, which has no buckets that can be read")
        # Not by zip(), whose many iterators have the garbage collector look through all that there is.
        seconds = np.array([float(second) for second, _ in item["values"]])
        values = np.array([float(text) for _, text in item["values"]])
        if not np.isin(seconds, ends).all() or len(np.unique(seconds)) < len(seconds):
            raise ValueError("points that were not asked for")
        found[bound] = np.full(len(ends), np.nan)
        found[bound][np.searchsorted(ends, seconds)] = np.where(np.isnan(values), np.inf, values)
    return found


def _counter(selector: str | None) -> str:
    return (selector or "").partition("{")[0].strip()


def _bounded(counted: _Answer, level: ServiceLevel, intervals: int) -> dict[float | None, Points]:
    """The counts by the upper bound of their bucket; those of the whole, which come first, have none."""
    if level.buckets is None:
        return {None: counted.points(None, intervals)}
    bounds = {bound: float(bound) for bound in counted.series if bound is not None}
    series = {None if math.isinf(bound) else bound: counted.series[text] for text, bound in bounds.items()}
    if len(series) < len(bounds) or any(bound is not None and math.isnan(bound) for bound in series):
        raise BadResponseError(f"prometheus: {level}: buckets whose bounds can't be told apart: {sorted(bounds)}")
    if series and None not in series:
        raise BadResponseError(f"prometheus: {level}: the histogram has no bucket +Inf, so nobody knows the whole")
    return {None: series.pop(None, np.full(intervals, np.nan))} | dict(
        sorted(series.items(), key=lambda item: item[0] or 0.0)
    )


def _doubts(
    whole: Points, parts: Sequence[Points], resets: Points, is_warned: npt.NDArray[np.bool_]
) -> npt.NDArray[np.str_]:
    """Why each interval counts as not measured; empty: it doesn't."""
    values = np.stack([whole, *parts, resets])
    reasons = {
        NO_SAMPLE: np.isnan(whole),
        "warning": is_warned,
        "part missing": np.isnan(values).any(axis=0),
        "not a number": ~(np.isfinite(values) & (values >= 0)).all(axis=0),
        "reset": resets > 0,
    }
    return np.select([*reasons.values()], [*reasons], default="")


def _texts(texts: Any, secrets: Sequence[str]) -> str:
    """Warnings on one line, without secrets and personal data."""
    return readable("; ".join(map(str, texts)) if isinstance(texts, list) else str(texts), secrets)
