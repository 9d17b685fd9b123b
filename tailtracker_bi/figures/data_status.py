"""The state of the sources as a build tells it, in words: what is wrong, why, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from tailtracker_bi.figures.wording import day, words

STALE_AFTER_DAYS = 2
"""A build is old when it is as of a day longer ago than that."""
ALL_IS_WELL = ("ok", "empty", "off")
"""Any other state is trouble: one that this code does not know, too."""
TROUBLES = {
    "failed": "could not be read",
    "held": "is held back",
    "suspect": "holds what should not be there",
    "late": "is late",
}
_WHAT_TO_DO = {
    "failed": "The next `tailtracker-bi refresh` asks again; should it fail, mend what `tailtracker-bi doctor` names.",
    "held": "Look at the source. If what came is right: `tailtracker-bi refresh {accepting}`, with `--relist` where "
    "that found it.",
    "suspect": "Mend it where it comes from, in the app or in Stripe. What could harm did not land.",
    "late": "Run `tailtracker-bi refresh`: it pulls what is missing.",
    "empty": "Nothing, if the app does not use it. Else see why, and run `tailtracker-bi refresh`.",
    "off": "Nothing, if it is meant to be off. Else set its credentials, see .env.example.",
}
MOST_NAMED = 3
_SETTING = r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+"
_UNSET = re.compile(rf"{_SETTING} is not set(?:[:;] |$)")
_SETTINGS = re.compile(rf"\b{_SETTING}(?:(?:, | and | or ){_SETTING})*\b")


@dataclass(frozen=True)
class TablesInAState:
    """The tables of a source that are in the same state, `of` so many."""

    source: str
    status: str
    tables: pd.DataFrame
    of: int

    @property
    def title(self) -> str:
        """What people call the source."""
        return str(self.tables["source_title"].iloc[0])

    @property
    def is_trouble(self) -> bool:
        """Whether figures may lack something that readers expect to be there."""
        return self.status not in ALL_IS_WELL

    @property
    def name(self) -> str:
        """The source and, unless they are all of many, its tables."""
        source, tables = self.title, [name for name in self.tables["table_name"] if name]
        if self.of == 1:
            return " ".join([source, *tables])
        return source if len(tables) == self.of else f"{source} ({listed(tables, ', ')})"

    @property
    def share_of_source(self) -> str:
        """The source and, unless they are all, how many of its tables."""
        source = self.title
        return source if len(self.tables) == self.of else f"{source} ({len(self.tables)} of {self.of} tables)"

    @property
    def why(self) -> str:
        """The reasons, each once."""
        return listed([reason for reason in self.tables["reason"].unique() if reason], "; ")

    @property
    def every_reason(self) -> str:
        """The same with none left out, each with the tables that it is the reason of where there are others."""
        reasons = self.tables[self.tables["reason"] != ""].groupby("reason", sort=False)["table_name"].agg(list)
        if len(reasons) < 2:
            return "; ".join(reasons.index)
        return "; ".join(f"{', '.join(names)}: {reason}" for reason, names in reasons.items())

    @property
    def last_day(self) -> str:
        """The last day that all of the tables have."""
        first = self.tables["last_day"].dropna().min()
        return "" if pd.isna(first) else day(first)

    @property
    def trouble(self) -> str:
        """What follows on the name: `is late, 2 days are missing. Values ... Why: ...`; empty where all is well."""
        if not self.is_trouble:
            return ""
        missing = int(self.tables["days_missing"].max())
        parts = [TROUBLES.get(self.status, f"is {self.status}")]
        if missing:
            parts.append(f"{missing} {'day is' if missing == 1 else 'days are'} missing")
        kept = "Values that lack these days are marked as not complete." if missing else "What had landed before stays."
        why = f" Why: {self.why}." if self.why else ""
        return f"{', '.join(parts)}. {kept}{why}"


def tables(status: pd.DataFrame) -> pd.DataFrame:
    """The rows of `data_status`, one a table of a source; no reason is an empty one."""
    known = status.fillna({"reason": "", "table_name": "", "days_missing": 0})
    # Builds of earlier versions have no titles.
    return known if "source_title" in known else known.assign(source_title=known["source"].map(words))


def without_settings(reason: str) -> str:
    """A reason for those who read figures and set nothing: it names no setting."""
    return _SETTINGS.sub("the settings", _UNSET.sub("", reason))


def by_state(tables: pd.DataFrame) -> list[TablesInAState]:
    """Sources in order, the worst state of each first."""
    found = []
    for source, of_source in tables.groupby("source", sort=False):
        for status in sorted(of_source["status"].unique(), key=severity):
            own = of_source[of_source["status"] == status]
            found.append(TablesInAState(str(source), status, own, len(of_source)))
    return found


def why_no_data(tables: pd.DataFrame, read: Sequence[str]) -> str:
    """Why there is nothing of what is read from these, each `source.table`."""
    own = by_state(tables[(tables["source"] + "." + tables["table_name"]).isin(read)])
    reasons = [
        f"{one.name} is {one.status}" + (f" ({one.why})" if one.why else "") for one in own if one.status != "ok"
    ]
    return "; ".join(reasons) if reasons else "no value has been published for it yet"


def what_to_do(status: str, tables: Sequence[str]) -> str:
    """What to do about tables, each `source:table`, in this state; empty where nobody has to do anything."""
    accepting = " ".join(f"--accept {table}" for table in tables)
    return _WHAT_TO_DO.get(status, "").format(accepting=accepting)


def severity(status: str) -> int:
    """To sort states by, the worst first; those that this code does not know come before those that are well."""
    known = [*TROUBLES, None, *ALL_IS_WELL]
    return known.index(status if status in known else None)


def worst_first(state: TablesInAState) -> int:
    """To sort states of all sources by."""
    return severity(state.status)


def complete_through(tables: pd.DataFrame) -> str:
    """The last day through which all that is on is complete; empty where nothing is."""
    through = tables.loc[tables["status"] != "off", "complete_through"].dropna()
    return day(through.min()) if len(through) else ""


def listed(parts: Sequence[str], separator: str) -> str:
    """The first few, and how many more there are."""
    more = [f"{len(parts) - MOST_NAMED} more"] if len(parts) > MOST_NAMED else []
    return separator.join([*parts[:MOST_NAMED], *more])
