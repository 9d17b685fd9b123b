"""Settings: every one from the environment or `.env`, checked before anything runs.

What belongs here: what may be set, where credentials may go, and the only reading of the environment. What does not:
what counts in the numbers (`analytics/`), and any source's own business.
"""

from tailtracker_bi.settings.environment import (
    load_own_settings,
    load_reader_settings,
    load_settings,
    reader_environment,
)
from tailtracker_bi.settings.history import history_start, note_first_run
from tailtracker_bi.settings.model import HomeSettings, ReaderSettings, Settings
from tailtracker_bi.settings.sandbox_home import OF_THE_SANDBOX, SANDBOX_FILE, SandboxPlace

__all__ = [
    "OF_THE_SANDBOX",
    "SANDBOX_FILE",
    "HomeSettings",
    "ReaderSettings",
    "SandboxPlace",
    "Settings",
    "history_start",
    "load_own_settings",
    "load_reader_settings",
    "load_settings",
    "note_first_run",
    "reader_environment",
]
