"""What figure broke its bounds and which source is in trouble, since when, and what was noted of it.

What belongs here: what fires of the declared alerts, and the book of it. What does not: the declared rules
(`analytics/`), and who is told, when and by which way (`delivery/`).
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from tailtracker_bi.alerts.book import Book, Episode
from tailtracker_bi.alerts.judging import Firing, firings, is_judged, lately, not_judged
from tailtracker_bi.analytics import AlertRules
from tailtracker_bi.errors import SettingsError

__all__ = ["Book", "Episode", "Firing", "declared", "firings", "is_judged", "lately", "not_judged"]


def declared(rules: Sequence[AlertRules], name: str) -> AlertRules:
    """The alert of this name. Raises SettingsError where there is none."""
    for one in rules:
        if one.id == name:
            return one
    near = get_close_matches(name, [one.id for one in rules], 3)
    meant = f"; did you mean {' or '.join(near)}?" if near else ""
    raise SettingsError(f"there is no alert {name!r}{meant}")
