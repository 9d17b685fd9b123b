"""Today so far. It is of no build: it has an age of its own, and says so."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import streamlit as st

from dashboards import data
from dashboards.components import alert, card, draw, hand_out, nothing_here, remark, said_of_hidden, show_table, warn
from dashboards.page import Page, Section
from tailtracker_bi.errors import TailTrackerError
from tailtracker_bi.figures import charts
from tailtracker_bi.figures.wording import NO_DATA, NOT_SHOWN, day, money, number, plain
from tailtracker_bi.recent import COMMAND, STALE_AFTER

MOST_EVENTS = 20
CHARGES = "stripe"
LAST_HOUR = "The 60 minutes before this was read, and the same a day before"
TODAY = "From midnight on, and the day before up to the same time of day"
COUNTS = ["People", "People before", "Events", "Events before"]


@dataclass(frozen=True)
class LastHours(Section):
    """The last 60 minutes and today so far, each beside the same time of the day before."""

    def show(self, page: Page) -> None:
        try:
            rows = data.recent_activity()
        except TailTrackerError as error:
            alert(f"**The last hours can't be shown:** {plain(error)}", icon=":material/error:")
            return
        if rows is None:
            nothing_here(
                "**Nothing of today has been read yet.** Run this where TailTracker BI is installed, every 15 "
                "minutes, or turn on the schedule `last_hours` in Dagster:"
            )
            st.code(COMMAND, language="bash")
            return
        _say_what_it_is(rows)
        charges = rows[rows["source"] == CHARGES]
        events = rows[rows["source"] != CHARGES]
        if len(events):
            with card("The last hour", f"{LAST_HOUR}."):
                _by_event(events[events["span"] == "last_hour"], "the last hour")
            with card("Today so far", f"{TODAY}."):
                _by_event(events[events["span"] == "day"], "today so far")
        for span, title, said in (("last_hour", "the last hour", LAST_HOUR), ("day", "today so far", TODAY)):
            if len(charges):
                with card(f"Charges, {title}", f"{said}. Each attempt to pay is one, and it may be refunded later."):
                    _by_charge(charges[charges["span"] == span], title)
        if len(events):
            with card("People by hour", "Different people active in each hour of today; the last one is not over."):
                _by_hour(events[(events["span"] == "hour") & events["event"].isna()])
        hand_out(
            list(rows.columns), lambda: rows.astype(object).where(rows.notna(), None).values.tolist(), "last_hours"
        )


def _say_what_it_is(rows: pd.DataFrame) -> None:
    as_of = rows["as_of"].iloc[0]
    at = f"{day(data.local(as_of))}, {data.local(as_of):%H:%M %Z}"
    minutes = int((data.now() - as_of).total_seconds() // 60)
    warn(
        f"**Partial, as of {at}.** Apps send late, so that today's figures still grow, and people are told apart by "
        "the ids of these days alone. Don't compare them with days on other pages, which are complete. Of Mixpanel's "
        "events and Stripe's charges only, as far as they are on, and of charges with those of test accounts: "
        "subscriptions and accounts are not read during the day.",
        icon=":material/hourglass_top:",
    )
    if minutes * 60 > STALE_AFTER.total_seconds():
        alert(
            f"**This is {minutes:,} minutes old.** It should be read every 15 minutes, and has not been for over "
            f"{int(STALE_AFTER.total_seconds() // 60)}: look at the schedule `last_hours`, or run `{COMMAND}`.",
            icon=":material/schedule:",
        )
    if hidden := said_of_hidden(rows):
        remark(hidden)


def _by_event(rows: pd.DataFrame, what: str) -> None:
    """All activity first, then events by how often they came."""
    now, before = (rows[rows["is_day_before"] == is_before].set_index("event") for is_before in (False, True))
    names = [None, *now[now.index.notna()].sort_values("events", ascending=False, na_position="last").index]
    table = pd.DataFrame(
        [
            [
                "All activity" if name is None else name,
                *(_shown(frame, name, column) for column in ("people", "events") for frame in (now, before)),
            ]
            for name in names[: 1 + MOST_EVENTS]
        ],
        columns=["Event", *COUNTS],
    )
    show_table(table, f"Activity of {what} by event", right=COUNTS)
    if len(names) > 1 + MOST_EVENTS:
        remark(f"The {MOST_EVENTS} most frequent of {len(names) - 1} events.")


def _by_charge(rows: pd.DataFrame, what: str) -> None:
    """All charges first, then those that failed, and what was paid in each currency."""
    now, before = (rows[rows["is_day_before"] == is_before].set_index("event") for is_before in (False, True))
    told = [
        [
            "All charges" if name is None else name,
            *(_shown(frame, name, column) for column in ("people", "events") for frame in (now, before)),
            *(_amount(frame, name) for frame in (now, before)),
        ]
        for name in [None, *sorted({*now.index.dropna(), *before.index.dropna()})]
    ]
    columns = ["Customers", "Customers before", "Charges", "Charges before", "Amount", "Amount before"]
    show_table(pd.DataFrame(told, columns=["Charge", *columns]), f"Charges of {what}", right=columns)


def _amount(frame: pd.DataFrame, name: str | None) -> str:
    """What was paid, in the currency that the row is of; nothing where several are, or nothing was."""
    own = frame[frame.index == name]
    if own.empty or pd.isna(own["amount"].iloc[0]):
        return NOT_SHOWN if len(own) and own["is_hidden"].iloc[0] else ""
    return money(float(own["amount"].iloc[0]), str(name)[-3:])


def _shown(frame: pd.DataFrame, name: str | None, column: str) -> str:
    """An event that did not come came 0 times: what was read is whole."""
    own = frame[frame.index.isna()] if name is None else frame[frame.index == name]
    if own.empty:
        return "0"
    value = own[column].iloc[0]
    return (NOT_SHOWN if own["is_hidden"].iloc[0] else NO_DATA) if pd.isna(value) else number(float(value), "integer")


def _by_hour(rows: pd.DataFrame) -> None:
    today, before = (
        rows[rows["is_day_before"] == is_before].sort_values("starts_at").to_dict("records")
        for is_before in (False, True)
    )
    hours = [
        {
            "name": f"{data.local(hour['starts_at']):%H:%M}{'' if hour['ends_at'] < hour['as_of'] else ', so far'}",
            "value": float(hour["people"]),
            "text": f"{number(hour['people'], 'integer')}, a day before {number(same['people'], 'integer')}",
        }
        # Where clocks change, one of the two days has an hour more.
        for hour, same in zip(today, before, strict=False)
    ]
    if hours:
        draw(charts.bars(pd.DataFrame(hours), label="people", what="Hour from"))
    else:
        nothing_here("The day has just begun.")
