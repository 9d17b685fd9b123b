"""The errors people are meant to read: each says what, where and what to do, and carries its exit code.

Everything else that is raised is a bug and may show a traceback.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class TailTrackerError(Exception):
    """A failure with a message for the person who runs the command."""

    exit_code = 1


class SettingsError(TailTrackerError):
    """Wrong settings, configuration or usage: nothing has run yet."""

    exit_code = 2


class BuildError(TailTrackerError):
    """The warehouse could not be built, or a data test failed: nothing gets published."""

    results: Sequence[Any] = ()
    """What dbt said of the nodes that it came to."""


def visible(text: object) -> str:
    """A text with what a terminal would obey written out; also for what has landed, as names of events."""
    return "".join(
        sign if sign.isprintable() or sign in "\n\t" else sign.encode("unicode_escape").decode() for sign in str(text)
    )
