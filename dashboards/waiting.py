"""Waiting for an answer that takes its time: it can be stopped, ends with who asked, and is kept until asked anew."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from time import monotonic
from typing import Any, TypeVar

import streamlit as st

from tailtracker_bi.bundle import QueryError

ANSWERED = "answered"
"""Kept for the reader: what came of the last question, and which one that was."""
T = TypeVar("T")


def answered(name: str, question: Hashable, ask: Callable[[Callable[[], object]], T]) -> T | QueryError:
    """What comes of a question of this kind: asked once, until another is asked, or this is forgotten."""
    kept = st.session_state.get(ANSWERED, (None, None))
    if kept[0] == (name, question):
        return kept[1]  # type: ignore[no-any-return]
    began, waiting = monotonic(), st.empty()
    with waiting.container(horizontal=True, vertical_alignment="center"):
        st.button("Stop", icon=":material/stop:", on_click=_keep, args=(name, question, stopped(name)))
        told = st.empty()
    found: T | QueryError
    try:
        # Streamlit ends a script whose reader has left, or has clicked, where the script shows something.
        found = ask(lambda: told.markdown(f"Asked {monotonic() - began:.0f} s ago"))
    except QueryError as error:
        found = error
    waiting.empty()
    _keep(name, question, found)
    return found


def forget() -> None:
    """Ask anew next time."""
    st.session_state.pop(ANSWERED, None)


def stopped(name: str) -> QueryError:
    return QueryError(f"{name}: it was stopped")


def _keep(name: str, question: Hashable, found: Any) -> None:
    st.session_state[ANSWERED] = ((name, question), found)
