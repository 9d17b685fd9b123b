"""Several metrics of one unit over time, in one chart: as lines, or as the parts of a whole."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import pandas as pd

from dashboards import data
from dashboards.components import (
    card,
    definition,
    draw,
    nothing_here,
    said_of_hidden,
    say_what_is_left_out,
    table_behind,
)
from dashboards.page import Page, Section
from dashboards.sections.over_time import (
    CUT_SCALE,
    Drawn,
    by_period,
    noted,
    notes_of,
    part_of,
    say_where_there_is_no_total,
    unit_of,
)
from tailtracker_bi.bundle import Bundle
from tailtracker_bi.figures import charts
from tailtracker_bi.figures.catalogue import Metric
from tailtracker_bi.figures.exported import each_as_data
from tailtracker_bi.figures.points import within

NET = "Net"
"""The name of what is left of all parts."""


@dataclass(frozen=True)
class Lines(Section):
    """Metrics of one unit as lines of one chart, each by its name in it."""

    title: str
    named: Mapping[str, str]
    """Names by metric id."""
    from_zero: bool = True

    def metric_ids(self, known: Mapping[str, Metric]) -> Sequence[str]:
        return [*self.named]

    def show(self, page: Page) -> None:
        metrics = {self.named[metric.metric_id]: metric for metric in page.known(self.named)}
        counted = {name: own for name, own in metrics.items() if data.grains_of(page.build, own.metric_id)}
        if not counted:
            return
        with card(self.title, "\n\n".join(f"**{name}:** {definition(metric)}" for name, metric in metrics.items())):
            self._draw(page, counted)

    def _draw(self, page: Page, metrics: Mapping[str, Metric]) -> None:
        build = page.build
        first = next(iter(metrics.values()))
        grain = page.grain_of(first.metric_id)
        of, narrowed = part_of(page, first)
        drawn = _lines(build, self.title, tuple(metrics.items()), page.view.dates, grain, of, self.from_zero)
        if not drawn.charts:
            nothing_here(drawn.notes[0])
            return
        notes = [unit_of(first), narrowed, *([] if self.from_zero else [CUT_SCALE]), *drawn.notes]
        shown = [metric.metric_id for metric in metrics.values()]
        narrowing = page.to_period(drawn.points["period_start"], grain)
        draw(noted(page, drawn.charts[""], grain, *shown), " ".join(filter(None, notes)), narrowing)
        say_what_is_left_out(build, list(metrics.values()))
        table_behind(build, drawn.table, drawn.rows, f"{self.title.lower().replace(' ', '_')}_by_{grain}", self.title)


@data.once_a_build
def _lines(
    build: Bundle, title: str, named: tuple[tuple[str, Metric], ...], dates: tuple[date, date], grain: str,
    of: data.Part, from_zero: bool,
) -> Drawn:  # fmt: skip
    points = _together(build, dict(named), grain, of, dates)
    if points["value"].isna().all():
        why_not = said_of_hidden(points) or f"Nothing to show by {grain} between these dates."
        return Drawn(points, notes=[why_not])
    _, first = named[0]
    chart = charts.trend(
        points if first.is_of_a_sample else points.drop(columns="denominator"),
        label=title,
        unit=first.unit,
        form=first.format,
        grain=grain,
        from_zero=from_zero,
    )
    table = by_period(points, grain, {name: metric.format for name, metric in named})
    return Drawn(points, {"": chart}, notes_of(points, grain, first), table, _as_data_of(named, points, grain, of))


@dataclass(frozen=True)
class Stacks(Section):
    """Metrics of one unit as the parts of a bar a period, each by its name and colour, some of them below zero."""

    title: str
    parts: Mapping[str, tuple[str, str]]
    """Name and colour by metric id, from zero on."""
    below: Collection[str] = field(default_factory=tuple)
    """Ids of the metrics that are drawn from zero down."""
    net: str = ""
    """Id of the metric that is what is left of all, drawn as a line."""
    note: str = ""

    def metric_ids(self, known: Mapping[str, Metric]) -> Sequence[str]:
        return [*self.parts, *filter(None, [self.net])]

    def show(self, page: Page) -> None:
        metrics = {metric.metric_id: metric for metric in page.known(self.metric_ids(page.metrics))}
        counted = {key: metric for key, metric in metrics.items() if data.grains_of(page.build, key)}
        if not counted:
            return
        with card(self.title, "\n\n".join(f"**{metric.label}:** {definition(metric)}" for metric in metrics.values())):
            self._draw(page, counted)

    def _draw(self, page: Page, metrics: Mapping[str, Metric]) -> None:
        build = page.build
        named = {self.parts[key][0] if key in self.parts else NET: metric for key, metric in metrics.items()}
        first = next(iter(metrics.values()))
        grain = page.grain_of(first.metric_id)
        of, narrowed = part_of(page, first)
        below = tuple(self.parts[key][0] for key in self.below)
        colors = tuple(self.parts.values())
        drawn = _stacked(build, self.title, tuple(named.items()), colors, below, page.view.dates, grain, of)
        say_where_there_is_no_total(page, first, grain)
        if not drawn.charts:
            nothing_here(drawn.notes[0])
            return
        narrowing = page.to_period(drawn.points["period_start"], grain)
        said = " ".join(filter(None, [self.note, narrowed, *drawn.notes]))
        draw(noted(page, drawn.charts[""], grain, *metrics), said, narrowing)
        say_what_is_left_out(build, list(metrics.values()))
        table_behind(build, drawn.table, drawn.rows, f"{self.title.lower().replace(' ', '_')}_by_{grain}", self.title)


@data.once_a_build
def _stacked(
    build: Bundle, title: str, named: tuple[tuple[str, Metric], ...], colors: tuple[tuple[str, str], ...],
    below: tuple[str, ...], dates: tuple[date, date], grain: str, of: data.Part,
) -> Drawn:  # fmt: skip
    points = _together(build, dict(named), grain, of, dates)
    if points["value"].isna().all():
        return Drawn(points, notes=[said_of_hidden(points) or "Nothing to draw between these dates."])
    is_net = points["segment_value"] == NET
    _, first = named[0]
    form = first.of_part(*of).format
    chart = charts.stacks(
        points[~is_net].assign(group=points["segment_value"]),
        dict(colors),
        label=title,
        unit=first.unit,
        form=form,
        grain=grain,
        below=below,
        net=points[is_net] if is_net.any() else None,
    )
    notes = ["Line: net."] if is_net.any() else []
    notes += [] if points["is_complete"].all() else ["Pale: not complete yet."]
    table = by_period(points, grain, {name: form for name, _ in named})
    return Drawn(points, {"": chart}, notes, table, _as_data_of(named, points, grain, of))


def _together(
    build: Bundle, named: Mapping[str, Metric], grain: str, of: data.Part, dates: tuple[date, date]
) -> pd.DataFrame:
    """Metrics over time between two dates, each by its name as the segment value."""
    every = [
        data.series(build, metric.metric_id, grain, of).assign(segment_value=name) for name, metric in named.items()
    ]
    return within(pd.concat(every, ignore_index=True), "period_start", dates, grain)


def _as_data_of(named: tuple[tuple[str, Metric], ...], points: pd.DataFrame, grain: str, of: data.Part) -> pd.DataFrame:
    """The same as data, each of the part that it is of."""
    rows = each_as_data({name: metric.of_part(*of) for name, metric in named}, points, grain)
    return rows.assign(segment=of[0], segment_value=of[1])
