"""What the pages read: tables of the published build, each read once and kept in memory for all sessions.

A new build is a new key, so it shows on the next rerun. What the rows say is for `tailtracker_bi.figures`. Whoever may
not have an answer is refused here, whatever the page has checked; and what hides figures of few people is kept apart
from what does not.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date, datetime
from functools import lru_cache, wraps
from threading import BoundedSemaphore, RLock
from typing import Any, Concatenate, ParamSpec, TypeVar

import pandas as pd

from dashboards import access
from tailtracker_bi import bundle
from tailtracker_bi import recent as last_hours
from tailtracker_bi.access import AccessError, PartsNotOpenError, Right, hide_few_events, hide_small, whole_rows
from tailtracker_bi.bundle import Answer, Bundle, BundleError, Question, Table
from tailtracker_bi.figures import catalogue, data_status, explain, not_counted, points, readings, restated
from tailtracker_bi.figures.catalogue import Metric
from tailtracker_bi.figures.charts import Spec
from tailtracker_bi.figures.csv_output import to_csv
from tailtracker_bi.figures.data_status import TablesInAState
from tailtracker_bi.figures.movements import by_week
from tailtracker_bi.figures.not_counted import LeftOut
from tailtracker_bi.figures.readings import Reading
from tailtracker_bi.figures.wording import words
from tailtracker_bi.reports import Paper, png, print_paper
from tailtracker_bi.settings import load_reader_settings

BUILDS, MOST_KEPT = 2, 500
"""Kept in memory: the current build and the one before, which some may still look at; of each so many answers."""
MOST_ROWS = 10_000
"""Of an answer to people's own SQL."""
ASKED_AT_ONCE, LOOKED_AFTER = 2, 0.25
"""Processes that answer people's own SQL, and after how many seconds who waits for one looks whether it is wanted."""
Part = tuple[str, str]
"""A segment and one of its values."""
EVERYONE: Part = ("all", "all")
P = ParamSpec("P")
T = TypeVar("T")
_one_at_a_time = RLock()
_places = BoundedSemaphore(ASKED_AT_ONCE)
_hidden_below: ContextVar[int] = ContextVar("hidden_below")
"""While an answer is made that is kept: parts of fewer people are hidden from whom it is for; 0: none."""


@lru_cache(maxsize=BUILDS)
def _kept_of(build: Bundle) -> dict[Hashable, Any]:
    return {}


def once_a_build(ask: Callable[Concatenate[Bundle, P], T]) -> Callable[Concatenate[Bundle, P], T]:
    """Ask a build once in this process, and keep the answer for all sessions that may see the same of it.

    Nobody can change a frame for others. Raises AccessError where nothing is open to who asks.
    """

    @wraps(ask)
    def answer(build: Bundle, /, *args: P.args, **named: P.kwargs) -> T:
        hidden_below = _for_whom()
        kept, key = _kept_of(build), (hidden_below, ask, args, frozenset(named.items()))
        try:
            found: T = kept[key]
        except KeyError:
            with _one_at_a_time:
                if key not in kept:
                    if len(kept) >= MOST_KEPT:
                        del kept[next(iter(kept))]
                    inside = _hidden_below.set(hidden_below)
                    try:
                        kept[key] = ask(build, *args, **named)
                    finally:
                        _hidden_below.reset(inside)
                found = kept[key]
        return found.copy(deep=False) if isinstance(found, pd.DataFrame) else found

    return answer


def _for_whom() -> int:
    """Below how many people parts are hidden from who asks: within an answer that is made, from whom it is for."""
    found = _hidden_below.get(None)
    return access.here().hidden_below if found is None else found


def needs(right: Right, what: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Refuse who has not got a right: AccessError says that `what` is not open to them."""

    def guarded(ask: Callable[P, T]) -> Callable[P, T]:
        @wraps(ask)
        def answer(*args: P.args, **named: P.kwargs) -> T:
            try:
                access.here().require(right, what)
            except AccessError as error:
                access.note_refusal(what, error)
                raise
            return ask(*args, **named)

        return answer

    return guarded


def current_build() -> Bundle:
    """Raises TailTrackerError where nothing is published, open to who asks, or the settings are wrong."""
    access.here()
    return bundle.current(load_reader_settings().home)


def today() -> date:
    return load_reader_settings().today


def recent_activity() -> pd.DataFrame | None:
    """The last hours as who asks may see them, with `is_hidden`; None where they were never read. It is of no build.

    Raises TailTrackerError.
    """
    fewest = access.here().hidden_below
    found = last_hours.read(load_reader_settings().home)
    return None if found is None else hide_few_events(found.to_pandas(), fewest)


def now() -> datetime:
    """Business time, in UTC."""
    return load_reader_settings().now


def local(moment: pd.Timestamp) -> pd.Timestamp:
    """A moment in the reporting time zone."""
    return moment.tz_convert(load_reader_settings().timezone)


@once_a_build
def rows(build: Bundle, /, table: str, **equals: str) -> pd.DataFrame:
    """Rows of a table in which each named column equals its value, as who asks may see them."""
    return _read(build, table, **equals)


def _read(build: Bundle, table: str, **equals: str) -> pd.DataFrame:
    """The same, not kept. From whom few are hidden gets parts of metrics' values alone, with a column `is_hidden`."""
    if not _for_whom():
        return bundle.read(build, table, None, **equals)
    segment = equals.get("segment", "all")
    if table == "metric_values" and segment != "all":
        found = _cells(build, segment)
        return found[(found[[*equals]] == [*equals.values()]).all(axis="columns")].reset_index(drop=True)
    if segment != "all":
        raise PartsNotOpenError(words(table))
    if table == "metric_values":
        return bundle.read(build, table, None, **equals | {"segment": segment})
    return whole_rows(table, bundle.read(build, table, None, **equals))


@once_a_build
def _cells(build: Bundle, segment: str) -> pd.DataFrame:
    """All values by a segment, without those of few people."""
    return hide_small(bundle.read(build, "metric_values", segment=segment), catalog(build), _for_whom())


def check_parts(of: Part, what: str) -> None:
    """Before a part is taken from rows of everyone: raise PartsNotOpenError, which names it, where none may be."""
    if of != EVERYONE and _for_whom():
        raise PartsNotOpenError(what)


@once_a_build
def _tables(build: Bundle) -> frozenset[str]:
    return frozenset(bundle.tables(build))


def lacks(build: Bundle, *tables: str) -> bool:
    """Whether the build has not got one of the tables: it was made before they were."""
    return bool(tables) and not _tables(build).issuperset(tables)


def currency(build: Bundle) -> str:
    """The currency of totals; empty in builds from before there was money."""
    return str(rows(build, "bundle_info").iloc[0].get("currency", ""))


def as_of(build: Bundle) -> date:
    """The day that the build is as of: what had happened before it."""
    return pd.Timestamp(rows(build, "bundle_info").iloc[0]["as_of"]).date()


def origin(build: Bundle) -> dict[str, str | date]:
    """Which build a row that is handed out is from, and the day that it is as of."""
    return {"build": build.build, "as_of": as_of(build)}


@once_a_build
def sources(build: Bundle) -> pd.DataFrame:
    """A row per source and table: how far it goes and what state it is in; no reason is an empty one."""
    return data_status.tables(rows(build, "data_status"))


@once_a_build
def states(build: Bundle) -> Sequence[TablesInAState]:
    """Sources in order, the worst state of each first."""
    return data_status.by_state(sources(build))


@once_a_build
def left_out(build: Bundle) -> Sequence[LeftOut]:
    """What was received and is in no number, or not exactly; nothing in builds from before that was kept."""
    try:
        return not_counted.left_out(rows(build, "not_counted").to_dict("records"))
    except BundleError:
        return []


@once_a_build
def catalog(build: Bundle) -> Mapping[str, Metric]:
    """Metrics by id, by domain and label, without those that are deprecated."""
    return catalogue.catalog(rows(build, "metric_catalog"), currency(build))


@once_a_build
def _whole(build: Bundle) -> Mapping[tuple[str, str], pd.DataFrame]:
    """All metrics over time for everyone: that is less work than a few of them one by one."""
    return points.by_metric(_read(build, "metric_values", segment="all"))


@once_a_build
def _of_part(build: Bundle, segment: str, value: str) -> Mapping[tuple[str, str], pd.DataFrame]:
    """All metrics over time for one segment value, as for everyone."""
    return points.by_metric(_read(build, "metric_values", segment=segment, segment_value=value))


def series(build: Bundle, metric_id: str, grain: str, of: Part = EVERYONE) -> pd.DataFrame:
    """A metric over time for everyone or a segment value; no rows where it is not counted so."""
    whole = _whole(build).get((metric_id, grain), points.NO_SERIES)
    if of == EVERYONE or whole.empty:
        return whole.copy(deep=False)
    if of[0] not in segments_of(build, metric_id):
        return points.NO_SERIES.copy(deep=False)
    own = _of_part(build, *of).get((metric_id, grain), points.NO_SERIES)
    return points.of_part(catalog(build)[metric_id], whole, own)


@once_a_build
def reading(
    build: Bundle, metric_id: str, grain: str, of: Part = EVERYONE, against: str = "previous", until: date | None = None
) -> Reading:
    """A metric's latest complete value up to a day, and what it compares with."""
    metric, found = catalog(build)[metric_id].of_part(*of), series(build, metric_id, grain, of)
    if metric.cohort_days and points.is_hidden(found).any():
        # Cohorts are taken together: without some of them that is another figure.
        return Reading(metric)
    return readings.read(metric, found if until is None else points.up_to(found, until), grain, against)


def hides(build: Bundle, metric_id: str, grain: str, of: Part) -> bool:
    """Whether some values of a part are hidden from who asks."""
    return bool(points.is_hidden(series(build, metric_id, grain, of)).any())


@once_a_build
def recent(
    build: Bundle, metric_id: str, grain: str, of: Part = EVERYONE, until: date | None = None
) -> Sequence[float]:
    """A metric's latest complete values up to a day, for a small line."""
    metric, found = catalog(build)[metric_id], series(build, metric_id, grain, of)
    if metric.cohort_days and points.is_hidden(found).any():
        return []
    return readings.recent(metric, found if until is None else points.up_to(found, until), grain)


def parts(build: Bundle, metric_id: str, grain: str, segment: str) -> pd.DataFrame:
    """The values of a metric by a segment."""
    return rows(build, "metric_values", metric_id=metric_id, grain=grain, segment=segment)


def series_by_segment(build: Bundle, metric: Metric, grain: str, segment: str) -> pd.DataFrame:
    """A metric over time by segment value."""
    whole = series(build, metric.metric_id, grain)
    return points.by_segment(metric, whole, parts(build, metric.metric_id, grain, segment))


@needs(Right.small_cells, "What made a change")
@once_a_build
def explanation(build: Bundle, metric_id: str, grain: str, now: date, before: date) -> explain.Explanation:
    """Why a metric differs in two periods, by every segment."""
    return explain.explain(
        catalog(build)[metric_id], rows(build, "metric_values", metric_id=metric_id, grain=grain), now, before
    )


@once_a_build
def movements(build: Bundle, grain: str) -> pd.DataFrame:
    """What moved MRR by day, week or month."""
    if grain == "week":
        return by_week(rows(build, "mrr_movements", grain="day"))
    return rows(build, "mrr_movements", grain=grain)


@once_a_build
def notes(build: Bundle) -> pd.DataFrame:
    """What happened to the app and around it, its times in the reporting time zone; none in builds from before."""
    if lacks(build, "annotations"):
        return pd.DataFrame(columns=["kind", "title", "started_at", "ended_at"])
    found, zone = rows(build, "annotations"), load_reader_settings().timezone
    local = {
        name: pd.to_datetime(found[name]).dt.tz_localize("UTC").dt.tz_convert(zone).dt.tz_localize(None)
        for name in ("started_at", "ended_at")
    }
    return found.assign(**local)


@once_a_build
def restated_since(build: Bundle, known: str) -> pd.DataFrame:
    """What is told otherwise than by an earlier build, in the columns of `restatements`; nothing in old builds."""
    if lacks(build, "restatements"):
        return restated.NOTHING.copy()
    return restated.since(rows(build, "restatements"), known)


def inferred(build: Bundle, table: str, metric_id: str) -> pd.DataFrame:
    """A metric's rows of `anomalies` or `forecasts`; none in builds from before there were any."""
    return pd.DataFrame() if lacks(build, table) else rows(build, table, metric_id=metric_id)


def why_not_inferred(build: Bundle, table: str, metric_id: str) -> str:
    """Why nothing came of it for a metric, where it was tried; else empty."""
    found = inferred(build, "inference_status", metric_id)
    reasons = found.loc[found["what"] == table, "reason"].dropna() if len(found) else found
    return str(reasons.iloc[0]) if len(reasons) else ""


@once_a_build
def _splits(build: Bundle) -> pd.DataFrame:
    return bundle.read_distinct(build, "metric_values", ["metric_id", "segment", "segment_value"])


def segments_of(build: Bundle, metric_id: str) -> set[str]:
    """The segments that a metric is split by; `all` is one."""
    splits = _splits(build)
    return set(splits.loc[splits["metric_id"] == metric_id, "segment"])


def segment_values(build: Bundle, metric_ids: Collection[str]) -> list[Part]:
    """The segment values that some of the metrics are known for, but for everyone's, in order."""
    splits = _splits(build)
    own = splits[splits["metric_id"].isin([*metric_ids]) & (splits["segment"] != "all")]
    return sorted(set(zip(own["segment"], own["segment_value"], strict=True)))


def grains_of(build: Bundle, metric_id: str) -> list[str]:
    """The grains in which a metric has values, the shortest first."""
    return [grain for grain in points.GRAINS if (metric_id, grain) in _whole(build)]


@needs(Right.query, "SQL")
@once_a_build
def schema(build: Bundle) -> Sequence[Table]:
    """The tables of the build, as who asks SQL of it has to know them."""
    return bundle.describe(build)


@needs(Right.query, "SQL")
def ask(build: Bundle, sql: str, while_waiting: Callable[[], object]) -> Answer:
    """The first rows of the result of people's own SQL. Who asks while others are answered waits for a place.

    `while_waiting` is called several times a second: what it raises ends it. Raises QueryError.
    """
    with _place(while_waiting):
        return bundle.ask_for_rows(build.path, sql, load_reader_settings().query_seconds, MOST_ROWS, while_waiting)


@needs(Right.query, "Explore")
def explored(build: Bundle, question: Question, while_waiting: Callable[[], object]) -> pd.DataFrame:
    """What the build would publish for a funnel, a retention or a trend; the same of waiting."""
    with _place(while_waiting):
        seconds = load_reader_settings().query_seconds
        found: pd.DataFrame = bundle.explore(build.path, question, seconds, while_waiting).to_pandas()
        return found


@contextmanager
def _place(while_waiting: Callable[[], object]) -> Iterator[None]:
    while not _places.acquire(timeout=LOOKED_AFTER):
        while_waiting()
    try:
        yield
    finally:
        _places.release()


@needs(Right.query, "Explore")
@once_a_build
def explorable(build: Bundle) -> tuple[Sequence[str], Sequence[str]]:
    """The events, those that most people did first, and the properties that questions may be about."""
    events = rows(build, "event_catalog").sort_values("people", ascending=False, kind="stable")["event"]
    return list(events), bundle.properties(build.path)


@once_a_build
def span(build: Bundle, metric_ids: tuple[str, ...]) -> tuple[date, date] | None:
    """From which to which day there are values of some of the metrics; None where there are none."""
    own = {key: frame["period_start"] for key, frame in _whole(build).items() if key[0] in metric_ids}
    # Weeks and months may begin before the first day that is known.
    frames = [starts for key, starts in own.items() if key[1] == "day"] or [*own.values()]
    starts = pd.concat(frames) if frames else pd.Series(dtype="datetime64[us]")
    return (starts.min().date(), starts.max().date()) if len(starts) else None


def single_period(build: Bundle, grain: str, dates: tuple[date, date]) -> pd.Timestamp | None:
    """When the period begins that all days of these dates are in; None where they are in several."""
    of_grain = [frame for (_, own), frame in _whole(build).items() if own == grain]
    longest = max(of_grain, key=len, default=points.NO_SERIES)
    touched = points.within(longest, "period_start", dates, grain)["period_start"]
    return touched.iloc[0] if len(touched) == 1 else None


@needs(Right.export, "files")
def as_file(
    columns: Sequence[str], rows: Callable[[], Sequence[Iterable[object]]], form: str, paper: Paper
) -> Callable[[], bytes]:
    """What makes a file of rows, to hand out, as csv, parquet or xlsx; they are put together only then.

    What they mean is what the page has said of its metrics by then.
    """

    def made() -> bytes:
        if form == "csv":
            return to_csv(columns, rows()).encode()
        from tailtracker_bi.exports import file_of  # which no page needs before a click

        about = [*paper.definitions, ("build", paper.build), ("data as of", paper.as_of.isoformat())]
        return file_of(paper.title, columns, rows(), form, about)

    return access.still(Right.export, "files", made)


@needs(Right.export, "PNG")
def as_png(chart: Spec, title: str, below: Sequence[str]) -> Callable[[], bytes]:
    """What makes a picture of a chart, to hand out."""
    return access.still(Right.export, "PNG", lambda: png(chart, title, below))


@needs(Right.export, "PDF")
def as_pdf(paper: Paper) -> Callable[[], bytes]:
    """What prints a page, as far as it has been shown when it is asked for."""
    return access.still(Right.export, "PDF", lambda: print_paper(paper))
