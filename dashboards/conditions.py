"""Conditions on what is asked of events, kept in the address bar: on a property, or on what people are split by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote, unquote

import streamlit as st
from pydantic import ValidationError

from dashboards.controls import LINK, go, print_choice, say_unknown, way_back
from tailtracker_bi.analytics import PropertyFilter
from tailtracker_bi.figures.wording import plain

WHERE, MOST = "where", 3
HOWS = {"is": "is", "not": "is not"}
OF, PROPERTY, HOW, VALUE, WRONG = (f"condition {name}" for name in ("of", "property", "how", "value", "wrong"))
"""Kept while one is put together, and what was wrong with it."""
Conditions = Mapping[str, list[PropertyFilter]]


def conditions(places: Mapping[str, str], properties: Sequence[str]) -> Conditions:
    """Those that the link has, by what they are on: `places` names that, three on each at most.

    Each is shown with a way to leave it out, beside a place to add one.
    """
    asked = st.query_params.get_all(WHERE)
    found: dict[str, list[PropertyFilter]] = {place: [] for place in places}
    unknown = []
    for text in dict.fromkeys(asked):
        place, rule = _read(text, properties)
        if rule is None or place not in found or len(found[place]) >= MOST:
            unknown.append(text)
            continue
        found[place].append(rule)
        print_choice(places[place], _told(rule))
        way_back(f"{places[place]}: {_told(rule)}", text, {WHERE: [one for one in asked if one != text]})
    if unknown:
        say_unknown("Conditions", unknown, "what comes of the others")
    if properties and places:
        _add(places, properties, found)
    return found


def _add(places: Mapping[str, str], properties: Sequence[str], found: Conditions) -> None:
    with st.popover("Add a condition", icon=":material/filter_alt:"):
        st.selectbox("On", list(places), format_func=places.__getitem__, key=OF)
        st.selectbox("Property", properties, key=PROPERTY)
        st.segmented_control("Which", list(HOWS), required=True, format_func=HOWS.__getitem__, key=HOW, default="is")
        st.text_input("Value", key=VALUE)
        st.button("Add", type="primary", on_click=_keep, args=(found,))
        if wrong := st.session_state.pop(WRONG, None):
            st.error(plain(wrong), icon=":material/error:")


def _keep(found: Conditions) -> None:
    """What was put together goes into the link, unless it can be no condition."""
    place, name, how, value = (st.session_state[key] for key in (OF, PROPERTY, HOW, VALUE))
    if len(found.get(place, ())) >= MOST:
        st.session_state[WRONG] = f"There are {MOST} conditions on it, and no more can be."
        return
    try:
        _rule(name, how, value)
    except ValidationError as error:
        st.session_state[WRONG] = error.errors()[0]["msg"].removeprefix("Value error, ")
        return
    kept = st.session_state[LINK].get(WHERE, [])
    go({WHERE: [*dict.fromkeys([*kept, "/".join((place, how, quote(name, safe=""), quote(value, safe="")))])]})
    st.session_state[VALUE] = ""


def _rule(name: str, how: str, value: str) -> PropertyFilter:
    return PropertyFilter.model_validate({"property": name, "equals" if how == "is" else "not_equals": value})


def _read(text: str, properties: Sequence[str]) -> tuple[str, PropertyFilter | None]:
    """What a condition in a link is on, and which one it is; None where it can be none."""
    parts = text.split("/")
    if len(parts) != 4:
        return "", None
    place, how, name, value = parts[0], parts[1], unquote(parts[2]), unquote(parts[3])
    if how not in HOWS or name not in properties:
        return place, None
    try:
        return place, _rule(name, how, value)
    except ValidationError:
        return place, None


def _told(rule: PropertyFilter) -> str:
    return f"{rule.property} {'is' if rule.not_equals is None else 'is not'} {rule.value() or 'empty'}"
