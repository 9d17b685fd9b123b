"""The lake: what was received, day by day and version by version, and the ledger that says what is there.

What belongs here: landing, what is set aside or held back, and whether it is all as it was written. What does not:
asking sources, and any number that is computed from what landed.
"""

from tailtracker_bi.lake.check import (
    Finding,
    LedgerTable,
    Verdict,
    check_files,
    check_ledger,
    check_quarantine,
    check_whole,
    unreadable,
)
from tailtracker_bi.lake.lake import NEW_KEY, Lake
from tailtracker_bi.lake.ledger import READ, RESTORE, LakeError
from tailtracker_bi.lake.objects import ObjectLanding, landing_objects
from tailtracker_bi.lake.versions import Comparison

__all__ = [
    "NEW_KEY",
    "READ",
    "RESTORE",
    "Comparison",
    "Finding",
    "Lake",
    "LakeError",
    "LedgerTable",
    "ObjectLanding",
    "Verdict",
    "check_files",
    "check_ledger",
    "check_quarantine",
    "check_whole",
    "landing_objects",
    "unreadable",
]
