"""The bundle: what readers see. One file a build, never changed, and a pointer to the one that is current.

What belongs here: publishing, keeping, reading and asking builds, and what a build tells otherwise than the one before.
What does not: how numbers are computed or written. `check` is apart: it compares with the warehouse, which readers
need not load.
"""

from tailtracker_bi.bundle.pointer import (
    Bundle,
    BundleError,
    NoBundleError,
    builds,
    current,
    is_pointer_sound,
    kept_build,
    roll_back,
)
from tailtracker_bi.bundle.publishing import publish
from tailtracker_bi.bundle.reader import connect, query, read, read_distinct, read_if_there, tables
from tailtracker_bi.bundle.sql import ask

__all__ = [
    "Bundle",
    "BundleError",
    "NoBundleError",
    "ask",
    "builds",
    "check",
    "connect",
    "current",
    "is_pointer_sound",
    "kept_build",
    "publish",
    "query",
    "read",
    "read_distinct",
    "read_if_there",
    "roll_back",
    "tables",
]
