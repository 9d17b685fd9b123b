"""Figures as people read them: what pages and reports share.

What belongs here: the catalogue, readings of a metric, states of the data, how numbers are written and drawn. What does
not: where frames come from, and any page. Each of its modules may be used by itself.
"""

__all__ = [
    "catalogue", "charts", "csv_output", "data_status", "explain", "explained", "exported", "json_output",
    "layers", "movements", "not_counted", "people_charts", "picking", "points", "quick_chart", "readings",
    "reconciliation", "restated", "wording",
]  # fmt: skip
