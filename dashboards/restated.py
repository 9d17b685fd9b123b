"""What was restated since who looks last did: a line on the pages whose metrics it is of, and a list of all."""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd
import streamlit as st

from dashboards import data, readers
from dashboards.components import download, show_table
from dashboards.page import Page
from tailtracker_bi.errors import TailTrackerError
from tailtracker_bi.figures import restated
from tailtracker_bi.figures.wording import day, plain

MOST_SHOWN, MOST_OF_ALL = 50, 500


def say_restated(page: Page, metric_ids: Collection[str]) -> None:
    """One line, which opens, of what the page shows: these metrics by its grain, of everyone or of its part."""
    found = _since(page)
    grains = {metric_id: page.grain_of(metric_id) for metric_id in metric_ids if metric_id in page.metrics}
    is_here = (found["grain"] == found["metric_id"].map(grains)) & (found["segment"] == page.view.of[0])
    own = found[is_here & (found["segment_value"] == page.view.of[1])]
    if own.empty:
        return
    what = (
        "1 value of a metric on this page was" if len(own) == 1 else f"{len(own):,} values of metrics on this page were"
    )
    line = f"{what} restated {_since_when(page)}"
    with st.expander(line, icon=":material/history:", type="compact", key="restated"):
        _list(page, own, MOST_SHOWN, "Data health has all.")


def list_restated(page: Page) -> None:
    """All of them, of whatever metric, grain and part; nothing where there are none."""
    found = _since(page)
    if len(found):
        st.markdown(f"**{len(found):,} {'value' if len(found) == 1 else 'values'} restated {_since_when(page)}:**")
        _list(page, found, MOST_OF_ALL, "The CSV holds all.")
        download(page.build, found, "restated_since_last_look")


def _since(page: Page) -> pd.DataFrame:
    """Of known metrics, what is told otherwise than by the build that who looks knows."""
    look = page.kept.look
    if look is None or look.build == page.build.build:
        return restated.NOTHING
    found = data.restated_since(page.build, look.build)
    return found[found["metric_id"].isin([*page.metrics])]


def _since_when(page: Page) -> str:
    look = page.kept.look
    return f"since you last looked (data as of {day(look.as_of)})" if look else ""


def _list(page: Page, rows: pd.DataFrame, most: int, rest: str) -> None:
    table = restated.table(rows.head(most), page.metrics)
    show_table(table, "Values restated since you last looked", right=["Before", "After"], wide=["Why"])
    if len(rows) > most:
        st.caption(f"The newest {most} of {len(rows):,}. {rest}")
    seen = st.button(
        "I have seen this",
        key="seen",
        icon=":material/done_all:",
        help="On all pages, only what is restated from now on is told. Without it, that is so some hours after you "
        "first looked at this build.",
    )
    if seen:
        try:
            readers.look_anew(page.build)
        except TailTrackerError as error:
            st.error(plain(error), icon=":material/edit_off:")
        else:
            st.rerun()
