"""Data handed out: a table of a build or a metric as a file that programs and spreadsheets read without guessing.

What belongs here: which rows, in which form, put where; what the metrics are, for semantic layers. What does not:
reports, which say something, and which rows pages hand out of what they show (`dashboards/`).
"""

from tailtracker_bi.exports.files import FORMS, export, file_of
from tailtracker_bi.exports.places import put

__all__ = ["FORMS", "export", "file_of", "put", "semantic"]
