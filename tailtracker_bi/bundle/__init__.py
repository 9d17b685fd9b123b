"""The bundle: what readers see. One file a build, never changed, and a pointer to the one that is current.

What belongs here: publishing, keeping, reading and asking builds, and what a build tells otherwise than the one before.
What does not: how numbers are computed or written. `check` and `parity` are apart: they compare with
warehouses, which readers need not load.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tailtracker_bi.bundle.asking import Answer, QueryError, ask, ask_for_rows
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
    from tailtracker_bi.bundle.copying import copy_of
    from tailtracker_bi.bundle.exploring import AskedRetention, Question, Trend, explore, properties
    from tailtracker_bi.bundle.publishing import publish
    from tailtracker_bi.bundle.reader import Table, connect, describe, query, read, read_distinct, read_if_there, tables
else:
    # Who takes one of these loads DuckDB and Arrow, and nobody else.
    _OF_READER = ("Table", "connect", "describe", "query", "read", "read_distinct", "read_if_there", "tables")
    _OF_EXPLORING = ("AskedRetention", "Question", "Trend", "explore", "properties")
    _PLACES = (
        {"publish": "publishing", "copy_of": "copying"}
        | dict.fromkeys(_OF_READER, "reader")
        | dict.fromkeys(_OF_EXPLORING, "exploring")
    )

    def __getattr__(name: str) -> Any:
        if name not in _PLACES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)


__all__ = [
    "Answer",
    "AskedRetention",
    "Bundle",
    "BundleError",
    "NoBundleError",
    "QueryError",
    "Question",
    "Table",
    "Trend",
    "ask",
    "ask_for_rows",
    "builds",
    "check",
    "connect",
    "copy_of",
    "current",
    "describe",
    "explore",
    "is_pointer_sound",
    "kept_build",
    "parity",
    "properties",
    "publish",
    "query",
    "read",
    "read_distinct",
    "read_if_there",
    "roll_back",
    "tables",
]
