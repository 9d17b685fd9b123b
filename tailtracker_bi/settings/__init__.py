"""Settings: every one from the environment or `.env`, checked before anything runs.

What belongs here: what may be set, where credentials may go, and the only reading of the environment. What does not:
what counts in the numbers (`analytics/`), and any source's own business.
"""

from tailtracker_bi.settings.addresses import (
    check_base_url,
    check_database_url,
    check_own_url,
    database_address,
    is_loopback,
    mail_sender,
)
from tailtracker_bi.settings.environment import (
    dagster_environment,
    dashboard_environment,
    keep_algebra_on_one_thread,
    load_dagster_settings,
    load_own_settings,
    load_reader_settings,
    load_report_settings,
    load_settings,
    load_sign_in_settings,
    of_the_sandbox,
)
from tailtracker_bi.settings.history import history_start, note_first_run
from tailtracker_bi.settings.model import (
    AbsolutePath,
    ReportSettings,
    Settings,
    SignInSettings,
    SourceSettings,
    Timezone,
    lower,
)
from tailtracker_bi.settings.sandbox_home import OFFERED_BY_THE_SANDBOX, SANDBOX_FILE, SandboxPlace

__all__ = [
    "OFFERED_BY_THE_SANDBOX",
    "SANDBOX_FILE",
    "AbsolutePath",
    "ReportSettings",
    "SandboxPlace",
    "Settings",
    "SignInSettings",
    "SourceSettings",
    "Timezone",
    "check_base_url",
    "check_database_url",
    "check_own_url",
    "dagster_environment",
    "dashboard_environment",
    "database_address",
    "history_start",
    "is_loopback",
    "keep_algebra_on_one_thread",
    "load_dagster_settings",
    "load_own_settings",
    "load_reader_settings",
    "load_report_settings",
    "load_settings",
    "load_sign_in_settings",
    "lower",
    "mail_sender",
    "note_first_run",
    "of_the_sandbox",
]
