"""A page is a description of what it shows: a title, what it is for, and sections in order. They are shown here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date

import streamlit as st

from dashboards import data, printed, readers
from dashboards.components import explain, find_build, nothing_here, offer_print, open_page, why_no_data
from dashboards.controls import NAME, NOTES, View, view_bar
from dashboards.notes import list_notes
from dashboards.page import Page, Section
from dashboards.restated import say_restated
from tailtracker_bi.access import AccessError
from tailtracker_bi.bundle import Bundle
from tailtracker_bi.figures.wording import plain

NOTHING_ASKED = View("week", (date.min, date.max))


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
