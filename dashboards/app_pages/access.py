"""Access: which role may do what, to how many each is given, and what was refused. Nobody is named."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboards import access
from dashboards.components import nothing_here, show_table
from tailtracker_bi.access import RIGHTS, Right, Role
from tailtracker_bi.figures.wording import words

access.here().require(Right.access, "Access")
st.title("Access")

st.header("What each role may do")
rights = pd.DataFrame(
    [{"": right.value, **{words(role): "yes" if right in RIGHTS[role] else "no" for role in Role}} for right in Right]
)
show_table(rights, "What each role may do")

st.header("Who has which role")
if access.sign_in().is_on:
    policy = access.policy()
    st.markdown(
        f"A sign-in lasts {policy.hours:g} hours. Parts of fewer than {policy.fewest} people are hidden from roles "
        "that may not see them."
    )
    kinds = {"Groups": "group:", "Domains": "@"}
    rows = []
    for role in Role:
        given = policy.roles.get(role, frozenset())
        named = {kind: sum(who.startswith(sign) for who in given) for kind, sign in kinds.items()}
        rows.append({"Role": words(role), **named, "Addresses": len(given) - sum(named.values())})
    table = pd.DataFrame(rows).astype(dict.fromkeys((*kinds, "Addresses"), str))
    show_table(table, "To how many each role is given", right=[*kinds, "Addresses"])
else:
    nothing_here("Nobody signs in to this dashboard: it is open on this machine alone, to all.")

st.header("What was refused")
if access.refusals:
    st.dataframe(
        pd.DataFrame(
            [
                {"When (UTC)": one.at.strftime("%d %b %Y %H:%M"), "Who": one.who, "What": one.what, "Why": one.why}
                for one in reversed(access.refusals)
            ]
        ),
        hide_index=True,
        alt="What was refused since the dashboard was started, the latest first",
    )
    st.caption("Since the dashboard was started. The same person has the same sign; the log has all of it.")
else:
    nothing_here("Nothing, since the dashboard was started.")
