"""A page is a description of what it shows: a title, what it is for, and sections in order.

What belongs here: opening a page and handing its sections what they share. How a section looks is for `sections/`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import streamlit as st

from dashboards import data, printed, readers
from dashboards.components import explain, find_build, nothing_here, offer_print, open_page, why_no_data
from dashboards.controls import NAME, NOTES, Narrowing, View, to_part, to_period, view_bar
from dashboards.notes import list_notes
from dashboards.restated import say_restated
from tailtracker_bi.access import AccessError
from tailtracker_bi.bundle import Bundle
from tailtracker_bi.figures import picking
from tailtracker_bi.figures.catalogue import Metric
from tailtracker_bi.figures.wording import plain

NOTHING_ASKED = View("week", (date.min, date.max))


@dataclass(frozen=True)
class Page:
    """What the sections of a page share: the build, its catalogue, what is asked to be shown, what readers wrote."""

    build: Bundle
    metrics: Mapping[str, Metric]
    view: View
    name: str
    kept: readers.Kept
    ids: Sequence[str] = ()
    """Of the metrics that it shows."""

    def known(self, metric_ids: Iterable[str]) -> list[Metric]:
        """Those that the catalogue has, in their order."""
        return [self.metrics[metric_id] for metric_id in metric_ids if metric_id in self.metrics]

    def grain_of(self, metric_id: str) -> str:
        """The page's grain or, of a metric that is not counted by it, its shortest; `day` where it has no values."""
        grains = data.grains_of(self.build, metric_id)
        return self.view.grain if self.view.grain in grains or not grains else grains[0]

    def covers(self, metric: Metric) -> bool:
        """Whether the metric is known for the part that the page is narrowed to."""
        segment = self.view.of[0]
        return segment == "all" or segment in data.segments_of(self.build, metric.metric_id)

    def to_period(self, starts: Iterable[date], grain: str) -> Narrowing:
        """To one of the periods of a chart."""
        return to_period(self.view, starts, grain, picking.PERIOD)

    def to_part(self, segment: str, values: Iterable[str], column: str = picking.PART) -> Narrowing:
        """To one of the parts of a chart that is split."""
        return to_part(self.build, self.ids, segment, values, column)


class Section(ABC):
    """A part of a page, under a heading of its own."""

    def metric_ids(self, known: Mapping[str, Metric]) -> Sequence[str]:
        """The metrics that it shows, of those that are known: their days and definitions are its page's."""
        return ()

    @abstractmethod
    def show(self, page: Page) -> None:
        """Draw it where the page is by now."""


def show(
    title: str,
    summary: str,
    *sections: Section,
    needs: Sequence[str] = (),
    grain: str = "week",
) -> None:
    """Open a page and show its sections; where none of their metrics has a value, say why instead.

    `needs` are the tables that builds of earlier versions lack, `grain` the one that the page begins with.
    """
    build = open_page(title, summary, needs)
    metrics = data.catalog(build)
    ids = list(dict.fromkeys(metric_id for section in sections for metric_id in section.metric_ids(metrics)))
    view = view_bar(build, ids, grain)
    if view is None:
        known = [metrics[metric_id] for metric_id in ids if metric_id in metrics]
        if known:
            why_no_data(build, known[0])
        else:
            nothing_here("Nothing of this page has been counted yet.")
        st.stop()
    page = _page(build, view, ids)
    with printed.aside():  # It is of who looks, and paper goes to others.
        say_restated(page, ids)
    _show(page, sections)
    list_notes(page, ids)
    explain(page.known(ids))
    offer_print(build)


def tell(title: str, summary: str, *sections: Section, needs: Sequence[str] = ()) -> None:
    """Open a page about what there is: nothing on it is compared, narrowed or split."""
    build = open_page(title, summary, needs) if needs else find_build(title, summary)
    _show(_page(build, NOTHING_ASKED), sections)
    offer_print(build)


def _page(build: Bundle, view: View, ids: Sequence[str] = ()) -> Page:
    """What is to be shown, and, where what readers wrote is out of reach, that it is."""
    kept = readers.kept(build)
    if kept.trouble:
        said = f"What readers write can't be read or kept at the moment: {plain(kept.trouble)}. All figures are here."
        st.session_state[NOTES].caption(f":material/edit_off: {said}")
    return Page(build, data.catalog(build), view, st.session_state[NAME], kept, ids)


def _show(page: Page, sections: Iterable[Section]) -> None:
    """In order; in place of one that is not open to who looks, that."""
    for section in sections:
        try:
            section.show(page)
        except AccessError as error:
            nothing_here(str(error))
