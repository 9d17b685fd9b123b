"""Saved views, in the head of each page: it as it is now, under a name, and those of who is here, to open or change."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import streamlit as st

from dashboards import readers
from dashboards.controls import NAME, OPEN
from tailtracker_bi.errors import TailTrackerError
from tailtracker_bi.figures.wording import plain
from tailtracker_bi.readers import LONGEST_NAME, SavedView

DRAFT, REFUSED = "view draft", "view refused"
"""Of a session: how often it wrote, so that what is written next begins empty, and why something was not kept."""


@st.fragment
def saved_views() -> None:
    """The views of who is here. What is kept is a page and its choices: no link is taken, so none leads elsewhere."""
    titles: Mapping[str, str] = st.session_state[OPEN]
    panel = st.popover(
        "Saved views", icon=":material/bookmarks:", type="tertiary", key="saved views", on_change="rerun"
    )
    if not panel.open:
        return
    with panel:
        try:
            own = readers.views()
        except TailTrackerError as error:
            st.caption(f":material/edit_off: They can't be read at the moment: {plain(error)}")
            return
        for view in own:
            if view.page in titles:
                st.page_link(
                    f"app_pages/{view.page}.py", label=plain(view.name), query_params=view.query, help=titles[view.page]
                )
            else:
                st.caption(f"{plain(view.name)}: its page is not open to you.")
        if refused := st.session_state.pop(REFUSED, ""):
            st.error(plain(refused), icon=":material/edit_off:")
        _save(st.session_state[NAME], titles)
        if own:
            _change({view.view_id: view for view in own})


def _save(name: str, titles: Mapping[str, str]) -> None:
    key = f"view name {st.session_state.setdefault(DRAFT, 0)}"

    def save() -> None:
        asked = {choice: st.query_params.get_all(choice) for choice in st.query_params}
        readers.save_view(SavedView(st.session_state[key], name, asked))

    with st.form("view form", border=False):
        st.text_input("Save this view as", max_chars=LONGEST_NAME, key=key, placeholder=titles[name])
        st.form_submit_button("Save this view", icon=":material/bookmark_add:", on_click=_keep, args=[save])


def _change(own: Mapping[int, SavedView]) -> None:
    with st.expander("Rename or remove", type="compact"):
        chosen = st.selectbox("View", list(own), format_func=lambda view_id: own[view_id].name, key="view chosen")
        if chosen is None:
            return
        key = f"view new name {chosen}"
        st.text_input("Its new name", own[chosen].name, max_chars=LONGEST_NAME, key=key)

        def rename() -> None:
            readers.rename_view(chosen, st.session_state[key])

        def remove() -> None:
            readers.remove_view(chosen)

        with st.container(horizontal=True, gap="small"):
            st.button("Rename", key="view renamed", icon=":material/edit:", on_click=_keep, args=[rename])
            st.button("Remove", key="view removed", icon=":material/delete:", on_click=_keep, args=[remove])


def _keep(write: Callable[[], None]) -> None:
    """Before the panel is made again: write, or note why that is refused."""
    try:
        write()
    except TailTrackerError as error:
        st.session_state[REFUSED] = str(error)
    else:
        st.session_state[DRAFT] += 1
