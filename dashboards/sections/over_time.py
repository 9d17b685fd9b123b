"""A metric over time, whole or split; and what all that is drawn over time shares."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from dashboards import data
from dashboards.components import (
    card,
    definition,
    draw,
    nothing_here,
    remark,
    said_of_hidden,
    say,
    say_what_is_left_out,
    table_behind,
    warn,
    why_no_data,
)
from dashboards.controls import AGAINST, MOST_VALUES, View, segment_name, select
from dashboards.notes import as_annotations, notes_on
from dashboards.page import Page, Section
from tailtracker_bi.bundle import Bundle
from tailtracker_bi.figures import charts, layers
from tailtracker_bi.figures.catalogue import Metric
from tailtracker_bi.figures.exported import as_data
from tailtracker_bi.figures.points import compared, is_hidden, within, without_total
from tailtracker_bi.figures.wording import NOT_SHOWN, counted, currency_of, is_money, number, period, plain
from tailtracker_bi.readers import Note

LARGEST = 5
"""Values of a segment that are drawn where none are chosen."""
CUT_SCALE = "The scale does not begin at zero."


@dataclass(frozen=True)
class Trend(Section):
    """A metric over time: a line for the whole, or a line for each value of what the page is split by."""

    metric_id: str
    title: str = ""
    from_zero: bool = True

    def metric_ids(self, known: Mapping[str, Metric]) -> Sequence[str]:
        return [self.metric_id]

    def show(self, page: Page) -> None:
        metric = page.metrics.get(self.metric_id)
        if metric is not None:
            with card(self.title or metric.label, definition(metric)):
                _trend(page, metric, self.from_zero)


@dataclass(frozen=True)
class Chosen(Section):
    """One metric of some, which the reader chooses: `key` is the choice's in the address bar."""

    ids: tuple[str, ...]
    title: str
    key: str = "metric"

    def metric_ids(self, known: Mapping[str, Metric]) -> Sequence[str]:
        return self.ids

    def show(self, page: Page) -> None:
        named = {metric.metric_id: metric.label for metric in page.known(self.ids)}
        if named:
            with card(self.title):
                metric = page.metrics[select("Metric", named, self.key, width=260)]
                _trend(page, metric, from_zero=True)


def _trend(page: Page, metric: Metric, from_zero: bool) -> None:
    build, view = page.build, page.view
    of, narrowed = part_of(page, metric)
    metric = metric.of_part(*of)
    if not data.grains_of(build, metric.metric_id):
        why_no_data(build, metric)
        return
    grain = page.grain_of(metric.metric_id)
    notes = [unit_of(metric), narrowed, *([] if from_zero else [CUT_SCALE])]
    if grain != view.grain:
        notes.append(f"{metric.label} is not counted by {view.grain}; shown by {grain}.")
    segment = _segment_of(page, metric, notes)
    drawn = _drawn(build, metric, view, grain, of, segment, from_zero, notes_on(page, [metric.metric_id]))
    if not drawn.charts:
        nothing_here(drawn.notes[0])
        return
    say_where_there_is_no_total(page, page.metrics[metric.metric_id], grain)
    narrowing = page.to_period(drawn.points["period_start"], grain)
    if segment != "all":
        narrowing = page.to_part(segment, drawn.points["segment_value"].unique())
    said = " ".join(filter(None, [*notes, *drawn.notes]))
    if len(drawn.charts) > 1:
        for value, chart in drawn.charts.items():
            say(f"**{plain(value)}**")
            draw(chart, narrowing=narrowing)
        remark(said)
    else:
        [chart] = drawn.charts.values()
        draw(chart, said, narrowing)
    say_what_is_left_out(build, [metric])
    own = segment if segment != "all" else of[0]
    table_behind(build, drawn.table, drawn.rows, f"{metric.metric_id}_by_{grain}_{own}", metric.label)


@dataclass(frozen=True)
class Drawn:
    """What is shown of a view, the same for all who ask for it: nobody changes it."""

    points: pd.DataFrame
    charts: Mapping[str, charts.Spec] = field(default_factory=dict)
    """One of everything, or one a segment value where each has its own scale; none where there is nothing to show."""
    notes: Sequence[str] = ()
    table: pd.DataFrame = field(default_factory=pd.DataFrame)
    rows: pd.DataFrame = field(default_factory=pd.DataFrame)
    """The same as data, to be taken away."""


@data.once_a_build
def _drawn(
    build: Bundle, metric: Metric, view: View, grain: str, of: data.Part, segment: str, from_zero: bool,
    written: tuple[Note, ...],
) -> Drawn:  # fmt: skip
    """A metric over time as a whole or split, with its inferences and what was noted by data and readers."""
    if segment != "all":
        points = data.series_by_segment(build, metric, grain, segment)
        if not points.empty:
            points = points[points["segment_value"].isin(_shown_values(points, view.values))]
            points = points.sort_values(["segment_value", "period_start"], kind="stable")
    else:
        points = data.series(build, metric.metric_id, grain, of).assign(segment_value=metric.label)
    whole, points = points, within(points, "period_start", view.dates, grain)
    if points.empty or points["value"].isna().all():
        why_not = said_of_hidden(points) or "Nothing to show: choose other values or dates."
        return Drawn(points, notes=[why_not])
    notes, before = [], None
    if segment == "all" and view.against != "none":
        before = compared(whole, points, grain, view.against)
        notes.append(_said_of(before, view.against))
    notes += notes_of(points, grain, metric)
    forms = {value: metric.of_part(segment, value).format for value in points["segment_value"].unique()}
    table = by_period(points, grain, forms)
    drawn = points if metric.is_of_a_sample else points.drop(columns="denominator")
    if len(set(forms.values())) > 1:
        shown = {
            value: charts.trend(
                drawn[drawn["segment_value"] == value],
                label=metric.label, unit=metric.unit, form=form, grain=grain, height=140,
            )
            for value, form in forms.items()
        }  # fmt: skip
        notes.append("Each currency has its own scale.")
    else:
        chart = charts.trend(
            drawn,
            label=metric.label,
            unit=metric.unit,
            form=next(iter(forms.values())),
            grain=grain,
            target=metric.target if segment == "all" else None,
            compared=before,
            from_zero=from_zero,
        )
        if grain == "day" and segment == "all" and of == data.EVERYONE:
            chart = _with_inferences(build, metric, chart, notes)
        shown = {"": chart}
    own = segment if segment != "all" else of[0]
    rows = as_data(metric, points if own == segment else points.assign(segment_value=of[1]), grain, own)
    with_notes = {value: _noted(build, chart, grain, written) for value, chart in shown.items()}
    return Drawn(points, with_notes, notes, table, rows)


def noted(page: Page, chart: charts.Spec, grain: str, *metric_ids: str) -> charts.Spec:
    """The chart of these metrics with a line at each period in which something happened, as data and readers say."""
    return _noted(page.build, chart, grain, notes_on(page, metric_ids))


def _noted(build: Bundle, chart: charts.Spec, grain: str, written: Sequence[Note]) -> charts.Spec:
    return layers.with_notes(chart, pd.concat([data.notes(build), as_annotations(written)]), grain)


def _with_inferences(build: Bundle, metric: Metric, chart: charts.Spec, notes: list[str]) -> charts.Spec:
    """The chart with days out of the ordinary and those to come; what they are, or why there are none, is noted."""
    key, form, unit = metric.metric_id, metric.format, metric.unit
    judged, ahead = (data.inferred(build, table, key) for table in ("anomalies", "forecasts"))
    if len(judged) and len(layers.ringed(chart, judged)):
        chart = layers.with_anomalies(chart, judged, form, unit)
        notes.append(layers.said_of_rings(judged))
    if len(ahead) and layers.continues(chart, ahead):
        chart = layers.with_forecast(chart, ahead, form, unit)
        notes.append(layers.said_of_forecast(ahead))
    elif why_not := data.why_not_inferred(build, "forecasts", key):
        notes.append(f"No forecast: {why_not}.")
    return chart


def part_of(page: Page, metric: Metric) -> tuple[data.Part, str]:
    """Whose values are shown, and what is to be said where they are not of those that the page is narrowed to."""
    if page.covers(metric):
        return page.view.of, ""
    segment = segment_name(page.view.of[0]).lower()
    return data.EVERYONE, f"{metric.label} is not known by {segment}; shown of everyone."


def _segment_of(page: Page, metric: Metric, notes: list[str]) -> str:
    """What to split a metric by; where it is not split as the page is, that is noted."""
    split = page.view.split
    if split != "all" and split not in data.segments_of(page.build, metric.metric_id):
        notes.append(f"{metric.label} is not split by {segment_name(split).lower()}; shown as a whole.")
        return "all"
    return split


def _shown_values(points: pd.DataFrame, chosen: Collection[str]) -> Collection[str]:
    """Those that are chosen, else the largest."""
    by_size = points.groupby("segment_value")["size"].sum().sort_values(ascending=False, kind="stable")
    own = [value for value in chosen if value in by_size.index]
    return own[:MOST_VALUES] or list(by_size.index[:LARGEST])


def unit_of(metric: Metric) -> str:
    unit = counted(metric.label, metric.unit)
    return f"{unit.capitalize()}." if unit else ""


def _said_of(before: pd.DataFrame, against: str) -> str:
    """What the thin line is, or that there is none."""
    then = {"previous": "the same number of periods just before", "year": "a year before"}[against]
    return f"Thin: {then}." if len(before) else f"Nothing complete to compare with {AGAINST[against][3:]}."


def notes_of(points: pd.DataFrame, grain: str, metric: Metric) -> list[str]:
    """What is to be said of the points shown: that some are not complete, or that there are few behind them."""
    notes = []
    if not points["is_complete"].all():
        notes.append("Dashed or pale: not complete yet, so it is compared with nothing.")
    hidden = said_of_hidden(points)
    if (points["value"].isna() & ~is_hidden(points)).any():
        notes.append("A break: no data.")
    if hidden:
        notes.append(hidden)
    sizes = points.loc[points["is_complete"], "denominator"].dropna()
    if len(sizes) and metric.is_of_a_sample:
        notes.append(f"Each {grain} is of {sizes.min():,.0f} to {sizes.max():,.0f} (n).")
    return notes


def by_period(rows: pd.DataFrame, grain: str, forms: Mapping[str, str]) -> pd.DataFrame:
    """A row per period, newest first, and a column per line of the chart, written in its form."""
    wide = rows.pivot(index="period_start", columns="segment_value", values="value").sort_index(ascending=False)
    complete = rows.groupby("period_start")["is_complete"].all()
    table = pd.DataFrame({"Period": [period(start, grain) for start in wide.index]})
    hidden = rows.assign(is_so=is_hidden(rows)).pivot(index="period_start", columns="segment_value", values="is_so")
    for name in rows["segment_value"].unique():
        table[name] = [
            NOT_SHOWN if is_so is True else number(value, forms[name])
            for value, is_so in zip(wide[name], hidden[name].reindex(wide.index), strict=True)
        ]
    return table.assign(State=[charts.STATES[complete[start]] for start in wide.index])


def every_group(counted: pd.DataFrame, order: list[str]) -> pd.DataFrame:
    """A row per period and group, in the order given, 0 where it has none."""
    every = pd.MultiIndex.from_product([sorted(counted["period_start"].unique()), counted["group"].unique()])
    rows = counted.set_index(["period_start", "group"])[["value"]].reindex(every, fill_value=0).reset_index()
    rows.columns = pd.Index(["period_start", "segment_value", "value"])
    rows["is_complete"] = rows["period_start"].map(counted.groupby("period_start")["is_complete"].all())
    return rows.sort_values("segment_value", key=lambda names: names.map(order.index), kind="stable")


def say_where_there_is_no_total(page: Page, metric: Metric, grain: str) -> None:
    """That a total over currencies is missing in some periods, and which exchange rates it would need."""
    build, view = page.build, page.view
    if not is_money(metric.format) or "currency" not in data.segments_of(build, metric.metric_id):
        return
    whole = data.series(build, metric.metric_id, grain)
    if not within(whole, "period_start", view.dates, grain)["value"].isna().any():
        return
    parts = data.parts(build, metric.metric_id, grain, "currency")
    untold = within(without_total(metric, whole, parts), "period_start", view.dates, grain)
    if untold.empty:
        return
    starts, foreign = untold["period_start"].unique(), sorted(untold["segment_value"].unique())
    span = period(starts[0], grain)
    if len(starts) > 1:
        span = f"{len(starts)} periods from {span} to {period(starts[-1], grain)}"
    warn(
        f"**{metric.label} has no total in {currency_of(metric.format)} for {span}:** an exchange rate is missing. "
        f"It needs the rates of {', '.join(map(plain, foreign))}. "
        "The amounts in each currency are known: choose a currency, or split by currency.",
        ":material/currency_exchange:",
    )
