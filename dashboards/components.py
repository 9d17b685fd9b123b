"""What all pages are made of: the header, tiles, cards, charts, tables, downloads, and what is said in their place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import chain
from typing import Any, Literal, NoReturn

import pandas as pd
import streamlit as st

from dashboards import access, data, printed
from dashboards.controls import NOTES, PAGE, Narrowing, here, read_link
from dashboards.saved_views import saved_views
from tailtracker_bi.access import Right
from tailtracker_bi.bundle import Bundle, NoBundleError
from tailtracker_bi.errors import TailTrackerError
from tailtracker_bi.figures import data_status, picking
from tailtracker_bi.figures.catalogue import Metric
from tailtracker_bi.figures.charts import Spec
from tailtracker_bi.figures.data_status import STALE_AFTER_DAYS, TablesInAState, complete_through
from tailtracker_bi.figures.not_counted import beside
from tailtracker_bi.figures.points import is_hidden
from tailtracker_bi.figures.readings import COHORTS, Reading
from tailtracker_bi.figures.wording import counted, day, number, period, plain, short_period
from tailtracker_bi.reports import Chart, Heading, Paper, Said, Table, Tile

CLICKED = {picking.PERIOD: picking.by_period, picking.PART: picking.by_part, picking.BAR: picking.by_bar}
DATA_HEALTH_PAGE = "app_pages/data_health.py"
NUMBER_WIDTH, TEXT_WIDTH, SENTENCE_HEIGHT = 100, 420, 64
MOST_PRINTED = 12
"""Rows of a table that go on paper."""
FORM = "form of files"
FILE_FORMS = {
    "CSV": "text/csv",
    "Parquet": "application/vnd.apache.parquet",
    "XLSX": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
"""By name, what browsers are told that it is; the name is how such a file ends, too."""
HEAD = "head"
"""Kept for a page while it is made: a place beside its title."""
Look = Literal["secondary", "tertiary"]
FEWEST_POINTS = 4
"""Of a small line: fewer make a shape that says nothing."""
INK = {"light": "#0f1720", "dark": "#eef3f7"}
"""What is written in charts, by the kind of theme: the text colours of .streamlit/config.toml."""
BADGES = {
    "ok": ("green", ":material/check_circle:"),
    "late": ("orange", ":material/schedule:"),
    "failed": ("red", ":material/error:"),
    "held": ("red", ":material/lock:"),
    "suspect": ("red", ":material/report:"),
    "off": ("gray", ":material/power_settings_new:"),
    "empty": ("gray", ":material/hourglass_empty:"),
}


def open_page(title: str, summary: str, needs: Sequence[str] = ()) -> Bundle:
    """Title, what the page is for, and how fresh its data is; where there is none, how to get some.

    `needs` are the tables that the page reads and builds of an earlier version have not got.
    """
    build = find_build(title, summary)
    _say_what_is_wrong(build)
    if data.lacks(build, *needs):
        _ask_for_a_refresh("**There is no data for this page yet:** the build was made before it was counted.")
    return build


def find_build(title: str, summary: str) -> Bundle:
    """Title, what the page is for, and how far the data of the current build goes, which opens to say more."""
    st.session_state[PAGE] = title
    read_link()
    head = st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute")
    head.title(title, help=summary, width="content")
    try:
        build = data.current_build()
    except NoBundleError:
        _ask_for_a_refresh("**There is no data to show yet:** nothing has been published.")
    except TailTrackerError as error:
        st.error(f"**There is no data to show:** {plain(error)}", icon=":material/error:")
        st.stop()
    printed.begin(Paper(title, summary, build.build, data.as_of(build)))
    with head:
        saved_views()
        st.session_state[HEAD] = st.container(width="content")
        _freshness(build)
    st.session_state[NOTES] = st.container()
    return build


def offer_print(build: Bundle) -> None:
    """At the head of a page that has been shown: itself as PDF, made where it is asked for."""
    if Right.export in access.rights():
        paper = printed.paper()
        name = f"{slug(paper.title)}_{build.build}_{paper.as_of}.pdf"
        choose_form()
        with st.session_state[HEAD]:
            _hand_out("PDF", data.as_pdf(paper), name, "application/pdf", "tertiary")


def choose_form() -> None:
    """In which form the page hands out rows: once for all of them, and for the pages that follow."""
    # Beside the pages' titles, where it moves no figure down.
    st.sidebar.selectbox("Rows are handed out as", list(FILE_FORMS), key=FORM, persist_state="session")


def form() -> str:
    """One of FILE_FORMS."""
    return str(st.session_state.get(FORM, "CSV"))


def _ask_for_a_refresh(because: str) -> NoReturn:
    st.info(because, icon=":material/info:")
    st.markdown("Run this where TailTracker BI is installed, then reload this page:")
    st.code("tailtracker-bi refresh", language="bash")
    st.stop()


def _freshness(build: Bundle) -> None:
    """One line, how far the data goes; opened, a badge a source: its worst state."""
    sources, states = data.sources(build), data.states(build)
    through = complete_through(sources)
    is_well = not any(state.is_trouble for state in states)
    icon = ":material/check_circle:" if is_well else ":material/warning:"
    line = f"Data as of {day(data.as_of(build))}" + (f", complete through {through}" if through else "")
    printed.paper().freshness = line
    with st.popover(line, icon=icon, type="tertiary"):
        for source in sources["source"].unique():
            worst = next(state for state in states if state.source == source)
            color, sign = BADGES.get(worst.status, BADGES["failed"])
            st.badge(_badge(worst), color=color, icon=sign, help=plain(worst.why) or None)  # type: ignore[arg-type]
        st.page_link(DATA_HEALTH_PAGE, label="Where the data comes from", icon=":material/database:")


def say_how_old(build: Bundle) -> bool:
    """That the build is old, where it is."""
    age = (data.today() - data.as_of(build)).days
    if age > STALE_AFTER_DAYS:
        warn(f"The newest build is {age} days old. Run `tailtracker-bi refresh` for newer data.", ":material/schedule:")
    return age > STALE_AFTER_DAYS


def _say_what_is_wrong(build: Bundle) -> None:
    """Age, and in one box the states that may lack what readers expect, each with its reason and who tells more."""
    say_how_old(build)
    in_trouble = [state for state in data.states(build) if state.is_trouble]
    if not in_trouble:
        return
    lines = [f"**{plain(state.name)}** {plain(state.trouble)}" for state in in_trouble]
    is_late = all(state.status == "late" for state in in_trouble)
    with st.container(key="trouble"):
        said = warn if is_late else alert
        said("\n\n".join(lines), BADGES.get(in_trouble[0].status, BADGES["failed"])[1])
        st.page_link(DATA_HEALTH_PAGE, label="What is missing, and what to do about it", icon=":material/database:")


def _badge(worst: TablesInAState) -> str:
    until = f"up to {worst.last_day}" if worst.last_day else ""
    said = {"ok": until or "complete", "off": "off", "empty": "nothing received yet"}
    part = worst.share_of_source.removeprefix(worst.title)
    text = said.get(worst.status, f"{worst.status}, {until}").removesuffix(", ")
    return f"{plain(worst.title)}: {text}{part}"


def say_what_is_left_out(build: Bundle, metrics: Sequence[Metric]) -> None:
    """Beside figures of these metrics: what was received and is not in them; nothing where all is."""
    what = beside([metric.metric_id for metric in metrics], data.left_out(build))
    if what:
        remark(f":material/rule: Not counted: {plain(what)}. See Data health.")


def tile(reading: Reading, *, grain: str, recent: Sequence[float] = (), when: str = "", shown: str = "") -> None:
    """A metric's latest complete value against an earlier one and its target, the way there as a small line."""
    metric, start = reading.metric, reading.now.period_start
    span = "No complete period yet" if start is None else period(start, grain)
    if metric.cohort_days and start is not None:
        span = f"Last {COHORTS} daily cohorts"
    # Green is up by itself; where down is better, it is the other way round.
    colors: dict[str, Literal["normal", "inverse"]] = {
        "better": "normal" if reading.has_risen else "inverse",
        "worse": "inverse" if reading.has_risen else "normal",
    }
    with st.container(border=True, height="stretch", gap=None):
        st.metric(
            metric.label,
            shown or reading.shown,
            reading.change or None,
            delta_color="off" if reading.is_same else colors.get(reading.judged, "off"),
            delta_arrow="off" if reading.is_same else "auto",
            delta_description=_against(reading, grain),
            help=definition(metric),
            chart_data=list(recent) if len(recent) >= FEWEST_POINTS else None,
        )
        chance = "" if reading.is_same or reading.judged in colors else reading.judged
        target = f"target {reading.target}" if reading.target else ""
        unit = counted(metric.label, metric.unit)
        about = " · ".join(part for part in (unit, when or span, reading.sample, chance, target) if part)
        st.caption(about)
    judged = "" if reading.is_same else reading.judged
    against, line = _against(reading, grain) or "", list(recent) if len(recent) >= FEWEST_POINTS else []
    printed.note(Tile(metric.label, shown or reading.shown, reading.change or "", against, judged, about, line))


def _against(reading: Reading, grain: str) -> str | None:
    """`vs week of 18 May`, where there is something to compare with."""
    before = reading.before.period_start
    if before is None or not reading.change:
        return None
    return f"vs the {COHORTS} before" if reading.metric.cohort_days else f"vs {short_period(before, grain)}"


@dataclass
class Card:
    """What the menu of a card offers."""

    title: str
    charts: list[Spec] = field(default_factory=list)
    narrowings: list[Narrowing] = field(default_factory=list)
    files: list[tuple[str, Callable[[], bytes]]] = field(default_factory=list)
    """CSV, by the name of the file."""


_card: ContextVar[Card | None] = ContextVar("card", default=None)
"""The one that is being filled."""


@contextmanager
def card(title: str, about: str = "") -> Iterator[None]:
    """A place for a chart or table under its title, of the height of those beside it; `about` is one click away."""
    own = Card(title)
    with st.container(border=True, height="stretch"), printed.part(title):
        # Beside the title: a chart's own buttons come up at the right.
        head = st.container(horizontal=True, vertical_alignment="center", gap="small")
        head.header(title, help=about or None, width="content", anchor=slug(title))
        inside = _card.set(own)
        try:
            yield
        finally:
            _card.reset(inside)
        with head:
            _menu(own)


def _menu(own: Card) -> None:
    """What can be done with a card: to take it away, to link to it, and to narrow the page by keys or touch, too."""
    if not (own.charts or own.files):
        return
    with st.popover("More", type="tertiary"):
        for place, narrowing in enumerate(own.narrowings):
            key = f"narrow {own.title} {place} {here()}"
            st.selectbox(
                narrowing.label,
                list(narrowing.choices),
                index=None,
                format_func=narrowing.choices.__getitem__,
                key=key,
                on_change=_narrow,
                args=(key, narrowing),
                placeholder="Choose",
            )
        with st.container(horizontal=True):
            for name, make in own.files:
                _hand_out(form(), make, name, FILE_FORMS[form()])
            if Right.export in access.rights():
                _pictures(own)
        st.caption("Link to it, as it is shown now")
        link = f"{st.context.url or ''}{'?' if here() else ''}{here()}#{slug(own.title)}"
        st.code(link, language=None, wrap_lines=True)


def _pictures(own: Card) -> None:
    """Each chart of a card as PNG, with what it is about."""
    paper = printed.paper()
    below = [paper.freshness, " · ".join(paper.view)]
    for place, chart in enumerate(own.charts, 1):
        nth = str(place) if len(own.charts) > 1 else ""
        name = "_".join(filter(None, [slug(paper.title), slug(own.title), nth, paper.build]))
        _hand_out(f"PNG {nth}".strip(), data.as_png(chart, own.title, below), f"{name}.png", "image/png")


def slug(title: str) -> str:
    """A title as names of files and of places on a page have it."""
    return "_".join(re.findall("[a-z0-9]+", title.lower()))


def _narrow(key: str, narrowing: Narrowing) -> None:
    """To what was chosen from a list or clicked in a chart; the viewer may say anything."""
    found = st.session_state.get(key)
    rows = [] if found is None or isinstance(found, str) else [*chain(*found["selection"].values())]
    for value in [found] if isinstance(found, str) else [row.get(narrowing.column) for row in rows]:
        if isinstance(value, str) and value in narrowing.choices:
            narrowing.take(value)
            return


def definition(metric: Metric) -> str:
    """What a metric is and must not be used for, what it helps to decide, its target and who answers for it."""
    parts = {
        "Not for": metric.not_for,
        "Helps to decide": metric.decision,
        "Target": "" if metric.target is None else number(metric.target, metric.format, metric.unit),
        "Owner": plain(metric.owner),
    }
    return "\n\n".join([metric.about, *(f"**{name}:** {text}" for name, text in parts.items() if text)])


def explain(metrics: Sequence[Metric]) -> None:
    """The definitions on the page, for those who can't hover."""
    with st.expander("What are these numbers, and what are they not for?"):
        for metric in metrics:
            printed.paper().definitions.append((metric.label, definition(metric).replace("\n\n", " ")))
            st.markdown(f"**{metric.label}:** {definition(metric)}".replace("\n\n", " "))


def why_no_data(build: Bundle, metric: Metric) -> None:
    """In place of a chart: that there is no data, and why."""
    because = plain(data_status.why_no_data(data.sources(build), metric.sources))
    nothing_here(f"**{metric.label}: no data.** {because}.")


def said_of_hidden(points: pd.DataFrame) -> str:
    """That some of the numbers are hidden from who looks, and which; empty where none is."""
    if not is_hidden(points).any():
        return ""
    return f"Hidden: parts of fewer than {access.here().hidden_below} people, and the smallest beside them."


def nothing_here(what: str) -> None:
    """In place of a chart: that nothing matches, and what to do about it."""
    st.info(what, icon=":material/info:")
    printed.note(Said(what, "info"))


def warn(what: str, icon: str | None = None) -> None:
    """What readers must know before they read a figure."""
    st.warning(what, icon=icon)
    printed.note(Said(what, "warning"))


def alert(what: str, icon: str | None = None) -> None:
    """That something is wrong."""
    st.error(what, icon=icon)
    printed.note(Said(what, "error"))


def all_is_well(what: str) -> None:
    st.success(what, icon=":material/check_circle:")
    printed.note(Said(what, "good"))


def remark(what: str) -> None:
    """A sentence beside figures."""
    st.caption(what)
    printed.note(Said(what, "note"))


def say(what: str) -> None:
    """Sentences that are read like figures."""
    st.markdown(what)
    printed.note(Said(what))


def heading(title: str, about: str = "") -> None:
    """Of what stands in no card."""
    st.header(title, help=about or None, anchor=slug(title))
    printed.note(Heading(title))


def draw(chart: Spec, note: str = "", narrowing: Narrowing | None = None) -> None:
    """A chart in the colours of the page, with a sentence under it; it can be clicked where it narrows the page."""
    own = _card.get() or Card("")
    own.charts.append(chart)
    printed.note(Chart(chart, note))
    ink = INK["dark" if st.context.theme.type == "dark" else "light"]
    look = {"config": {"text": {"color": ink}}}
    if narrowing is None or not narrowing.choices:
        st.vega_lite_chart(spec=chart | look)
    else:
        if narrowing not in own.narrowings:
            own.narrowings.append(narrowing)
        clicked = CLICKED[narrowing.column](chart)
        # A chart of another view is another one: what was clicked in this one is done.
        key = f"chart {own.title} {len(own.charts)} {here()}"
        st.vega_lite_chart(
            spec=clicked | look,
            key=key,
            on_select=partial(_narrow, key, narrowing),
            selection_mode=picking.params(clicked),
        )
    if note:
        st.caption(note)


def show_table(
    frame: pd.DataFrame, alt_text: str, right: Sequence[str] = (), wide: Sequence[str] = (), title: str | None = None
) -> None:
    """A table whose columns are as wide as their texts, but for numbers, set right, and sentences, which are wide and
    have rows that are high enough for them."""
    columns = {name: st.column_config.TextColumn(alignment="right", width=NUMBER_WIDTH) for name in right}
    columns |= {name: st.column_config.TextColumn(width=TEXT_WIDTH) for name in wide}
    height = SENTENCE_HEIGHT if wide else None
    st.dataframe(frame, hide_index=True, alt=alt_text, column_config=columns, row_height=height)
    first = frame.head(MOST_PRINTED).astype(str).values.tolist()
    printed.note(Table(title or alt_text, list(map(str, frame.columns)), first, len(frame), frozenset(right)))


def table_behind(build: Bundle, frame: pd.DataFrame, rows: pd.DataFrame, name: str, what: str) -> None:
    """Under a chart: its numbers as a table, and the rows behind them as a file."""
    with st.expander(f"{what} as a table", type="compact"):
        show_table(frame, f"{what} as a table", right=list(frame.columns[1:]), title=what)
    download(build, rows, name)


def download(build: Bundle, rows: pd.DataFrame, name: str) -> None:
    """The rows behind what is shown, as a file: as data, in order, with the build that they are from."""
    if Right.export not in access.rights():
        return
    exported = rows.assign(**{key: value for key, value in data.origin(build).items() if key not in rows})
    hand_out(list(map(str, exported.columns)), lambda: _in_order(exported), name)


def _in_order(exported: pd.DataFrame) -> Sequence[list[Any]]:
    """Rows as data, by their columns from left to right. Times are named so; any other moment is a day."""
    names = list(map(str, exported.columns))
    cells = exported.astype(object).where(exported.notna(), None).values.tolist()
    return sorted(
        (
            [
                value.date() if isinstance(value, datetime) and not name.endswith("_at") else value
                for name, value in zip(names, row, strict=True)
            ]
            for row in cells
        ),
        key=_order,
    )


def hand_out(columns: Sequence[str], rows: Callable[[], Sequence[Iterable[object]]], name: str) -> None:
    """Offer rows as they are, in the chosen form: in the menu of their card, else where they are; none to who may take
    none."""
    if Right.export not in access.rights():
        return
    ending, own = form().lower(), _card.get()
    make, file = data.as_file(columns, rows, ending, printed.paper()), f"{name}.{ending}"
    if own is None:
        _hand_out(form(), make, file, FILE_FORMS[form()])
    else:
        own.files.append((file, make))


def _hand_out(label: str, make: Callable[[], bytes], name: str, kind: str, look: Look = "secondary") -> None:
    """A button that hands out a file, which is made when it is clicked."""
    st.download_button(
        label,
        make,
        file_name=name,
        mime=kind,
        key=f"download_{name}",
        icon=":material/download:",
        on_click="ignore",
        type=look,
    )


def _order(row: list[Any]) -> list[tuple[bool, Any]]:
    """To sort rows by their columns from left to right; what is not there comes first."""
    return [(value is not None, value) for value in row]
