"""From which day on history is wanted, and the day of the first run, from which the default counts."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from tailtracker_bi import durable
from tailtracker_bi.errors import SettingsError
from tailtracker_bi.settings.model import DEFAULT_HISTORY, Settings


def history_start(settings: Settings, landed: Iterable[date]) -> date:
    """The first day wanted: the setting; else 90 days before the first run, or the first landed day if earlier."""
    if settings.history_start:
        return settings.history_start
    return min([(_first_run(settings) or settings.today) - DEFAULT_HISTORY, *landed])


def note_first_run(settings: Settings) -> None:
    """Keep the day of the first run, from which the default history start counts."""
    if _first_run(settings) is None:
        durable.write(settings.home / "first_run", str(settings.today).encode())


def _first_run(settings: Settings) -> date | None:
    note = settings.home / "first_run"
    try:
        return date.fromisoformat(note.read_text(encoding="utf-8").strip())
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        raise SettingsError(
            f"{note} does not hold the day of the first run: write it there, as {settings.today}, or set "
            "TAILTRACKER_HISTORY_START and remove that file"
        ) from None
