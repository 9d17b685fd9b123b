"""Data status: what each source and table has, what is wrong and what to do about it, and which build this is."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboards import data
from dashboards.components import download, find_build, nothing_here, say_how_old, select, show_table
from dashboards.over_time import differences
from tailtracker_bi.bundle import Bundle
from tailtracker_bi.figures.data_status import TablesInAState, by_state, complete_through, severity, what_to_do
from tailtracker_bi.figures.wording import NO_DATA, day, number, period, plain

SIGNS = {"ok": "✓", "late": "◷", "failed": "✕", "held": "‖", "suspect": "!", "off": "○", "empty": "○"}
"""The state is read in words; the sign makes it found."""
MOST_RESTATED = 20
BUILD = {"build": "Build", "engine": "Engine", "version": "Version of TailTracker BI", "run_id": "Run"}


def summary(build: Bundle) -> None:
    """A line for each kind of trouble, the worst first, or one that all is well."""
    say_how_old(build)
    in_trouble = [state for state in data.states(build) if state.is_trouble]
    for status in sorted({state.status for state in in_trouble}, key=severity):
        own = [state for state in in_trouble if state.status == status]
        count = sum(len(state.tables) for state in own)
        named = "\n".join(f"- {plain(f'{state.name}: {state.every_reason}'.removesuffix(': '))}" for state in own)
        said = st.warning if status == "late" else st.error
        advice = what_to_do(status, [f"{state.source}:{name}" for state in own for name in state.tables["table_name"]])
        said(f"**{count} {'table is' if count == 1 else 'tables are'} {plain(status)}**\n\n{named}\n\n{advice}")
    if in_trouble:
        return
    through = complete_through(data.sources(build))
    if through:
        st.success(f"**All is well:** every table that is on and not empty is complete through {through}.")
    else:
        nothing_here("Nothing has been received yet.")


def tables(build: Bundle) -> None:
    st.header(
        "Sources and tables",
        help="Quarantined: rows that failed a check and are in no number. "
        "Excluded: rows of internal and test accounts.",
    )
    found = data.sources(build)
    if found.empty:
        nothing_here("No source is known to this build.")
        return
    names = {"all": "All sources"} | dict(zip(found["source"], found["source_title"], strict=True))
    with st.container(width=240):
        chosen = select("Source", names, "source")
    own = found if chosen == "all" else found[found["source"] == chosen]
    own = own.sort_values("status", key=lambda states: states.map(severity), kind="stable")
    table = pd.DataFrame(
        {
            "State": [f"{SIGNS.get(status, '?')} {status}" for status in own["status"]],
            "Source": own["source_title"],
            "Table": own["table_name"],
            "Last day": own["last_day"].map(lambda last: "" if pd.isna(last) else day(last)),
            "Days missing": [number(days, "integer") for days in own["days_missing"]],
            "Rows": [number(count, "integer") for count in own["rows"]],
            "Quarantined": [number(count, "integer") for count in own["quarantined"]],
            "Excluded": [number(count, "integer") for count in own["excluded"]],
            "Loaded (UTC)": own["loaded_at"].map(lambda at: "never" if pd.isna(at) else f"{at:%Y-%m-%d %H:%M}"),
        }
    )
    show_table(
        table,
        "Sources and their tables, the worst state first",
        right=["Days missing", "Rows", "Quarantined", "Excluded"],
    )
    # Sentences, for which a cell has no room.
    st.markdown("\n".join([*(_in_full(state) for state in by_state(own) if state.every_reason), *_set_aside(own)]))
    download(build, own, "data_status")


def _in_full(state: TablesInAState) -> str:
    advice = what_to_do(state.status, [f"{state.source}:{name}" for name in state.tables["table_name"]])
    return f"- **{plain(state.name)}** is {plain(state.status)}: {plain(state.every_reason)}. {advice}"


def _set_aside(tables: pd.DataFrame) -> list[str]:
    own = tables[tables["quarantined"] > 0]
    named = [f"{source} {table}" for source, table in zip(own["source_title"], own["table_name"], strict=True)]
    where = "look at them in quarantine/ of TAILTRACKER_HOME."
    return [f"- **Rows are set aside** of {plain(', '.join(named))}: {where}"] if named else []


def not_counted(build: Bundle) -> None:
    """What was received and is in no number, or not exactly, kind by kind, each with a whole sentence."""
    st.header(
        "Not counted",
        help="What was received and is in no number, or not exactly. An example is a keyed hash: it is the same in "
        "each build, and nobody can be found by it.",
    )
    if data.lacks(build, "not_counted"):
        nothing_here("The build was made before this was kept: run `tailtracker-bi refresh`.")
        return
    found = data.left_out(build)
    if not found:
        st.success("**Everything that was received is counted.**", icon=":material/check_circle:")
        return
    known = data.catalog(build)
    table = pd.DataFrame(
        {
            "Source": [one.source_title for one in found],
            "What": [f"{one.objects_of_kind}: {one.what}" for one in found],
            "Objects": [number(one.objects, "integer") for one in found],
            "Amount": [one.sum for one in found],
            "Days": [one.days for one in found],
            "Metrics": [number(len(one.metric_ids), "integer") for one in found],
            "Example": [one.example for one in found],
        }
    )
    show_table(table, "What was received and is not counted", right=["Objects", "Amount", "Metrics"], wide=["What"])
    labels = {metric_id: metric.label for metric_id, metric in known.items()}
    said = [one.told([labels.get(metric_id, metric_id) for metric_id in one.metric_ids]) for one in found]
    st.markdown("\n".join(f"- {plain(line)}" for line in said))
    download(build, data.rows(build, "not_counted"), "not_counted")


def comparisons(build: Bundle) -> None:
    if data.lacks(build, "reconciliation"):
        st.header("Do the sources agree?")
        nothing_here("The build was made before sources were compared: run `tailtracker-bi refresh`.")
        return
    differences(build)


def restated(build: Bundle) -> None:
    """What this build tells otherwise than the one before; the CSV goes back two years."""
    st.header(
        "Restated values",
        help="Values that the build before showed as complete, and that are others now. No data: there was none, or "
        "there is none any more.",
    )
    if data.lacks(build, "restatements"):
        nothing_here("The build was made before restatements were kept: run `tailtracker-bi refresh`.")
        return
    found = data.rows(build, "restatements")
    own = found[found["build"] == build.build].sort_values("period_start", ascending=False, kind="stable")
    if own.empty:
        nothing_here("This build changed no value that was complete before.")
    else:
        known = data.catalog(build)
        shown = own[own["metric_id"].isin(list(known))].head(MOST_RESTATED)
        forms = [known[name].format for name in shown["metric_id"]]
        table = pd.DataFrame(
            {
                "Metric": [known[name].label for name in shown["metric_id"]],
                "Period": list(map(period, shown["period_start"], shown["grain"])),
                "Of": ["Everyone" if value == "all" else value for value in shown["segment_value"]],
                **{
                    title: [number(value, form) for value, form in zip(shown[column], forms, strict=True)]
                    for title, column in (("Before", "old_value"), ("Now", "new_value"))
                },
                "Why": shown["reason"],
            }
        )
        show_table(table, "Values that this build restated, the newest first", right=["Before", "Now"], wide=["Why"])
        if len(own) > len(shown):
            st.caption(f"The newest {len(shown)} of {len(own):,}. The CSV holds all, and those of earlier builds.")
    if len(found):
        download(build, found, "restatements")


def the_build(build: Bundle) -> None:
    st.header("The build", help="One published file. What is shown on all pages comes from it and from nothing else.")
    info = data.rows(build, "bundle_info").iloc[0]
    facts = {
        "As of": day(data.as_of(build)),
        "Built": f"{pd.Timestamp(info['built_at']):%-d %b %Y %H:%M} UTC",
        **{title: str(info.get(name) or NO_DATA) for name, title in BUILD.items()},
    }
    show_table(pd.DataFrame({"What": list(facts), "Value": list(facts.values())}), "The build that is shown")


build = find_build("Data status", "What has been received, what has not, and what to do about it.")
summary(build)
tables(build)
not_counted(build)
comparisons(build)
restated(build)
the_build(build)
