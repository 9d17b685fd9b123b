"""Who is told at once when a figure breaks its bounds or a source is in trouble, and when that is over.

What belongs here: what fires, since when, who is to be told when, and what was noted of it. What does not: the declared
rules (`analytics/`), and how a channel takes it, once (`delivery/`).
"""

from tailtracker_bi.alerts.book import Book, Episode
from tailtracker_bi.alerts.judging import Firing, firings, lately
from tailtracker_bi.alerts.telling import declared, told_anew, untold

__all__ = ["Book", "Episode", "Firing", "declared", "firings", "lately", "told_anew", "untold"]
