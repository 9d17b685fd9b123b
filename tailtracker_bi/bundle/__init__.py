"""The bundle: what readers see. One file a build, never changed, and a pointer to the one that is current.

What belongs here: publishing, keeping, reading and asking builds, and what a build tells otherwise than the one before.
What does not: how numbers are computed or written. `check` is apart: it compares with the warehouse, which readers
need not load.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tailtracker_bi.bundle.asking import ask
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

if TYPE_CHECKING:
    from tailtracker_bi.bundle.publishing import publish
    from tailtracker_bi.bundle.reader import connect, query, read, read_distinct, read_if_there, tables
else:
    # Who takes one of these loads DuckDB and Arrow, and nobody else.
    _OF_READER = ("connect", "query", "read", "read_distinct", "read_if_there", "tables")
    _PLACES = {"publish": "publishing"} | dict.fromkeys(_OF_READER, "reader")

    def __getattr__(name: str) -> Any:
        if name not in _PLACES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)


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
