"""Guards: what comes whole and in order, and still looks so wrong that a person has to look before it lands.

They compare with what landed before, so that a first landing is never held. Each gives the reasons for holding back, in
words; `--accept` overrules it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

from tailtracker_bi.sources import Counts, Remark

ENOUGH = 100
"""Rows from which on a number says something."""
WEEKS = 4
"""Same weekdays that an empty day is compared with."""
LEAST_SHARE = 0.5
"""Of the rows that were there before: with fewer, something is missing."""


def doubtful_days(counts: Mapping[date, Counts], landed: Mapping[date, int]) -> dict[date, str]:
    """Days that came empty against all custom, or lost more than half of what they had; each with the reason.

    `landed` are the rows of the days that are there. Days that came with this answer count for the custom, too, unless
    there were none before.
    """
    if not landed:
        return {}
    rows = {**landed, **{day: count.loaded for day, count in counts.items()}}
    reasons = {}
    for day, count in counts.items():
        custom = [rows.get(day - timedelta(weeks=number), 0) for number in range(1, WEEKS + 1)]
        had = landed.get(day, 0)
        if shrank := _shrank(count.loaded, had):
            reasons[day] = f"it has {shrank}"
        elif not count.loaded and min(custom) >= ENOUGH:
            reasons[day] = f"it came empty, while the {WEEKS} same weekdays before had {min(custom)} rows or more"
    return reasons


def doubtful_snapshot(rows: int, had: int) -> str:
    """Why a snapshot with so many rows should not replace one that had so many; empty where it may."""
    if had and not rows:
        return f"it came empty, and had {had} rows"
    shrank = _shrank(rows, had)
    return f"it has {shrank}" if shrank else ""


def doubtful_deletions(gone: int, had: int) -> str:
    """Why a table that had so many objects should not lose so many of them at once; empty where it may."""
    is_doubtful = 1 < gone == had or (had >= ENOUGH and had - gone < had * LEAST_SHARE)
    return f"{gone} of its {had} objects are gone: do the credentials belong to another account?" if is_doubtful else ""


def changed_shape(shape: Mapping[str, str], had: Mapping[str, str], unreadable: int) -> tuple[str, list[Remark]]:
    """Why a table of another shape should not land (empty where it may), and what is to be known of it.

    `shape` and `had` are columns and their types, `unreadable` the rows that could not be read. A new type of which all
    values are readable is no reason.
    """
    if had and not shape:
        return "the table is gone: was it renamed, or is it out of the reader's sight?", []
    dropped = sorted(had.keys() - shape.keys())
    retyped = [
        f"{column} was {had[column]} and is {type_}"
        for column, type_ in sorted(shape.items())
        if column in had and had[column] != type_
    ]
    reasons = [f"columns are gone: {', '.join(dropped)}"] if dropped else []
    if retyped and unreadable:
        reasons.append(f"{', '.join(retyped)}, and {unreadable} rows can't be read")
    return "; ".join(reasons), [Remark(", ".join(retyped))] if retyped and not unreadable else []


def _shrank(rows: int, had: int) -> str:
    return f"{rows} rows, and had {had}" if had >= ENOUGH and rows < had * LEAST_SHARE else ""
