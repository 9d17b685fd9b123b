"""The data itself: what has been received, what is in no number, where sources disagree, what a build restated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from dashboards import data, printed
from dashboards.components import (
    alert,
    all_is_well,
    download,
    heading,
    nothing_here,
    remark,
    say,
    say_how_old,
    show_table,
    warn,
)
from dashboards.controls import select
from dashboards.page import Page, Section
from dashboards.restated import list_restated
from tailtracker_bi.figures import restated
from tailtracker_bi.figures.data_status import TablesInAState, by_state, complete_through, severity, what_to_do
from tailtracker_bi.figures.reconciliation import titled
from tailtracker_bi.figures.wording import NO_DATA, day, number, plain

SIGNS = {"ok": "✓", "late": "◷", "failed": "✕", "held": "‖", "suspect": "!", "off": "○", "empty": "○"}
"""The state is read in words; the sign makes it found."""
MOST_RESTATED, MOST_DIFFERENCES = 20, 20
BUILD = {"build": "Build", "engine": "Engine", "version": "Version of TailTracker BI", "run_id": "Run"}


@dataclass(frozen=True)
class Summary(Section):
    """A line for each kind of trouble, the worst first, or one that all is well."""

    def show(self, page: Page) -> None:
        build = page.build
        say_how_old(build)
        in_trouble = [state for state in data.states(build) if state.is_trouble]
        for status in sorted({state.status for state in in_trouble}, key=severity):
            own = [state for state in in_trouble if state.status == status]
            count = sum(len(state.tables) for state in own)
            named = "\n".join(f"- {plain(f'{state.name}: {state.every_reason}'.removesuffix(': '))}" for state in own)
            said = warn if status == "late" else alert
            advice = what_to_do(
                status, [f"{state.source}:{name}" for state in own for name in state.tables["table_name"]]
            )
            said(f"**{count} {'table is' if count == 1 else 'tables are'} {plain(status)}**\n\n{named}\n\n{advice}")
        if in_trouble:
            return
        through = complete_through(data.sources(build))
        if through:
            all_is_well(f"**All is well:** every table that is on and not empty is complete through {through}.")
        else:
            nothing_here("Nothing has been received yet.")


@dataclass(frozen=True)
class ExactSince(Section):
    """From when on a metric is exact, where earlier days are shown."""

    metric_id: str

    def show(self, page: Page) -> None:
        for metric in page.known([self.metric_id]):
            if metric.exact_since and page.view.dates[0] < metric.exact_since:
                remark(metric.caveat)


@dataclass(frozen=True)
class Tables(Section):
    """What each source and table has."""

    def show(self, page: Page) -> None:
        build = page.build
        heading(
            "Sources and tables",
            "Quarantined: rows that failed a check and are in no number. Excluded: rows of internal and test accounts.",
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
        say("\n".join([*(_in_full(state) for state in by_state(own) if state.every_reason), *_set_aside(own)]))
        download(build, own, "data_status")


def _in_full(state: TablesInAState) -> str:
    advice = what_to_do(state.status, [f"{state.source}:{name}" for name in state.tables["table_name"]])
    return f"- **{plain(state.name)}** is {plain(state.status)}: {plain(state.every_reason)}. {advice}"


def _set_aside(tables: pd.DataFrame) -> list[str]:
    own = tables[tables["quarantined"] > 0]
    named = [f"{source} {table}" for source, table in zip(own["source_title"], own["table_name"], strict=True)]
    where = "look at them in quarantine/ of TAILTRACKER_HOME."
    return [f"- **Rows are set aside** of {plain(', '.join(named))}: {where}"] if named else []


@dataclass(frozen=True)
class NotCounted(Section):
    """What was received and is in no number, or not exactly, kind by kind, each with a whole sentence."""

    def show(self, page: Page) -> None:
        build = page.build
        heading(
            "Not counted",
            "What was received and is in no number, or not exactly. An example is a keyed hash: it is the same in "
            "each build, and nobody can be found by it.",
        )
        if data.lacks(build, "not_counted"):
            nothing_here("The build was made before this was kept: run `tailtracker-bi refresh`.")
            return
        found = data.left_out(build)
        if not found:
            all_is_well("**Everything that was received is counted.**")
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
        say("\n".join(f"- {plain(line)}" for line in said))
        download(build, data.rows(build, "not_counted"), "not_counted")


@dataclass(frozen=True)
class Restated(Section):
    """What is told otherwise since who looks last did, and by this build; the CSV goes back two years."""

    def show(self, page: Page) -> None:
        build = page.build
        heading(
            "Restated values",
            "Values that the build before showed as complete, and that are others now. No data: there was none, "
            "or there is none any more.",
        )
        if data.lacks(build, "restatements"):
            nothing_here("The build was made before restatements were kept: run `tailtracker-bi refresh`.")
            return
        with printed.aside():
            list_restated(page)
        found = data.rows(build, "restatements")
        own = found[found["build"] == build.build].sort_values("period_start", ascending=False, kind="stable")
        if own.empty:
            nothing_here("This build changed no value that was complete before.")
        else:
            st.markdown("**By this build:**")
            shown = own[own["metric_id"].isin([*page.metrics])].head(MOST_RESTATED)
            table = restated.table(shown, page.metrics)
            show_table(
                table, "Values that this build restated, the newest first", right=["Before", "After"], wide=["Why"]
            )
            if len(own) > len(shown):
                remark(f"The newest {len(shown)} of {len(own):,}. The CSV holds all, and those of earlier builds.")
        if len(found):
            download(build, found, "restatements")


@dataclass(frozen=True)
class TheBuild(Section):
    """Which build is shown."""

    def show(self, page: Page) -> None:
        build = page.build
        heading("The build", "One published file. What is shown on all pages comes from it and from nothing else.")
        info = data.rows(build, "bundle_info").iloc[0]
        facts = {
            "As of": day(data.as_of(build)),
            "Built": f"{pd.Timestamp(info['built_at']):%-d %b %Y %H:%M} UTC",
            **{title: str(info.get(name) or NO_DATA) for name, title in BUILD.items()},
        }
        show_table(pd.DataFrame({"What": list(facts), "Value": list(facts.values())}), "The build that is shown")


@dataclass(frozen=True)
class Agreement(Section):
    """What two sources say about the same metric, where they differ, newest first: of all domains, or of some.

    A comparison belongs to the domain of the metric that `what` begins with. One that begins with no metric is shown
    with those that are left over: where `and_the_rest` names the domains that other pages show.
    """

    domains: Sequence[str] = ()
    and_the_rest: Sequence[str] = ()

    def show(self, page: Page) -> None:
        build = page.build
        if data.lacks(build, "reconciliation"):
            heading("Do the sources agree?")
            nothing_here("The build was made before sources were compared: run `tailtracker-bi refresh`.")
            return
        found = titled(data.rows(build, "reconciliation"), data.catalog(build))
        if self.domains:
            known = found["domain"].isin(self.domains)
            found = found[known | ~found["domain"].isin(self.and_the_rest)] if self.and_the_rest else found[known]
        if found.empty:
            return
        heading(
            "Do the sources agree?",
            "The same thing counted from two sources. No figure above depends on it. An example is a hash of an id.",
        )
        apart = found[found["difference"].isna() | (found["difference"] != 0)]
        for what, compared in found.groupby("title", sort=False):
            own = apart[apart["title"] == what]
            newest = f"; the newest is {day(own['period_start'].max())}" if len(own) else ""
            say(f"**{plain(what)}:** {len(own):,} of {len(compared):,} compared differ{newest}.")
        if apart.empty:
            return
        shown = apart.head(MOST_DIFFERENCES)
        is_one = found["title"].nunique() == 1
        # A title may name what was compared, in the order of the values.
        named = found["title"].iloc[0].partition(": ")[2].split(", ")
        sides = named if is_one and len(named) == 2 else ["First", "Second"]
        columns = dict(zip([*sides, "Difference"], ["left_value", "right_value", "difference"], strict=True))
        table = pd.DataFrame(
            {
                "What": shown["title"],
                "Day": shown["period_start"].map(day),
                **{
                    title: [number(row[column], row["form"]) for _, row in shown.iterrows()]
                    for title, column in columns.items()
                },
                "Why": shown["reason"].fillna(""),
                "Example": shown["example"].fillna("") if "example" in shown else "",
            }
        )
        if is_one:
            table = table.drop(columns="What")
        if (table["Example"] == "").all():
            table = table.drop(columns="Example")
        show_table(table, "The newest days on which two sources differ", right=[*columns], wide=["Why"])
        if len(apart) > MOST_DIFFERENCES:
            remark(f"The newest {MOST_DIFFERENCES} of {len(apart):,}. The CSV holds all.")
        exported = [
            "metric_id",
            "what",
            "period_start",
            "currency",
            "left_value",
            "right_value",
            "difference",
            "reason",
            "example",
        ]
        download(build, apart[[column for column in exported if column in apart]], "differences")
