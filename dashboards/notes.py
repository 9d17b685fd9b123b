"""Notes on days that readers wrote: which a chart shows, and the list under a page in which one's own are written."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import date

import pandas as pd
import streamlit as st

from dashboards import access, data, readers
from dashboards.page import Page
from tailtracker_bi.access import Right
from tailtracker_bi.errors import TailTrackerError
from tailtracker_bi.figures.wording import day, plain
from tailtracker_bi.readers import LONGEST_TITLE, Note

MOST_LISTED = 50
DRAFT = "note draft"
"""Of a session: how many notes it wrote, so that what is written next begins empty."""
KIND = "note"


def notes_on(page: Page, metric_ids: Collection[str]) -> tuple[Note, ...]:
    """The notes of readers that a chart of these metrics shows."""
    return tuple(
        note
        for note in page.kept.notes
        if note.page in {None, page.name} and (note.metric_id is None or note.metric_id in metric_ids)
    )


def as_annotations(notes: Sequence[Note]) -> pd.DataFrame:
    """Notes of readers in the columns of `annotations`."""
    moments = {
        "started_at": [note.first_day for note in notes],
        "ended_at": [note.last_day for note in notes],
    }
    return pd.DataFrame(
        {"kind": KIND, "title": [note.title for note in notes]}
        | {
            name: pd.to_datetime(pd.Series(days, dtype=object)).astype("datetime64[us]")
            for name, days in moments.items()
        }
    )


@st.fragment
def list_notes(page: Page, metric_ids: Sequence[str]) -> None:
    """What was noted on the page's days, by data and readers; who may, writes there."""
    lines = _lines(page, metric_ids)
    may_write = Right.annotate in access.rights() and not page.kept.trouble
    if not (lines or may_write):
        return
    panel = st.expander(
        "Notes on these days", icon=":material/edit_note:", type="compact", key="notes panel", on_change="rerun"
    )
    if not panel.open:
        return
    with panel:
        st.markdown("\n".join(lines[:MOST_LISTED]) or "Nothing is noted on these days.")
        if len(lines) > MOST_LISTED:
            st.caption(f"The newest {MOST_LISTED} of {len(lines):,}: choose fewer days to see the others.")
        if may_write:
            _write(page, metric_ids)


def _lines(page: Page, metric_ids: Sequence[str]) -> list[str]:
    """A line a note that begins on the page's days, the newest first."""
    first, last = page.view.dates
    of_data = data.notes(page.build)
    told: list[tuple[date, str]] = []
    for kind, title, began, ended in of_data[["kind", "title", "started_at", "ended_at"]].itertuples(index=False):
        until = None if pd.isna(ended) else ended.date()
        told.append((began.date(), f"{_days(began.date(), until)}: **{plain(f'{kind.capitalize()}: {title}')}**"))
    for note in notes_on(page, metric_ids):
        by = "by you" if note.reader == page.kept.reader else "by another reader"
        about = f"on {plain(_about(page, note))}, " if note.metric_id or note.page else ""
        told.append((note.first_day, f"{_days(note.first_day, note.last_day)}: **{plain(note.title)}** ({about}{by})"))
    shown = sorted((one for one in told if first <= one[0] <= last), key=lambda one: one[0], reverse=True)
    return [f"- {line}" for _, line in shown]


def _days(first: date, last: date | None) -> str:
    return day(first) if last is None or last == first else f"{day(first)} to {day(last)}"


def _about(page: Page, note: Note) -> str:
    if note.metric_id:
        known = page.metrics.get(note.metric_id)
        return known.label if known else note.metric_id
    return "this page alone" if note.page == page.name else "another page"


def _write(page: Page, metric_ids: Sequence[str]) -> None:
    """A new note, or one of one's own to change or remove; of others', who may, removes."""
    may_remove_all = Right.access in access.rights()
    own = {
        note.note_id: note for note in reversed(page.kept.notes) if may_remove_all or note.reader == page.kept.reader
    }
    drafts = st.session_state.setdefault(DRAFT, 0)
    chosen = 0
    if own:
        named = {0: "A new note"} | {key: f"{note.title} ({day(note.first_day)})" for key, note in own.items()}
        chosen = st.selectbox(
            "Write or change", list(named), format_func=named.__getitem__, key=f"note chosen {drafts}", width=420
        )
    old = own.get(chosen)
    if old is None or old.reader == page.kept.reader:
        _form(page, metric_ids, old, f"{chosen} {drafts}")
    if old is not None and st.button("Remove", key=f"note removed {chosen}", icon=":material/delete:"):
        _keep(lambda: readers.remove_note(old.note_id))


def _form(page: Page, metric_ids: Sequence[str], old: Note | None, key: str) -> None:
    bounds = readers.note_bounds(page.build)
    about = {"": "On every chart", "page": "On this page alone"}
    about |= {f"metric {metric.metric_id}": f"On {metric.label}" for metric in page.known(metric_ids)}
    first = old or Note("", min(page.view.dates[1], bounds[1]))
    now = f"metric {first.metric_id}" if first.metric_id else "page" if first.page else ""
    if now not in about:
        # Of a metric of another page.
        about[now] = f"On {_about(page, first)}"
    with st.form(f"note form {key}", border=False):
        title = st.text_input("Note", first.title, max_chars=LONGEST_TITLE, key=f"note title {key}")
        with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
            begins = st.date_input(
                "Day", first.first_day, *bounds, format="YYYY-MM-DD", key=f"note day {key}", width=150
            )
            ends = st.date_input(
                "Last day, of several", first.last_day, *bounds, format="YYYY-MM-DD", key=f"note until {key}", width=170
            )
            where = st.selectbox(
                "Shown",
                list(about),
                list(about).index(now),
                format_func=about.__getitem__,
                key=f"note on {key}",
                width=260,
            )
        st.caption("Everybody who sees this dashboard sees it: write nothing personal.")
        is_done = st.form_submit_button("Save" if old else "Add", type="primary", icon=":material/edit_note:")
    if is_done and begins is not None:
        note = Note(
            title,
            begins,
            ends,
            where.removeprefix("metric ") if where.startswith("metric ") else None,
            (first.page or page.name) if where == "page" else None,
        )
        if old is None:
            _keep(lambda: readers.write_note(page.build, note))
        else:
            _keep(lambda: readers.change_note(page.build, old.note_id, note))


def _keep(write: Callable[[], None]) -> None:
    """Write, and show the page with it; or say why not, with what was written still there."""
    try:
        write()
    except TailTrackerError as error:
        st.error(plain(error), icon=":material/edit_off:")
    else:
        st.session_state[DRAFT] += 1
        st.rerun()
