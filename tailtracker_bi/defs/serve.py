"""Serves Dagster as `make dagster` does: what it keeps is in HOME, or in a Postgres that settings name."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tailtracker_bi.errors import SettingsError
from tailtracker_bi.settings import dagster_environment, load_dagster_settings

HERE = Path(__file__).parent
STORED_IN_POSTGRES = """\
# Runs, events and schedules are kept in a Postgres.
storage:
  postgres:
    postgres_url:
      env: TAILTRACKER_DAGSTER_STORAGE_URL
"""


def prepare() -> dict[str, str]:
    """Write the settings of Dagster's instance; gives the environment that it is to be served in, secrets and all.

    Raises SettingsError.
    """
    settings = load_dagster_settings()
    instance = settings.home / "dagster"
    instance.mkdir(parents=True, exist_ok=True)
    told = (HERE / "dagster.yaml").read_text(encoding="utf-8")
    stored = STORED_IN_POSTGRES if settings.storage_url else ""
    (instance / "dagster.yaml").write_text(told + stored, encoding="utf-8")
    return dagster_environment(settings)


def main() -> None:
    """Become `dagster dev`."""
    try:
        environment = prepare()
    except SettingsError as error:
        sys.exit(str(error))
    program = Path(sys.executable).with_name("dagster")
    os.execve(program, ["dagster", "dev", "-w", "workspace.yaml"], environment)  # noqa: S606


if __name__ == "__main__":
    main()
