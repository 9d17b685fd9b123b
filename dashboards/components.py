"""What all pages share: the header, controls that live in the address bar, tiles, tables, empty states."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Literal, NoReturn, TypeVar

import pandas as pd
import streamlit as st

from dashboards import data
from tailtracker_bi.bundle import Bundle, NoBundleError
from tailtracker_bi.errors import TailTrackerError
from tailtracker_bi.figures.catalogue import Metric
from tailtracker_bi.figures.charts import Spec
from tailtracker_bi.figures.csv_output import to_csv
from tailtracker_bi.figures.data_status import STALE_AFTER_DAYS, TablesInAState, by_state, complete_through
from tailtracker_bi.figures.not_counted import beside
from tailtracker_bi.figures.readings import COHORTS, Reading, days_apart
from tailtracker_bi.figures.wording import day, period, plain

DATA_STATUS_PAGE = "app_pages/data_status.py"
PAGE, NOTES = "page", "notes"
"""Kept for the controls: the page that they are on, and the place above them where a link can be spoken of."""
LONGEST_ASKED = 60
T = TypeVar("T")
NUMBER_WIDTH, TEXT_WIDTH = 100, 320
TILES_A_ROW = 3
COMPARED = "Each is compared with an earlier, complete time of the same length."
GRAINS = {"day": "Day", "week": "Week", "month": "Month"}
BADGES = {
    "ok": ("green", ":material/check_circle:"),
    "late": ("orange", ":material/schedule:"),
    "failed": ("red", ":material/error:"),
    "held": ("red", ":material/lock:"),
    "suspect": ("red", ":material/report:"),
    "off": ("gray", ":material/power_settings_new:"),
    "empty": ("gray", ":material/hourglass_empty:"),
}
INCOMPLETE_NOTE = (
    "Dashed or pale: not complete yet, so it may still change and is compared with nothing. "
    "A break: no data was received."
)


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
    """Title, what the page is for, and how far the data of the current build goes."""
    st.title(title)
    st.markdown(summary)
    st.session_state[PAGE] = title
    try:
        build = data.current_build()
    except NoBundleError:
        _ask_for_a_refresh("**There is no data to show yet:** nothing has been published.")
    except TailTrackerError as error:
        st.error(f"**There is no data to show:** {plain(error)}", icon=":material/error:")
        st.stop()
    _freshness_line(build)
    st.session_state[NOTES] = st.container()
    return build


def _ask_for_a_refresh(because: str) -> NoReturn:
    st.info(because, icon=":material/info:")
    st.markdown("Run this where TailTracker BI is installed, then reload this page:")
    st.code("tailtracker-bi refresh", language="bash")
    st.stop()


def _freshness_line(build: Bundle) -> None:
    """How far the data goes, and a badge a source: its worst state."""
    sources, states = data.sources(build), data.states(build)
    with st.container(horizontal=True, vertical_alignment="center"):
        through = complete_through(sources)
        complete = f", complete through {through}" if through else ""
        st.markdown(f"**Data as of {day(data.as_of(build))}**{complete}", width="content")
        for source in sources["source"].unique():
            worst = next(state for state in states if state.source == source)
            color, icon = BADGES.get(worst.status, BADGES["failed"])
            st.badge(_badge(worst), color=color, icon=icon, help=plain(worst.why) or None)  # type: ignore[arg-type]


def say_how_old(build: Bundle) -> bool:
    """That the build is old, where it is."""
    age = (data.today() - data.as_of(build)).days
    if age > STALE_AFTER_DAYS:
        st.warning(
            f"The newest build is {age} days old. Run `tailtracker-bi refresh` for newer data.",
            icon=":material/schedule:",
        )
    return age > STALE_AFTER_DAYS


def _say_what_is_wrong(build: Bundle) -> None:
    """Age and states that may lack what readers expect, each with its reason, and the page that tells more."""
    is_old = say_how_old(build)
    in_trouble = [state for state in data.states(build) if state.is_trouble]
    for state in in_trouble:
        said = st.warning if state.status == "late" else st.error
        said(f"**{plain(state.name)}** {plain(state.trouble)}", icon=BADGES.get(state.status, BADGES["failed"])[1])
    what = "What is missing, and what to do about it" if is_old or in_trouble else "Where the data comes from"
    st.page_link(DATA_STATUS_PAGE, label=what, icon=":material/database:")


def _badge(worst: TablesInAState) -> str:
    until = f"up to {worst.last_day}" if worst.last_day else ""
    said = {"ok": until or "complete", "off": "off", "empty": "nothing received yet"}
    part = worst.share_of_source.removeprefix(worst.title)
    text = said.get(worst.status, f"{worst.status}, {until}").removesuffix(", ")
    return f"{plain(worst.title)}: {text}{part}"


def select(label: str, options: Mapping[str, str], key: str, default: str | None = None) -> str:
    """A list to choose from; the id of the choice is in the address bar as `key` unless it is the default."""
    first = default if default is not None and default in options else next(iter(options))
    is_known = _take_from_link(label, key, first, lambda ids: _only(ids, options), options.__getitem__)
    chosen = st.selectbox(label, list(options), format_func=options.__getitem__, key=key)
    if chosen is None:
        return first
    _keep_in_link(key, [] if chosen == first else [chosen], is_known=is_known)
    return chosen


def switch(label: str, options: Mapping[str, str], key: str, default: str) -> str:
    """A few choices side by side; the id of the choice is in the address bar as `key` unless it is the default."""
    is_known = _take_from_link(label, key, default, lambda ids: _only(ids, options), options.__getitem__)
    chosen = st.segmented_control(label, list(options), required=True, format_func=options.__getitem__, key=key)
    if chosen is None:
        return default
    _keep_in_link(key, [] if chosen == default else [chosen], is_known=is_known)
    return chosen


def several(label: str, options: Sequence[str], key: str, default: Sequence[str], most: int) -> list[str]:
    """Several values to choose; the choice is in the address bar as `key` unless it is the default."""

    def known(ids: list[str]) -> list[str] | None:
        return ids if len(ids) <= most and set(ids) <= {*options} else None

    is_known = _take_from_link(label, key, list(default), known, ", ".join)
    chosen = st.multiselect(label, list(options), max_selections=most, key=key)
    _keep_in_link(key, [] if chosen == list(default) else chosen, is_known=is_known)
    return chosen


def date_range(label: str, key: str, default: tuple[date, date], bounds: tuple[date, date]) -> tuple[date, date]:
    """Two dates; they are in the address bar as `key` unless they are the default."""

    def known(ids: list[str]) -> tuple[date, date] | None:
        try:
            first, last = map(date.fromisoformat, ids)
        except ValueError:
            return None
        return (first, last) if bounds[0] <= first <= last <= bounds[1] else None

    is_known = _take_from_link(label, key, default, known, lambda dates: " to ".join(map(day, dates)))
    chosen = st.date_input(label, min_value=bounds[0], max_value=bounds[1], key=key, format="YYYY-MM-DD")
    if not isinstance(chosen, tuple) or len(chosen) != 2:  # The second of the two is still to be chosen.
        return default
    _keep_in_link(key, [] if chosen == default else list(map(str, chosen)), is_known=is_known)
    return chosen


def _only(ids: list[str], options: Mapping[str, str]) -> str | None:
    return ids[0] if len(ids) == 1 and ids[0] in options else None


def _take_from_link(
    label: str, key: str, default: T, known: Callable[[list[str]], T | None], shown: Callable[[T], str]
) -> bool:
    """Set a control to what the link to this page says; what is not known here is told, and the default shown."""
    asked = st.query_params.get_all(key)
    found = known(asked) if asked else default
    # A choice stands until the page or the link is another one.
    link = [st.session_state[PAGE], *asked]
    if key not in st.session_state or st.session_state.get(f"link {key}") != link:
        st.session_state[key] = default if found is None else found
        st.session_state[f"link {key}"] = link
    if found is None and st.session_state[key] == default:
        st.session_state[NOTES].warning(
            f"**{plain(label)}:** the link asks for {plain(', '.join(asked)[:LONGEST_ASKED]) or 'nothing'}, which is "
            f"not known here. Shown is {plain(shown(default))}.",
            icon=":material/link_off:",
        )
    return found is not None


def _keep_in_link(key: str, ids: list[str], *, is_known: bool) -> None:
    """Put a choice into the address bar; none stands for the default, in whose place what is not known may stay."""
    if ids == st.query_params.get_all(key) or not (ids or is_known):
        return
    if ids:
        st.query_params[key] = ids
    else:
        del st.query_params[key]
    st.session_state[f"link {key}"] = [st.session_state[PAGE], *ids]


def say_what_is_left_out(build: Bundle, metrics: Sequence[Metric]) -> None:
    """Beside figures of these metrics: what was received and is not in them; nothing where all is."""
    what = beside([metric.metric_id for metric in metrics], data.left_out(build))
    if what:
        st.caption(f":material/rule: Not counted: {plain(what)}. See Data status.")


def tile(build: Bundle, reading: Reading, *, grain: str = "day", label: str = "", when: str = "") -> None:
    """A metric's latest complete value against an earlier complete one, its definition on hover."""
    metric, start, before = reading.metric, reading.now.period_start, reading.before.period_start
    span = "no complete period yet" if start is None else period(start, grain)
    compared = "" if before is None else f" vs {period(before, grain)}"
    # Green is up by itself; where down is better, it is the other way round.
    colors: dict[str, Literal["normal", "inverse"]] = {
        "better": "normal" if reading.has_risen else "inverse",
        "worse": "inverse" if reading.has_risen else "normal",
    }
    with st.container(border=True, height="stretch", gap=None):
        st.metric(
            label or metric.label,
            reading.shown,
            reading.change or None,
            delta_color="off" if reading.is_same else colors.get(reading.judged, "off"),
            delta_arrow="off" if reading.is_same else "auto",
            help=definition(metric),
        )
        chance = reading.judged if reading.judged not in colors else ""
        st.caption(" · ".join(part for part in (when or span + compared, reading.sample, chance) if part))
        say_what_is_left_out(build, [metric])


def tiles(build: Bundle, metrics: Mapping[str, Metric], grains: Mapping[str, str]) -> None:
    """Tiles in rows of three: each metric's latest complete period of the grain given; of retention, its cohorts."""
    known = [(metrics[metric_id], grain) for metric_id, grain in grains.items() if metric_id in metrics]
    for first in range(0, len(known), TILES_A_ROW):
        row = known[first : first + TILES_A_ROW]
        for place, (metric, grain) in zip(st.columns(TILES_A_ROW), row, strict=False):
            with place:
                reading = data.latest(build, metric.metric_id, grain, days_apart(metric, grain))
                compared = "" if reading.before.value is None else f" vs the {COHORTS} before"
                when = f"last {COHORTS} complete daily cohorts{compared}" if metric.cohort_days else ""
                tile(build, reading, grain=grain, when=when)


def definition(metric: Metric) -> str:
    """What a metric is and what it must not be used for."""
    warning = f"\n\n**Not for:** {metric.not_for}" if metric.not_for else ""
    return f"{metric.about}{warning}"


def explain(metrics: Sequence[Metric]) -> None:
    """The definitions on the page, for those who can't hover."""
    with st.expander("What are these numbers, and what are they not for?"):
        for metric in metrics:
            parts = {
                "Not for": metric.not_for,
                "Helps to decide": metric.decision,
                "Owner": plain(metric.owner),
            }
            notes = " ".join(f"*{name}:* {text}" for name, text in parts.items() if text)
            st.markdown(f"**{metric.label}:** {metric.about} {notes}")


def why_no_data(build: Bundle, metric: Metric) -> None:
    """In place of a chart: that there is no data, and why."""
    sources = data.sources(build)
    read = sources[(sources["source"] + "." + sources["table_name"]).isin(metric.sources)]
    reasons = [
        plain(f"{state.name} is {state.status}" + (f" ({state.why})" if state.why else ""))
        for state in by_state(read)
        if state.status != "ok"
    ]
    because = "; ".join(reasons) if reasons else "no value has been published for it yet"
    st.info(f"**{metric.label}: no data.** {because}.", icon=":material/info:")


def nothing_here(what: str) -> None:
    """In place of a chart: that nothing matches, and what to do about it."""
    st.info(what, icon=":material/info:")


def draw(chart: Spec, note: str = "") -> None:
    st.vega_lite_chart(spec=chart)
    if note:
        st.caption(note)


def show_table(frame: pd.DataFrame, alt_text: str, right: Sequence[str] = (), wide: Sequence[str] = ()) -> None:
    """A table whose columns are as wide as their texts, but for numbers, set right, and sentences, which are wide."""
    columns = {name: st.column_config.TextColumn(alignment="right", width=NUMBER_WIDTH) for name in right}
    columns |= {name: st.column_config.TextColumn(width=TEXT_WIDTH) for name in wide}
    st.dataframe(frame, hide_index=True, alt=alt_text, column_config=columns)


def table_behind(build: Bundle, frame: pd.DataFrame, rows: pd.DataFrame, name: str, what: str) -> None:
    """Under a chart: its numbers as a table, and the rows behind them as CSV."""
    with st.expander(f"{what} as a table"):
        show_table(frame, f"{what} as a table", right=list(frame.columns[1:]))
        download(build, rows, name)


def download(build: Bundle, rows: pd.DataFrame, name: str) -> None:
    """The rows behind what is shown, as CSV: as data, in order, with the build that they are from."""
    exported = rows.assign(**{key: value for key, value in data.origin(build).items() if key not in rows})
    names = list(map(str, exported.columns))
    cells = exported.astype(object).where(exported.notna(), None).values.tolist()
    # Times are named so; any other moment is a day.
    in_order = sorted(
        (
            [
                value.date() if isinstance(value, datetime) and not name.endswith("_at") else value
                for name, value in zip(names, row, strict=True)
            ]
            for row in cells
        ),
        key=_order,
    )
    st.download_button(
        "Download CSV",
        to_csv(names, in_order).encode(),
        file_name=f"{name}.csv",
        mime="text/csv",
        key=f"download_{name}",
        icon=":material/download:",
        on_click="ignore",
    )


def _order(row: list[Any]) -> list[tuple[bool, Any]]:
    """To sort rows by their columns from left to right; what is not there comes first."""
    return [(value is not None, value) for value in row]
