"""Figures as people read them: what pages and reports share.

What belongs here: the catalogue, readings of a metric, states of the data, how numbers are written and drawn. What does
not: where frames come from, and any page. Each of its modules may be used by itself.
"""

__all__ = [
    "catalogue", "charts", "csv_output", "data_status", "exported", "json_output", "not_counted", "points",
    "readings", "reconciliation", "wording",
]  # fmt: skip
