"""What all pages share: the header, controls that live in the address bar, tiles, tables, empty states."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from datetime import date
from typing import Any, Literal, TypeAlias

import altair as alt
import pandas as pd
import streamlit as st

from dashboards import data
from dashboards.charts import Layers
from dashboards.data import Metric, Reading
from dashboards.wording import change, csv, day, number, period, plain, words
from tailtracker_bi.bundle import Bundle, NoBundleError
from tailtracker_bi.errors import TailTrackerError

Source: TypeAlias = Mapping[Hashable, Any]

STALE_AFTER_DAYS = 2
NUMBER_WIDTH = 100
GRAINS = {"day": "Day", "week": "Week", "month": "Month"}
BADGES = {
    "ok": ("green", ":material/check_circle:"),
    "late": ("orange", ":material/schedule:"),
    "failed": ("red", ":material/error:"),
    "off": ("gray", ":material/power_settings_new:"),
    "empty": ("gray", ":material/hourglass_empty:"),
}
INCOMPLETE_NOTE = (
    "Dashed or pale: not complete yet, so it may still change and is compared with nothing. "
    "A break: no data was received."
)


def open_page(title: str, summary: str) -> Bundle:
    """Title, what the page is for, and how fresh its data is; where there is none, how to get some."""
    st.title(title)
    st.markdown(summary)
    try:
        build = data.current_build()
    except NoBundleError:
        st.info("**There is no data to show yet:** nothing has been published.", icon=":material/info:")
        st.markdown("Run this where TailTracker BI is installed, then reload this page:")
        st.code("tailtracker-bi refresh", language="bash")
        st.stop()
    except TailTrackerError as error:
        st.error(f"**There is no data to show:** {plain(error)}", icon=":material/error:")
        st.stop()
    _freshness(build)
    return build


def _freshness(build: Bundle) -> None:
    info = data.rows(build, "bundle_info").iloc[0]
    sources = data.sources(build)
    as_of = pd.Timestamp(info["as_of"])
    age = (data.today() - as_of.date()).days
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**Data as of {day(as_of)}**", width="content")
        for source in sources.to_dict("records"):
            color, icon = BADGES.get(source["status"], BADGES["empty"])
            st.badge(_state(source), color=color, icon=icon, help=plain(source["reason"]) or None)  # type: ignore[arg-type]
    if age > STALE_AFTER_DAYS:
        st.warning(
            f"The newest build is {age} days old. Run `tailtracker-bi refresh` for newer data.",
            icon=":material/schedule:",
        )
    for source in sources[sources["status"].isin(["late", "failed"])].to_dict("records"):
        said = st.error if source["status"] == "failed" else st.warning
        said(_trouble(source), icon=BADGES[source["status"]][1])
    with st.expander("Where the data comes from"):
        st.caption(
            f"Build {info['build']}, made {pd.Timestamp(info['built_at']):%-d %b %Y %H:%M} UTC. "
            "Quarantined: rows that failed a check and are in no number. "
            "Excluded: rows of internal and test accounts."
        )
        table = pd.DataFrame(
            {
                "Source": sources["source"] + " " + sources["table_name"],
                "State": sources["status"],
                "Last day": sources["last_day"].map(_date),
                "Days missing": sources["days_missing"].map("{:,}".format),
                "Rows": sources["rows"].map("{:,}".format),
                "Quarantined": sources["quarantined"].map("{:,}".format),
                "Excluded": sources["excluded"].map("{:,}".format),
                "Loaded (UTC)": sources["loaded_at"].map(lambda at: "" if pd.isna(at) else f"{at:%Y-%m-%d %H:%M}"),
                "Why": sources["reason"],
            }
        )
        show_table(table, "Sources, their state and their last days", right=list(table.columns[3:7]))


def _date(moment: pd.Timestamp) -> str:
    return "" if pd.isna(moment) else day(moment)


def _name(source: Source) -> str:
    return plain(f"{words(source['source'])} {source['table_name']}".strip())


def _state(source: Source) -> str:
    status, last = source["status"], _date(source["last_day"])
    until = f"up to {last}" if last else ""
    said = {"ok": until or "complete", "off": "off", "empty": "nothing received yet"}
    return f"{_name(source)}: {said.get(status, f'{status}, {until}')}".removesuffix(", ")


def _trouble(source: Source) -> str:
    missing = int(source["days_missing"])
    parts = ["could not be read" if source["status"] == "failed" else "is late"]
    if missing:
        parts.append(f"{missing} {'day is' if missing == 1 else 'days are'} missing")
    why = f" Why: {plain(source['reason'])}." if source["reason"] else ""
    return f"**{_name(source)}** {', '.join(parts)}. What depends on it is marked as not complete.{why}"


def select(label: str, options: Mapping[str, str], key: str, default: str | None = None) -> str:
    """A list to choose from; the choice is in the address bar as `key` unless it is the default."""
    ids = list(options)
    first = default if default is not None and default in options else ids[0]
    chosen = st.selectbox(
        label, ids, index=ids.index(first), format_func=options.__getitem__, key=key, bind="query-params"
    )
    return chosen if chosen is not None and chosen in options else first


def switch(label: str, options: Mapping[str, str], key: str, default: str) -> str:
    """A few choices side by side; the choice is in the address bar as `key` unless it is the default."""
    chosen = st.segmented_control(
        label,
        list(options),
        default=default,
        required=True,
        format_func=options.__getitem__,
        key=key,
        bind="query-params",
    )
    return chosen if chosen in options else default


def several(label: str, options: Sequence[str], key: str, default: Sequence[str], most: int) -> list[str]:
    """Several values to choose; the choice is in the address bar as `key` unless it is the default."""
    return st.multiselect(
        label, list(options), default=list(default), max_selections=most, key=key, bind="query-params"
    )


def date_range(label: str, key: str, default: tuple[date, date], bounds: tuple[date, date]) -> tuple[date, date]:
    """Two dates; they are in the address bar as `key` unless they are the default."""
    chosen = st.date_input(
        label,
        default,
        min_value=bounds[0],
        max_value=bounds[1],
        key=key,
        format="YYYY-MM-DD",
        bind="query-params",
    )
    return chosen if isinstance(chosen, tuple) and len(chosen) == 2 else default


def tile(metric: Metric, reading: Reading, *, grain: str = "day", label: str = "", when: str = "") -> None:
    """A metric's latest complete value against an earlier complete one, its definition on hover."""
    difference = change(reading.value, reading.before, metric.format)
    colors: dict[bool | None, Literal["normal", "inverse", "off"]] = {
        True: "normal",
        False: "inverse",
        None: "off",
    }
    span = "no complete period yet" if reading.start is None else period(reading.start, grain)
    compared = "" if reading.before_start is None else f" vs {period(reading.before_start, grain)}"
    with st.container(border=True, height="stretch", gap=None):
        st.metric(
            label or metric.label,
            number(reading.value, metric.format),
            difference if reading.value != reading.before else 0,
            delta_color=colors[metric.bigger_is_better],
            help=definition(metric),
        )
        st.caption(when or span + compared)


def definition(metric: Metric) -> str:
    """What a metric is and what it must not be used for."""
    warning = f"\n\n**Not for:** {metric.not_for}" if metric.not_for else ""
    return f"{metric.description}{warning}"


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
            st.markdown(f"**{metric.label}:** {metric.description} {notes}")


def why_no_data(build: Bundle, metric: Metric) -> None:
    """In place of a chart: that there is no data, and why."""
    sources = data.sources(build)
    reasons = [
        f"{_name(source)} is {source['status']}" + (f" ({plain(source['reason'])})" if source["reason"] else "")
        for source in sources[sources["status"] != "ok"].to_dict("records")
        if f"{source['source']}.{source['table_name']}" in metric.sources
    ]
    because = "; ".join(reasons) if reasons else "no value has been published for it yet"
    st.info(f"**{metric.label}: no data.** {because}.", icon=":material/info:")


def nothing_here(what: str) -> None:
    """In place of a chart: that nothing matches, and what to do about it."""
    st.info(what, icon=":material/info:")


def draw(chart: alt.Chart | Layers, note: str = "") -> None:
    st.altair_chart(chart)
    if note:
        st.caption(note)


def show_table(frame: pd.DataFrame, alt_text: str, right: Sequence[str] = ()) -> None:
    columns = {name: st.column_config.TextColumn(alignment="right", width=NUMBER_WIDTH) for name in right}
    st.dataframe(frame, hide_index=True, alt=alt_text, column_config=columns)


def table_behind(frame: pd.DataFrame, rows: pd.DataFrame, name: str, what: str) -> None:
    """Under a chart: its numbers as a table, and the rows behind them as CSV."""
    with st.expander(f"{what} as a table"):
        show_table(frame, f"{what} as a table", right=list(frame.columns[1:]))
        download(rows, name)


def download(frame: pd.DataFrame, name: str) -> None:
    """The rows behind what is shown, as CSV."""
    st.download_button(
        "Download CSV",
        csv(frame),
        file_name=f"{name}.csv",
        mime="text/csv",
        key=f"download_{name}",
        icon=":material/download:",
        on_click="ignore",
    )
