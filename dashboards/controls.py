"""Choices that live in the address bar, so that a link shows the same view: each by its key, unless it is the default.

What a page is asked to show is its `View`: the same choices, under the same keys, on every page.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal, TypeVar
from urllib.parse import urlencode

import pandas as pd
import streamlit as st

from dashboards import data, printed
from dashboards.data import EVERYONE, Part
from tailtracker_bi.bundle import Bundle
from tailtracker_bi.figures.points import LENGTHS
from tailtracker_bi.figures.wording import day, period, plain, words
from tailtracker_bi.reports import Said

NAME, OPEN = "page file", "pages open"
"""Kept by the router: the name of the page's file, by which what readers write knows it, and the titles by name of
those that are open to who is here."""
PAGE, NOTES = "page", "notes"
"""Kept for the controls: the page that they are on, and the place above them where a link can be spoken of."""
LINK = "link"
"""Kept of a session: what the address bar says, or will as soon as the browser hears of it."""
LONGEST_ASKED = 60
MOST_VALUES = 7
"""Lines of one chart that can be told apart."""
GRAINS = {"day": "Day", "week": "Week", "month": "Month"}
RANGES = {
    "30": "Last 30 days", "90": "Last 90 days", "365": "Last 365 days", "all": "All days", "own": "Own dates",
}  # fmt: skip
AGAINST = {"previous": "vs the period before", "year": "vs a year before", "none": "No comparison"}
SEGMENTS = {
    "all": "Everyone",
    "platform": "Platform",
    "country": "Country",
    "plan": "Plan",
    "app_version": "App version",
    "billing_cycle": "Billing cycle",
    "card": "Card at the trial's start",
    "card_brand": "Card brand",
    "wallet": "Wallet",
    "three_d_secure": "3-D Secure",
    "currency": "Currency",
    "source": "Source",
    "species": "Species",
    "urgency": "Urgency",
}
RANGE, DATES, OF = "range", "dates", "of"
BEFORE = "before"
"""Kept for a page that was narrowed to a period: which one, and the dates that the link had before."""
Dates = tuple[date, date]
T = TypeVar("T")


@dataclass(frozen=True)
class View:
    """What a page is asked to show: which periods of which days, against what, of whom, and split by what."""

    grain: str
    dates: Dates
    against: str = "previous"
    of: Part = EVERYONE
    split: str = "all"
    values: tuple[str, ...] = ()
    """The values of the split to show; none stands for the largest."""
    bounds: Dates = (date.min, date.max)
    """The first and the last day that there is anything to show of."""


@dataclass(frozen=True)
class Narrowing:
    """What a chart can narrow its page to: a part or a period, by what is clicked or chosen from a list."""

    label: str
    column: str
    """Of the rows of the chart: what was clicked is a row's value of it."""
    choices: Mapping[str, str]
    """What may be chosen, by that value, in words."""
    take: Callable[[str], None]


def to_part(build: Bundle, metric_ids: Collection[str], segment: str, values: Iterable[str], column: str) -> Narrowing:
    """To one of the values of a segment, as far as the controls of the page know them."""
    known = {value for own, value in data.segment_values(build, metric_ids) if own == segment}
    choices = {value: value for value in values if value in known}
    name = segment_name(segment)
    return Narrowing(f"Only one {name.lower()}", column, choices, lambda value: go({OF: [f"{segment}={value}"]}))


def to_period(view: View, starts: Iterable[date], grain: str, column: str) -> Narrowing:
    """To one of the periods that begin so, unless the page shows a single one."""
    days = sorted({pd.Timestamp(start) for start in starts}, reverse=True)
    choices = {f"{start:%Y-%m-%d}": period(start, grain) for start in days} if len(days) > 1 else {}

    def take(start: str) -> None:
        dates = list(map(str, _days_of(pd.Timestamp(start), grain, view.bounds)))
        had = {key: st.query_params.get_all(key) for key in (RANGE, DATES)}
        st.session_state[BEFORE] = ([st.session_state[PAGE], *dates], had)
        go({RANGE: [], DATES: dates})

    return Narrowing(f"Only one {grain}", column, choices, take)


def _days_of(start: pd.Timestamp, grain: str, bounds: Dates) -> Dates:
    """The first and the last day of a period, as far as there is anything to show."""
    last = start + LENGTHS[grain] - pd.Timedelta(days=1)
    return max(start.date(), bounds[0]), min(last.date(), bounds[1])


def here() -> str:
    """The link to what the page shows now, but for where the page is."""
    return urlencode(sorted((key, value) for key in st.query_params for value in st.query_params.get_all(key)))


def go(changed: Mapping[str, list[str]]) -> None:
    """To a link that has other values for some keys, in one step, so that one step back leads here again."""
    link = st.session_state[LINK] | dict(changed)
    st.query_params.from_dict({key: ids for key, ids in link.items() if ids})
    read_link()


def read_link() -> None:
    """Keep the link that the page is shown by."""
    st.session_state[LINK] = {key: st.query_params.get_all(key) for key in st.query_params}


def _go_on() -> None:
    """Who chooses while the page still runs sends the link of before: it would take back what was chosen first."""
    go({})


def segment_name(segment: str) -> str:
    return SEGMENTS.get(segment, words(segment))


def view_bar(build: Bundle, metric_ids: Collection[str], grain: str) -> View | None:
    """The controls of a page in one line, for these metrics; None where there is no day to show.

    `grain` is the one that the page begins with.
    """
    bounds = data.span(build, tuple(metric_ids))
    if bounds is None:
        return None
    place = st.container(horizontal=True, vertical_alignment="center", gap="small", key="view")
    with place, printed.aside():
        dates = _period(bounds)
        against = select("Compare", AGAINST, "against", width=182)
        grain = switch("By", GRAINS, "grain", grain)
        of = _part(build, metric_ids)
        split, values = _split(build, metric_ids) if of == EVERYONE else ("all", ())
        _ways_back(build, of, dates, grain, bounds)
    view = View(grain, dates, against, of, split, values, bounds)
    printed.paper().view += _in_words(view)
    return view


def _in_words(view: View) -> list[str]:
    of = "everyone" if view.of == EVERYONE else f"{segment_name(view.of[0])}: {view.of[1]}"
    split = [] if view.split == "all" else [f"by {segment_name(view.split).lower()}", ", ".join(view.values)]
    span = " to ".join(map(day, dict.fromkeys(view.dates)))
    return [span, f"by {view.grain}", AGAINST[view.against].lower(), f"of {of}", *filter(None, split)]


def _ways_back(build: Bundle, of: Part, dates: Dates, grain: str, bounds: Dates) -> None:
    """What the page is narrowed to, each to be clicked away."""
    if of != EVERYONE:
        way_back(f"Only {segment_name(of[0])}: {of[1]}", OF, {OF: []})
    for own in dict.fromkeys([grain, *GRAINS]) if st.query_params.get_all(DATES) else ():
        start = data.single_period(build, own, dates)
        if start is not None and _days_of(start, own, bounds) == dates:
            kept, had = st.session_state.get(BEFORE, (None, {}))
            is_own = kept == [st.session_state[PAGE], *map(str, dates)]
            way_back(f"Only {period(start, own)}", DATES, had if is_own else {DATES: []})
            return


def way_back(label: str, key: str, changed: Mapping[str, list[str]]) -> None:
    st.button(
        plain(label),
        key=f"only {key}",
        icon=":material/close:",
        icon_position="right",
        on_click=go,
        args=(changed,),
    )


def _period(bounds: Dates) -> Dates:
    """The last so many days, or dates of one's own, within bounds."""
    asked = st.query_params.get_all(DATES)
    is_own = _dates(asked, bounds) is not None
    if st.session_state.get("period asked") != asked:
        # Another link, as after Back: its dates say which range it is.
        st.session_state.pop(RANGE, None)
        st.session_state["period asked"] = asked
    if asked and not is_own:
        say_unknown("Dates", asked, RANGES["90"])
    chosen = select("Period", RANGES, RANGE, "own" if is_own else "90", width=150)
    if chosen == "own":
        return date_range("Dates", DATES, (max(bounds[0], bounds[1] - timedelta(days=89)), bounds[1]), bounds)
    if is_own:
        del st.query_params[DATES]
        read_link()
    if chosen == "all":
        return bounds
    return max(bounds[0], bounds[1] - timedelta(days=int(chosen) - 1)), bounds[1]


def _part(build: Bundle, metric_ids: Collection[str]) -> Part:
    """Everyone, or one segment value."""
    known = {f"{segment}={value}": (segment, value) for segment, value in data.segment_values(build, metric_ids)}
    named = {key: f"{segment_name(segment)}: {value}" for key, (segment, value) in known.items()}
    chosen = select("Of", {"all": "Of everyone"} | named, OF, width=160)
    return known.get(chosen, EVERYONE)


def _split(build: Bundle, metric_ids: Collection[str]) -> tuple[str, tuple[str, ...]]:
    """A segment to draw a line for each value of, and which values."""
    parts = data.segment_values(build, metric_ids)
    present = {segment for segment, _ in parts}
    named = {"all": "Not split"} | {key: f"By {segment_name(key).lower()}" for key in SEGMENTS if key in present}
    named |= {key: f"By {segment_name(key).lower()}" for key in sorted(present - {*SEGMENTS})}
    segment = select("Split by", named, "segment", width=160)
    if segment == "all":
        return "all", ()
    values = [value for own, value in parts if own == segment]
    which = several(f"{segment_name(segment)}: which", values, segment, [], MOST_VALUES, placeholder="The largest")
    return segment, tuple(which)


def select(
    label: str, options: Mapping[str, str], key: str, default: str | None = None, *, width: int | None = None
) -> str:
    """A list to choose from, by id. One of a width of its own stands in a line, without its label."""
    first = default if default is not None and default in options else next(iter(options))
    is_known = _take_from_link(label, key, first, lambda ids: _only(ids, options), options.__getitem__)
    shown: Literal["collapsed", "visible"] = "collapsed" if width else "visible"
    chosen = st.selectbox(
        label,
        list(options),
        format_func=options.__getitem__,
        key=key,
        label_visibility=shown,
        width=width or "stretch",
        on_change=_go_on,
    )
    if chosen is None:
        return first
    _keep_in_link(key, [] if chosen == first else [chosen], is_known=is_known)
    print_choice(label, options[chosen])
    return chosen


def switch(label: str, options: Mapping[str, str], key: str, default: str) -> str:
    """A few choices side by side, by id."""
    is_known = _take_from_link(label, key, default, lambda ids: _only(ids, options), options.__getitem__)
    chosen = st.segmented_control(
        label,
        list(options),
        required=True,
        format_func=options.__getitem__,
        key=key,
        label_visibility="collapsed",
        on_change=_go_on,
    )
    if chosen is None:
        return default
    _keep_in_link(key, [] if chosen == default else [chosen], is_known=is_known)
    print_choice(label, options[chosen])
    return chosen


def several(
    label: str,
    options: Sequence[str],
    key: str,
    default: Sequence[str],
    most: int,
    *,
    placeholder: str | None = None,
    width: int = 260,
) -> list[str]:
    """Several values to choose."""

    def known(ids: list[str]) -> list[str] | None:
        return ids if len(ids) <= most and set(ids) <= {*options} else None

    is_known = _take_from_link(label, key, list(default), known, ", ".join)
    chosen = st.multiselect(
        label,
        list(options),
        max_selections=most,
        key=key,
        placeholder=placeholder,
        label_visibility="collapsed",
        width=width,
        on_change=_go_on,
    )
    _keep_in_link(key, [] if chosen == list(default) else chosen, is_known=is_known)
    print_choice(label, ", ".join(chosen))
    return chosen


def find(label: str, key: str, placeholder: str) -> str:
    """A few words to look for; nothing is all."""
    is_known = _take_from_link(label, key, "", lambda ids: ids[0] if len(ids) == 1 else None, str)
    shown = st.text_input(
        label, key=key, placeholder=placeholder, label_visibility="collapsed", width=360, on_change=_go_on
    )
    asked = shown or ""
    _keep_in_link(key, [asked] if asked else [], is_known=is_known)
    print_choice(label, asked)
    return asked


def print_choice(label: str, chosen: str) -> None:
    """What was chosen goes on paper, where that is more than nothing."""
    if chosen:
        printed.note(Said(f"{plain(label)}: **{plain(chosen)}**", "note"))


def date_range(label: str, key: str, default: Dates, bounds: Dates) -> Dates:
    """Two dates."""
    is_known = _take_from_link(
        label, key, default, lambda ids: _dates(ids, bounds), lambda dates: " to ".join(map(day, dates))
    )
    chosen = st.date_input(
        label,
        min_value=bounds[0],
        max_value=bounds[1],
        key=key,
        format="YYYY-MM-DD",
        label_visibility="collapsed",
        width=220,
        on_change=_go_on,
    )
    if not isinstance(chosen, tuple) or len(chosen) != 2:  # The second of the two is still to be chosen.
        return default
    _keep_in_link(key, [] if chosen == default else list(map(str, chosen)), is_known=is_known)
    return chosen


def _dates(ids: list[str], bounds: Dates) -> Dates | None:
    try:
        first, last = map(date.fromisoformat, ids)
    except ValueError:
        return None
    return (first, last) if bounds[0] <= first <= last <= bounds[1] else None


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
        say_unknown(label, asked, shown(default))
    return found is not None


def say_unknown(label: str, asked: Sequence[str], instead: str) -> None:
    st.session_state[NOTES].warning(
        f"**{plain(label)}:** the link asks for {plain(', '.join(asked)[:LONGEST_ASKED]) or 'nothing'}, which is "
        f"not known here. Shown is {plain(instead)}.",
        icon=":material/link_off:",
    )


def _keep_in_link(key: str, ids: list[str], *, is_known: bool) -> None:
    """Put a choice into the address bar; none stands for the default, in whose place what is not known may stay."""
    if ids == st.query_params.get_all(key) or not (ids or is_known):
        return
    if ids:
        st.query_params[key] = ids
    else:
        del st.query_params[key]
    read_link()
    st.session_state[f"link {key}"] = [st.session_state[PAGE], *ids]
