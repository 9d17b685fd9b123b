"""Settings: every one from the environment or `.env`, checked before anything runs.

What belongs here: what may be set, where credentials may go, and the only reading of the environment. What does not:
what counts in the numbers (`analytics/`), and any source's own business.
"""

from tailtracker_bi.settings.addresses import check_base_url, check_database_url, check_own_url
from tailtracker_bi.settings.environment import (
    load_own_settings,
    load_reader_settings,
    load_settings,
    of_the_sandbox,
    reader_environment,
)
from tailtracker_bi.settings.history import history_start, note_first_run
from tailtracker_bi.settings.model import (
    AbsolutePath,
    Settings,
    SourceSettings,
    Timezone,
    lower,
)
from tailtracker_bi.settings.sandbox_home import SANDBOX_FILE, SandboxPlace

__all__ = [
    "SANDBOX_FILE",
    "AbsolutePath",
    "SandboxPlace",
    "Settings",
    "SourceSettings",
    "Timezone",
    "check_base_url",
    "check_database_url",
    "check_own_url",
    "history_start",
    "load_own_settings",
    "load_reader_settings",
    "load_settings",
    "lower",
    "note_first_run",
    "of_the_sandbox",
    "reader_environment",
]
