"""What a page shows, noted while it is made, so that it can be printed: by whoever shows it, in order.

A page is one reader's, and so is this; it is thrown away when the page is made again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import streamlit as st

from tailtracker_bi.reports import Block, Paper, Part

PAPER, INTO = "paper", "paper into"
"""Kept for a page while it is made: all of it, and where the next thing goes."""


def forget() -> None:
    """Before a page is made: what it shows goes on no paper, unless it begins one."""
    st.session_state.pop(PAPER, None)
    st.session_state[INTO] = []


def begin(paper: Paper) -> None:
    """From here on what is shown goes on this paper."""
    st.session_state[PAPER], st.session_state[INTO] = paper, paper.blocks


def paper() -> Paper:
    """What has been shown by now."""
    kept: Paper = st.session_state[PAPER]
    return kept


def note(block: Block) -> None:
    """That this is shown."""
    st.session_state[INTO].append(block)


@contextmanager
def part(title: str) -> Iterator[None]:
    """What is shown within stands together under a title."""
    own = Part(title)
    note(own)
    with _into(own.blocks):
        yield


def aside() -> AbstractContextManager[None]:
    """What is shown within is told in another place."""
    return _into([])


@contextmanager
def _into(blocks: list[Block]) -> Iterator[None]:
    around = st.session_state[INTO]
    st.session_state[INTO] = blocks
    try:
        yield
    finally:
        st.session_state[INTO] = around
