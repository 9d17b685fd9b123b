"""Where sections stand: beside each other, and rows of tiles."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import streamlit as st

from dashboards import data
from dashboards.components import heading, nothing_here, say_what_is_left_out, tile
from dashboards.controls import segment_name
from dashboards.page import Page, Section
from tailtracker_bi.figures.catalogue import Metric
from tailtracker_bi.figures.readings import Reading
from tailtracker_bi.figures.wording import NOT_SHOWN

TILES_A_ROW = 4
AREAS = {
    "People": ("engagement", "retention", "funnels"),
    "Money": ("subscriptions", "payments"),
    "Pets": ("pets",),
    "Health": ("health",),
    "Voice": ("voice",),
}
"""What is asked, and the domains of the catalogue that answer it."""


@dataclass(frozen=True, init=False)
class Row(Section):
    """Sections side by side, as wide as each other; one below the other where there is no room."""

    sections: tuple[Section, ...]

    def __init__(self, *sections: Section) -> None:
        object.__setattr__(self, "sections", sections)

    def metric_ids(self, known: Mapping[str, Metric]) -> Sequence[str]:
        return [metric_id for section in self.sections for metric_id in section.metric_ids(known)]

    def show(self, page: Page) -> None:
        for place, section in zip(st.columns(len(self.sections)), self.sections, strict=True):
            with place:
                section.show(page)


@dataclass(frozen=True, init=False)
class Tiles(Section):
    """A row of tiles, four at most: each metric's latest complete value within the dates of the page."""

    ids: tuple[str, ...]

    def __init__(self, *ids: str) -> None:
        object.__setattr__(self, "ids", ids)

    def metric_ids(self, known: Mapping[str, Metric]) -> Sequence[str]:
        return self.ids

    def show(self, page: Page) -> None:
        row(page, page.known(self.ids))


@dataclass(frozen=True)
class Headlines(Section):
    """The first figures that the catalogue names, in rows by what is asked, as their ranks have it."""

    def metric_ids(self, known: Mapping[str, Metric]) -> Sequence[str]:
        ranked = [metric for metric in known.values() if metric.headline_rank]
        return [metric.metric_id for metric in sorted(ranked, key=lambda metric: metric.headline_rank or 0)]

    def show(self, page: Page) -> None:
        ranked = page.known(self.metric_ids(page.metrics))
        if not ranked:
            nothing_here("The build was made before first figures were chosen: run `tailtracker-bi refresh`.")
        areas = {domain: area for area, domains in AREAS.items() for domain in domains}
        by_area: dict[str, list[Metric]] = {}
        for metric in ranked:
            if data.grains_of(page.build, metric.metric_id):
                by_area.setdefault(areas.get(metric.domain, "More"), []).append(metric)
        for area, own in by_area.items():
            heading(area)
            row(page, own)


def row(page: Page, metrics: Sequence[Metric]) -> None:
    """Tiles, as many beside each other as fit well, in rows that are full, and under them what none of them counts."""
    rows = math.ceil(len(metrics) / TILES_A_ROW)
    for number in range(rows):
        first, last = (math.ceil(len(metrics) * place / rows) for place in (number, number + 1))
        shown = metrics[first:last]
        # A single tile, or two, need not be as wide as the page.
        places = len(shown) if rows > 1 else max(len(shown), TILES_A_ROW - 1)
        for place, metric in zip(st.columns(places), shown, strict=False):
            with place:
                one(page, metric)
    say_what_is_left_out(page.build, metrics)


def one(page: Page, metric: Metric) -> None:
    """A tile, by the page's grain where the metric is counted by it."""
    view, grain = page.view, page.grain_of(metric.metric_id)
    if not page.covers(metric):
        tile(Reading(metric), grain=grain, when=f"not known by {segment_name(view.of[0]).lower()}")
        return
    reading = data.reading(page.build, metric.metric_id, grain, view.of, view.against, view.dates[1])
    if reading.now.value is None and data.hides(page.build, metric.metric_id, grain, view.of):
        tile(reading, grain=grain, shown=NOT_SHOWN, when="of few people")
        return
    line = data.recent(page.build, metric.metric_id, grain, view.of, view.dates[1])
    tile(reading, grain=grain, recent=line)
